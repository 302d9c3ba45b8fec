package bess

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Section holds the accepted scans of one partition's run of messages until they are written. Scans are kept per site,
// device and plan in blocks: rows of 8-byte slots one after the other, so that an append is one copy and a column is a
// strided slice. Nothing is sorted on the way in.
//
//	slots   | ts epoch seq scan_us late_s mark | columns ... | extra ... | texts ... | list ends ... |   one row
//	elems   one []int32 per list, all rows' elements one after the other; the row's slot tells where its own end
//	reject  sparse: only rows with rejections
//
// Not safe for concurrent use while scans are appended; Days and its views may be read by many goroutines afterwards.
type Section struct {
	blocks  map[blockKey]*block
	devices map[deviceKey]*deviceRows
	last    *block // of the scan before: most runs repeat neither, but a backlog of one device does

	texts   map[string]int64
	strings []string

	rows, values int
	bytes        int64
}

type deviceKey struct{ site, device string }

type blockKey struct {
	site, device string
	kind         Kind
	plan         *Plan
}

// deviceRows knows a device's blocks and whether its rows came in order.
type deviceRows struct {
	deviceKey
	blocks     []*block
	last       rowKey
	disordered bool // a row came before its predecessor, or went back to an older block
}

// rowKey is the order of a device's rows.
type rowKey struct{ ts, epoch, seq int64 }

func (a rowKey) compare(b rowKey) int {
	return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.seq, b.seq))
}

// block holds the rows of one device and plan.
type block struct {
	blockKey
	dev       *deviceRows
	stride    int
	rows      int
	slots     []int64
	elems     [][]int32
	rejected  []Rejection
	rejectEnd []rowEnd // ascending row
}

type rowEnd struct{ row, end int }

// Places of the key columns in a row.
const (
	slotTS = iota
	slotEpoch
	slotSeq
	slotScanUS
	slotLateS
	slotMark // quality | flags << 8
	slotKeys
)

// What bookkeeping costs, for Bytes: a block with its map entries, and a rejected row.
const (
	blockBytes  = 400
	rejectBytes = 16
)

// NewSection gives an empty section.
func NewSection() *Section {
	s := &Section{}
	s.init()
	return s
}

func (s *Section) init() {
	s.blocks = map[blockKey]*block{}
	s.devices = map[deviceKey]*deviceRows{}
	s.texts = map[string]int64{"": 0}
	s.strings = []string{""}
}

// Append copies a scan into the section; lateS is its late_s. The scan's plan must be shared by the scans of a device
// (as the decoder's memo gives it), or each gets a block of its own. It allocates only when a block grows.
func (s *Section) Append(sc *Scan, lateS int64) {
	b := s.block(sc)
	n := len(b.slots)
	b.slots = slices.Grow(b.slots, b.stride)[:n+b.stride]
	row := b.slots[n:]
	row[slotTS], row[slotEpoch], row[slotSeq] = sc.TS, sc.Epoch, sc.Seq
	row[slotScanUS], row[slotLateS] = sc.ScanUS, lateS
	row[slotMark] = int64(sc.Quality) | int64(sc.Flags)<<8
	i := slotKeys
	values := 0
	for _, part := range [2][]int64{sc.Values, sc.Extra} {
		i += copy(row[i:], part)
		for _, v := range part {
			if v != Absent {
				values++
			}
		}
	}
	for _, t := range sc.Texts {
		row[i] = s.intern(t)
		i++
		if t != "" {
			values++
		}
	}
	grown := 0
	for k, l := range sc.Lists {
		for _, e := range l {
			if e != AbsentElement {
				values++
			}
		}
		b.elems[k] = append(b.elems[k], l...)
		grown += len(l)
		end := int64(len(b.elems[k]))
		if l == nil {
			end = ^end // an absent list ends where the one before ended
		}
		row[i] = end
		i++
	}
	if len(sc.Rejected) > 0 {
		b.rejected = append(b.rejected, sc.Rejected...)
		b.rejectEnd = append(b.rejectEnd, rowEnd{b.rows, len(b.rejected)})
		grown += rejectBytes/4 + len(sc.Rejected)
	}
	b.rows++
	s.rows++
	s.values += values
	s.bytes += int64(b.stride*8 + grown*4)

	key := rowKey{sc.TS, sc.Epoch, sc.Seq}
	d := b.dev
	if b != d.blocks[len(d.blocks)-1] || key.compare(d.last) < 0 {
		d.disordered = true
	}
	d.last = key
}

func (s *Section) block(sc *Scan) *block {
	if b := s.last; b != nil && b.plan == sc.Plan && b.kind == sc.Kind && b.device == sc.Device && b.site == sc.Site {
		return b
	}
	key := blockKey{sc.Site, sc.Device, sc.Kind, sc.Plan}
	b := s.blocks[key]
	if b == nil {
		p := sc.Plan
		b = &block{blockKey: key, stride: slotKeys + p.Slots(), elems: make([][]int32, len(p.Lists))}
		s.blocks[key] = b
	}
	if b.dev == nil { // new, or empty since the last Reset
		dk := deviceKey{sc.Site, sc.Device}
		d := s.devices[dk]
		if d == nil {
			d = &deviceRows{deviceKey: dk}
			s.devices[dk] = d
		}
		if len(d.blocks) == 0 {
			d.last = rowKey{sc.TS, sc.Epoch, sc.Seq}
		}
		d.blocks = append(d.blocks, b)
		b.dev = d
		s.bytes += blockBytes
	}
	s.last = b
	return b
}

// maxTexts bounds the interned texts of a section that is reset again and again.
const maxTexts = 1 << 16

func (s *Section) intern(t string) int64 {
	if t == "" {
		return 0
	}
	n, ok := s.texts[t]
	if !ok {
		t = strings.Clone(t)
		n = int64(len(s.strings))
		s.texts[t] = n
		s.strings = append(s.strings, t)
		s.bytes += int64(len(t)) + 64
	}
	return n
}

// Rows counts the scans.
func (s *Section) Rows() int { return s.rows }

// Values counts the present values, list elements included.
func (s *Section) Values() int { return s.values }

// Bytes is the memory that the rows take, spare capacity of the blocks not counted (at most as much again).
func (s *Section) Bytes() int64 { return s.bytes }

// Reset empties the section and keeps the memory of the blocks that were in use, so that the next run of the same
// devices allocates little. Views of the section become invalid.
func (s *Section) Reset() {
	for k, b := range s.blocks {
		if b.rows == 0 { // not seen since the last Reset
			delete(s.blocks, k)
			continue
		}
		b.dev, b.rows = nil, 0
		b.slots, b.rejected, b.rejectEnd = b.slots[:0], b.rejected[:0], b.rejectEnd[:0]
		for i := range b.elems {
			b.elems[i] = b.elems[i][:0]
		}
	}
	clear(s.devices)
	if len(s.strings) > maxTexts {
		s.texts = map[string]int64{"": 0}
		s.strings = []string{""}
	}
	s.last = nil
	s.rows, s.values, s.bytes = 0, 0, 0
}

const dayUS = 24 * 3600 * 1e6

// Day is the section's rows of one UTC date, in order of site, device, ts, epoch and seq. It is a view: immutable, and
// valid until the section changes.
type Day struct {
	number int64 // days since 1970-01-01
	rows   int
	runs   []Run
}

// Days gives a view per UTC date of ts, in ascending order.
func (s *Section) Days() []*Day {
	devs := make([]*deviceRows, 0, len(s.devices))
	for _, d := range s.devices {
		devs = append(devs, d)
	}
	slices.SortFunc(devs, func(a, b *deviceRows) int {
		return cmp.Or(strings.Compare(a.site, b.site), strings.Compare(a.device, b.device))
	})
	days := map[int64]*Day{}
	for _, d := range devs {
		if !d.disordered {
			for _, b := range d.blocks {
				addRun(days, s, b, 0, b.rows)
			}
			continue
		}
		for _, r := range d.sorted() {
			addRun(days, s, r.b, r.row, r.row+1)
		}
	}
	out := make([]*Day, 0, len(days))
	for _, d := range days {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *Day) int { return cmp.Compare(a.number, b.number) })
	return out
}

type rowOf struct {
	key rowKey
	b   *block
	row int
}

// sorted lists a device's rows by ts, epoch and seq: only for devices whose rows did not come in that order.
func (d *deviceRows) sorted() []rowOf {
	var rows []rowOf
	for _, b := range d.blocks {
		for i := range b.rows {
			r := b.slots[i*b.stride:]
			rows = append(rows, rowOf{rowKey{r[slotTS], r[slotEpoch], r[slotSeq]}, b, i})
		}
	}
	slices.SortStableFunc(rows, func(a, b rowOf) int { return a.key.compare(b.key) })
	return rows
}

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
