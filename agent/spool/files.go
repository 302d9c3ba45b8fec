package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrFull means that the disk had no room. Nothing of the call was stored, and
// it may be repeated when there is room again.
var ErrFull = errors.New("the disk of the data directory is full; free some space or lower the spool's max_bytes")

// full adds ErrFull to errors that mean a lack of space.
func full(err error) error {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, bolterrors.ErrMaxSizeReached} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w (%w)", ErrFull, err)
		}
	}
	return err
}

var errDamagedFile = errors.New("database file is damaged")

// guard runs fn and turns a panic into an error, also the fault of reading a
// mapped page that the disk can no longer deliver.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamagedFile, r)
		}
	}()
	return fn()
}

// isDamage tells what the file contains from what the system refused for a
// reason of its own, such as too many open files.
func isDamage(err error) bool {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return false
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	return !ok || errno == syscall.EIO
}

// setAside renames a damaged file so that nobody reads it and nobody loses it.
func setAside(path string) (string, error) {
	for i := 0; ; i++ {
		to := path + quarantineSuffix
		if i > 0 {
			to = fmt.Sprintf("%s.%d", to, i)
		}
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(path, to); err != nil {
			return "", fmt.Errorf("setting a damaged file aside: %w", err)
		}
		return to, syncDir(filepath.Dir(path))
	}
}

const quarantineSuffix = ".quarantine"

// syncDir makes created, renamed and removed names durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func isEmptyFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Size() == 0
}
