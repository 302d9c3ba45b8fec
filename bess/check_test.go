package bess

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestResolution(t *testing.T) {
	for _, c := range []struct {
		scale float64
		cap   int8
		want  int8
	}{
		{1, 3, 0}, {0.1, 3, 1}, {0.01, 3, 2}, {0.001, 3, 3}, {0.0001, 3, 3}, {10, 3, 0}, {1000, 1, 0}, {-0.1, 3, 1}, {0.5, 3, 1}, {0.25, 3, 2},
		{2.5, 3, 1}, {1. / 3, 4, 4}, {0, 2, 2}, {math.NaN(), 2, 2}, {math.Inf(1), 2, 2}, {float64(float32(0.1)), 4, 1}, {0.1, 0, 0}, {1e-9, 9, 9},
	} {
		if got := Resolution(c.scale, c.cap); got != c.want {
			t.Errorf("Resolution(%v, %d) = %d, want %d", c.scale, c.cap, got, c.want)
		}
	}
}

func TestRescale(t *testing.T) {
	for _, c := range []struct {
		v        int64
		from, to int8
		want     int64
		ok       bool
	}{
		{123, 1, 1, 123, true}, {123, 1, 3, 12300, true}, {1249, 2, 0, 12, true}, {1250, 2, 0, 13, true}, {-1250, 2, 0, -13, true}, {-1249, 2, 0, -12, true},
		{math.MaxInt64, 0, 1, Absent, false}, {Absent, 1, 0, Absent, false}, {math.MaxInt64, 9, 0, 9223372037, true}, {-math.MaxInt64, 9, 0, -9223372037, true},
	} {
		if got, ok := Rescale(c.v, c.from, c.to); got != c.want || ok != c.ok {
			t.Errorf("Rescale(%d, %d, %d) = %d, %v, want %d, %v", c.v, c.from, c.to, got, ok, c.want, c.ok)
		}
	}
}

// A value rounded to a register's resolution is the double that its decimal text means.
func TestScaledAndFloat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Int8Range(0, MaxDecimals).Draw(t, "decimals")
		v := rapid.Int64Range(-1<<50, 1<<50).Draw(t, "v")
		got, ok := Scaled(Float(v, d), d)
		if !ok || got != v {
			t.Fatalf("%d at %d decimals came back as %d, %v", v, d, got, ok)
		}
	})
}

func TestCheckRange(t *testing.T) {
	soc, bits, cells, bal := PointByName("soc_pct"), PointByName("alarm_bits"), PointByName("cell_voltages_v"), PointByName("cells_balancing")
	for _, c := range []struct {
		p    *Point
		v    int64
		d    int8
		want Reason
	}{
		{soc, 1000, 1, ReasonUnknown}, {soc, 1001, 1, ReasonRange}, {soc, 0, 0, ReasonUnknown}, {soc, -1, 2, ReasonRange}, {soc, Absent, 1, ReasonUnknown},
		{bits, -1, 0, ReasonRange}, {bits, 1 << 40, 0, ReasonUnknown}, {nil, 1 << 60, 0, ReasonUnknown},
	} {
		if got := CheckRange(c.p, c.v, c.d); got != c.want {
			t.Errorf("CheckRange(%v, %d, %d) = %s, want %s", c.p, c.v, c.d, got, c.want)
		}
	}
	for _, c := range []struct {
		p    *Point
		v    int32
		want Reason
	}{
		{cells, 3300, ReasonUnknown}, {cells, 5001, ReasonRange}, {cells, AbsentElement, ReasonUnknown}, {bal, 1, ReasonUnknown}, {bal, 2, ReasonRange}, {bal, AbsentElement, ReasonUnknown},
	} {
		if got := CheckElement(c.p, c.v, 3); got != c.want {
			t.Errorf("CheckElement(%s, %d) = %s, want %s", c.p.Name, c.v, got, c.want)
		}
	}
}

func TestCheckRate(t *testing.T) {
	wh := PointByName("energy_discharged_wh")
	perSecond, ok := CounterRate(wh, 3.6e6) // 3.6 MW: 1 kWh a second, 1.5 with the margin
	if !ok || perSecond != 1500 {
		t.Fatalf("got %v, %v", perSecond, ok)
	}
	for _, name := range []string{"soc_pct", "cycle_count", "heartbeat"} {
		if _, ok := CounterRate(PointByName(name), 1e6); ok {
			t.Errorf("%s has a rate", name)
		}
	}
	if _, ok := CounterRate(wh, 0); ok {
		t.Error("a device of unknown power has a rate")
	}
	for _, c := range []struct {
		name       string
		prev, v    int64
		dt         time.Duration
		resolution float64
		want       Reason
	}{
		{"usual", 10000, 20000, time.Second, 0.1, ReasonUnknown},
		{"just allowed", 0, 15000, time.Second, 0, ReasonUnknown},
		{"too far", 0, 15001, time.Second, 0, ReasonRate},
		{"far after a gap", 0, 15001, 2 * time.Second, 0, ReasonUnknown},
		{"a coarse register steps", 0, 25000, time.Second, 1000, ReasonUnknown},
		{"reset", 99999, 0, time.Second, 0, ReasonUnknown},
		{"first", Absent, 99999, 0, 0, ReasonUnknown},
		{"clock went back", 0, 1, -time.Second, 0, ReasonRate},
	} {
		if got := CheckRate(c.prev, c.v, 1, c.dt, perSecond, c.resolution); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
