package agent

import (
	"testing"
	"time"

	"bessd/bess"
	"bessd/bess/maps"
)

// oneDevice is a device with a heartbeat, a voltage in the slow tier and a state of charge, one register each.
func oneDevice(t *testing.T) (*device, image) {
	t.Helper()
	reg := func(a uint16) []maps.Reg {
		return []maps.Reg{{Fn: 3, Addr: a, Len: 1, Type: maps.U16, Nulls: []uint64{0xFFFF}}}
	}
	blocks := []block{{fn: 3, addr: 0, n: 2}, {fn: 3, addr: 10, n: 1, tier: maps.Slow}}
	d := newDevice(&identity{path: "bank1"}, maps.Device{Path: "bank1", Kind: bess.Bank, Fields: []maps.Field{
		{Column: bess.NumHeartbeat, Regs: reg(0)}, {Column: bess.NumSocPct, Regs: reg(1)}, {Column: bess.NumVoltageV, Regs: reg(10), Tier: maps.Slow},
	}}, "test@1", blocks, [maps.NumTiers]time.Duration{time.Second, 2 * time.Second, 10 * time.Second, time.Minute})
	return d, image{{1, 50}, {800}}
}

func row(t *testing.T, d *device, img image, tick int64, tiers ...maps.Tier) *bess.Scan {
	t.Helper()
	for _, tier := range tiers {
		d.finish(tier, img, tick, tick)
	}
	var s bess.Scan
	if err := d.fill(&s); err != nil {
		t.Fatal(err)
	}
	return s.Clone()
}

func TestFrozenHeartbeatIsStale(t *testing.T) {
	d, img := oneDevice(t)
	sec := time.Second.Microseconds()
	for i := range int64(20) { // a counter that never moves says nothing
		if s := row(t, d, img, i*sec, maps.Fast); s.Quality != bess.Good {
			t.Fatalf("second %d: %s", i, s.Quality)
		}
	}
	img[0][0] = 2
	want := []bess.Quality{bess.Good, bess.Good, bess.Good, bess.Good, bess.Good, bess.Good, bess.Stale, bess.Stale}
	for i, q := range want {
		if s := row(t, d, img, (20+int64(i))*sec, maps.Fast); s.Quality != q {
			t.Errorf("%d s after it moved: %s, want %s", i, s.Quality, q)
		}
	}
	img[0][0] = 3
	if s := row(t, d, img, 40*sec, maps.Fast); s.Quality != bess.Good {
		t.Errorf("after it moved again: %s", s.Quality)
	}
}

func TestQualities(t *testing.T) {
	d, img := oneDevice(t)
	if s := row(t, d, img, 0, maps.Fast, maps.Slow); s.Quality != bess.Good || len(s.Plan.Columns) != 3 {
		t.Errorf("all read: %s, %d columns", s.Quality, len(s.Plan.Columns))
	}
	if s := row(t, d, img, 1, maps.Fast); s.Quality != bess.Good || get(s)["voltage_v"] != "" {
		t.Errorf("slow tier not due: %s %v", s.Quality, get(s))
	}
	if s := row(t, d, image{img[0], nil}, 2, maps.Fast, maps.Slow); s.Quality != bess.Partial || get(s)["voltage_v"] != "!comm" {
		t.Errorf("slow tier not answered: %s %v", s.Quality, get(s))
	}
	if s := row(t, d, image{{2, 0xFFFF}, {800}}, 3, maps.Fast, maps.Slow); s.Quality != bess.Partial || get(s)["soc_pct"] != "!sentinel" {
		t.Errorf("sentinel: %s %v", s.Quality, get(s))
	}
	if s := row(t, d, image{{3, 101}, {800}}, 4, maps.Fast, maps.Slow); s.Quality != bess.Partial || get(s)["soc_pct"] != "!range" {
		t.Errorf("range: %s %v", s.Quality, get(s))
	}
	if s := row(t, d, image{nil, nil}, 5, maps.Fast, maps.Slow); s.Quality != bess.Bad || len(s.Rejected) != 0 || s.PresentValues() != 0 {
		t.Errorf("nothing answered: %s %v", s.Quality, get(s))
	}
}

// TestResolutionOnlyGrows follows a scale factor that moves with the value: the plan settles on the finest one.
func TestResolutionOnlyGrows(t *testing.T) {
	blocks := []block{{fn: 3, addr: 0, n: 2}}
	d := newDevice(&identity{path: "pcs1"}, maps.Device{Path: "pcs1", Kind: bess.PCS, Fields: []maps.Field{
		{Column: bess.NumActivePowerW, SF: true, Regs: []maps.Reg{{Fn: 3, Addr: 0, Len: 1, Type: maps.I16}, {Fn: 3, Addr: 1, Len: 1, Type: maps.I16}}},
	}}, "test@1", blocks, [maps.NumTiers]time.Duration{time.Second, time.Second, time.Second, time.Minute})
	plans := map[string]bool{}
	for i, c := range []struct {
		raw, sf uint16
		want    string
	}{{500, 1, "5000"}, {5001, 0, "5001"}, {12, 3, "12000"}, {12345, 0xFFFF, "1234.5"}, {500, 1, "5000"}, {123, 0xFFFE, "1.2"}} {
		s := row(t, d, image{{c.raw, c.sf}}, int64(i), maps.Fast)
		if got := get(s)["active_power_w"]; got != c.want {
			t.Errorf("%d x 10^%d: %s, want %s", c.raw, int16(c.sf), got, c.want)
		}
		plans[s.Plan.ID()] = true
	}
	if len(plans) != 2 { // whole watts, then tenths, the vocabulary's cap
		t.Errorf("%d plans", len(plans))
	}
}
