package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"bessd/store/delta"
)

// wholeFile is the size up to which a file is fetched at once. Larger ones are
// read in ranges.
const wholeFile = 32 << 20

// How far a scan fetches: so many files at the same time, the one being read
// included, as long as they take no more memory than this. A file of a live
// flush is a few kilobytes, so that the way to the store and back is all its cost.
const (
	openFiles = 16
	openBytes = 64 << 20
)

// openAll opens the files ahead of their use and gives them to fn one after the
// other, in their order. The reader is valid until fn returns.
func (t *Table) openAll(ctx context.Context, files []delta.File, fn func(delta.File, io.ReaderAt) error) error {
	type opened struct {
		r   io.ReaderAt
		err error
	}
	var fetching sync.WaitGroup
	defer fetching.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var queue []chan opened // of the files from the one at work on
	var held int64          // bytes that they take
	for _, f := range files {
		for len(queue) < min(openFiles, len(files)) {
			next := files[len(queue)]
			size := t.inMemory(next)
			if len(queue) > 0 && held+size > openBytes {
				break
			}
			held += size
			c := make(chan opened, 1)
			queue = append(queue, c)
			fetching.Go(func() {
				r, err := t.open(ctx, next)
				c <- opened{r, err}
			})
		}
		o := <-queue[0]
		if o.err != nil {
			return o.err
		}
		if err := fn(f, o.r); err != nil {
			return err
		}
		held -= t.inMemory(f)
		queue, files = queue[1:], files[1:]
	}
	return nil
}

// inMemory is how much of an open file is in memory.
func (t *Table) inMemory(f delta.File) int64 {
	if f.Size > t.lake.whole {
		return 0
	}
	return f.Size
}

func (t *Table) open(ctx context.Context, f delta.File) (io.ReaderAt, error) {
	key := t.key(f.Path)
	if f.Size > t.lake.whole {
		return &ranged{ctx: ctx, b: t.lake.b, key: key, size: f.Size}, nil
	}
	data, err := t.lake.b.Get(ctx, key)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w; the log names this file, restore it", err)
		}
		return nil, fmt.Errorf("scanning table %s: %w", t.spec.Name, err)
	}
	if int64(len(data)) != f.Size {
		return nil, fmt.Errorf("scanning table %s: %s has %d bytes, its commit says %d; restore it", t.spec.Name, key, len(data), f.Size)
	}
	return bytes.NewReader(data), nil
}

// ranged reads an object piece by piece, for as long as ctx lasts.
type ranged struct {
	ctx  context.Context // of the one scan that this reader lives in
	b    Backend
	key  string
	size int64
}

// ReadAt implements io.ReaderAt.
func (r *ranged) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= r.size {
		return 0, io.EOF
	}
	data, err := r.b.GetRange(r.ctx, r.key, off, int64(len(p)))
	n := copy(p, data)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}
