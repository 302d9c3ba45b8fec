package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// State is a small durable map for what the agent must remember across
// restarts. It keeps other processes out of its file. It is safe for concurrent
// use.
type State struct {
	db        *bolt.DB
	setAside  string
	stateName string
}

var stateBucket = []byte("state")

// OpenState opens or creates the file at path. A damaged file is renamed aside
// (see SetAside) and replaced by an empty one.
func OpenState(path string) (*State, error) { return openState(path, false) }

func openState(path string, noSync bool) (*State, error) {
	s := &State{stateName: filepath.Base(path)}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	if err := s.check(path); err != nil {
		return nil, err
	}
	err := s.open(path, noSync)
	if errors.Is(err, errDamagedFile) { // what verify does not look at: the list of free pages
		if s.setAside, err = setAside(path); err == nil {
			err = s.open(path, noSync)
		}
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("opening %s: another process uses it; stop that one, or give this one another data_dir", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	err = guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(stateBucket)
			return err
		})
	})
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = s.db.Close()
		return nil, fmt.Errorf("preparing %s: %w", path, err)
	}
	return s, nil
}

// check sets the file aside when it is there and damaged.
func (s *State) check(path string) error {
	_, err := verify(path)
	switch {
	case err == nil || errors.Is(err, os.ErrNotExist) || isEmptyFile(path):
		return nil
	case !isDamage(err):
		return fmt.Errorf("opening %s: %w", path, err)
	}
	s.setAside, err = setAside(path)
	return err
}

func (s *State) open(path string, noSync bool) error {
	return guard(func() (err error) {
		s.db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: 2 * time.Second, FreelistType: bolt.FreelistMapType, NoSync: noSync})
		return err
	})
}

// SetAside is the name that a damaged state file was given, "" when there was none.
func (s *State) SetAside() string { return s.setAside }

// Get returns a copy of the value, and false when there is none or it is damaged.
func (s *State) Get(name string) ([]byte, bool) {
	var out []byte
	err := guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(stateBucket)
			if b == nil {
				return nil
			}
			v := b.Get([]byte(name))
			if len(v) < 4 || binary.LittleEndian.Uint32(v) != crc32.Checksum(v[4:], castagnoli) {
				return nil
			}
			out = append(make([]byte, 0, len(v)-4), v[4:]...)
			return nil
		})
	})
	return out, err == nil && out != nil
}

// Put stores a value; when it returns nil, the value is on the disk.
func (s *State) Put(name string, value []byte) error {
	v := binary.LittleEndian.AppendUint32(make([]byte, 0, len(value)+4), crc32.Checksum(value, castagnoli))
	v = append(v, value...)
	err := guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(stateBucket)
			if b == nil {
				return errors.New("the file has lost its bucket")
			}
			return b.Put([]byte(name), v)
		})
	})
	if err != nil {
		return fmt.Errorf("storing %q in %s: %w", name, s.stateName, full(err))
	}
	return nil
}

// Close closes the file.
func (s *State) Close() error { return s.db.Close() }
