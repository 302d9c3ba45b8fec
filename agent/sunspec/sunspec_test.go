package sunspec

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bessd/agent/modbus"
	"bessd/bess"
	"bessd/bess/maps"
)

// memory is a register image; a read that touches a missing register is answered with exception 2.
type memory map[int]uint16

func (m memory) read(addr uint16, n int) ([]uint16, error) {
	out := make([]uint16, n)
	for i := range out {
		v, ok := m[int(addr)+i]
		if !ok {
			return nil, &modbus.Exception{Code: 2}
		}
		out[i] = v
	}
	return out, nil
}

// chainAt puts models, given as {id, L}, behind the marker; registers are filled with 0xFFFF.
func chainAt(base int, models ...[2]uint16) memory {
	m := memory{base: 0x5375, base + 1: 0x6E53}
	at := base + 2
	for _, md := range models {
		for i := range int(md[1]) {
			m[at+2+i] = 0xFFFF
		}
		m[at], m[at+1] = md[0], md[1]
		at += 2 + int(md[1])
	}
	m[at] = 0xFFFF // and no register behind it, as some devices have it
	return m
}

func facts(t testing.TB) map[uint16]*maps.Model {
	t.Helper()
	f, err := maps.Models()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDiscoverBases(t *testing.T) {
	for _, base := range []int{40000, 0, 50000} {
		m := chainAt(base, [2]uint16{1, 66}, [2]uint16{713, 7}, [2]uint16{64001, 30}, [2]uint16{999, 3}, [2]uint16{802, 62})
		if base == 50000 { // something else answers at 0 and 40000
			m[0], m[1], m[40000], m[40001] = 1, 2, 3, 4
		}
		c, err := Discover(m.read, facts(t))
		if err != nil {
			t.Fatal(err)
		}
		var ids []uint16
		for _, md := range c.Models {
			ids = append(ids, md.ID)
		}
		if int(c.Base) != base || !slices.Equal(ids, []uint16{1, 713, 64001, 999, 802}) || len(c.Warnings) != 0 {
			t.Errorf("base %d: %+v", base, c)
		}
	}
}

func TestDiscoverOddChains(t *testing.T) {
	f := facts(t)
	long := make([][2]uint16, 1100)
	for i := range long {
		long[i] = [2]uint16{64500, 1}
	}
	for name, c := range map[string]struct {
		m       memory
		models  int
		warning string
	}{
		"no end marker":     {func() memory { m := chainAt(40000, [2]uint16{1, 66}); delete(m, 40000+2+68); return m }(), 1, "no register"},
		"length 0":          {chainAt(40000, [2]uint16{1, 66}, [2]uint16{800, 0}), 1, "no length"},
		"zeros behind":      {func() memory { m := chainAt(40000, [2]uint16{1, 66}); m[40070], m[40071] = 0, 0; return m }(), 1, "no length"},
		"beyond 65535":      {func() memory { m := chainAt(50000, [2]uint16{1, 66}); m[50070], m[50071] = 802, 60000; return m }(), 1, "beyond 65535"},
		"too many models":   {chainAt(40000, long...), 1000, "more than 1000"},
		"up to the last":    {func() memory { m := chainAt(50000, [2]uint16{64001, 15532}); delete(m, 65536); return m }(), 1, "no end"},
		"count disagrees":   {func() memory { m := chainAt(40000, [2]uint16{803, 26 + 64}); m[40002+2] = 5; return m }(), 1, "the length counts"},
		"older, shorter 1":  {chainAt(40000, [2]uint16{1, 65}), 1, ""},
		"draft, shorter 80": {chainAt(40000, [2]uint16{802, 50}, [2]uint16{804, 40}), 2, ""},
	} {
		got, err := Discover(c.m.read, f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Models) != c.models || c.warning == "" && len(got.Warnings) > 0 || c.warning != "" && (len(got.Warnings) == 0 || !strings.Contains(got.Warnings[0], c.warning)) {
			t.Errorf("%s: %d models, warnings %q", name, len(got.Models), got.Warnings)
		}
	}
}

func TestDiscoverErrors(t *testing.T) {
	f := facts(t)
	if _, err := Discover(memory{}.read, f); !errors.Is(err, ErrNoSunSpec) {
		t.Errorf("no marker: %v", err)
	}
	broken := errors.New("broken pipe")
	m := chainAt(0, [2]uint16{1, 66}, [2]uint16{803, 58})
	for fail := range 12 { // a transport error at any read ends the discovery with that error
		n := 0
		_, err := Discover(func(addr uint16, k int) ([]uint16, error) {
			if n++; n == fail+1 {
				return nil, broken
			}
			return m.read(addr, k)
		}, f)
		if fail < n && err != nil && !errors.Is(err, broken) || fail < 6 && !errors.Is(err, broken) {
			t.Errorf("failure at read %d of %d: %v", fail, n, err)
		}
	}
}

func paths(l *maps.Layout) map[string]bess.Kind {
	out := map[string]bess.Kind{}
	for _, d := range l.Devices {
		out[d.Path] = d.Kind
	}
	return out
}

func TestBuildPlaces(t *testing.T) {
	f, rules := facts(t), maps.SunSpecRules()
	m804 := func(idx, n int) Model { return Model{ID: 804, L: uint16(46 + 16*n), Count: n, Rack: idx} }
	m805 := func(rack, mod int) Model { return Model{ID: 805, L: 42 + 4*3, Count: 3, Rack: rack, Module: mod} }
	for name, c := range map[string]struct {
		root   Root
		models []Model
		want   map[string]bess.Kind
	}{
		"bank": {Root{ID: "bank1"}, []Model{{ID: 1, L: 66}, {ID: 802, L: 62}, {ID: 803, L: 26 + 64, Count: 2}, m804(2, 1)},
			map[string]bess.Kind{"bank1": bess.Bank, "bank1/rack01": bess.Rack, "bank1/rack02": bess.Rack, "bank1/rack02/module01": bess.Module}},
		"one rack on its own unit": {Root{ID: "bank1/rack03"}, []Model{{ID: 1, L: 66}, m804(3, 2), m805(3, 2)},
			map[string]bess.Kind{"bank1/rack03": bess.Rack, "bank1/rack03/module01": bess.Module, "bank1/rack03/module02": bess.Module}},
		"a module on its own unit": {Root{ID: "bank1/rack03/module07", Kind: bess.Module}, []Model{m805(3, 7)},
			map[string]bess.Kind{"bank1/rack03/module07": bess.Module}},
		"racks without a bank model": {Root{ID: "bank1"}, []Model{m804(1, 0), m804(2, 0)},
			map[string]bess.Kind{"bank1": bess.Bank, "bank1/rack01": bess.Rack, "bank1/rack02": bess.Rack}},
		"index twice and none": {Root{ID: "b"}, []Model{{ID: 802, L: 62}, m804(1, 0), m804(1, 0), m804(0, 0), m804(65534, 0)},
			map[string]bess.Kind{"b": bess.Bank, "b/rack00001": bess.Rack, "b/rack00002": bess.Rack, "b/rack00003": bess.Rack, "b/rack65534": bess.Rack}},
		"inverter": {Root{ID: "pcs1"}, []Model{{ID: 1, L: 66}, {ID: 701, L: 153}, {ID: 714, L: 18 + 50, Count: 2}},
			map[string]bess.Kind{"pcs1": bess.PCS, "pcs1/dc1": bess.DC, "pcs1/dc2": bess.DC}},
		"hybrid inverter": {Root{ID: "inv"}, []Model{{ID: 1, L: 66}, {ID: 103, L: 50}, {ID: 124, L: 24}, {ID: 203, L: 105}},
			map[string]bess.Kind{"inv": bess.PCS, "inv/bank1": bess.Bank, "inv/meter1": bess.Meter}},
		"battery with an inverter": {Root{ID: "bank2"}, []Model{{ID: 701, L: 153}, {ID: 713, L: 7}},
			map[string]bess.Kind{"bank2": bess.Bank, "bank2/pcs1": bess.PCS}},
		"two meters": {Root{ID: "meter_poi"}, []Model{{ID: 203, L: 105}, {ID: 203, L: 105}},
			map[string]bess.Kind{"meter_poi": bess.Meter, "meter_poi/meter2": bess.Meter}},
		"nothing that is mapped": {Root{ID: "pcs1"}, []Model{{ID: 64001, L: 9}, {ID: 709, L: 9}}, map[string]bess.Kind{"pcs1": bess.PCS}},
	} {
		addr := uint16(2)
		for i := range c.models {
			c.models[i].Addr = addr
			addr += c.models[i].L + 2
		}
		l, _ := Build(&Chain{Models: c.models}, c.root, f, rules)
		if diff := cmp.Diff(c.want, paths(l)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		checkLayout(t, name, l)
	}
}

// checkLayout demands what a reader relies on: paths are valid, parents come first, and every register of a field is a
// wanted point.
func checkLayout(t testing.TB, name string, l *maps.Layout) {
	t.Helper()
	seen := map[string]bool{"": true}
	points := map[uint16]maps.Point{}
	for _, p := range l.Points {
		points[p.Addr] = p
	}
	for _, d := range l.Devices {
		if err := bess.CheckDevice(d.Path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if seen[d.Path] || !seen[d.Parent] {
			t.Errorf("%s: %s comes twice or before its parent %q", name, d.Path, d.Parent)
		}
		seen[d.Path] = true
		for _, f := range d.Fields {
			for _, r := range f.Regs {
				if r.Type == maps.TypeUnknown {
					continue
				}
				if p, ok := points[r.Addr]; !ok || !p.Want || p.Len != r.Len {
					t.Errorf("%s: %s: column %d reads %d+%d, point %+v", name, d.Path, f.Column, r.Addr, r.Len, p)
				}
			}
		}
	}
}

// FuzzDiscover walks arbitrary register images: no panic, bounded reads, and a layout that can be read.
func FuzzDiscover(f *testing.F) {
	seed := func(m memory, base int) {
		b := make([]byte, 0, 4096)
		for a := base; ; a++ {
			v, ok := m[a]
			if !ok {
				break
			}
			b = binary.BigEndian.AppendUint16(b, v)
		}
		f.Add(uint8(base/40000), b)
	}
	seed(chainAt(0, [2]uint16{1, 66}, [2]uint16{802, 62}, [2]uint16{803, 26 + 64}, [2]uint16{804, 62}, [2]uint16{805, 54}), 0)
	seed(chainAt(40000, [2]uint16{1, 66}, [2]uint16{701, 153}, [2]uint16{714, 18 + 50}, [2]uint16{160, 48}, [2]uint16{203, 105}), 40000)
	seed(chainAt(0, [2]uint16{805, 3}, [2]uint16{805, 46}, [2]uint16{804, 1}), 0)
	f.Add(uint8(2), []byte("SunS\x00\x00\x00\x00"))
	models, rules := facts(f), maps.SunSpecRules()
	f.Fuzz(func(t *testing.T, where uint8, data []byte) {
		base := []int{0, 40000, 50000}[where%3]
		reads := 0
		read := func(addr uint16, n int) ([]uint16, error) {
			reads++
			out := make([]uint16, n)
			for i := range out {
				at := 2 * (int(addr) + i - base)
				if at < 0 || at+1 >= len(data) {
					return nil, &modbus.Exception{Code: 2}
				}
				out[i] = binary.BigEndian.Uint16(data[at:])
			}
			return out, nil
		}
		c, err := Discover(read, models)
		if reads > 3+maxModels*5+2 {
			t.Fatalf("%d reads", reads)
		}
		if err != nil {
			return
		}
		l, _ := Build(c, Root{ID: "bank1"}, models, rules)
		checkLayout(t, "fuzz", l)
	})
}
