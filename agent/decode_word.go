package agent

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"bessd/bess"
	"bessd/bess/maps"
)

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
