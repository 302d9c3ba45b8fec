package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Config describes a Spool.
type Config struct {
	// Dir holds the spool's files and nothing else. It is created when missing.
	Dir string
	// SegmentBytes is where a new segment begins; 0 is 16 MiB. It is also how
	// much disk the spool keeps when nothing is left to deliver, and how much a
	// bound drops at once.
	SegmentBytes int64
	// MaxBytes bounds the files; 0 is 1 GiB. The oldest segment is dropped first.
	MaxBytes int64
	// MaxAge drops a segment when its newest record is older than this; 0 never
	// does. A clock that jumps forward ages everything, so prefer MaxBytes.
	MaxAge time.Duration
	// OnLoss hears of every record that will not be delivered. It is called
	// before the file goes, from the goroutine of the call that noticed, and must
	// not call the spool. May be nil.
	OnLoss func(Loss)

	// For tests of what does not depend on the disk: do not wait for it.
	noSync bool
}

// Reason says why records were lost.
type Reason string

// The reasons.
const (
	OverBytes   Reason = "bytes"      // the spool was larger than MaxBytes
	OverAge     Reason = "age"        // older than MaxAge
	Damaged     Reason = "damaged"    // a record's checksum was wrong
	Quarantined Reason = "quarantine" // a file was damaged and renamed aside
)

// Range is consecutive sequence numbers of one device in one epoch.
type Range struct {
	Device      string
	Epoch       uint64
	First, Last uint64 // seq, inclusive
}

// Loss is a report of records that will not be delivered.
type Loss struct {
	Reason  Reason
	Records int // 0 when the file cannot tell
	Bytes   int64
	// Ranges names the records, where they can be read, sorted by device, epoch, first.
	Ranges []Range
	File   string // where a damaged file lies now
	Err    error  // what was wrong with it
}

// Batch is a run of records from one segment.
type Batch struct {
	Partitions int // the count that they were appended with
	Records    []Record
}

// Stats are the spool's figures at one moment.
type Stats struct {
	Records  int   // not acknowledged; exact but for segments that have not been read since the start
	Bytes    int64 // of files, acknowledged records included
	Segments int
	// Oldest is when the oldest record that is not acknowledged was taken, zero when there is none.
	Oldest time.Time
	// Since the start:
	Appended, Acked, Lost int64 // records
	Quarantined           int64 // files
}

// Spool is a durable queue. It is safe for concurrent use; calls wait for each
// other, also for the disk.
type Spool struct {
	cfg Config

	mu       sync.Mutex
	cursor   *State // what is acknowledged
	segments []*segment
	active   *segment // the last of segments, or nil
	next     Position
	acked    spans
	dirty    bool // acked has changed since it was stored
	stored   time.Time
	oldest   Record // position and At of the oldest record, when known
	stats    Stats
	buf      []byte
	closed   bool

	fileLimit int64 // for tests: a segment that would grow beyond it meets a full disk
}

// ackEvery bounds how often acknowledgements are synced, and so how many
// records a crash can make the spool deliver twice.
const ackEvery = time.Second

// ErrClosed is returned by calls on a closed Spool.
var ErrClosed = errors.New("the spool is closed")

const cursorKey = "acked"

// Open opens or creates the spool in cfg.Dir. One process may have it open.
func Open(cfg Config) (*Spool, error) {
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = 16 << 20
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 30
	}
	// Dropping goes by segments, and must not take most of what is there.
	cfg.SegmentBytes = max(min(cfg.SegmentBytes, cfg.MaxBytes/4), 64<<10)
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the spool directory: %w", err)
	}
	cursor, err := openState(filepath.Join(cfg.Dir, "cursor.db"), cfg.noSync)
	if err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	s := &Spool{cfg: cfg, cursor: cursor, next: 1}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the spool: %w", err), s.Close())
	}
	return s, nil
}

// load finds the segments and opens the first, for its age, and the last, for its end.
func (s *Spool) load() error {
	entries, err := os.ReadDir(s.cfg.Dir) // sorted, and so are the positions
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(s.cfg.Dir, e.Name())
		if strings.HasSuffix(e.Name(), newSuffix) { // never got its name, so holds nothing
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		if at := strings.Index(e.Name(), segmentSuffix+quarantineSuffix); at > 0 {
			if first, ok := segmentFirst(e.Name()[:at] + segmentSuffix); ok {
				s.next = max(s.next, first+1)
			}
		}
		first, ok := segmentFirst(e.Name())
		if !ok {
			continue
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		s.segments = append(s.segments, &segment{path: path, first: first, last: first, bytes: st.Size(), changed: st.ModTime()})
	}
	for i := range s.segments[:max(len(s.segments)-1, 0)] {
		s.segments[i].last = s.segments[i+1].first - 1
	}
	if b, ok := s.cursor.Get(cursorKey); ok {
		s.acked = decodeSpans(b)
	}
	s.stored = time.Now()
	// A position that was acknowledged must never come again, even if the file
	// that held it is lost.
	s.next = max(s.next, s.acked.end())
	if n := len(s.segments); n > 0 {
		last := s.segments[n-1]
		s.next = max(s.next, last.first+1)
		if err := last.open(); err != nil {
			if err := s.quarantine(last, err); err != nil {
				return err
			}
		} else {
			s.next = max(s.next, last.last+1)
			_ = os.Truncate(last.path, last.bytes)
		}
	}
	if err := s.sweep(); err != nil {
		return err
	}
	_, err = s.read(0, 1)
	return err
}

// Append stores recs in order, in one synced transaction: when it returns nil,
// they survive a power cut. It returns the position of the first; the others
// follow without gaps. On an error nothing is stored, or (when the disk failed
// after writing) they may be delivered although they were refused. The spool
// does not keep recs. partitions is the topic's partition count that the
// records are made for, 0 when it is unknown.
func (s *Spool) Append(partitions int, recs []Record) (Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	if len(recs) == 0 {
		return s.next, nil
	}
	if err := s.makeRoom(recs); err != nil {
		return 0, err
	}
	if a := s.active; a != nil && (a.bytes >= s.cfg.SegmentBytes || a.partitions != partitions) {
		if err := s.seal(); err != nil {
			return 0, err
		}
	}
	if s.active == nil {
		seg, err := createSegment(s.cfg.Dir, s.next, partitions, writeOptions(s.fileLimit, s.cfg.noSync))
		if err != nil {
			return 0, full(err)
		}
		s.segments = append(s.segments, seg)
		s.active = seg
	}
	first := s.next
	own := make([]Record, len(recs))
	for i := range recs {
		own[i] = recs[i]
		own[i].Position = first + Position(i)
	}
	// Whatever happens now, these positions are used up: a failed sync may yet
	// have reached the disk.
	s.next += Position(len(recs))
	var err error
	if s.buf, err = s.active.append(own, s.buf); err != nil {
		return 0, errors.Join(fmt.Errorf("appending %d records to the spool: %w", len(recs), full(err)), s.seal())
	}
	if cap(s.buf) > 1<<20 {
		s.buf = nil
	}
	if s.oldest.Position == 0 {
		s.oldest = Record{Position: first, At: recs[0].At}
	}
	s.stats.Appended += int64(len(recs))
	return first, nil
}

// Read returns records that are not acknowledged, oldest first, from position
// from on (0 is the beginning), as many as fit into maxBytes but at least one.
// They all have the same partition count. An empty batch means that there are
// no more. The records belong to the caller.
func (s *Spool) Read(from Position, maxBytes int) (Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Batch{}, ErrClosed
	}
	return s.read(from, maxBytes)
}

func (s *Spool) read(from Position, maxBytes int) (Batch, error) {
	var out Batch
	emptied := false
	for i := 0; i < len(s.segments); {
		seg := s.segments[i]
		start := s.acked.after(max(from, seg.first))
		if seg.known && start > seg.last || !seg.known && i+1 < len(s.segments) && start > seg.last {
			i++
			continue
		}
		size, damaged := 0, []Position(nil)
		err := seg.scan(start, func(r Record, err error) bool {
			if s.acked.after(r.Position) != r.Position {
				return true
			}
			if err != nil {
				damaged = append(damaged, r.Position)
				return true
			}
			size += r.Size()
			if len(out.Records) > 0 && size > maxBytes {
				return false
			}
			out.Records = append(out.Records, r)
			return true
		})
		if err != nil {
			// What was read before the damage is right: each record has a checksum.
			if qerr := s.quarantine(seg, err); qerr != nil {
				return Batch{}, qerr
			}
			out.Records = nil
			continue // seg is gone, i is the next one
		}
		for _, p := range damaged {
			s.acked, s.dirty = s.acked.add(p, p), true
			s.report(Loss{Reason: Damaged, Records: 1, File: seg.path, Err: errDamaged})
		}
		if len(out.Records) > 0 {
			out.Partitions = seg.partitions
			break
		}
		// Positions that no record has are done with as well.
		if start <= seg.last && start == s.acked.after(seg.first) && seg != s.active {
			s.acked, s.dirty = s.acked.add(seg.first, seg.last), true
			emptied = true
		}
		if seg != s.active {
			if err := seg.close(); err != nil {
				return Batch{}, err
			}
		}
		i++
	}
	if emptied {
		if err := s.sweep(); err != nil {
			return Batch{}, err
		}
	}
	if from == 0 {
		s.oldest = Record{}
		if len(out.Records) > 0 {
			s.oldest = Record{Position: out.Records[0].Position, At: out.Records[0].At}
		}
	}
	return out, nil
}

// Ack says that the records first to last (inclusive) are delivered. They leave
// the spool; the disk hears of it within about a second, or at Close.
func (s *Spool) Ack(first, last Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if last < first || last >= s.next {
		return fmt.Errorf("acknowledging spool positions %d to %d: the spool has given out those below %d", first, last, s.next)
	}
	before := s.acked.count(first, last)
	s.acked, s.dirty = s.acked.add(first, last), true
	s.stats.Acked += int64(last-first+1) - int64(before)
	if s.oldest.Position >= first && s.oldest.Position <= last {
		s.oldest = Record{}
	}
	if err := s.sweep(); err != nil {
		return err
	}
	if time.Since(s.stored) < ackEvery {
		return nil
	}
	return s.store()
}

// store syncs the acknowledgements.
func (s *Spool) store() error {
	s.stored = time.Now()
	if !s.dirty {
		return nil
	}
	if err := s.cursor.Put(cursorKey, s.acked.encode()); err != nil {
		return err
	}
	s.dirty = false
	return nil
}

// Stats returns the spool's figures.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Segments, out.Bytes = len(s.segments), s.bytes()
	for _, seg := range s.segments {
		out.Records += int(seg.last-seg.first+1) - s.acked.count(seg.first, seg.last)
	}
	if out.Records > 0 && s.oldest.Position == 0 && !s.closed {
		_, _ = s.read(0, 1)
	}
	out.Oldest = s.oldest.At
	return out
}

// Close stores the acknowledgements and closes the files. Later calls return ErrClosed.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.store()
	for _, seg := range s.segments {
		if seg == s.active {
			err = errors.Join(err, seg.seal())
			continue
		}
		err = errors.Join(err, seg.close())
	}
	return errors.Join(err, s.cursor.Close())
}
