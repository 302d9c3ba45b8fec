package bess

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Deriver adds to the scans of one plan the columns that follow from the same scan, see docs/format/vocabulary.md:
// power_w from voltage_v and current_a, and the extremes, means and locators of cell voltages and temperatures from the
// lists. A column is derived when the plan lacks it, never when the device has it and a value is missing: whether a
// series was measured or computed is a fact of the plan, and a rejected value stays rejected.
//
// It is a function of the scan alone and allocates nothing per scan. Not safe for concurrent use.
type Deriver struct {
	in, out *Plan

	// Where each column of in stands in out.
	columns, texts []int

	power *derivedPower
	cells []derivedCells
	names [2]locators // cell, sensor
}

type derivedPower struct {
	voltage, current int // columns of in
	to               int // column of out
	point            *Point
	decimals, shift  int8
}

type derivedCells struct {
	list          int // of in
	peer          int // list of in whose length tells whether elements are cells; -1 = they are
	from          int8
	lo, hi, mean  int // columns of out, -1 = not derived
	loD, hiD, avD int8
	loAt, hiAt    int // texts of out, -1 = not derived
	sensors       bool
}

// NewDeriver works out what can be derived from scans of plan p.
func NewDeriver(p *Plan) (*Deriver, error) {
	d := &Deriver{in: p, names: [2]locators{{prefix: "cell"}, {prefix: "sensor"}}}
	q := Plan{Map: p.Map, Periods: p.Periods, Lists: p.Lists, Extra: p.Extra,
		Columns: slices.Clone(p.Columns), Texts: slices.Clone(p.Texts)}

	v, c := Find(p.Columns, NumVoltageV), Find(p.Columns, NumCurrentA)
	power := v >= 0 && c >= 0 && Find(p.Columns, NumPowerW) < 0
	if power {
		vc, cc := p.Columns[v], p.Columns[c]
		q.Columns = append(q.Columns, Column{Num: NumPowerW, Decimals: min(vc.Decimals+cc.Decimals, PointByNum(NumPowerW).Decimals),
			Tier: coarser(p.Periods, vc.Tier, cc.Tier)})
	}
	type family struct{ list, lo, hi, mean, loAt, hiAt Num }
	families := []family{
		{NumCellVoltagesV, NumCellVoltageMinV, NumCellVoltageMaxV, NumCellVoltageAvgV, NumCellVoltageMinAt, NumCellVoltageMaxAt},
		{NumCellTemperaturesC, NumCellTemperatureMinC, NumCellTemperatureMaxC, NumCellTemperatureAvgC, NumCellTemperatureMinAt, NumCellTemperatureMaxAt},
	}
	for _, f := range families {
		l := Find(p.Lists, f.list)
		if l < 0 {
			continue
		}
		col := p.Lists[l]
		add := func(n Num, more int8) bool {
			if Find(p.Columns, n) >= 0 {
				return false
			}
			q.Columns = append(q.Columns, Column{Num: n, Decimals: min(col.Decimals+more, PointByNum(n).Decimals), Tier: col.Tier})
			return true
		}
		at := func(n Num) {
			if Find(p.Texts, n) < 0 {
				q.Texts = append(q.Texts, Column{Num: n, Tier: col.Tier})
			}
		}
		// A locator is derived only with its extreme: one beside the device's own extreme could contradict it.
		if add(f.lo, 0) {
			at(f.loAt)
		}
		if add(f.hi, 0) {
			at(f.hiAt)
		}
		add(f.mean, 1) // a mean of many is finer than one reading
	}
	byNum := func(a, b Column) int { return int(a.Num) - int(b.Num) }
	slices.SortFunc(q.Columns, byNum)
	slices.SortFunc(q.Texts, byNum)
	if len(q.Columns) == len(p.Columns) && len(q.Texts) == len(p.Texts) {
		d.out = p
	} else {
		out, err := NewPlan(q)
		if err != nil {
			return nil, fmt.Errorf("deriving columns of plan %s: %w", p.ID(), err)
		}
		out.id = p.id // tables name the plan that the agent runs
		d.out = out
	}
	d.columns, d.texts = places(p.Columns, d.out.Columns), places(p.Texts, d.out.Texts)

	if power {
		to := Find(d.out.Columns, NumPowerW)
		dec := d.out.Columns[to].Decimals
		d.power = &derivedPower{v, c, to, PointByNum(NumPowerW), dec, p.Columns[v].Decimals + p.Columns[c].Decimals - dec}
	}
	for _, f := range families {
		l := Find(p.Lists, f.list)
		if l < 0 {
			continue
		}
		g := derivedCells{list: l, peer: -1, from: p.Lists[l].Decimals, sensors: f.list == NumCellTemperaturesC}
		if g.sensors {
			g.peer = Find(p.Lists, NumCellVoltagesV)
		}
		column := func(n Num) (int, int8) {
			if Find(p.Columns, n) >= 0 {
				return -1, 0
			}
			i := Find(d.out.Columns, n)
			return i, d.out.Columns[i].Decimals
		}
		text := func(n Num, extreme int) int {
			if extreme < 0 || Find(p.Texts, n) >= 0 {
				return -1
			}
			return Find(d.out.Texts, n)
		}
		g.lo, g.loD = column(f.lo)
		g.hi, g.hiD = column(f.hi)
		g.mean, g.avD = column(f.mean)
		g.loAt, g.hiAt = text(f.loAt, g.lo), text(f.hiAt, g.hi)
		if g.lo >= 0 || g.hi >= 0 || g.mean >= 0 {
			d.cells = append(d.cells, g)
		}
	}
	return d, nil
}

// places tells where the columns of part stand in all; both ascend, and all holds every one of part.
func places(part, all []Column) []int {
	at := make([]int, 0, len(part))
	for i, c := range all {
		if len(at) < len(part) && c.Num == part[len(at)].Num {
			at = append(at, i)
		}
	}
	return at
}

// coarser gives the tier with the longer period.
func coarser(periods []time.Duration, a, b uint8) uint8 {
	if periods[b] > periods[a] {
		return b
	}
	return a
}

// Plan is the input plan plus the derived columns, or the input plan itself where nothing is derived. Its ID is that of
// the input plan.
func (d *Deriver) Plan() *Plan { return d.out }

// Apply fills out with the scan in and its derived columns. in must be of the deriver's input plan. out keeps its memory;
// its list elements are those of in, not copies.
func (d *Deriver) Apply(in, out *Scan) {
	out.Site, out.Device, out.Kind = in.Site, in.Device, in.Kind
	out.TS, out.ScanUS, out.Epoch, out.Seq = in.TS, in.ScanUS, in.Epoch, in.Seq
	out.Quality, out.Flags = in.Quality, in.Flags
	out.Reset(d.out)
	for i, to := range d.columns {
		out.Values[to] = in.Values[i]
	}
	for i, to := range d.texts {
		out.Texts[to] = in.Texts[i]
	}
	copy(out.Lists, in.Lists)
	copy(out.Extra, in.Extra)
	for _, r := range in.Rejected {
		out.Rejected = append(out.Rejected, Rejection{d.slot(r.Slot), r.Reason})
	}
	if d.power != nil {
		out.Values[d.power.to] = d.power.of(in)
	}
	for i := range d.cells {
		d.derive(&d.cells[i], in, out)
	}
}

// slot moves a slot of the input plan to the output plan.
func (d *Deriver) slot(s uint16) uint16 {
	n := int(s)
	if n < len(d.columns) {
		return uint16(d.columns[n])
	}
	n -= len(d.columns)
	if n < len(d.texts) {
		return uint16(len(d.out.Columns) + d.texts[n])
	}
	return uint16(len(d.out.Columns) + len(d.out.Texts) + n - len(d.texts))
}

// of multiplies in integers, so that every machine gets the same last digit.
func (p *derivedPower) of(s *Scan) int64 {
	v, c := s.Values[p.voltage], s.Values[p.current]
	if v == Absent || c == Absent {
		return Absent
	}
	hi, lo := bits.Mul64(abs(v), abs(c))
	if hi != 0 || lo > math.MaxInt64 {
		return Absent
	}
	x := int64(lo)
	if (v < 0) != (c < 0) {
		x = -x
	}
	k := p.shift
	if k > MaxDecimals { // two steps at most; only the last one may round
		x /= pow10i[MaxDecimals]
		k -= MaxDecimals
	}
	x = divRound(x, pow10i[k])
	if CheckRange(p.point, x, p.decimals) != ReasonUnknown {
		return Absent
	}
	return x
}

func abs(v int64) uint64 {
	if v < 0 {
		return uint64(-v)
	}
	return uint64(v)
}

func (d *Deriver) derive(g *derivedCells, in, out *Scan) {
	list := in.Lists[g.list]
	lo, hi := -1, -1
	var sum, n int64
	for i, e := range list {
		if e == AbsentElement {
			continue
		}
		if lo < 0 || e < list[lo] {
			lo = i
		}
		if hi < 0 || e > list[hi] {
			hi = i
		}
		sum += int64(e)
		n++
	}
	if n == 0 {
		return
	}
	if g.lo >= 0 {
		out.Values[g.lo], _ = Rescale(int64(list[lo]), g.from, g.loD)
	}
	if g.hi >= 0 {
		out.Values[g.hi], _ = Rescale(int64(list[hi]), g.from, g.hiD)
	}
	if g.mean >= 0 {
		if g.avD >= g.from { // 65,536 elements of 32 bits times ten fit easily
			out.Values[g.mean] = divRound(sum*pow10i[g.avD-g.from], n)
		} else {
			out.Values[g.mean] = divRound(sum, n*pow10i[g.from-g.avD])
		}
	}
	names := &d.names[0]
	if g.sensors && (g.peer < 0 || len(in.Lists[g.peer]) != len(list)) {
		names = &d.names[1] // fewer sensors than cells: position i is sensor i, not cell i
	}
	if g.loAt >= 0 {
		out.Texts[g.loAt] = names.at(lo, len(list))
	}
	if g.hiAt >= 0 {
		out.Texts[g.hiAt] = names.at(hi, len(list))
	}
}

// locators are names such as cell007, kept once made.
type locators struct {
	prefix string
	width  int
	names  []string
}

// at names position i (from 0) of n: counted from 1, at least three digits, more when n needs them.
func (l *locators) at(i, n int) string {
	width := 3
	for m := n; m >= 1000; m /= 10 {
		width++
	}
	if width != l.width {
		l.width, l.names = width, l.names[:0]
	}
	for len(l.names) <= i {
		k := strconv.Itoa(len(l.names) + 1)
		l.names = append(l.names, l.prefix+strings.Repeat("0", max(0, width-len(k)))+k)
	}
	return l.names[i]
}
