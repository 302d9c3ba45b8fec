package bess

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// Section holds the accepted scans of one partition's run of messages until they are written. Scans are kept per site,
// device and plan in blocks: rows of 8-byte slots one after the other, so that an append is one copy and a column is a
// strided slice. Nothing is sorted on the way in.
//
//	slots   | ts epoch seq scan_us late_s mark | columns ... | extra ... | texts ... | list ends ... |   one row
//	elems   one []int32 per list, all rows' elements one after the other; the row's slot tells where its own end
//	reject  sparse: only rows with rejections
//
// Not safe for concurrent use while scans are appended; afterwards many goroutines may call Days and read its views.
type Section struct {
	blocks  map[blockKey]*block
	devices map[deviceKey]*deviceRows
	last    *block // of the scan before: most runs repeat neither, but a backlog of one device does

	texts   map[string]int64
	strings []string

	rows, values int
	bytes        int64

	ordering sync.Mutex // held by Days while it puts rows in order
}

type deviceKey struct{ site, device string }

type blockKey struct {
	site, device string
	kind         Kind
	plan         *Plan
}

// deviceRows knows a device's blocks, in the order of their first rows' arrival.
type deviceRows struct {
	deviceKey
	blocks []*block
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
	last      rowKey   // of the row appended last
	unordered bool     // a row came before its predecessor
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
	b.unordered = b.unordered || b.rows > 1 && key.compare(b.last) < 0
	b.last = key
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
		b.dev, b.rows, b.unordered = nil, 0, false
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
