package maps

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bessd/bess"
)

// expander turns a checked file into a layout.
type expander struct {
	file   *mapFile
	layout *Layout
	index  map[[3]uint16]int // fn, address, length -> point
}

func (x *expander) repeats(parent string, rs []repeatFile, base uint16) {
	for _, r := range rs {
		kind, _ := bess.ParseKind(r.Kind)
		digits := max(2, len(strconv.Itoa(r.Count)))
		if kind != bess.Rack && kind != bess.Module {
			digits = 1
		}
		for i := range r.Count {
			path := fmt.Sprintf("%s/%s%0*d", parent, r.Word, digits, i+1)
			at := base + uint16(i)*r.Stride
			x.device(path, kind, parent, r.Points, at)
			x.repeats(path, r.Repeats, at)
		}
	}
}

func (x *expander) device(path string, kind bess.Kind, parent string, points []pointFile, base uint16) {
	d := Device{Path: path, Kind: kind, Parent: parent}
	alarms := Field{Column: bess.NumAlarmBits, Op: Union, Else: None}
	for i := range points {
		p := &points[i]
		f := x.fieldOf(p, base)
		if f.Column != 0 || f.Extra != "" || f.Ident != "" {
			d.Fields = append(d.Fields, f)
		}
		reg := f.Regs[0]
		x.points(p, reg, f)
		for _, s := range p.States {
			d.Fields = append(d.Fields, stateField(s, reg, f.Tier))
		}
		if len(p.Alarms) > 0 {
			alarms.Cases = append(alarms.Cases, alarmCases(p.Alarms, uint8(len(alarms.Regs)))...)
			alarms.Regs = append(alarms.Regs, reg)
			alarms.Tier = max(alarms.Tier, f.Tier)
		}
	}
	if len(alarms.Regs) > 0 {
		d.Fields = append(d.Fields, alarms)
	}
	x.layout.Devices = append(x.layout.Devices, d)
}

// points lists the registers of a point.
func (x *expander) points(p *pointFile, reg Reg, f Field) {
	tier := f.Tier
	if p.Tier != "" {
		tier, _ = ParseTier(p.Tier)
	}
	add := func(addr uint16) {
		key := [3]uint16{uint16(reg.Fn), addr, reg.Len}
		if i, ok := x.index[key]; ok { // one register may serve several points; the fastest counts
			x.layout.Points[i].Tier = min(x.layout.Points[i].Tier, tier)
			return
		}
		x.index[key] = len(x.layout.Points)
		x.layout.Points = append(x.layout.Points, Point{Fn: reg.Fn, Addr: addr, Len: reg.Len, Tier: tier, Gap: x.file.Gap, Want: true})
	}
	for k := range max(1, f.Count) {
		add(reg.Addr + uint16(k)*f.Stride)
	}
}

func (x *expander) fieldOf(p *pointFile, base uint16) Field {
	t, isBits, _ := typeByName(p.Type)
	reg := Reg{Fn: 3, Addr: base + p.Address, Len: t.Registers(), Type: t, Shift: p.Shift, Bits: p.Bits}
	if cmp.Or(p.Function, x.file.Function) == "input" {
		reg.Fn = 4
	}
	reg.LowFirst = cmp.Or(p.WordOrder, x.file.WordOrder) == "low_first"
	if t == Text {
		reg.Len = p.Length
	}
	for _, n := range p.Null {
		raw := uint64(n)
		if bits := 16 * reg.Len; bits < 64 {
			raw &= 1<<bits - 1
		}
		reg.Nulls = append(reg.Nulls, raw)
	}
	f := Field{Regs: []Reg{reg}, Scale: Decimal{M: 1}, Offset: p.Offset.Decimal, Magnitude: p.Magnitude, Else: None, Tier: Fast}
	if p.Scale.set {
		f.Scale = p.Scale.Decimal
	}
	if p.Sign == -1 {
		f.Scale.M, f.Offset.M = -f.Scale.M, -f.Offset.M
	}
	switch {
	case p.Inventory != "":
		f.Ident, f.Op, f.Tier = p.Inventory, Identity, Nameplate
		if len(p.Enum) > 0 {
			f.Op = Choice
			for _, code := range slices.Sorted(maps.Keys(p.Enum)) {
				f.Names = append(f.Names, Name{code, p.Enum[code]})
			}
		}
	case p.Extra:
		f.Extra, f.Op = x.file.ID+"."+p.Name, Number
	case p.Column != "":
		pt := bess.PointByName(p.Column)
		f.Column = pt.Num
		switch {
		case pt.Type == bess.Enum:
			f.Op, f.Else = Choice, 0
			table := bess.EnumByName(pt.Enum)
			for _, raw := range slices.Sorted(maps.Keys(p.Enum)) {
				code, _ := table.Code(p.Enum[raw])
				f.Cases = append(f.Cases, codes(0, [2]int64{raw, code})...)
			}
			if table.MemberName(0) != "unknown" {
				f.Else = None
			}
		case pt.Type == bess.Bits && isBits:
			f.Op, f.Cases = Union, []Case{{When: []Cond{{Op: NotZero}}, Copy: 1<<63 - 1}}
		case pt.Type == bess.Text:
			f.Op, f.Words = Path, []string{p.Path + "%0" + strconv.Itoa(map[bool]int{true: 3, false: 2}[p.Path == "cell"]) + "d"}
			f.Regs[0].ZeroNull = true
		case pt.Type == bess.Floats:
			f.Op = Array
		case pt.Type == bess.Bools:
			f.Op = Flags
		}
		if pt.Class == bess.Nameplate || pt.Class == bess.Setting {
			f.Tier = Nameplate
		}
		if pt.Class == bess.List {
			f.Tier = Cells
		}
	}
	if f.Op == Array || f.Op == Flags {
		f.Count, f.Stride = p.Count, cmp.Or(p.Stride, reg.Len)
	}
	if p.Tier != "" {
		f.Tier, _ = ParseTier(p.Tier)
	}
	return f
}

func stateField(s stateFile, reg Reg, tier Tier) Field {
	pt := bess.PointByName(s.Column)
	table := bess.EnumByName(pt.Enum)
	f := Field{Column: pt.Num, Op: Choice, Regs: []Reg{reg}, Tier: tier, Else: 0}
	if table.MemberName(0) != "unknown" {
		f.Else = None
	}
	if s.Else != "" {
		f.Else, _ = table.Code(s.Else)
	}
	for _, w := range s.When {
		code, _ := table.Code(w.Is)
		c := Cond{Op: Equals}
		if w.Bit != nil {
			c = Cond{Op: AnyBit, Arg: 1 << *w.Bit}
		} else {
			c.Arg = uint64(*w.Value)
		}
		f.Cases = append(f.Cases, Case{When: []Cond{c}, Value: code})
	}
	return f
}

// alarmCases turns a table of alarms into cases of register reg: a number is a bit, "=2" a value, "any" any bit, "other"
// any bit that the table does not name.
func alarmCases(table map[string]anyOne, reg uint8) []Case {
	var cases []Case
	named := uint64(0)
	for _, k := range slices.Sorted(maps.Keys(table)) {
		if b, err := strconv.Atoi(k); err == nil {
			named |= 1 << b
		}
	}
	for _, k := range slices.Sorted(maps.Keys(table)) {
		var v int64
		for _, name := range table[k] {
			bit, _ := alarmBit(name)
			v |= 1 << bit
		}
		cond := Cond{Op: AnyBit, Reg: reg}
		switch b, err := strconv.Atoi(k); {
		case err == nil:
			cond.Arg = 1 << b
		case k == "any":
			cond.Op = NotZero
		case k == "other":
			cond.Arg = ^named
		default:
			n, _ := strconv.ParseUint(strings.TrimPrefix(k, "="), 0, 64)
			cond.Op, cond.Arg = Equals, n
		}
		cases = append(cases, Case{When: []Cond{cond}, Value: v})
	}
	return cases
}

func alarmBit(name string) (uint8, bool) {
	for _, a := range bess.AlarmBits() {
		if a.Name == name {
			return a.Bit, true
		}
	}
	return 0, false
}
