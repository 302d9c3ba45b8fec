package bess

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"
)

const dayUS = 24 * 3600 * 1e6

// Day is the section's rows of one UTC date, in order of site, device, ts, epoch and seq. It is a view: immutable, and
// valid until the section changes.
type Day struct {
	number int64 // days since 1970-01-01
	rows   int
	runs   []Run
}

// Days gives a view per UTC date of ts, in ascending order. Blocks whose rows came out of order are put in order by the
// first call.
func (s *Section) Days() []*Day {
	s.ordering.Lock()
	for _, b := range s.blocks {
		if b.unordered {
			b.sort()
		}
	}
	s.ordering.Unlock()

	devs := make([]*deviceRows, 0, len(s.devices))
	for _, d := range s.devices {
		devs = append(devs, d)
	}
	slices.SortFunc(devs, func(a, b *deviceRows) int {
		return cmp.Or(strings.Compare(a.site, b.site), strings.Compare(a.device, b.device))
	})
	days := map[int64]*Day{}
	for _, d := range devs {
		for _, r := range d.stretches() {
			addRun(days, s, r.b, r.from, r.to)
		}
	}
	out := make([]*Day, 0, len(days))
	for _, d := range days {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *Day) int { return cmp.Compare(a.number, b.number) })
	return out
}

// key is the order of row i.
func (b *block) key(i int) rowKey {
	r := b.slots[i*b.stride:]
	return rowKey{r[slotTS], r[slotEpoch], r[slotSeq]}
}

// sort puts the block's rows in order. An outage mixes a device's backlog with its live rows, so this must stay cheap: it
// is one copy of the block.
func (b *block) sort() {
	order := make([]int, b.rows)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return b.key(i).compare(b.key(j)) })

	slots := make([]int64, 0, len(b.slots))
	for _, i := range order {
		slots = append(slots, b.slots[i*b.stride:(i+1)*b.stride]...)
	}
	for k, elems := range b.elems {
		slot := b.stride - len(b.elems) + k
		sorted := make([]int32, 0, len(elems))
		for n, i := range order {
			start := int64(0)
			if i > 0 {
				start = listEnd(b.slots[(i-1)*b.stride+slot])
			}
			end := b.slots[i*b.stride+slot]
			sorted = append(sorted, elems[start:listEnd(end)]...)
			to := int64(len(sorted))
			if end < 0 {
				to = ^to
			}
			slots[n*b.stride+slot] = to
		}
		b.elems[k] = sorted
	}
	if len(b.rejected) > 0 {
		rejected, ends := make([]Rejection, 0, len(b.rejected)), make([]rowEnd, 0, len(b.rejectEnd))
		for n, i := range order {
			if r := b.rejections(i); len(r) > 0 {
				rejected = append(rejected, r...)
				ends = append(ends, rowEnd{n, len(rejected)})
			}
		}
		b.rejected, b.rejectEnd = rejected, ends
	}
	b.slots = slots
	b.last = b.key(b.rows - 1)
	b.unordered = false
}

// rejections finds row i's.
func (b *block) rejections(i int) []Rejection {
	k, ok := slices.BinarySearchFunc(b.rejectEnd, i, func(r rowEnd, i int) int { return cmp.Compare(r.row, i) })
	if !ok {
		return nil
	}
	start := 0
	if k > 0 {
		start = b.rejectEnd[k-1].end
	}
	return b.rejected[start:b.rejectEnd[k].end]
}

// stretch is the rows [from, to) of a block.
type stretch struct {
	b        *block
	from, to int
}

// stretches puts a device's blocks, each in order, one after the other, or into one another where their times overlap:
// after a change of plan with a backlog, or when a twin runs another plan.
func (d *deviceRows) stretches() []stretch {
	var out []stretch
	next := make([]stretch, len(d.blocks))
	for i, b := range d.blocks {
		next[i] = stretch{b, 0, b.rows}
	}
	for {
		// The block with the earliest row, and the earliest row of all the others: up to there it goes on undisturbed.
		first, second := -1, -1
		for i := range next {
			switch {
			case next[i].from == next[i].to:
			case first < 0 || next[i].key().compare(next[first].key()) < 0:
				first, second = i, first
			case second < 0 || next[i].key().compare(next[second].key()) < 0:
				second = i
			}
		}
		if first < 0 {
			return out
		}
		run := next[first]
		if second >= 0 {
			limit := next[second].key()
			run.to = run.from + 1 + sort.Search(run.to-run.from-1, func(i int) bool { return run.b.key(run.from+1+i).compare(limit) > 0 })
		}
		next[first].from = run.to
		out = append(out, run)
	}
}

func (r stretch) key() rowKey { return r.b.key(r.from) }

// addRun spreads the rows [from, to) of a block, which are in order of ts, over the days.
func addRun(days map[int64]*Day, s *Section, b *block, from, to int) {
	for from < to {
		n := floorDiv(b.slots[from*b.stride+slotTS], dayUS)
		end := (n + 1) * dayUS
		// The first row of the next day.
		i, j := from+1, to
		for i < j {
			h := int(uint(i+j) >> 1)
			if b.slots[h*b.stride+slotTS] < end {
				i = h + 1
			} else {
				j = h
			}
		}
		d := days[n]
		if d == nil {
			d = &Day{number: n}
			days[n] = d
		}
		d.rows += i - from
		if k := len(d.runs) - 1; k >= 0 && d.runs[k].b == b && d.runs[k].to == from {
			d.runs[k].to = i
		} else {
			d.runs = append(d.runs, Run{s, b, from, i})
		}
		from = i
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Date is the UTC date as it stands in the partition column, for example "2026-03-09".
func (d *Day) Date() string { return time.Unix(d.number*86400, 0).UTC().Format(time.DateOnly) }

// Number counts the days since 1970-01-01.
func (d *Day) Number() int64 { return d.number }

// Rows counts the rows of the day.
func (d *Day) Rows() int { return d.rows }

// Runs lists the day's rows: the runs one after the other, each run's rows in order. The slice is the view's own.
func (d *Day) Runs() []Run { return d.runs }
