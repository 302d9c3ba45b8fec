package rollup

import (
	"math/bits"
	"slices"
	"strings"

	"bessd/bess"
)

// cell gathers one point of one device and epoch within one minute. add and its operands commute.
type cell struct {
	kind     bess.Kind
	epoch    int64
	n        int64
	dec      int8   // sum, pos and neg are scaled by 10^dec
	sum      int128 // of values
	pos, neg int128 // of values times the period in microseconds
	weight   int64  // microseconds
	bitOr    int64

	min, max, first, last float64
	firstTS, lastTS       int64
	at                    string
	states                []codeTime
}

type codeTime struct {
	code int64 // enum code, or number of the bit
	us   int64
}

// reset makes the cell empty for a new minute and keeps its memory.
func (c *cell) reset(epoch int64) { *c = cell{epoch: epoch, states: c.states[:0]} }

// add takes in one value: v scaled by 10^dec, read at ts by a tier of the given period, at = locator of its row.
func (c *cell) add(s *shape, kind bess.Kind, ts, v int64, dec int8, periodUS int64, at string) {
	x := bess.Float(v, dec)
	first := c.n == 0
	if first {
		c.dec = dec
		c.min, c.max, c.first, c.last = x, x, x, x
		c.firstTS, c.lastTS = ts, ts
	}
	c.n++
	c.kind = max(c.kind, kind)
	c.weight += periodUS
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
		if dec != c.dec {
			v = c.align(v, dec)
		}
		c.sum = c.sum.add(from64(v))
		if s.has&bess.HasPosNeg != 0 {
			if v >= 0 {
				c.pos = c.pos.add(product(v, uint64(periodUS)))
			} else {
				c.neg = c.neg.add(product(v, uint64(periodUS)))
			}
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

// align brings v and the sums to one resolution, the finer of the two. It happens when a device is described anew
// within a minute, and in no other case.
func (c *cell) align(v int64, dec int8) int64 {
	for c.dec < dec {
		c.sum, c.pos, c.neg = c.sum.times(10), c.pos.times(10), c.neg.times(10)
		c.dec++
	}
	for dec < c.dec {
		v *= 10
		dec++
	}
	return v
}

func (c *cell) spend(code, us int64) {
	for i := range c.states {
		if c.states[i].code == code {
			c.states[i].us += us
			return
		}
	}
	c.states = append(c.states, codeTime{code, us})
}

// part gives the cell's figures.
func (c *cell) part(s *shape, site, device string, minute int64) bess.RollupPart {
	p := bess.RollupPart{
		Site: site, Device: device, Kind: c.kind, Epoch: c.epoch, Point: s.point.Name, MinuteTS: minute, Has: s.has,
		N: c.n, First: c.first, FirstTS: c.firstTS, Last: c.last, LastTS: c.lastTS, WeightS: from64(c.weight).float(6),
	}
	if s.has&bess.HasSum != 0 {
		p.Sum, p.Min, p.Max = c.sum.float(int(c.dec)), c.min, c.max
		if s.at != 0 && s.atHigh {
			p.AtMax = c.at
		} else if s.at != 0 {
			p.AtMin = c.at
		}
	}
	if s.has&bess.HasPosNeg != 0 {
		p.Pos, p.Neg = c.pos.float(int(c.dec)+6), c.neg.float(int(c.dec)+6)
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
	sum := map[string]int64{}
	for _, st := range c.states {
		name := ""
		if s.enum != nil {
			name = s.enum.MemberName(st.code)
		} else {
			name = bitName(s.point, int(st.code))
		}
		sum[name] += st.us
	}
	for name, us := range sum {
		out = append(out, bess.StateSeconds{State: name, Seconds: from64(us).float(6)})
	}
	slices.SortFunc(out, func(a, b bess.StateSeconds) int { return strings.Compare(a.State, b.State) })
	return out
}
