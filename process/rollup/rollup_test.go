package rollup

import (
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bessd/bess"
)

func mustPlan(t testing.TB, p bess.Plan) *bess.Plan {
	t.Helper()
	q, err := bess.NewPlan(p)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// testPlans are two descriptions of one device that differ in resolution and period, the last one absurdly.
func testPlans(t testing.TB) []*bess.Plan {
	mk := func(version string, every time.Duration, dec int8) *bess.Plan {
		return mustPlan(t, bess.Plan{Map: version, Periods: []time.Duration{every, 10 * time.Second}, Columns: []bess.Column{
			{Num: bess.NumPowerW, Decimals: dec},
			{Num: bess.NumCellVoltageMinV, Decimals: 3, Tier: 1},
			{Num: bess.NumCellVoltageMaxV, Decimals: 3 + dec, Tier: 1},
			{Num: bess.NumOperatingState},
			{Num: bess.NumHeartbeat},
			{Num: bess.NumAlarmBits},
			{Num: 9999}, // not in this build's vocabulary
		}, Texts: []bess.Column{{Num: bess.NumCellVoltageMinAt, Tier: 1}, {Num: bess.NumCellVoltageMaxAt, Tier: 1}}})
	}
	return []*bess.Plan{mk("a@1", time.Second, 0), mk("a@2", 200*time.Millisecond, 1), mk("a@3", math.MaxInt64/time.Minute*time.Minute, bess.MaxDecimals-3)}
}

const t0 = 1767225590_000000 // ten seconds before a midnight, so that tests cross a day

func genScans(t *rapid.T, plans []*bess.Plan) []*bess.Scan {
	n := rapid.IntRange(1, 40).Draw(t, "scans")
	out := make([]*bess.Scan, n)
	for i := range out {
		s := &bess.Scan{Site: rapid.SampledFrom([]string{"alfa", "bravo"}).Draw(t, "site"), Device: rapid.SampledFrom([]string{"bank1", "bank1/rack01"}).Draw(t, "device"),
			Kind: bess.Rack, Epoch: rapid.Int64Range(1, 2).Draw(t, "epoch"), Seq: int64(i),
			TS: t0 + rapid.Int64Range(-130, 130).Draw(t, "ts")*1e6, Quality: rapid.SampledFrom([]bess.Quality{bess.Good, bess.Partial, bess.Stale, bess.Bad}).Draw(t, "quality")}
		s.Reset(rapid.SampledFrom(plans).Draw(t, "plan"))
		for c := range s.Values {
			if rapid.IntRange(0, 4).Draw(t, "absent") == 0 {
				continue
			}
			s.Values[c] = rapid.Int64Range(-5, 5).Draw(t, "value")
			switch c {
			case 0:
				s.Values[c] = rapid.SampledFrom([]int64{-3, -1, 0, 2, 7, 1 << 40, math.MaxInt64, -math.MaxInt64}).Draw(t, "power")
			case 3:
				s.Values[c] = rapid.Int64Range(0, 30).Draw(t, "state")
			case 5:
				s.Values[c] = rapid.SampledFrom([]int64{0, 1, 6, 1 << 60}).Draw(t, "bits")
			}
		}
		for k := range s.Texts {
			s.Texts[k] = rapid.SampledFrom([]string{"", "cell001", "cell002", "module07/cell003"}).Draw(t, "at")
		}
		out[i] = s
	}
	return out
}

func sectionOf(scans []*bess.Scan) *bess.Section {
	s := bess.NewSection()
	for _, sc := range scans {
		s.Append(sc, 0)
	}
	return s
}

// partsOf makes all parts.
func partsOf(s *bess.Section) []bess.RollupPart {
	var out []bess.RollupPart
	for _, d := range Of(s) {
		out = d.Append(out, 0, d.Rows())
	}
	return out
}

// TestOrderDoesNotShow says that the parts are a function of the set of scans, to the bit.
func TestOrderDoesNotShow(t *testing.T) {
	plans := testPlans(t)
	rapid.Check(t, func(t *rapid.T) {
		scans := genScans(t, plans)
		want := MergeAll(partsOf(sectionOf(scans)))
		shuffled := slices.Clone(scans)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if d := cmp.Diff(want, MergeAll(partsOf(sectionOf(shuffled)))); d != "" {
			t.Fatal(d)
		}
	})
}

// near compares doubles that are sums: their grouping may show in the last bits, and of values that cancel out more is
// not left.
var near = cmp.Comparer(func(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-12*max(math.Abs(a), math.Abs(b), 1) })

// TestSplitsMergeToTheSame says that flush boundaries do not show once the parts are merged, in whatever order.
func TestSplitsMergeToTheSame(t *testing.T) {
	plans := testPlans(t)
	rapid.Check(t, func(t *rapid.T) {
		scans := genScans(t, plans)
		for _, s := range scans { // absurd powers cancel out in doubles; integers inside one flush are tested above
			if v := s.Values[0]; v != bess.Absent && (v > 1<<41 || v < -1<<41) {
				s.Values[0] = 41
			}
		}
		want := MergeAll(partsOf(sectionOf(scans)))
		piles := make([][]*bess.Scan, rapid.IntRange(1, 5).Draw(t, "flushes"))
		for _, s := range scans {
			i := rapid.IntRange(0, len(piles)-1).Draw(t, "flush")
			piles[i] = append(piles[i], s)
		}
		var parts []bess.RollupPart
		for _, p := range piles {
			parts = append(parts, partsOf(sectionOf(p))...)
		}
		got := MergeAll(parts)
		if d := cmp.Diff(want, got, near); d != "" {
			t.Fatal(d)
		}
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		if d := cmp.Diff(got, MergeAll(parts)); d != "" {
			t.Fatal("order of the parts shows:", d)
		}
	})
}

// TestFiguresMatchADifferentComputation recomputes sums and weights with rational numbers, row by row.
func TestFiguresMatchADifferentComputation(t *testing.T) {
	plans := testPlans(t)
	rapid.Check(t, func(t *rapid.T) {
		scans := genScans(t, plans)
		type key struct {
			site, device, point string
			epoch, minute       int64
		}
		type figures struct {
			n                     int64
			sum, weight, pos, neg *big.Rat
		}
		want := map[key]*figures{}
		for _, s := range scans {
			if s.Quality != bess.Good && s.Quality != bess.Partial {
				continue
			}
			for c, v := range s.Values {
				pt := bess.PointByNum(s.Plan.Columns[c].Num)
				if v == bess.Absent || pt == nil {
					continue
				}
				k := key{s.Site, s.Device, pt.Name, s.Epoch, time.UnixMicro(s.TS).Truncate(time.Minute).UnixMicro()}
				f := want[k]
				if f == nil {
					f = &figures{0, new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat)}
					want[k] = f
				}
				x := big.NewRat(v, int64(math.Pow10(int(s.Plan.Columns[c].Decimals))))
				p := big.NewRat(s.Plan.Periods[s.Plan.Columns[c].Tier].Microseconds(), 1e6)
				f.n++
				f.sum.Add(f.sum, x)
				f.weight.Add(f.weight, p)
				part := f.pos
				if v < 0 {
					part = f.neg
				}
				part.Add(part, new(big.Rat).Mul(x, p))
			}
		}
		got := partsOf(sectionOf(scans))
		if len(got) != len(want) {
			t.Fatalf("%d parts, want %d", len(got), len(want))
		}
		double := func(r *big.Rat) float64 { f, _ := r.Float64(); return f }
		for _, p := range got {
			f := want[key{p.Site, p.Device, p.Point, p.Epoch, p.MinuteTS}]
			if f == nil || p.N != f.n || p.WeightS != double(f.weight) {
				t.Fatalf("%+v: want %+v", p, f)
			}
			if p.Has&bess.HasSum != 0 && p.Sum != double(f.sum) {
				t.Fatalf("%s: sum %v, want %v", p.Point, p.Sum, f.sum)
			}
			if p.Has&bess.HasPosNeg != 0 && (p.Pos != double(f.pos) || p.Neg != double(f.neg)) {
				t.Fatalf("%s: pos %v neg %v, want %v %v", p.Point, p.Pos, p.Neg, f.pos, f.neg)
			}
			var spent float64
			for _, s := range p.States {
				spent += s.Seconds
			}
			if p.Point == "operating_state" && math.Abs(spent-p.WeightS) > 1e-12*p.WeightS {
				t.Fatalf("%v seconds in states of %v", spent, p.WeightS)
			}
		}
	})
}

// backlog is a section of one tick a minute, as an outage or a slow site brings them: of each value comes a part.
func backlog(t testing.TB, rows int) *bess.Section {
	var cols []bess.Column
	for _, p := range bess.Points() {
		if p.Type == bess.Double && len(cols) < 40 {
			cols = append(cols, bess.Column{Num: p.Num, Decimals: p.Decimals})
		}
	}
	plan := mustPlan(t, bess.Plan{Map: "slow@1", Periods: []time.Duration{time.Minute}, Columns: cols})
	sec := bess.NewSection()
	s := &bess.Scan{Site: "alfa", Kind: bess.Bank, Quality: bess.Good}
	for i := range rows {
		s.Reset(plan)
		s.Device = []string{"bank1", "bank2"}[i%2]
		s.Epoch, s.Seq, s.TS = int64(i/2%3/2), int64(i), t0+int64(i/3)*60e6 // some minutes have both epochs
		for c := range s.Values {
			s.Values[c] = int64(i*7+c*131) % 5000
		}
		sec.Append(s, 0)
	}
	return sec
}

// TestPartsAreNotAllInMemory says that what a flush holds for its parts is small against its scans, however many parts
// they give.
func TestPartsAreNotAllInMemory(t *testing.T) {
	sec := backlog(t, 20_000)
	Of(sec) // puts rows in order, once
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	days := Of(sec)
	parts := 0
	var made []bess.RollupPart
	for _, d := range days {
		parts += d.Rows()
		for from := 0; from < d.Rows(); from += 1000 {
			made = d.Append(made[:0], from, min(from+1000, d.Rows()))
		}
	}
	runtime.ReadMemStats(&after)
	if parts < 600_000 {
		t.Fatalf("%d parts of %d values", parts, sec.Values())
	}
	// Of each range its rows are listed anew; what is alive at a time is one range.
	if got := after.HeapAlloc; int64(got) > int64(before.HeapAlloc)+8*sec.Bytes() {
		t.Errorf("the heap grew from %d to %d for %d parts of a section of %d bytes", before.HeapAlloc, got, parts, sec.Bytes())
	}
	runtime.KeepAlive(days)
}

// TestAnyRange says that a range of parts is the same whatever was asked before.
func TestAnyRange(t *testing.T) {
	days := Of(backlog(t, 600))
	for _, d := range days {
		all := d.Append(nil, 0, d.Rows())
		if len(all) != d.Rows() || !slices.IsSortedFunc(all, compareKeys) {
			t.Fatalf("%s: %d parts of %d, or not in order", d.Date(), len(all), d.Rows())
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 100 {
			from := rng.IntN(d.Rows() + 1)
			to := from + rng.IntN(min(d.Rows()-from, 3000)+1)
			if got := d.Append([]bess.RollupPart{}, from, to); !reflect.DeepEqual(all[from:to], got) {
				t.Fatalf("%s [%d, %d): %s", d.Date(), from, to, cmp.Diff(all[from:to], got))
			}
		}
	}
	if len(days) != 2 {
		t.Errorf("%d days", len(days))
	}
}

func TestOneMinute(t *testing.T) {
	plan := testPlans(t)[0]
	row := func(seq int64, power, lo, state, alarms int64, at string) *bess.Scan {
		s := &bess.Scan{Site: "alfa", Device: "bank1", Kind: bess.Bank, Epoch: 9, Seq: seq, TS: 1767225600_000000 + seq*1e6, Quality: bess.Good}
		s.Reset(plan)
		s.Values[0], s.Values[1], s.Values[3], s.Values[5] = power, lo, state, alarms
		s.Texts[0] = at
		return s
	}
	bad := row(3, 999, 1, 0, 0, "")
	bad.Quality = bess.Stale
	got := partsOf(sectionOf([]*bess.Scan{
		row(0, 100, 3300, 5, 1, "cell004"), row(1, -40, 3290, 5, 0, "cell002"), row(2, bess.Absent, 3290, 99, 3, "cell001"), bad,
	}))
	at := func(s int64) int64 { return 1767225600_000000 + s*1e6 }
	base := bess.RollupPart{Site: "alfa", Device: "bank1", Kind: bess.Bank, Epoch: 9, MinuteTS: at(0), FirstTS: at(0), LastTS: at(2), N: 3, WeightS: 3}
	alarms, lowest, state, power := base, base, base, base
	alarms.Point, alarms.Has, alarms.BitOr, alarms.First, alarms.Last = "alarm_bits", bess.HasBitOr|bess.HasStates, 3, 1, 3
	alarms.States = []bess.StateSeconds{{State: "communication_error", Seconds: 2}, {State: "over_temperature_alarm", Seconds: 1}}
	lowest.Point, lowest.Has, lowest.WeightS = "cell_voltage_min_v", bess.HasSum, 30
	lowest.Sum, lowest.Min, lowest.Max, lowest.First, lowest.Last, lowest.AtMin = 9.88, 3.29, 3.3, 3.3, 3.29, "cell001"
	state.Point, state.Has, state.First, state.Last = "operating_state", bess.HasStates, 5, 99
	state.States = []bess.StateSeconds{{State: "running", Seconds: 2}, {State: "unknown", Seconds: 1}}
	power.Point, power.Has, power.N, power.WeightS, power.LastTS = "power_w", bess.HasSum|bess.HasPosNeg, 2, 2, at(1)
	power.Sum, power.Min, power.Max, power.First, power.Last, power.Pos, power.Neg = 60, -40, 100, 100, -40, 100, -40
	if d := cmp.Diff([]bess.RollupPart{alarms, lowest, state, power}, got); d != "" {
		t.Fatal(d)
	}
}

func BenchmarkOf(b *testing.B) {
	cols := []bess.Column{}
	for _, p := range bess.Points() {
		if p.Kinds.Has(bess.Bank) && (p.Type == bess.Double || p.Type == bess.Enum || p.Type == bess.Bits) && len(cols) < 40 {
			cols = append(cols, bess.Column{Num: p.Num, Decimals: p.Decimals})
		}
	}
	plan := mustPlan(b, bess.Plan{Map: "bench@1", Periods: []time.Duration{time.Second}, Columns: cols})
	sec := bess.NewSection()
	s := &bess.Scan{Site: "alfa", Kind: bess.Bank, Epoch: 1, Quality: bess.Good}
	for _, dev := range []string{"bank1", "bank2", "bank3", "bank4"} {
		s.Device = dev
		for i := range int64(3600) {
			s.Reset(plan)
			s.Seq, s.TS = i, 1767225600_000000+i*1e6
			for c := range s.Values {
				s.Values[c] = (i*7 + int64(c)*131) % 5000
				if bess.PointByNum(cols[c].Num).Type != bess.Double {
					s.Values[c] = 5
				}
			}
			sec.Append(s, 0)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		partsOf(sec)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(sec.Values()), "ns/value")
}
