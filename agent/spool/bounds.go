package spool

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// seal ends the active segment. A segment in which nothing was stored goes.
func (s *Spool) seal() error {
	a := s.active
	s.active = nil
	if a == nil {
		return nil
	}
	if err := a.seal(); err != nil {
		return fmt.Errorf("closing a spool segment: %w", err)
	}
	return s.sweep()
}

// makeRoom drops the oldest segments until recs fit into the bounds.
func (s *Spool) makeRoom(recs []Record) error {
	var need int64 = 32 << 10
	for i := range recs {
		need += int64(recs[i].Size())
	}
	for len(s.segments) > 0 {
		front, reason := s.segments[0], Reason("")
		switch total := s.bytes(); {
		case total+need > s.cfg.MaxBytes:
			reason = OverBytes
		case s.cfg.MaxAge > 0 && time.Since(front.changed) > s.cfg.MaxAge:
			reason = OverAge
		default:
			return nil
		}
		if front == s.active {
			if err := s.seal(); err != nil {
				return err
			}
			continue // sealing may have removed it
		}
		if err := s.drop(front, reason); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spool) bytes() (n int64) {
	for _, seg := range s.segments {
		n += seg.bytes
	}
	return n
}

// drop reports a segment's records and removes it.
func (s *Spool) drop(seg *segment, reason Reason) error {
	loss := Loss{Reason: reason}
	var ranges rangeSet
	err := seg.scan(seg.first, func(r Record, err error) bool {
		if s.acked.after(r.Position) != r.Position {
			return true
		}
		loss.Records++
		if err == nil {
			loss.Bytes += int64(len(r.Payload))
			ranges.add(r.Meta)
		}
		return true
	})
	if err != nil {
		return s.quarantine(seg, err)
	}
	loss.Ranges = ranges.sorted()
	if loss.Records > 0 {
		s.report(loss)
	}
	return s.remove(seg)
}

func (s *Spool) report(l Loss) {
	s.stats.Lost += int64(l.Records)
	if s.cfg.OnLoss != nil {
		s.cfg.OnLoss(l)
	}
}

// quarantine renames a damaged segment aside and goes on without it.
func (s *Spool) quarantine(seg *segment, cause error) error {
	_ = seg.close()
	if !isDamage(cause) {
		return fmt.Errorf("reading a spool segment: %w", cause)
	}
	to, err := setAside(seg.path)
	if err != nil {
		return err
	}
	loss := Loss{Reason: Quarantined, File: to, Err: cause, Bytes: seg.bytes}
	if seg.known || seg != s.segments[len(s.segments)-1] {
		loss.Records = int(seg.last-seg.first+1) - s.acked.count(seg.first, seg.last)
	}
	s.stats.Quarantined++
	s.forget(seg)
	s.report(loss)
	return nil
}

// remove unlinks a segment.
func (s *Spool) remove(seg *segment) error {
	if err := seg.close(); err != nil {
		return err
	}
	if err := os.Remove(seg.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing a spool segment: %w", err)
	}
	s.forget(seg)
	return nil
}

func (s *Spool) forget(seg *segment) {
	s.segments = slices.DeleteFunc(s.segments, func(x *segment) bool { return x == seg })
	if s.active == seg {
		s.active = nil
	}
	if s.oldest.Position <= seg.last {
		s.oldest = Record{}
	}
}

// sweep removes sealed segments that hold nothing to deliver.
func (s *Spool) sweep() error {
	for _, seg := range slices.Clone(s.segments) {
		if seg == s.active || s.acked.after(seg.first) <= seg.last {
			continue
		}
		// While the file has not been read, last may be wrong.
		if err := seg.open(); err != nil {
			if err := s.quarantine(seg, err); err != nil {
				return err
			}
			continue
		}
		if s.acked.after(seg.first) > seg.last {
			if err := s.remove(seg); err != nil {
				return err
			}
		}
	}
	front := s.next
	if len(s.segments) > 0 {
		front = s.segments[0].first
	}
	// The last span stays for its end, below which no position may come again.
	if pruned := s.acked.prune(front); len(pruned) > 0 {
		s.acked = pruned
	} else if len(s.acked) > 0 {
		s.acked = s.acked[len(s.acked)-1:]
	}
	return nil
}
