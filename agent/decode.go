package agent

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

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
	for i, r := range f.Regs {
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
		_ = i
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

func (f *field) number() func(image, *value) {
	limit, isFloat := f.limit(), f.Regs[0].Type == maps.F32 || f.Regs[0].Type == maps.F64
	scale := float64(f.Scale.M) * math.Pow10(int(f.Scale.E))
	return func(img image, v *value) {
		sf, out := f.factor(img)
		if out != present {
			v.out = out
			return
		}
		mul := scale
		if isFloat && sf != 0 {
			mul *= math.Pow10(int(sf))
		}
		m, exp, out := f.ops[0].integer(img, mul, limit)
		if out != present {
			v.out = out
			return
		}
		ok := true
		if !isFloat {
			exp = f.Scale.E + sf
			m, ok = mulInt(m, f.Scale.M)
		}
		if f.Offset.M != 0 && ok {
			m, exp, ok = addDecimal(m, exp, f.Offset)
		}
		if !ok {
			v.out = refused
			return
		}
		if f.Magnitude && m < 0 {
			m = -m
		}
		v.m, v.exp, v.out = m, exp, present
	}
}

// holds tests one case; known tells whether any register that it looks at has a value.
func (f *field) holds(c *maps.Case, raws *[8]uint64, outs *[8]outcome) bool {
	for _, t := range c.When {
		x, out := raws[t.Reg], outs[t.Reg]
		has := out == present || out == vague
		switch t.Op {
		case maps.IsNull:
			if has {
				return false
			}
			continue
		case maps.Less, maps.Same:
			if o := outs[t.Arg]; o != present && o != vague {
				return false
			}
			if !has || t.Op == maps.Less && x >= raws[t.Arg] || t.Op == maps.Same && x != raws[t.Arg] {
				return false
			}
			continue
		}
		if !has ||
			t.Op == maps.Equals && x != t.Arg || t.Op == maps.AnyBit && x&t.Arg == 0 ||
			t.Op == maps.NoBit && x&t.Arg != 0 || t.Op == maps.NotZero && x == 0 {
			return false
		}
	}
	return true
}

// maxOperands bounds the registers of a field with cases.
const maxOperands = 8

// operands reads all operands; best is present when one of them has a value, else why the first has none.
func (f *field) operands(img image, raws *[maxOperands]uint64, outs *[maxOperands]outcome) (best outcome) {
	for i := range f.ops {
		raws[i], outs[i] = f.ops[i].raw(img)
		if outs[i] == unread {
			return unread
		}
		if outs[i] == present || outs[i] == vague {
			best = present
		}
	}
	if best == present {
		return present
	}
	return outs[0]
}

func (f *field) choice(img image, v *value) {
	var raws [maxOperands]uint64
	var outs [maxOperands]outcome
	if v.out = f.operands(img, &raws, &outs); v.out != present {
		return
	}
	v.exp, v.text = 0, ""
	for i := range f.Names { // identity
		if raws[0] == uint64(f.Names[i].Code) {
			v.text = f.Names[i].Text
			return
		}
	}
	if f.Ident != "" {
		v.text = fmt.Sprintf("code%d", raws[0])
		return
	}
	for i := range f.Cases {
		if f.holds(&f.Cases[i], &raws, &outs) {
			v.m = f.Cases[i].Value
			return
		}
	}
	if f.Else == maps.None {
		v.out = refused
		return
	}
	if outs[0] == null { // nothing fits because the main register has no value
		v.out = null
		return
	}
	v.m = f.Else
}

func (f *field) union(img image, v *value) {
	var raws [maxOperands]uint64
	var outs [maxOperands]outcome
	if v.out = f.operands(img, &raws, &outs); v.out != present {
		return
	}
	v.exp, v.m = 0, 0
	for i := range f.Cases {
		c := &f.Cases[i]
		if f.holds(c, &raws, &outs) {
			v.m |= c.Value
			if c.Copy != 0 {
				v.m |= int64(raws[c.When[0].Reg] & c.Copy)
			}
		}
	}
}

func (f *field) path(img image, v *value) {
	v.text, v.out = "", vague
	var sb strings.Builder
	for i := range f.ops {
		x, out := f.ops[i].raw(img)
		if out == unread {
			v.out = unread
			return
		}
		if out == null && i == 0 {
			v.out = null
		}
		if out != present {
			break // what lies below an unknown part would be another place
		}
		if sb.Len() > 0 {
			sb.WriteByte('/')
		}
		n := int64(x) + int64(f.ops[i].reg.Add)
		if f.ops[i].reg.Type == maps.I16 {
			n = int64(int16(x)) + int64(f.ops[i].reg.Add)
		}
		fmt.Fprintf(&sb, f.Words[i], n)
	}
	if sb.Len() > 0 {
		v.text, v.out = sb.String(), present
	}
}

func (f *field) identity(img image, v *value) {
	o := &f.ops[0]
	if o.reg.Type != maps.Text {
		m, exp, out := o.integer(img, 1, 6)
		if v.out = out; out == present {
			v.text = strings.TrimSuffix(fmt.Sprint(bess.Float(m, -exp)), ".0")
		}
		return
	}
	regs := img[o.block]
	if regs == nil {
		v.out = unread
		return
	}
	b := make([]byte, 0, 2*o.reg.Len)
	for _, r := range regs[o.offset : o.offset+int(o.reg.Len)] {
		b = binary.BigEndian.AppendUint16(b, r)
	}
	if i := strings.IndexByte(string(b), 0); i >= 0 {
		b = b[:i]
	}
	v.text = strings.TrimSpace(strings.ToValidUTF8(string(b), "?"))
	v.out = present
	if v.text == "" {
		v.out = null
	}
}

func (f *field) date(img image, v *value) {
	x, out := f.ops[0].raw(img)
	switch {
	case out != present:
		v.out = out
	case x == 0 || x > 100_000:
		v.out = null
	default:
		v.text, v.out = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(x)).Format(time.DateOnly), present
	}
}

// list decodes all elements with one scale factor. A null element stays in its place as AbsentElement.
func (f *field) list(elems []operand) func(image, *value) {
	limit := f.limit()
	scale := float64(f.Scale.M) * math.Pow10(int(f.Scale.E))
	isFloat := f.Regs[0].Type == maps.F32 || f.Regs[0].Type == maps.F64
	return func(img image, v *value) {
		sf, out := f.factor(img)
		if out != present {
			v.out = out
			return
		}
		v.list, v.bad, v.exp = v.list[:0], false, f.Scale.E+sf
		mul := scale * math.Pow10(int(sf))
		if isFloat {
			v.exp = -limit
		}
		any, read := false, false
		for k := range elems {
			m, _, out := elems[k].integer(img, mul, limit)
			if out == vague {
				m, out = 0, present
			}
			read = read || out != unread
			if out == present && f.Op == maps.Flags {
				m &= 1
			} else if out == present && !isFloat {
				var ok bool
				if m, ok = mulInt(m, f.Scale.M); !ok {
					out = refused
				}
			}
			if out == present && (m > math.MaxInt32 || m <= math.MinInt32) {
				out = refused
			}
			if out != present {
				v.bad = v.bad || out == refused
				m = bess.AbsentElement
			}
			any = any || out == present
			v.list = append(v.list, int32(m))
		}
		switch {
		case any:
			v.out = present
		case v.bad:
			v.out = refused
		case !read:
			v.out = unread
		default:
			v.out = null
		}
	}
}

// resolution is how many decimals the value needs and its column keeps.
func (f *field) resolution(v *value) int8 { return max(0, min(-v.exp, f.limit())) }

// scaled brings a value to the decimals of its column.
func scaled(m int64, exp, decimals int8) (int64, bool) {
	d := int(exp) + int(decimals)
	if d < 0 {
		if d < -18 {
			return 0, true
		}
		p := pow10(-d)
		q, r := m/p, m%p
		if r >= p-r && r > 0 {
			q++
		} else if -r >= p+r && r < 0 {
			q--
		}
		return q, true
	}
	if d > 18 {
		return 0, m == 0
	}
	return mulInt(m, pow10(d))
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// mulInt multiplies; ok is false when the product does not fit.
func mulInt(a, b int64) (int64, bool) {
	if b == 1 {
		return a, true
	}
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if neg {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// addDecimal adds a fixed decimal to m x 10^exp, exactly.
func addDecimal(m int64, exp int8, o maps.Decimal) (int64, int8, bool) {
	om := o.M
	var ok bool
	switch {
	case o.E > exp:
		om, ok = scaled(om, o.E, -exp)
	case exp > o.E:
		m, ok = scaled(m, exp, -o.E)
		exp = o.E
	default:
		ok = true
	}
	if !ok || om > 0 && m > math.MaxInt64-om || om < 0 && m < math.MinInt64+1-om {
		return 0, 0, false
	}
	return m + om, exp, true
}
