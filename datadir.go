package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// dataDir is a directory that belongs to one process at a time.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory, sees that it can be written, and locks it; what says who we are ("agent"), option
// names what to change in the remedy ("data_dir", "--data"). The lock goes with the process, also when it is killed.
func openDataDir(path, what, option string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, dataDirError(path, option, err)
	}
	name := filepath.Join(path, what+".lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, dataDirError(path, option, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another bessd %s runs on %s; stop it, or set another %s", what, path, option)
		}
		return nil, fmt.Errorf("locking %s: %w; put %s on a local file system", name, err, option)
	}
	return &dataDir{path, f}, nil
}

func dataDirError(path, option string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("data directory %s: %w; make it writable for the user that runs bessd, or set another %s", path, err, option)
}

// sub is a path below the directory.
func (d *dataDir) sub(parts ...string) string {
	return filepath.Join(append([]string{d.path}, parts...)...)
}

// close releases the lock.
func (d *dataDir) close() error { return d.lock.Close() }
