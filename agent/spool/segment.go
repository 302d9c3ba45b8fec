package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	segmentSuffix = ".seg"
	newSuffix     = ".new"

	formatVersion = 1
)

var (
	headerBucket = []byte("header")
	recordBucket = []byte("records")
	headerKey    = []byte("segment")
)

// segment is one file. Until it is opened, only its name and size are known.
type segment struct {
	path       string
	first      Position // from the name; no record has a lower one
	last       Position // highest record; a guess while !known
	known      bool     // last and partitions were read from the file
	partitions int
	bytes      int64 // on disk
	changed    time.Time
	db         *bolt.DB // nil while closed
}

func segmentName(first Position) string {
	return fmt.Sprintf("%020d%s", uint64(first), segmentSuffix)
}

// segmentFirst is the inverse of segmentName.
func segmentFirst(name string) (Position, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return Position(n), err == nil
}

// createSegment makes an empty segment and opens it for writing. The file gets
// its name only when it is complete and synced.
func createSegment(dir string, first Position, partitions int, opts *bolt.Options) (*segment, error) {
	path := filepath.Join(dir, segmentName(first))
	tmp := path + newSuffix
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	err := guard(func() error {
		db, err := bolt.Open(tmp, 0o600, opts)
		if err != nil {
			return err
		}
		err = db.Update(func(tx *bolt.Tx) error {
			h, err := tx.CreateBucket(headerBucket)
			if err != nil {
				return err
			}
			if _, err := tx.CreateBucket(recordBucket); err != nil {
				return err
			}
			return h.Put(headerKey, encodeHeader(partitions))
		})
		return errors.Join(err, db.Close())
	})
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	s := &segment{path: path, first: first, last: first - 1, known: true, partitions: partitions, changed: time.Now()}
	if err == nil {
		err = guard(func() error {
			s.db, err = bolt.Open(path, 0o600, opts)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("creating spool segment: %w", err)
	}
	return s, nil
}

func writeOptions(maxBytes int64, noSync bool) *bolt.Options {
	return &bolt.Options{
		Timeout:      2 * time.Second,
		FreelistType: bolt.FreelistMapType,
		// The file is never opened for writing again, so the list of free pages
		// need not be in it.
		NoFreelistSync: true,
		NoStatistics:   true,
		MaxSize:        int(maxBytes),
		NoSync:         noSync,
	}
}

// open verifies the file and opens it read-only. It does nothing when it is open.
func (s *segment) open() error {
	if s.db != nil {
		return nil
	}
	used, err := verify(s.path)
	if err != nil {
		return err
	}
	err = guard(func() error {
		db, err := bolt.Open(s.path, 0o600, &bolt.Options{ReadOnly: true, Timeout: 2 * time.Second, NoStatistics: true})
		if err != nil {
			return err
		}
		s.db = db
		return db.View(func(tx *bolt.Tx) error {
			h, r := tx.Bucket(headerBucket), tx.Bucket(recordBucket)
			if h == nil || r == nil {
				return errors.New("the file lacks its buckets")
			}
			var err error
			if s.partitions, err = decodeHeader(h.Get(headerKey)); err != nil {
				return err
			}
			s.last = s.first - 1
			if k, _ := r.Cursor().Last(); k != nil {
				p, ok := position(k)
				if !ok || p < s.first {
					return errors.New("the file holds a foreign key")
				}
				s.last = p
			}
			return nil
		})
	})
	if err != nil {
		_ = s.close()
		return err
	}
	s.known = true
	s.bytes = used
	return nil
}

func (s *segment) close() error {
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return guard(db.Close)
}

// append stores recs, whose positions are set and ascend, in one synced transaction.
func (s *segment) append(recs []Record, buf []byte) (_ []byte, err error) {
	err = guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(recordBucket)
			b.FillPercent = 1 // keys only ascend: pages need no room for later ones
			// bbolt keeps the slices until it commits.
			size := 0
			for i := range recs {
				size += len(recs[i].Payload) + len(recs[i].Meta.Device) + 64
			}
			if cap(buf) < size {
				buf = make([]byte, 0, size)
			}
			buf = buf[:0]
			for i := range recs {
				start := len(buf)
				buf = appendRecord(buf, &recs[i])
				if err := b.Put(key(recs[i].Position), buf[start:len(buf):len(buf)]); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return buf, err
	}
	s.last = recs[len(recs)-1].Position
	s.changed = time.Now()
	return buf, s.measure()
}

// measure reads how much of the file is in use.
func (s *segment) measure() error {
	return guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			s.bytes = tx.Size()
			return nil
		})
	})
}

// seal ends writing. The file stays, without the unused room that bbolt took.
func (s *segment) seal() error {
	if err := s.close(); err != nil {
		return err
	}
	s.known = false
	if used, err := verify(s.path); err == nil {
		s.bytes = used
		return os.Truncate(s.path, used)
	}
	return nil // opening it for reading will tell
}

// scan calls fn for each record from position from on, until fn returns false.
// A damaged record comes with errDamaged.
func (s *segment) scan(from Position, fn func(Record, error) bool) error {
	if err := s.open(); err != nil {
		return err
	}
	return guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(recordBucket)
			if b == nil {
				return errDamagedFile
			}
			c := b.Cursor()
			prev := Position(0)
			for k, v := c.Seek(key(from)); k != nil; k, v = c.Next() {
				p, ok := position(k)
				if !ok || p <= prev || p > s.last {
					return fmt.Errorf("%w: its keys are out of order", errDamagedFile)
				}
				prev = p
				if !fn(decodeRecord(p, v)) {
					return nil
				}
			}
			return nil
		})
	})
}

// encodeHeader is version and partition count behind their CRC-32C.
func encodeHeader(partitions int) []byte {
	b := make([]byte, 4, 12)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(partitions))
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

func decodeHeader(b []byte) (partitions int, err error) {
	if len(b) < 12 || binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return 0, errors.New("the segment's header is damaged")
	}
	if v := binary.LittleEndian.Uint32(b[4:]); v != formatVersion {
		return 0, fmt.Errorf("the segment has format %d, this program knows %d", v, formatVersion)
	}
	return int(binary.LittleEndian.Uint32(b[8:])), nil
}
