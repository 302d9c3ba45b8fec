package wire

import (
	"fmt"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"bessd/bess"
)

// drawPlan gives any valid plan, now and then with numbers that this vocabulary does not know.
func drawPlan(t *rapid.T) *bess.Plan {
	all := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, time.Second, 10 * time.Second, time.Minute, time.Hour}
	p := bess.Plan{
		Map:     rapid.StringMatching(`[a-z]{0,12}@[0-9]`).Draw(t, "map"),
		Periods: rapid.SliceOfN(rapid.SampledFrom(all), 1, 4).Draw(t, "periods"),
	}
	tier := rapid.Uint8Range(0, uint8(len(p.Periods)-1))
	decimals := rapid.Int8Range(0, bess.MaxDecimals)
	for _, pt := range bess.Points() {
		if !rapid.Bool().Draw(t, pt.Name) {
			continue
		}
		c := bess.Column{Num: pt.Num, Decimals: decimals.Draw(t, "decimals"), Tier: tier.Draw(t, "tier")}
		switch pt.Type {
		case bess.Text:
			p.Texts = append(p.Texts, c)
		case bess.Floats, bess.Bools:
			p.Lists = append(p.Lists, c)
		default:
			p.Columns = append(p.Columns, c)
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "unknown") {
		p.Columns = append(p.Columns, bess.Column{Num: bess.Num(len(bess.Points()) + 1 + i*777)})
	}
	for _, n := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,6}\.[a-z_]{1,9}`), 0, 4, rapid.ID).Draw(t, "extra") {
		p.Extra = append(p.Extra, bess.ExtraColumn{Name: n, Decimals: decimals.Draw(t, "decimals"), Tier: tier.Draw(t, "tier")})
	}
	slices.SortFunc(p.Extra, func(a, b bess.ExtraColumn) int { return map[bool]int{true: -1, false: 1}[a.Name < b.Name] })
	plan, err := bess.NewPlan(p)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	return plan
}

// drawScan gives any valid scan of a plan.
func drawScan(t *rapid.T, plan *bess.Plan) *bess.Scan {
	s := &bess.Scan{
		Site:    rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,31}`).Draw(t, "site"),
		Device:  rapid.StringMatching(`[a-z][a-z0-9_]{0,8}(/[a-z][a-z0-9_]{0,8}){0,4}`).Draw(t, "device"),
		Kind:    bess.Kind(rapid.IntRange(0, 255).Draw(t, "kind")),
		TS:      rapid.Int64().Draw(t, "ts"),
		ScanUS:  rapid.Int64().Draw(t, "scan_us"),
		Epoch:   rapid.Int64().Draw(t, "epoch"),
		Seq:     rapid.Int64().Draw(t, "seq"),
		Quality: bess.Quality(rapid.IntRange(0, 4).Draw(t, "quality")),
		Flags:   bess.Flags(rapid.IntRange(0, 255).Draw(t, "flags")),
	}
	s.Reset(plan)
	missing := rapid.Bool()
	number := rapid.OneOf(rapid.Int64Range(-70000, 70000), rapid.Int64Range(-math.MaxInt64, math.MaxInt64))
	element := rapid.OneOf(rapid.Int32Range(30000, 42000), rapid.Int32())
	full := rapid.Bool().Draw(t, "full")
	fill := func(v []int64) {
		for i := range v {
			if full || !missing.Draw(t, "absent") {
				v[i] = number.Draw(t, "value")
			}
		}
	}
	fill(s.Values)
	fill(s.Extra)
	for i := range s.Texts {
		if full || !missing.Draw(t, "absent") {
			s.Texts[i] = rapid.StringMatching(`(module[0-9]{2}/)?cell[0-9]{3}|é`).Draw(t, "text")
		}
	}
	for i := range s.Lists {
		if full || !missing.Draw(t, "absent") {
			s.Lists[i] = rapid.SliceOfN(element, 0, 60).Draw(t, "list")
			if s.Lists[i] == nil {
				s.Lists[i] = []int32{}
			}
		}
	}
	if n := plan.Slots(); n > 0 {
		for range rapid.IntRange(0, min(n, 5)).Draw(t, "rejected") {
			s.Rejected = append(s.Rejected, bess.Rejection{
				Slot:   uint16(rapid.IntRange(0, n-1).Draw(t, "slot")),
				Reason: bess.Reason(rapid.IntRange(0, 15).Draw(t, "reason")),
			})
		}
	}
	return s
}

// bankPlan is a bank as SunSpec 802 and 803 give it: 44 columns.
func bankPlan() *bess.Plan {
	p := bess.Plan{Map: "sunspec@1", Periods: []time.Duration{time.Second, time.Minute}}
	for _, pt := range bess.Points() {
		if pt.Kinds.Has(bess.Bank) && len(p.Columns) < 44 && pt.Type != bess.Text && pt.Type != bess.Floats && pt.Type != bess.Bools {
			c := bess.Column{Num: pt.Num, Decimals: min(pt.Decimals, 2)}
			if pt.Class == bess.Nameplate {
				c.Tier = 1
			}
			p.Columns = append(p.Columns, c)
		}
	}
	return must(bess.NewPlan(p))
}

// modulePlan is a module with 52 cells and as many temperatures, as SunSpec 805 gives it.
func modulePlan() *bess.Plan {
	return must(bess.NewPlan(bess.Plan{Map: "sunspec@1", Periods: []time.Duration{10 * time.Second},
		Columns: []bess.Column{{Num: bess.NumSocPct, Decimals: 1}, {Num: bess.NumSohPct, Decimals: 1}, {Num: bess.NumVoltageV, Decimals: 2},
			{Num: bess.NumCycleCount}, {Num: bess.NumBalancingCellCount}},
		Texts: []bess.Column{{Num: bess.NumCellVoltageMinAt}, {Num: bess.NumCellVoltageMaxAt}},
		Lists: []bess.Column{{Num: bess.NumCellVoltagesV, Decimals: 3}, {Num: bess.NumCellTemperaturesC, Decimals: 1}, {Num: bess.NumCellsBalancing}},
	}))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // a mistake in this test file
	}
	return v
}

// wave is a small repeatable movement, so that values look like a battery's and not like noise.
func wave(i, k int) int64 { return int64(math.Round(40 * math.Sin(float64(i)/97+float64(k)))) }

// bankScan is scan i of rack k as an agent sends it: 44 values.
func bankScan(plan *bess.Plan, i, k int) *bess.Scan {
	s := &bess.Scan{Site: "alfa", Device: fmt.Sprintf("bank1/rack%02d", k+1), Kind: bess.Rack, Epoch: 1795000000<<20 | 77123, Seq: int64(i),
		TS: 1795000000_000000 + int64(i)*1e6, ScanUS: 38000 + int64(i*7919%9000), Quality: bess.Good}
	s.Reset(plan)
	for j, c := range plan.Columns {
		pt := bess.PointByNum(c.Num)
		base := int64(50 * math.Pow10(int(c.Decimals)))
		switch {
		case pt.Class == bess.Counter:
			s.Values[j] = 123456*int64(math.Pow10(int(c.Decimals))) + int64(i)
		case pt.Class == bess.Gauge:
			s.Values[j] = base + wave(i, j+k)*max(1, base/2000)
		case pt.Type == bess.Enum:
			s.Values[j] = 3
		case pt.Type == bess.Bits:
			s.Values[j] = 0
		default:
			s.Values[j] = base
		}
	}
	return s
}

// moduleScan is scan i of module k: 5 numbers, 2 texts and three lists of 52.
func moduleScan(plan *bess.Plan, i, k int) *bess.Scan {
	s := &bess.Scan{Site: "alfa", Device: fmt.Sprintf("bank1/rack07/module%02d", k+1), Kind: bess.Module, Epoch: 1795000000<<20 | 77123, Seq: int64(i),
		TS: 1795000000_000000 + int64(i)*10e6, ScanUS: 138000 + int64(i*7919%9000), Quality: bess.Good}
	s.Reset(plan)
	copy(s.Values, []int64{512 + wave(i, k), 987, 17112 + wave(i, k)*4, 214, 2})
	s.Texts[0], s.Texts[1] = "cell017", fmt.Sprintf("cell%03d", 1+i/50%52)
	cells, temps, bal := make([]int32, 52), make([]int32, 52), make([]int32, 52)
	for c := range cells {
		cells[c] = 3291 + int32(c*7919%13) + int32(wave(i, k))
		temps[c] = 248 + int32(c*31%9) + int32(wave(i/9, k)/8)
	}
	bal[16], bal[40] = 1, 1
	s.Lists[0], s.Lists[1], s.Lists[2] = cells, temps, bal
	return s
}
