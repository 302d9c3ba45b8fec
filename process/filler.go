package process

import (
	"context"
	"time"

	"bessd/bess"
)

// filler takes batches into the section that fills. It is the state of Archive.serve's loop.
type filler struct {
	a     *Archive
	in    *intake
	cur   *section
	spare *section // empty, with memory to use again
	gaps  []bess.OffsetRange
	timer *time.Timer

	rest    batch // what remains of the batch at work
	waiting bool  // cur is full or due and waits for the flush before to end
	ahead   time.Time
}

// more tells that a batch is at work.
func (f *filler) more() bool { return f.rest.reset || len(f.rest.fetched.Messages) > 0 }

// hand gives the section away and begins the next.
func (f *filler) hand() *section {
	s := f.cur
	f.a.stats.handOver(int64(s.scans.Values()))
	f.cur, f.spare = f.spare, nil
	if f.cur == nil {
		f.cur = newSection()
	}
	f.waiting = false
	return s
}

// take goes on with the batch at work until it is used up or the section is full. An error is that of ctx, or one that
// waiting does not cure.
func (f *filler) take(ctx context.Context) error {
	if f.waiting {
		return nil
	}
	b := &f.rest
	if b.reset {
		if f.cur.spans[b.partition] != nil { // a flush holds one generation of a partition
			f.waiting = true
			return nil
		}
		f.a.stats.generations.Add(1)
		if b.gap != nil {
			f.a.stats.gaps.Add(1)
			f.gaps = append(f.gaps, *b.gap)
		}
		f.rest = batch{}
		return nil
	}
	now := time.Now()
	if f.cur.empty() {
		f.cur.due = dueAt(now, f.a.cfg.FlushAge)
		f.timer.Reset(f.cur.due.Sub(now))
		f.cur.gaps, f.gaps = append(f.cur.gaps, f.gaps...), nil
	}
	sp := f.cur.span(b.partition, bess.Position{Generation: b.generation, Offset: b.from})
	for i := range b.fetched.Messages {
		m := &b.fetched.Messages[i]
		if m.TimeUS > now.UnixMicro()+aheadUS {
			f.clockAhead(m, now)
		}
		if err := f.a.retry(ctx, "taking in a message", func(ctx context.Context) error { return f.in.add(ctx, f.cur, sp, m, now) }); err != nil {
			if sp.From == sp.To {
				delete(f.cur.spans, b.partition)
			}
			return err
		}
		sp.took(m)
		f.a.stats.messages.Add(1)
		if f.cur.bytes() >= f.a.cfg.FlushBytes || f.cur.scans.Rows() >= f.a.cfg.FlushRows {
			f.waiting = true
			f.stop(b, i+1)
			return nil
		}
	}
	sp.To = max(sp.To, b.fetched.Next)
	f.stop(b, len(b.fetched.Messages))
	return nil
}

// took moves the run past a message.
func (sp *span) took(m *Message) {
	sp.To = m.Offset + 1
	sp.message, sp.any = *m, true
	if m.TimeUS > 0 {
		if sp.firstUS == 0 || m.TimeUS < sp.firstUS {
			sp.firstUS = m.TimeUS
		}
		sp.lastUS = max(sp.lastUS, m.TimeUS)
	}
}

// stop leaves the batch after n messages.
func (f *filler) stop(b *batch, n int) {
	sp := f.cur.spans[b.partition]
	next := bess.Position{Generation: sp.Generation, Offset: sp.To}
	f.a.stats.partition(b.partition, func(p *PartitionStats) { p.Next = next })
	b.fetched.Messages = b.fetched.Messages[n:]
	b.from = sp.To
	if len(b.fetched.Messages) == 0 {
		f.rest = batch{}
	}
}

// aheadUS is how far a record's time may be ahead of central's clock before it is remarked on.
const aheadUS = 10 * 1e6

func (f *filler) clockAhead(m *Message, now time.Time) {
	f.a.stats.clockAhead.Add(1)
	if now.Sub(f.ahead) < logEvery {
		return
	}
	f.ahead = now
	f.a.log.Warn("an agent's clock is ahead of central's", "site", string(m.Key), "offset", m.Offset, "record_time", stamp(m.TimeUS), "ahead", time.UnixMicro(m.TimeUS).Sub(now).Round(time.Second))
}

// report updates what Stats shows of the section.
func (f *filler) report() {
	f.a.stats.setSection(SectionStats{Rows: f.cur.scans.Rows(), Values: int64(f.cur.scans.Values()), Bytes: f.cur.bytes(), Waiting: f.waiting})
}

// dueAt is when a section that begins now is old enough: at the next multiple of age, a little later, so that the last
// scans of a minute are still in the flush of their minute.
func dueAt(now time.Time, age time.Duration) time.Time {
	return now.Truncate(age).Add(age + min(2*time.Second, age/10))
}
