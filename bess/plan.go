package bess

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Column is one vocabulary column that a plan carries.
type Column struct {
	Num      Num
	Decimals int8  // values are integers scaled by 10^Decimals
	Tier     uint8 // index into Plan.Periods
}

// ExtraColumn is a vendor point without a vocabulary column; Name is "<map>.<point>" in snake_case.
type ExtraColumn struct {
	Name     string
	Decimals int8
	Tier     uint8
}

// Plan says what the scans of one device carry: which columns, at which resolution, read by which tier. It is immutable
// once NewPlan has returned it and may be shared between goroutines.
//
// A slot is an index over Columns, Texts, Lists and Extra in this order; rejections name slots.
type Plan struct {
	Map     string          // map id and version, for example "sunspec@1"
	Periods []time.Duration // period of each tier; the first is the device's `every`
	Columns []Column        // Double, Int64, Enum, Bits; ascending Num
	Texts   []Column        // Text; ascending Num
	Lists   []Column        // Floats, Bools; ascending Num
	Extra   []ExtraColumn   // ascending Name

	id string
}

// NewPlan checks the parts, takes ownership of the slices and names the plan by its hash. Slices must be sorted as Plan
// says and must not be changed afterwards.
func NewPlan(p Plan) (*Plan, error) {
	for i, d := range p.Periods {
		if !ValidPeriod(d) {
			return nil, fmt.Errorf("tier %d: period %s divides neither a minute nor is it whole minutes", i, d)
		}
	}
	check := func(cols []Column, want func(Type) bool) error {
		for i, c := range cols {
			pt := PointByNum(c.Num)
			if pt != nil && !want(pt.Type) {
				return fmt.Errorf("column %s: its type does not belong here", pt.Name)
			}
			if i > 0 && cols[i-1].Num >= c.Num {
				return fmt.Errorf("column %d: not in ascending order", c.Num)
			}
			if int(c.Tier) >= len(p.Periods) {
				return fmt.Errorf("column %d: tier %d of %d", c.Num, c.Tier, len(p.Periods))
			}
			if c.Decimals < 0 || c.Decimals > MaxDecimals {
				return fmt.Errorf("column %d: %d decimals, want 0 to %d", c.Num, c.Decimals, MaxDecimals)
			}
		}
		return nil
	}
	if err := check(p.Columns, func(t Type) bool { return t == Double || t == Int64 || t == Enum || t == Bits }); err != nil {
		return nil, err
	}
	if err := check(p.Texts, func(t Type) bool { return t == Text }); err != nil {
		return nil, err
	}
	if err := check(p.Lists, func(t Type) bool { return t == Floats || t == Bools }); err != nil {
		return nil, err
	}
	for i, e := range p.Extra {
		if e.Name == "" || i > 0 && p.Extra[i-1].Name >= e.Name {
			return nil, fmt.Errorf("extra point %q: empty or not in ascending order", e.Name)
		}
		if int(e.Tier) >= len(p.Periods) {
			return nil, fmt.Errorf("extra point %s: tier %d of %d", e.Name, e.Tier, len(p.Periods))
		}
		if e.Decimals < 0 || e.Decimals > MaxDecimals {
			return nil, fmt.Errorf("extra point %s: %d decimals, want 0 to %d", e.Name, e.Decimals, MaxDecimals)
		}
	}
	if n := p.Slots(); n > MaxSlots {
		return nil, fmt.Errorf("%d columns, texts, lists and extra points: want %d at most", n, MaxSlots)
	}
	q := p
	q.id = q.hash()
	return &q, nil
}

// MaxSlots is the largest number of slots of a plan.
const MaxSlots = 4096

// MaxDecimals is the finest resolution of a scaled integer.
const MaxDecimals = 9

// ValidPeriod reports whether d may be a tier's period: whole microseconds that divide a minute, or whole minutes.
func ValidPeriod(d time.Duration) bool {
	return d >= time.Millisecond && d%time.Microsecond == 0 && (time.Minute%d == 0 || d%time.Minute == 0)
}

// ID is the plan's name in tables: 16 hex digits of a SHA-256 over map, periods, columns and tiers.
func (p *Plan) ID() string { return p.id }

// Slots is the number of slots: columns, texts, lists and extra points.
func (p *Plan) Slots() int { return len(p.Columns) + len(p.Texts) + len(p.Lists) + len(p.Extra) }

// SlotName gives the column's name at a slot; unknown numbers read "num<N>".
func (p *Plan) SlotName(slot int) string {
	asked := slot
	for _, part := range [][]Column{p.Columns, p.Texts, p.Lists} {
		if slot < len(part) {
			if pt := PointByNum(part[slot].Num); pt != nil {
				return pt.Name
			}
			return fmt.Sprintf("num%d", part[slot].Num)
		}
		slot -= len(part)
	}
	if slot < len(p.Extra) {
		return p.Extra[slot].Name
	}
	return fmt.Sprintf("slot%d", asked)
}

// SlotTier gives the tier of a slot.
func (p *Plan) SlotTier(slot int) uint8 {
	for _, part := range [][]Column{p.Columns, p.Texts, p.Lists} {
		if slot < len(part) {
			return part[slot].Tier
		}
		slot -= len(part)
	}
	return p.Extra[slot].Tier
}

// Find gives the index of a number in one of the column lists, -1 if it is not there.
func Find(cols []Column, n Num) int {
	for i := range cols {
		if cols[i].Num == n {
			return i
		}
	}
	return -1
}

func (p *Plan) hash() string {
	h := sha256.New()
	fmt.Fprintf(h, "map %s\n", p.Map)
	for _, d := range p.Periods {
		fmt.Fprintf(h, "period %d\n", d.Microseconds())
	}
	for _, part := range [][]Column{p.Columns, p.Texts, p.Lists} {
		for _, c := range part {
			fmt.Fprintf(h, "column %d %d %d\n", c.Num, c.Decimals, c.Tier)
		}
	}
	for _, e := range p.Extra {
		fmt.Fprintf(h, "extra %q %d %d\n", e.Name, e.Decimals, e.Tier)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
