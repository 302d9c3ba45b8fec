package agent

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"bessd/bess"
	"bessd/bess/maps"
)

// decodeOne decodes a field of one register value at address 0, with a scale factor register at 10.
func decodeOne(t *testing.T, f maps.Field, regs []uint16, sf int16) value {
	t.Helper()
	blocks := []block{{fn: 3, n: 11}}
	img := image{make([]uint16, 11)}
	copy(img[0], regs)
	img[0][10] = uint16(sf)
	if f.SF {
		f.Regs = append(f.Regs, maps.Reg{Fn: 3, Addr: 10, Len: 1, Type: maps.I16, Nulls: []uint64{0x8000}})
	}
	c, ok := compile(f, blocks)
	if !ok {
		t.Fatal("field does not compile")
	}
	var v value
	c.decode(img, &v)
	return v
}

// TestDecodeSunSpecTypes covers each type of a SunSpec point with a value, its extremes and its sentinel.
func TestDecodeSunSpecTypes(t *testing.T) {
	f32 := func(x float32) []uint16 { b := math.Float32bits(x); return []uint16{uint16(b >> 16), uint16(b)} }
	for _, c := range []struct {
		typ  string
		len  uint16
		regs []uint16
		out  outcome
		want float64
	}{
		{"int16", 1, []uint16{0x7FFF}, present, 32767}, {"int16", 1, []uint16{0x8001}, present, -32767}, {"int16", 1, []uint16{0x8000}, null, 0},
		{"uint16", 1, []uint16{0xFFFE}, present, 65534}, {"uint16", 1, []uint16{0xFFFF}, null, 0}, {"uint16", 1, []uint16{0}, present, 0},
		{"enum16", 1, []uint16{0xFFFF}, null, 0}, {"bitfield16", 1, []uint16{0xFFFF}, null, 0}, {"count", 1, []uint16{0xFFFF}, null, 0},
		{"acc16", 1, []uint16{0}, vague, 0}, {"acc16", 1, []uint16{0xFFFF}, present, 65535},
		{"int32", 2, []uint16{0xFFFF, 0xFFFF}, present, -1}, {"int32", 2, []uint16{0x8000, 0}, null, 0}, {"int32", 2, []uint16{0x8000, 1}, present, -2147483647},
		{"uint32", 2, []uint16{0xFFFF, 0xFFFF}, null, 0}, {"uint32", 2, []uint16{0xFFFF, 0xFFFE}, present, 4294967294},
		{"bitfield32", 2, []uint16{0xFFFF, 0xFFFF}, null, 0}, {"enum32", 2, []uint16{0, 9}, present, 9},
		{"acc32", 2, []uint16{0, 0}, vague, 0}, {"acc32", 2, []uint16{0xFFFF, 0xFFFF}, present, 4294967295},
		{"int64", 4, []uint16{0x8000, 0, 0, 0}, null, 0}, {"int64", 4, []uint16{0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE}, present, -2},
		{"uint64", 4, []uint16{0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF}, null, 0}, {"uint64", 4, []uint16{0x8000, 0, 0, 0}, refused, 0},
		{"uint64", 4, []uint16{0, 1, 0, 0}, present, 4294967296}, {"acc64", 4, []uint16{0, 0, 0, 0}, vague, 0},
		{"float32", 2, []uint16{0x7FC0, 0}, null, 0}, {"float32", 2, []uint16{0xFFC0, 1}, null, 0}, {"float32", 2, f32(-12.5), present, -12.5},
		{"float32", 2, f32(float32(math.Inf(1))), refused, 0}, {"float32", 2, f32(0), present, 0},
		{"float64", 4, []uint16{0x7FF8, 0, 0, 0}, null, 0}, {"float64", 4, []uint16{0x4009, 0x21FB, 0x5444, 0x2D18}, present, 3.141593},
	} {
		p := maps.ModelPoint{Type: c.typ, Len: c.len}
		v := decodeOne(t, maps.Field{Extra: "x", Regs: []maps.Reg{p.Reg(0)}}, c.regs, 0)
		if got := float64(v.m) * math.Pow10(int(v.exp)); v.out != c.out || c.out == present && math.Abs(got-c.want) > 1e-9*math.Abs(c.want) {
			t.Errorf("%s %04x: outcome %d value %v, want %d %v", c.typ, c.regs, v.out, got, c.out, c.want)
		}
	}
}

func TestScaleFactors(t *testing.T) {
	reg := maps.Reg{Fn: 3, Len: 1, Type: maps.I16, Nulls: []uint64{0x8000}}
	for _, c := range []struct {
		raw  uint16
		sf   int16
		out  outcome
		dec  int8
		want int64 // at the resolution of voltage_v, at most 3 decimals
	}{
		{1234, -1, present, 1, 1234}, {1234, 2, present, 0, 123400}, {0xFFFF, -3, present, 3, -1}, {12345, -5, present, 3, 123}, {12355, -5, present, 3, 124},
		{0x10000 - 12355, -5, present, 3, -124}, {1, 10, present, 0, 10_000_000_000},
		{1234, -0x8000, null, 0, 0}, {1234, 11, null, 0, 0}, {1234, -11, null, 0, 0}, {0x8000, 0, null, 0, 0},
	} {
		f := maps.Field{Column: bess.NumVoltageV, Regs: []maps.Reg{reg}, SF: true}
		v := decodeOne(t, f, []uint16{c.raw}, c.sf)
		if v.out != c.out {
			t.Errorf("%d sf %d: outcome %d, want %d", c.raw, c.sf, v.out, c.out)
			continue
		}
		if v.out != present {
			continue
		}
		cf, _ := compile(maps.Field{Column: bess.NumVoltageV, Regs: []maps.Reg{reg}}, []block{{fn: 3, n: 1}})
		if d := cf.resolution(&v); d != c.dec {
			t.Errorf("%d sf %d: %d decimals, want %d", c.raw, c.sf, d, c.dec)
		}
		if m, ok := scaled(v.m, v.exp, c.dec); !ok || m != c.want {
			t.Errorf("%d sf %d: %d, want %d", c.raw, c.sf, m, c.want)
		}
	}
}

func TestVendorEncodings(t *testing.T) {
	for name, c := range map[string]struct {
		f    maps.Field
		regs []uint16
		out  outcome
		m    int64
		exp  int8
	}{
		"low word first": {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 2, Type: maps.I32, LowFirst: true}}}, []uint16{0xFFFE, 0xFFFF}, present, -2, 0},
		"offset":         {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 1, Type: maps.U16}}, Scale: maps.Decimal{M: 1, E: -1}, Offset: maps.Decimal{M: -40}}, []uint16{650}, present, 250, -1},
		"finer offset":   {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 1, Type: maps.U16}}, Offset: maps.Decimal{M: -27315, E: -2}}, []uint16{300}, present, 2685, -2},
		"sign":           {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 1, Type: maps.I16}}, Scale: maps.Decimal{M: -25, E: -3}}, []uint16{4}, present, -100, -3},
		"magnitude":      {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 1, Type: maps.I16}}, Magnitude: true}, []uint16{0xFFFE}, present, 2, 0},
		"packed high":    {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 1, Type: maps.U16, Shift: 10, Bits: 6}}}, []uint16{5<<10 | 77}, present, 5, 0},
		"packed low":     {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 1, Type: maps.U16, Bits: 10}}}, []uint16{5<<10 | 77}, present, 77, 0},
		"two nulls":      {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 1, Type: maps.I16, Nulls: []uint64{0x8000, 0x7FFF}}}}, []uint16{0x7FFF}, null, 0, 0},
		"overflow":       {maps.Field{Regs: []maps.Reg{{Fn: 3, Len: 4, Type: maps.I64}}, Scale: maps.Decimal{M: 10}}, []uint16{0x7FFF, 0, 0, 0}, refused, 0, 0},
	} {
		c.f.Extra = "x"
		v := decodeOne(t, c.f, c.regs, 0)
		if v.out != c.out || v.out == present && (v.m != c.m || v.exp != c.exp) {
			t.Errorf("%s: %+v, want %d x 10^%d (%d)", name, v, c.m, c.exp, c.out)
		}
	}
}

// TestScaledAgainstBess compares the two roundings of scaled integers.
func TestScaledAgainstBess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.Int64Range(-1<<53, 1<<53).Draw(t, "m")
		from, to := int8(rapid.IntRange(0, 9).Draw(t, "from")), int8(rapid.IntRange(0, 9).Draw(t, "to"))
		got, ok := scaled(m, -from, to)
		want, wantOK := bess.Rescale(m, from, to)
		if ok != wantOK || ok && got != want {
			t.Fatalf("scaled(%d, -%d, %d) = %d %v, Rescale gives %d %v", m, from, to, got, ok, want, wantOK)
		}
	})
}
