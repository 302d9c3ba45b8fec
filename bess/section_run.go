package bess

import (
	"slices"
	"strconv"
)

// Run is a stretch of consecutive rows of one device and plan. Rows are counted from 0 to Len()-1. A writer goes over the
// runs once per column; where a run's plan lacks the column the whole run is null.
type Run struct {
	s        *Section
	b        *block
	from, to int
}

// Ints is one number per row: a column of a run. Its memory is the section's: read only.
type Ints struct {
	slots    []int64 // from the first row's slot on
	stride   int
	n        int
	Decimals int8 // values are scaled by 10^Decimals
}

// Len is the number of rows.
func (c Ints) Len() int { return c.n }

// At is row i's number; Absent stands for null.
func (c Ints) At(i int) int64 { return c.slots[i*c.stride] }

// Len is the number of rows.
func (r Run) Len() int { return r.to - r.from }

// Site is the site of all rows.
func (r Run) Site() string { return r.b.site }

// Device is the device of all rows.
func (r Run) Device() string { return r.b.device }

// Kind is the kind of the device.
func (r Run) Kind() Kind { return r.b.kind }

// Plan is the plan of all rows; its ID is that of the agent's plan.
func (r Run) Plan() *Plan { return r.b.plan }

func (r Run) at(slot int) Ints {
	return Ints{slots: r.b.slots[r.from*r.b.stride+slot : r.to*r.b.stride], stride: r.b.stride, n: r.Len()}
}

// TS is the tick, microseconds since 1970 UTC.
func (r Run) TS() Ints { return r.at(slotTS) }

// Epoch is the agent's run.
func (r Run) Epoch() Ints { return r.at(slotEpoch) }

// Seq counts the device's scans within the epoch.
func (r Run) Seq() Ints { return r.at(slotSeq) }

// ScanUS is the time from the tick to the last answer, microseconds: scan_ms with three decimals.
func (r Run) ScanUS() Ints { c := r.at(slotScanUS); c.Decimals = 3; return c }

// LateS is late_s, whole seconds.
func (r Run) LateS() Ints { return r.at(slotLateS) }

// Quality is row i's quality.
func (r Run) Quality(i int) Quality { return Quality(r.at(slotMark).At(i) & 0xff) }

// Flags are row i's flags.
func (r Run) Flags(i int) Flags { return Flags(r.at(slotMark).At(i) >> 8) }

// Column gives a vocabulary column of type Double, Int64, Enum or Bits; ok is false when the plan lacks it.
func (r Run) Column(n Num) (c Ints, ok bool) {
	cols := r.b.plan.Columns
	k, ok := slices.BinarySearchFunc(cols, n, func(c Column, n Num) int { return int(c.Num) - int(n) })
	if !ok {
		return Ints{}, false
	}
	c = r.at(slotKeys + k)
	c.Decimals = cols[k].Decimals
	return c, true
}

// Texts is one text per row.
type Texts struct {
	ints    Ints
	strings []string
}

// Len is the number of rows.
func (t Texts) Len() int { return t.ints.n }

// At is row i's text; "" stands for null.
func (t Texts) At(i int) string { return t.strings[t.ints.At(i)] }

// Text gives a vocabulary column of type Text; ok is false when the plan lacks it.
func (r Run) Text(n Num) (t Texts, ok bool) {
	p := r.b.plan
	k := Find(p.Texts, n)
	if k < 0 {
		return Texts{}, false
	}
	return Texts{r.at(slotKeys + len(p.Columns) + len(p.Extra) + k), r.s.strings}, true
}

// Lists is one list per row.
type Lists struct {
	ends     Ints // of the run's rows
	first    int64
	elems    []int32
	Decimals int8 // elements are scaled by 10^Decimals
}

// Len is the number of rows.
func (l Lists) Len() int { return l.ends.n }

// At is row i's list; nil stands for null, AbsentElement for a null element. The memory is the section's: read only.
func (l Lists) At(i int) []int32 {
	end := l.ends.At(i)
	if end < 0 {
		return nil
	}
	start := l.first
	if i > 0 {
		start = listEnd(l.ends.At(i - 1))
	}
	if start == end {
		return []int32{} // empty, not null; does not allocate
	}
	return l.elems[start:end:end]
}

// listEnd undoes the mark of an absent list.
func listEnd(v int64) int64 {
	if v < 0 {
		return ^v
	}
	return v
}

// List gives a vocabulary column of type Floats or Bools; ok is false when the plan lacks it.
func (r Run) List(n Num) (l Lists, ok bool) {
	p := r.b.plan
	k := Find(p.Lists, n)
	if k < 0 {
		return Lists{}, false
	}
	slot := slotKeys + len(p.Columns) + len(p.Extra) + len(p.Texts) + k
	l = Lists{ends: r.at(slot), elems: r.b.elems[k], Decimals: p.Lists[k].Decimals}
	if r.from > 0 {
		l.first = listEnd(r.b.slots[(r.from-1)*r.b.stride+slot])
	}
	return l, true
}

// Rejected lists row i's rejections; SlotName of the plan names them. The memory is the section's: read only.
func (r Run) Rejected(i int) []Rejection {
	return r.b.rejections(r.from + i)
}

// RunExtra is one key of the map column extra, for the rows of a run.
type RunExtra struct {
	Name string
	Ints
}

// Extra lists what the run's rows have for the map column extra: the plan's extra points, and the columns whose numbers
// this build's vocabulary does not know, as "num<N>". Names ascend.
func (r Run) Extra() []RunExtra {
	p := r.b.plan
	var out []RunExtra
	for k, c := range p.Columns {
		if PointByNum(c.Num) == nil {
			col := r.at(slotKeys + k)
			col.Decimals = c.Decimals
			out = append(out, RunExtra{"num" + strconv.Itoa(int(c.Num)), col})
		}
	}
	for k, e := range p.Extra {
		col := r.at(slotKeys + len(p.Columns) + k)
		col.Decimals = e.Decimals
		out = append(out, RunExtra{e.Name, col})
	}
	slices.SortFunc(out, func(a, b RunExtra) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}
