package bess

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func plan(t testing.TB, p Plan) *Plan {
	t.Helper()
	if p.Periods == nil {
		p.Periods = []time.Duration{time.Second, 10 * time.Second}
	}
	q, err := NewPlan(p)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func deriver(t testing.TB, p *Plan) *Deriver {
	t.Helper()
	d, err := NewDeriver(p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// value gives a column of a scan; ok is false when the plan lacks it.
func value(s *Scan, n Num) (v int64, decimals int8, tier uint8, ok bool) {
	i := Find(s.Plan.Columns, n)
	if i < 0 {
		return 0, 0, 0, false
	}
	c := s.Plan.Columns[i]
	return s.Values[i], c.Decimals, c.Tier, true
}

func TestDerivePower(t *testing.T) {
	p := plan(t, Plan{Columns: []Column{{NumSocPct, 1, 0}, {NumVoltageV, 1, 1}, {NumCurrentA, 2, 0}, {NumCycleCount, 0, 0}}})
	d := deriver(t, p)
	if d.Plan().ID() != p.ID() {
		t.Errorf("plan %s, want the agent's %s", d.Plan().ID(), p.ID())
	}
	in, out := &Scan{Site: "alfa", Device: "bank1", Kind: Bank, TS: 5, ScanUS: 6, Epoch: 7, Seq: 8, Quality: Partial, Flags: ClockStepped}, &Scan{}
	in.Reset(p)
	copy(in.Values, []int64{500, 7005, -1234, 9})
	in.Rejected = []Rejection{{3, ReasonRate}}
	d.Apply(in, out)
	v, dec, tier, ok := value(out, NumPowerW)
	if !ok || v != -86442 || dec != 1 || tier != 1 { // 700.5 V x -12.34 A = -8644.17 W
		t.Errorf("power %d, decimals %d, tier %d, %v", v, dec, tier, ok)
	}
	if name := out.Plan.SlotName(int(out.Rejected[0].Slot)); name != "cycle_count" {
		t.Errorf("rejection moved to %s", name)
	}
	if v, _, _, _ := value(out, NumCycleCount); v != 9 {
		t.Errorf("cycle_count %d", v)
	}
	if out.Device != in.Device || out.Seq != in.Seq || out.Quality != in.Quality || out.Flags != in.Flags || out.Epoch != in.Epoch || out.TS != in.TS || out.ScanUS != in.ScanUS || out.Kind != in.Kind || out.Site != in.Site {
		t.Errorf("identity changed: %+v", out)
	}
	in.Values[1] = Absent // the slower tier was not due
	d.Apply(in, out)
	if v, _, _, _ := value(out, NumPowerW); v != Absent {
		t.Errorf("power of half its inputs: %d", v)
	}
	in.Values[1], in.Values[2] = 1<<62, 1<<62
	d.Apply(in, out)
	if v, _, _, _ := value(out, NumPowerW); v != Absent {
		t.Errorf("power of an overflow: %d", v)
	}
	in.Values[1], in.Values[2] = 20000, 2000000 // 2 kV x 20 kA is beyond the range of power_w
	d.Apply(in, out)
	if v, _, _, _ := value(out, NumPowerW); v != Absent {
		t.Errorf("power out of range: %d", v)
	}
}

// What the device has is never computed, not even where a value is missing.
func TestDeriveLeavesOwnColumnsAlone(t *testing.T) {
	p := plan(t, Plan{Columns: []Column{{NumVoltageV, 1, 0}, {NumCurrentA, 1, 0}, {NumPowerW, 0, 0}}})
	d := deriver(t, p)
	if d.Plan() != p {
		t.Error("a new plan where nothing is derived")
	}
	in, out := &Scan{}, &Scan{}
	in.Reset(p)
	in.Values[0], in.Values[1] = 7000, 100
	in.Rejected = []Rejection{{2, ReasonRange}}
	d.Apply(in, out)
	if out.Values[2] != Absent || len(out.Rejected) != 1 {
		t.Errorf("power %d, rejected %v", out.Values[2], out.Rejected)
	}
}

func TestDeriveCells(t *testing.T) {
	p := plan(t, Plan{
		Columns: []Column{{NumCellVoltageMaxV, 3, 0}, {NumRackCount, 0, 0}},
		Texts:   []Column{{NumCellTemperatureMaxAt, 0, 0}},
		Lists:   []Column{{NumCellVoltagesV, 3, 1}, {NumCellTemperaturesC, 1, 1}},
		Extra:   []ExtraColumn{{"map.x", 1, 0}},
	})
	d := deriver(t, p)
	in, out := &Scan{}, &Scan{}
	in.Reset(p)
	in.Values[0] = 3400
	in.Texts[0] = "cell099"
	in.Extra[0] = 77
	in.Lists[0] = []int32{AbsentElement, 3301, 3299, 3305, 3299, AbsentElement}
	in.Lists[1] = []int32{-5, 250, 251}
	in.Rejected = []Rejection{{2, ReasonSentinel}, {3, ReasonComm}, {5, ReasonRange}} // the text, the first list, the extra point
	d.Apply(in, out)
	for _, c := range []struct {
		n        Num
		v        int64
		decimals int8
	}{
		{NumCellVoltageMinV, 3299, 3}, {NumCellVoltageMaxV, 3400, 3}, {NumCellVoltageAvgV, 33010, 4}, // (3301+3299+3305+3299)/4 = 3301.0
		{NumCellTemperatureMinC, -5, 1}, {NumCellTemperatureMaxC, 251, 1}, {NumCellTemperatureAvgC, 1653, 2}, // 49.6/3 = 16.533
	} {
		if v, dec, _, ok := value(out, c.n); !ok || v != c.v || dec != c.decimals {
			t.Errorf("%s: %d at %d decimals, %v, want %d at %d", PointByNum(c.n).Name, v, dec, ok, c.v, c.decimals)
		}
	}
	for _, c := range []struct {
		n    Num
		want string
		have bool
	}{
		{NumCellVoltageMinAt, "cell003", true}, {NumCellVoltageMaxAt, "", false}, // the maximum is the device's own
		{NumCellTemperatureMinAt, "sensor001", true}, {NumCellTemperatureMaxAt, "cell099", true},
	} {
		i := Find(out.Plan.Texts, c.n)
		if i >= 0 != c.have || c.have && out.Texts[i] != c.want {
			t.Errorf("%s: %v, want %q", PointByNum(c.n).Name, out.Texts, c.want)
		}
	}
	var names []string
	for _, r := range out.Rejected {
		names = append(names, out.Plan.SlotName(int(r.Slot)))
	}
	if want := []string{"cell_temperature_max_at", "cell_voltages_v", "map.x"}; !slices.Equal(names, want) {
		t.Errorf("rejections moved to %v, want %v", names, want)
	}
	if out.Extra[0] != 77 {
		t.Errorf("extra %v", out.Extra)
	}

	in.Lists[1] = []int32{250, 1, 251, 252, 253, 254} // as many as cells
	d.Apply(in, out)
	if got := out.Texts[Find(out.Plan.Texts, NumCellTemperatureMinAt)]; got != "cell002" {
		t.Errorf("got %s", got)
	}
	in.Lists[0], in.Lists[1] = nil, []int32{AbsentElement}
	d.Apply(in, out)
	for _, n := range []Num{NumCellVoltageMinV, NumCellVoltageAvgV, NumCellTemperatureMaxC} {
		if v, _, _, _ := value(out, n); v != Absent {
			t.Errorf("%s: %d of nothing", PointByNum(n).Name, v)
		}
	}
}

func TestLocatorWidth(t *testing.T) {
	l := locators{prefix: "cell"}
	for _, c := range []struct {
		i, n int
		want string
	}{{0, 1, "cell001"}, {998, 999, "cell999"}, {11, 1000, "cell0012"}, {9999, 10000, "cell10000"}, {4, 24, "cell005"}} {
		if got := l.at(c.i, c.n); got != c.want {
			t.Errorf("at(%d, %d) = %s, want %s", c.i, c.n, got, c.want)
		}
	}
}

// Power is the exact product, rounded once, half away from zero.
func TestDerivePowerIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dv, dc := rapid.Int8Range(0, 3).Draw(t, "dv"), rapid.Int8Range(0, 3).Draw(t, "dc")
		p, err := NewPlan(Plan{Periods: []time.Duration{time.Second}, Columns: []Column{{NumVoltageV, dv, 0}, {NumCurrentA, dc, 0}}})
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDeriver(p)
		if err != nil {
			t.Fatal(err)
		}
		in, out := &Scan{}, &Scan{}
		in.Reset(p)
		in.Values[0] = rapid.Int64Range(0, 1500000).Draw(t, "v") / pow10i[3-dv]
		in.Values[1] = rapid.Int64Range(-5000000, 5000000).Draw(t, "a") / pow10i[3-dc]
		d.Apply(in, out)
		v, dec, _, _ := value(out, NumPowerW)
		exact := new(big.Rat).Mul(big.NewRat(in.Values[0], pow10i[dv]), big.NewRat(in.Values[1], pow10i[dc]))
		err2 := new(big.Rat).Sub(exact, big.NewRat(v, pow10i[dec]))
		if err2.Abs(err2).Cmp(big.NewRat(1, 2*pow10i[dec])) > 0 {
			t.Fatalf("%d x %d = %d at %d decimals", in.Values[0], in.Values[1], v, dec)
		}
	})
}

func TestDeriveAllocations(t *testing.T) {
	p := plan(t, Plan{Columns: []Column{{NumVoltageV, 1, 0}, {NumCurrentA, 1, 0}}, Lists: []Column{{NumCellVoltagesV, 3, 0}, {NumCellTemperaturesC, 1, 0}}})
	d := deriver(t, p)
	in, out := &Scan{}, &Scan{}
	in.Reset(p)
	in.Values[0], in.Values[1] = 7000, 100
	in.Lists[0], in.Lists[1] = make([]int32, 52), make([]int32, 4)
	d.Apply(in, out)
	if n := testing.AllocsPerRun(100, func() { d.Apply(in, out) }); n > 0 {
		t.Errorf("%v allocations a scan", n)
	}
}
