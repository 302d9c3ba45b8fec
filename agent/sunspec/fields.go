package sunspec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"bessd/bess"
	"bessd/bess/maps"
)

// fields adds what the rules make of the fixed part of model i, or of one instance of its group at base.
func (b *builder) fields(path string, i int, base uint16, inGroup bool) {
	m := &b.chain.Models[i]
	r := b.rules[m.ID]
	dev := &b.layout.Devices[b.index[path]]
	for _, rule := range r.Rules {
		if rule.Group != inGroup {
			continue
		}
		if f, ok := b.field(m, rule, base); ok {
			f.Rank, f.Tier = r.Rank+rule.Rank, tierOf(rule, r.Tier)
			dev.Fields = append(dev.Fields, f)
		}
	}
}

// lists adds the arrays that the group of an 805 makes.
func (b *builder) lists(path string, i int) {
	m := &b.chain.Models[i]
	f, r := b.facts[m.ID], b.rules[m.ID]
	dev := &b.layout.Devices[b.index[path]]
	for _, rule := range r.Rules {
		if !rule.Group || m.Count == 0 {
			continue
		}
		if fl, ok := b.field(m, rule, m.Addr+f.Fixed); ok {
			fl.Count, fl.Stride, fl.Tier, fl.Rank = m.Count, f.Group.Len, r.Tier, r.Rank
			dev.Fields = append(dev.Fields, fl)
		}
	}
}

// tierOf puts ratings, settings and identity into the tier of what hardly changes.
func tierOf(rule maps.Rule, tier maps.Tier) maps.Tier {
	if rule.Ident != "" {
		return maps.Nameplate
	}
	if p := bess.PointByNum(rule.Column); p != nil && (p.Class == bess.Nameplate || p.Class == bess.Setting) {
		return maps.Nameplate
	}
	return tier
}

// field resolves a rule's points; ok is false when the model is too short for the first of them or its scale factor.
func (b *builder) field(m *Model, rule maps.Rule, base uint16) (maps.Field, bool) {
	f := maps.Field{Column: rule.Column, Ident: rule.Ident, Op: rule.Op, Cases: rule.Cases, Else: rule.Else, Names: rule.Names,
		Scale: maps.Decimal{M: 1, E: rule.Exp}}
	facts := b.facts[m.ID]
	for n, name := range rule.Points {
		reg, sf, ok := b.locate(m, facts, name, rule.Group, base)
		if n == 0 && !ok {
			return f, false
		}
		f.Regs = append(f.Regs, reg)
		if n > 0 || rule.Op != maps.Number && rule.Op != maps.Array || sf == "" {
			continue
		}
		if e, err := strconv.Atoi(sf); err == nil {
			f.Scale.E += int8(max(-10, min(10, e)))
			continue
		}
		p := maps.Find(facts.Points, sf)
		if p == nil || p.Offset+p.Len > m.L+2 {
			return f, false // no scale factor, no value
		}
		f.SF = true
		f.Regs = append(f.Regs, p.Reg(m.Addr))
	}
	for _, w := range rule.Words {
		f.Words = append(f.Words, b.word(w))
	}
	if rule.Op == maps.Path {
		for n := range f.Regs {
			f.Regs[n].ZeroNull = true // 0 means not known
		}
	}
	return f, true
}

// word widens the number in a path to what the unit's counts need.
func (b *builder) word(w string) string {
	w, _, _ = strings.Cut(w, "%")
	n := map[string]int{"rack": b.rackWidth, "module": b.modWidth, "cell": b.cellWord}[w]
	return w + "%0" + strconv.Itoa(n) + "d"
}

// locate finds a point of a rule. A register of TypeUnknown stands for an operand that the unit does not have.
func (b *builder) locate(m *Model, facts *maps.Model, name string, group bool, base uint16) (reg maps.Reg, sf string, ok bool) {
	if id, rest, other := strings.Cut(name, ":"); other {
		n, _ := strconv.Atoi(id)
		i, found := b.first[uint16(n)]
		if !found || b.facts[uint16(n)] == nil {
			return maps.Reg{}, "", false
		}
		m = &b.chain.Models[i]
		facts, name, group, base = b.facts[m.ID], rest, false, m.Addr
	}
	points := facts.Points
	if group {
		points = facts.Group.Points
	}
	p := maps.Find(points, name)
	if p == nil || !group && p.Offset+p.Len > m.L+2 {
		return maps.Reg{}, "", false
	}
	return p.Reg(base), p.SF, true
}

// points lists the registers of model i.
func (b *builder) points(i int) {
	m := &b.chain.Models[i]
	f := b.facts[m.ID]
	add := func(p *maps.ModelPoint, base uint16) {
		pt := maps.Point{Fn: 3, Addr: base + p.Offset, Len: p.Len, Tier: b.rules[m.ID].Tier, Run: i}
		switch {
		case base == m.Addr && p.Offset == 0:
			pt.Want, pt.Check, pt.Value = true, true, m.ID
		case base == m.Addr && p.Offset == 1:
			pt.Want, pt.Check, pt.Value = true, true, m.L
		}
		b.layout.Points = append(b.layout.Points, pt)
	}
	for k := range f.Points {
		if p := &f.Points[k]; p.Offset+p.Len <= m.L+2 {
			add(p, m.Addr)
		}
	}
	for n := range m.Count {
		for k := range f.Group.Points {
			add(&f.Group.Points[k], m.Addr+f.Fixed+uint16(n)*f.Group.Len)
		}
	}
}

// sortPoints orders the points and marks those that a field needs.
func (b *builder) sortPoints() {
	want := map[uint16]bool{}
	for _, d := range b.layout.Devices {
		for _, f := range d.Fields {
			for n, r := range f.Regs {
				if r.Type == maps.TypeUnknown {
					continue
				}
				want[r.Addr] = true
				if n == 0 && f.Count > 0 {
					for k := range f.Count {
						want[r.Addr+uint16(k)*f.Stride] = true
					}
				}
			}
		}
	}
	pts := b.layout.Points
	for i := range pts {
		pts[i].Want = pts[i].Want || want[pts[i].Addr]
	}
	slices.SortStableFunc(pts, func(a, c maps.Point) int { return cmp.Compare(a.Addr, c.Addr) })
}
