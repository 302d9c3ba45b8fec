package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bessd/bess"
)

// errReplaced says that a topic became another one while its unfinished flush was read again.
var errReplaced = errors.New("the topic was replaced during recovery")

// positions is where each table is in each partition.
type positions map[bess.Table]map[int]bess.Position

// ahead gives the furthest position of a partition among the tables before the ledger.
func (p positions) ahead(partition int) (max bess.Position, ok bool) {
	for t, at := range p {
		if pos, has := at[partition]; has && t != bess.TableLedger && (!ok || max.Before(pos)) {
			max, ok = pos, true
		}
	}
	return max, ok
}

// cut finds the end of the flush that was under way when the process before died: the nearest position of any table
// beyond at. skip are the tables that hold that flush. ok is false when no table is ahead.
func (p positions) cut(partition int, at bess.Position) (end int64, skip map[bess.Table]bool, ok bool) {
	for _, m := range p {
		if pos, has := m[partition]; has && pos.Generation == at.Generation && pos.Offset > at.Offset && (!ok || pos.Offset < end) {
			end, ok = pos.Offset, true
		}
	}
	skip = map[bess.Table]bool{}
	for t, m := range p {
		if pos, has := m[partition]; has && !pos.Before(bess.Position{Generation: at.Generation, Offset: end}) {
			skip[t] = true
		}
	}
	return end, skip, ok
}

// recover brings all tables to the same position and gives the readers from there.
//
// Flushes follow each other and commit to the ledger last, so when a process dies some tables, in the order of the
// commits, may be one flush ahead of the ledger, and all by the same: at [L, M) where the ledger is at L. The flush is
// made again from the messages of exactly [L, M), with the memory of the ledger at L, and given to the tables that lack
// it. A table that was left out because it had no rows lags behind L, which is the same as being at L. Partitions whose
// tables are in different states (they were flushed by different processes) are recovered one group after the other.
func (a *Archive) recover(ctx context.Context) ([]*reader, *intake, []bess.OffsetRange, error) {
	pos := positions{}
	for _, t := range bess.FlushTables() {
		err := a.retry(ctx, "reading the positions of "+t.String(), func(ctx context.Context) (err error) {
			pos[t], err = a.lake.Positions(ctx, a.cfg.Topic, t)
			return err
		})
		if err != nil {
			return nil, nil, nil, err
		}
	}
	marks := map[int]markAt{}
	var d *dedup
	err := a.retry(ctx, "loading the ledger", func(ctx context.Context) error {
		clear(marks)
		d = newDedup(a.cfg, a.ledger, a.twins)
		return d.load(ctx, time.Now(), func(r *bess.LedgerRow) { keepMark(marks, r) })
	})
	if err != nil {
		return nil, nil, nil, err
	}
	in := a.newIntake(d)
	var readers []*reader
	var gaps []bess.OffsetRange
	for _, p := range a.cfg.Partitions {
		r := &reader{src: a.src, log: a.log, partition: p}
		err := a.retry(ctx, fmt.Sprintf("finding the start in partition %d of %s", p, a.cfg.Topic), func(ctx context.Context) error {
			gap, err := a.start(ctx, r, pos, marks)
			if gap != nil && err == nil {
				a.stats.gaps.Add(1)
				gaps = append(gaps, *gap)
			}
			return err
		})
		if err != nil {
			return nil, nil, nil, err
		}
		readers = append(readers, r)
		a.stats.partition(p, func(s *PartitionStats) { s.Next, s.Committed = r.pos, pos[bess.TableLedger][p] })
	}
	for {
		group, cuts, skip := nextGroup(readers, pos)
		if len(group) == 0 {
			return readers, in, gaps, nil
		}
		s := newSection()
		s.gaps, gaps = gaps, nil
		for i, r := range group {
			if err := a.replay(ctx, s, in, r, cuts[i]); err != nil {
				return nil, nil, nil, err
			}
		}
		a.stats.handOver(int64(s.scans.Values()))
		if err := a.flush(ctx, s, skip); err != nil {
			return nil, nil, nil, err
		}
		s.settle()
		a.log.Info("completed the flush that the process before left unfinished", "partitions", len(group), "scans", s.scans.Rows())
	}
}

// nextGroup finds partitions that lack the same tables.
func nextGroup(readers []*reader, pos positions) (group []*reader, cuts []int64, skip map[bess.Table]bool) {
	for _, r := range readers {
		end, s, ok := pos.cut(r.partition, r.pos)
		if !ok {
			continue
		}
		if len(group) == 0 {
			skip = s
		}
		if equalSets(skip, s) {
			group, cuts = append(group, r), append(cuts, end)
		}
	}
	return group, cuts, skip
}

func equalSets(a, b map[bess.Table]bool) bool {
	for _, t := range bess.FlushTables() {
		if a[t] != b[t] {
			return false
		}
	}
	return true
}

// replay takes the messages before end into the section, and leaves the reader at end.
func (a *Archive) replay(ctx context.Context, s *section, in *intake, r *reader, end int64) error {
	sp := s.span(r.partition, r.pos)
	sp.before = r.last
	for r.pos.Offset < end {
		var b batch
		err := a.retry(ctx, fmt.Sprintf("reading partition %d of %s again", r.partition, a.cfg.Topic), func(ctx context.Context) (err error) {
			b, err = r.fetch(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if b.reset {
			return errReplaced
		}
		now := time.Now()
		for i := range b.fetched.Messages {
			m := &b.fetched.Messages[i]
			if m.Offset >= end {
				break
			}
			if err := a.retry(ctx, "taking in a message", func(ctx context.Context) error { return in.add(ctx, s, sp, m, now) }); err != nil {
				return err
			}
			sp.took(m)
			a.stats.messages.Add(1)
		}
	}
	sp.To = end
	r.pos.Offset, r.last = end, sp.mark()
	a.stats.partition(r.partition, func(p *PartitionStats) { p.Next = r.pos })
	return nil
}

// start puts a partition's reader at the ledger's position, or at the beginning of a new generation. gap is what the log
// had lost before it was read.
func (a *Archive) start(ctx context.Context, r *reader, pos positions, marks map[int]markAt) (gap *bess.OffsetRange, err error) {
	first, end, err := a.src.Bounds(ctx, r.partition)
	if err != nil {
		return nil, err
	}
	at, known := pos[bess.TableLedger][r.partition]
	ahead, any := pos.ahead(r.partition)
	var b batch
	switch {
	case !known:
		// Nothing was ever completed. A table that is ahead tells where the first flush ended.
		r.pos, r.checked = bess.Position{Generation: ahead.Generation, Offset: first}, true
	case any && ahead.Generation > at.Generation:
		// The first flush of a new generation was under way. It began at the log's start.
		r.pos, r.checked = bess.Position{Generation: ahead.Generation, Offset: first}, true
		if first > at.Offset {
			b.gap = &bess.OffsetRange{Partition: r.partition, Generation: at.Generation, From: at.Offset, To: first}
		}
	case !r.checked: // it is, when only the wait below was repeated
		r.pos = at
		if r.last, err = a.findMark(ctx, r.partition, at, marks); err != nil {
			return nil, err
		}
		if b, err = r.check(ctx); err != nil {
			return nil, err
		}
	}
	if !b.reset && any && r.pos.Before(ahead) {
		reaches, err := r.reaches(ahead.Offset, end)
		if err != nil {
			return nil, err
		}
		if !reaches {
			b = r.renew(first, fmt.Sprintf("the log ends at offset %d, a table is at %d", end, ahead.Offset))
		}
	}
	if b.reset {
		a.stats.generations.Add(1)
		if any && at.Before(ahead) {
			a.stats.orphaned.Add(1)
			a.log.Error("a flush that was under way cannot be completed: its messages are gone with the old topic, telemetry may hold scans that neither rollups nor ledger know",
				"partition", r.partition, "generation", at.Generation, "from", at.Offset, "to", ahead.Offset)
		}
	}
	return b.gap, nil
}

// markAt is a partition's mark and the position that it precedes.
type markAt struct {
	pos  bess.Position
	mark mark
}

// keepMark remembers the furthest position row of each partition.
func keepMark(marks map[int]markAt, r *bess.LedgerRow) {
	if r.Stream != bess.StreamPosition || r.Fingerprint == "" {
		return
	}
	p := bess.Position{Generation: r.Generation, Offset: r.NextOffset}
	if old, ok := marks[r.Partition]; !ok || old.pos.Before(p) {
		marks[r.Partition] = markAt{p, mark{r.FingerprintOffset, r.Fingerprint}}
	}
}

// findMark gives the mark of the last message before a position, nil when the ledger has none.
func (a *Archive) findMark(ctx context.Context, partition int, at bess.Position, marks map[int]markAt) (*mark, error) {
	if m, ok := marks[partition]; ok && m.pos == at {
		return &m.mark, nil
	}
	// The partition was idle for longer than what was loaded.
	all := map[int]markAt{}
	err := a.ledger.Rows(ctx, bess.LedgerQuery{Stream: bess.StreamPosition}, func(r *bess.LedgerRow) error {
		if r.Partition == partition && r.Generation == at.Generation && r.NextOffset == at.Offset {
			keepMark(all, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's position of partition %d: %w", partition, err)
	}
	if m, ok := all[partition]; ok {
		return &m.mark, nil
	}
	a.log.Warn("the ledger has no fingerprint of a partition's last message, a replaced topic would not be noticed", "partition", partition, "offset", at.Offset)
	return nil, nil
}
