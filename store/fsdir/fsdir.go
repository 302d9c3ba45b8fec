package fsdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bessd/store/blob"
)

// Store keeps objects as files below a directory. It is safe for concurrent
// use, also by several processes on one machine. A network file system without
// a working link(2) is not supported.
type Store struct {
	root string
}

// Open returns a store in directory root, which is made if it is missing.
// Temporary files that a killed process left in it long ago are deleted.
func Open(root string) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("opening the store directory %s: %w", root, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, fail("opening the store directory", abs, err)
	}
	removeTemps(abs)
	return &Store{root: abs}, nil
}

// Temporary files have names of this form, and another process may be at work
// on one that is younger than tempLife.
const (
	tempPrefix = ".tmp-"
	tempLife   = 24 * time.Hour
)

// removeTemps deletes old temporary files. They are in nobody's way, so one
// that cannot be deleted is left to the next start.
func removeTemps(root string) {
	_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), tempPrefix) {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > tempLife {
			_ = os.Remove(name)
		}
		return nil
	})
}

// URL returns the address of the store as foreign readers understand it.
func (s *Store) URL() string { return "file://" + filepath.ToSlash(s.root) }

// fail classifies a failure of the file system.
func fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	e := &blob.Error{Op: op, Key: key, Kind: blob.Permanent, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind, e.Remedy = blob.Transient, "free space on the disk; nothing is lost meanwhile"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ESTALE):
		e.Kind = blob.Transient
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Remedy = "make the directory writable for the user that runs bessd"
	}
	return e
}

// file returns the path of the object, refusing keys that would leave the root
// or meet our temporary names.
func (s *Store) file(key string) (string, error) {
	if key == "" || !fs.ValidPath(key) || strings.HasPrefix(path.Base(key), ".") {
		return "", &blob.Error{Op: "naming", Key: key, Kind: blob.Permanent, Err: errors.New("not a valid object key")}
	}
	return filepath.Join(s.root, filepath.FromSlash(key)), nil
}

// Get returns the whole object.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	name, err := s.file(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(name)
	return b, fail("getting", key, err)
}

// GetRange returns up to n bytes of the object from off on; fewer at its end.
func (s *Store) GetRange(ctx context.Context, key string, off, n int64) ([]byte, error) {
	name, err := s.file(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fail("getting", key, err)
	}
	defer f.Close()
	b := make([]byte, n)
	got, err := f.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return b[:got], fail("getting", key, err)
}

// Put stores the object, replacing one of the same key.
func (s *Store) Put(ctx context.Context, key string, data []byte) error {
	return s.put(ctx, key, os.Rename, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// PutIfAbsent stores the object unless there is one of that key: then it
// returns an error that wraps fs.ErrExist and changes nothing.
func (s *Store) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	return s.put(ctx, key, os.Link, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// PutFile stores the contents of the local file as the object.
func (s *Store) PutFile(ctx context.Context, key, local string) error {
	return s.put(ctx, key, os.Rename, func(f *os.File) error {
		in, err := os.Open(local)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(f, in)
		return err
	})
}

func (s *Store) put(ctx context.Context, key string, place func(from, to string) error, fill func(*os.File) error) (err error) {
	name, err := s.file(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	dir := filepath.Dir(name)
	if err := s.makeDir(dir); err != nil {
		return fail("putting", key, err)
	}
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return fail("putting", key, err)
	}
	defer os.Remove(f.Name()) // gone already after a rename
	err = fill(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = place(f.Name(), name)
	}
	if err == nil {
		err = SyncDir(dir)
	}
	return fail("putting", key, err)
}

// makeDir makes dir with its parents and syncs each parent that got a new entry.
func (s *Store) makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if parent := filepath.Dir(dir); len(parent) >= len(s.root) {
		if err := s.makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(filepath.Dir(dir))
}

// SyncDir makes the entries of a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// List returns the objects whose keys begin with prefix and sort after the
// key `after` (empty: all), sorted by key. Names that begin with '.' are not
// objects.
func (s *Store) List(ctx context.Context, prefix, after string) ([]blob.Info, error) {
	dir := s.root
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		dir = filepath.Join(s.root, filepath.FromSlash(prefix[:i]))
	}
	var out []blob.Info
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // vanished while we looked, or nothing there yet
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name != s.root && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		rel, err := filepath.Rel(s.root, name)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(rel)
		if !strings.HasPrefix(key, prefix) || key <= after {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		out = append(out, blob.Info{Key: key, Size: info.Size(), Modified: info.ModTime()})
		return nil
	})
	if err != nil {
		return nil, fail("listing", prefix, err)
	}
	slices.SortFunc(out, func(a, b blob.Info) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// Delete removes the object. A missing one is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	name, err := s.file(key)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail("deleting", key, err)
	}
	return nil
}
