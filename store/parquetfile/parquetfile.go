package parquetfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// maxFooter is more than any footer that we or others write.
const maxFooter = 64 << 20

// Open opens the file of the given size, without its page index and Bloom
// filters. Reading from the result can still panic: see Guard.
func Open(r io.ReaderAt, size int64) (f *parquet.File, err error) {
	defer Guard(&err)
	var tail [8]byte
	if size < 12 {
		return nil, fmt.Errorf("a file of %d bytes", size)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil && err != io.EOF {
		return nil, err
	}
	footer := int64(binary.LittleEndian.Uint32(tail[:4]))
	if string(tail[4:]) != "PAR1" || footer > size-12 || footer > maxFooter {
		return nil, errors.New("the end of the file is damaged or cut off")
	}
	end := withEnd{r: r, from: size - 8 - footer, end: make([]byte, footer+8)}
	if _, err := r.ReadAt(end.end, end.from); err != nil && err != io.EOF {
		return nil, err
	}
	if err := checkFooter(end.end[:footer]); err != nil {
		return nil, err
	}
	f, err = parquet.OpenFile(end, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(256<<10))
	if err != nil {
		return nil, err
	}
	for g, group := range f.Metadata().RowGroups {
		for _, c := range group.Columns {
			m := &c.MetaData
			switch m.Codec {
			case format.Uncompressed, format.Snappy, format.Gzip, format.Zstd:
			default: // nobody writes tables like ours with it, and the library's LZ4 takes all memory on damaged input
				return nil, fmt.Errorf("column %v of row group %d is compressed by %v, which is not read here", m.PathInSchema, g, m.Codec)
			}
			start := m.DataPageOffset
			if m.DictionaryPageOffset > 0 {
				start = min(start, m.DictionaryPageOffset)
			}
			if start < 0 || m.TotalCompressedSize < 0 || start > size || m.TotalCompressedSize > size-start || m.NumValues < 0 {
				return nil, fmt.Errorf("column %v of row group %d lies outside the file", m.PathInSchema, g)
			}
		}
	}
	return f, nil
}

// withEnd serves the file's end from memory: it was read to be checked.
type withEnd struct {
	r    io.ReaderAt
	from int64
	end  []byte
}

func (w withEnd) ReadAt(p []byte, off int64) (int, error) {
	if off < w.from {
		return w.r.ReadAt(p, off)
	}
	return bytes.NewReader(w.end).ReadAt(p, off-w.from)
}

// Guard turns a panic into an error; defer it.
func Guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the file is damaged or the parquet library gave up: %v", p)
	}
}
