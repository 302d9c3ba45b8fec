package agent

import (
	"math"

	"bessd/bess"
	"bessd/bess/maps"
)

// outcome says what became of a field in one poll.
type outcome uint8

const (
	unread  outcome = iota // a block that it needs was not answered
	present                // it has a value
	null                   // the device says that there is none
	vague                  // zero that may mean none, or an index of 0: absent, and not missed
	refused                // a value that cannot be: out of type, overflow, a code without a meaning
)

// value is what a field made of its registers: a number m x 10^exp, or text, or the elements of a list, all x 10^exp.
type value struct {
	out  outcome
	exp  int8
	due  bool // belongs to the row that is being made
	bad  bool // list: an element was refused
	m    int64
	text string
	list []int32 // kept and refilled
}

// image is the registers of the blocks of one unit as last read; nil = not answered.
type image [][]uint16

// operand is a register value resolved to its block.
type operand struct {
	block, offset int
	reg           maps.Reg
	none          bool // the unit does not have it
}

// field is a maps.Field with its decoder, chosen once.
type field struct {
	maps.Field
	point  *bess.Point // nil for extra points and identity
	ops    []operand
	blocks []int // that it needs, without repeats
	decode func(img image, v *value)
}

// compile resolves a field against the blocks; ok is false when a block is missing.
func compile(f maps.Field, blocks []block) (field, bool) {
	c := field{Field: f}
	if f.Column != 0 {
		c.point = bess.PointByNum(f.Column)
	}
	if f.Scale.M == 0 {
		c.Scale = maps.Decimal{M: 1}
	}
	need := func(b int) {
		for _, have := range c.blocks {
			if have == b {
				return
			}
		}
		c.blocks = append(c.blocks, b)
	}
	for _, r := range f.Regs {
		if r.Type == maps.TypeUnknown {
			c.ops = append(c.ops, operand{none: true})
			continue
		}
		b, off, ok := where(blocks, r.Fn, r.Addr, r.Len)
		if !ok {
			return c, false
		}
		c.ops = append(c.ops, operand{block: b, offset: off, reg: r})
		need(b)
	}
	if len(c.ops) == 0 || c.ops[0].none {
		return c, false
	}
	switch f.Op {
	case maps.Number:
		c.decode = c.number()
	case maps.Choice:
		c.decode = c.choice
	case maps.Union:
		c.decode = c.union
	case maps.Path:
		c.decode = c.path
	case maps.Identity:
		c.decode = c.identity
	case maps.Date:
		c.decode = c.date
	case maps.Array, maps.Flags:
		elems := make([]operand, f.Count)
		for k := range elems {
			r := f.Regs[0]
			r.Addr += uint16(k) * f.Stride
			b, off, ok := where(blocks, r.Fn, r.Addr, r.Len)
			if !ok {
				return c, false
			}
			elems[k] = operand{block: b, offset: off, reg: r}
			need(b)
		}
		c.decode = c.list(elems)
	default:
		return c, false
	}
	return c, true
}

// raw reads an operand as the unsigned integer in its registers; ok is false when it is null.
func (o *operand) raw(img image) (x uint64, out outcome) {
	if o.none {
		return 0, null
	}
	regs := img[o.block]
	if regs == nil {
		return 0, unread
	}
	regs = regs[o.offset : o.offset+int(o.reg.Len)]
	if o.reg.LowFirst {
		for i := len(regs) - 1; i >= 0; i-- {
			x = x<<16 | uint64(regs[i])
		}
	} else {
		for _, r := range regs {
			x = x<<16 | uint64(r)
		}
	}
	for _, n := range o.reg.Nulls {
		if x == n {
			return x, null
		}
	}
	if o.reg.Bits > 0 {
		x = x >> o.reg.Shift & (1<<o.reg.Bits - 1)
	} else {
		x >>= o.reg.Shift
	}
	if o.reg.ZeroNull && x == 0 {
		return 0, vague
	}
	return x, present
}

// integer reads an operand as a signed integer, or a float as one scaled by 10^limit.
func (o *operand) integer(img image, mul float64, limit int8) (m int64, exp int8, out outcome) {
	x, out := o.raw(img)
	if out != present {
		return 0, 0, out
	}
	switch o.reg.Type {
	case maps.I16:
		return int64(int16(x)), 0, present
	case maps.I32:
		return int64(int32(x)), 0, present
	case maps.I64:
		if int64(x) == bess.Absent {
			return 0, 0, refused
		}
		return int64(x), 0, present
	case maps.U64:
		if x > math.MaxInt64 {
			return 0, 0, refused
		}
	case maps.F32, maps.F64:
		f := float64(math.Float32frombits(uint32(x)))
		if o.reg.Type == maps.F64 {
			f = math.Float64frombits(x)
		}
		if math.IsNaN(f) {
			return 0, 0, null
		}
		m, ok := bess.Scaled(f*mul, limit)
		if !ok {
			return 0, 0, refused
		}
		return m, -limit, present
	}
	return int64(x), 0, present
}

// factor reads the scale factor; null when the device says that the point is unusable.
func (f *field) factor(img image) (exp int8, out outcome) {
	if !f.SF {
		return 0, present
	}
	x, out := f.ops[1].raw(img)
	if out != present {
		return 0, out
	}
	e := int16(x)
	if e < -10 || e > 10 {
		return 0, null
	}
	return int8(e), present
}

// limit is the finest resolution that the field's column keeps.
func (f *field) limit() int8 {
	switch {
	case f.point == nil:
		return 6
	case f.point.Type == bess.Double || f.point.Type == bess.Floats:
		return f.point.Decimals
	}
	return 0
}

// resolution is how many decimals the value needs and its column keeps.
func (f *field) resolution(v *value) int8 { return max(0, min(-v.exp, f.limit())) }
