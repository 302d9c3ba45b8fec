package agent

import (
	"math"

	"bessd/bess"
	"bessd/bess/maps"
)

// number decodes a single number, scaled by the field's factors.
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
