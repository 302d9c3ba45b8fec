package rollup

import (
	"math/big"
	"math/bits"
	"slices"
	"strings"

	"bessd/bess"
)

// cell gathers one point of one device and epoch within one minute. add and its operands commute.
type cell struct {
	kind   bess.Kind
	epoch  int64
	n      int64
	scales []scale
	bitOr  int64

	min, max, first, last float64
	firstTS, lastTS       int64
	at                    string
	states                []codeTime
}

// scale gathers the values of one resolution and period. A cell has one, but where a device is described anew within a
// minute. Nothing is brought from one scale to another before the end, so no plan can make a sum overflow: it would take
// 2^64 values.
type scale struct {
	dec      int8
	periodUS int64
	n        int64
	pos, neg int128 // sums of the values of either sign, scaled by 10^dec
}

type codeTime struct {
	code int64 // enum code, or number of the bit
	us   int128
}

// reset makes the cell empty for a new minute and keeps its memory.
func (c *cell) reset(epoch int64) {
	*c = cell{epoch: epoch, scales: c.scales[:0], states: c.states[:0]}
}

// add takes in one value: v scaled by 10^dec, read at ts by a tier of the given period, at = locator of its row.
func (c *cell) add(s *shape, kind bess.Kind, ts, v int64, dec int8, periodUS int64, at string) {
	x := bess.Float(v, dec)
	first := c.n == 0
	if first {
		c.min, c.max, c.first, c.last = x, x, x, x
		c.firstTS, c.lastTS = ts, ts
	}
	c.n++
	c.kind = max(c.kind, kind)
	sc := c.scale(dec, periodUS)
	sc.n++
	// Equal ticks are decided by the values, so that the order of arrival is not.
	if ts < c.firstTS || ts == c.firstTS && x < c.first {
		c.firstTS, c.first = ts, x
	}
	if ts > c.lastTS || ts == c.lastTS && x > c.last {
		c.lastTS, c.last = ts, x
	}
	if s.has&bess.HasSum != 0 {
		if s.at != 0 {
			switch extreme := cmpExtreme(x, c.min, c.max, s.atHigh); {
			case first || extreme > 0:
				c.at = at
			case extreme == 0:
				c.at = lowerText(c.at, at)
			}
		}
		c.min, c.max = min(c.min, x), max(c.max, x)
		if v >= 0 {
			sc.pos = sc.pos.add(from64(v))
		} else {
			sc.neg = sc.neg.add(from64(v))
		}
	}
	switch {
	case s.enum != nil:
		c.spend(v, periodUS)
	case s.has&bess.HasBitOr != 0:
		c.bitOr |= v
		if s.bits {
			for b := uint64(v); b != 0; b &= b - 1 {
				c.spend(int64(bits.TrailingZeros64(b)), periodUS)
			}
		}
	}
}

// cmpExtreme is positive when x is more extreme than what was seen, 0 when it is as extreme.
func cmpExtreme(x, lo, hi float64, high bool) int {
	switch {
	case high && x > hi, !high && x < lo:
		return 1
	case high && x == hi, !high && x == lo:
		return 0
	}
	return -1
}

// lowerText is the smaller of two locators; none ("") counts as the largest.
func lowerText(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// scale finds the scale of a resolution and period.
func (c *cell) scale(dec int8, periodUS int64) *scale {
	for i := range c.scales {
		if s := &c.scales[i]; s.dec == dec && s.periodUS == periodUS {
			return s
		}
	}
	c.scales = append(c.scales, scale{dec: dec, periodUS: periodUS})
	return &c.scales[len(c.scales)-1]
}

// total is the double nearest to the sum of a figure over the scales.
func (c *cell) total(figure func(*scale) term) float64 {
	if len(c.scales) == 1 {
		return figure(&c.scales[0]).float()
	}
	sum := new(big.Rat)
	for i := range c.scales {
		sum.Add(sum, figure(&c.scales[i]).rat())
	}
	f, _ := sum.Float64()
	return f
}

func sumOf(s *scale) term    { return term{s.pos.add(s.neg), 1, int(s.dec)} }
func posOf(s *scale) term    { return term{s.pos, uint64(s.periodUS), int(s.dec) + 6} }
func negOf(s *scale) term    { return term{s.neg, uint64(s.periodUS), int(s.dec) + 6} }
func weightOf(s *scale) term { return term{from64(s.n), uint64(s.periodUS), 6} }

func (c *cell) spend(code, us int64) {
	for i := range c.states {
		if c.states[i].code == code {
			c.states[i].us = c.states[i].us.add(from64(us))
			return
		}
	}
	c.states = append(c.states, codeTime{code, from64(us)})
}

// part gives the cell's figures.
func (c *cell) part(s *shape, site, device string, minute int64) bess.RollupPart {
	p := bess.RollupPart{
		Site: site, Device: device, Kind: c.kind, Epoch: c.epoch, Point: s.point.Name, MinuteTS: minute, Has: s.has,
		N: c.n, First: c.first, FirstTS: c.firstTS, Last: c.last, LastTS: c.lastTS, WeightS: c.total(weightOf),
	}
	if s.has&bess.HasSum != 0 {
		p.Sum, p.Min, p.Max = c.total(sumOf), c.min, c.max
		if s.at != 0 && s.atHigh {
			p.AtMax = c.at
		} else if s.at != 0 {
			p.AtMin = c.at
		}
	}
	if s.has&bess.HasPosNeg != 0 {
		p.Pos, p.Neg = c.total(posOf), c.total(negOf)
	}
	p.BitOr = c.bitOr
	if s.has&bess.HasStates != 0 {
		p.States = c.stateSeconds(s)
	}
	return p
}

// stateSeconds names the states. Codes that the vocabulary does not know share one name.
func (c *cell) stateSeconds(s *shape) []bess.StateSeconds {
	if len(c.states) == 0 {
		return nil
	}
	out := make([]bess.StateSeconds, 0, len(c.states))
	sum := map[string]int128{}
	for _, st := range c.states {
		name := ""
		if s.enum != nil {
			name = s.enum.MemberName(st.code)
		} else {
			name = bitName(s.point, int(st.code))
		}
		sum[name] = sum[name].add(st.us)
	}
	for name, us := range sum {
		out = append(out, bess.StateSeconds{State: name, Seconds: term{us, 1, 6}.float()})
	}
	slices.SortFunc(out, func(a, b bess.StateSeconds) int { return strings.Compare(a.State, b.State) })
	return out
}
