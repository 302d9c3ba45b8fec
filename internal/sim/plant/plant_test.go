package plant

import (
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func small(c Chemistry) Params {
	p := DefaultParams()
	p.Chemistry, p.Racks, p.ModulesPerRack, p.CellsPerModule = c, 3, 3, 4
	p.CapacityAh = 2000 // cells in parallel: the energy of a real bank, quick to step
	return p
}

func mustNew(t testing.TB, p Params) *Site {
	t.Helper()
	s, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// digest covers every cell and the sums, bit by bit.
func digest(s *Site) uint64 {
	h := fnv.New64a()
	for _, b := range s.Banks {
		fmt.Fprintf(h, "%x %x %x %x %x|", b.VoltageV, b.CurrentA, b.DischargeWh, b.ChargedWh, b.AirC)
		for _, r := range b.Racks {
			fmt.Fprintf(h, "%x %x %x|", r.CurrentA, r.SoH, r.soc)
			fmt.Fprintf(h, "%x", r.cellV)
		}
	}
	fmt.Fprintf(h, "%x %x %x", s.Meter.ActiveW, s.GridHz, s.Meter.ImportedWh)
	return h.Sum64()
}

func TestSameSeedSamePlant(t *testing.T) {
	a, b := mustNew(t, small(LFP)), mustNew(t, small(LFP))
	p := small(LFP)
	p.Seed = 2
	other := mustNew(t, p)
	for range 5000 {
		a.Step()
		b.Step()
		other.Step()
	}
	if digest(a) != digest(b) {
		t.Error("two plants of one seed differ after 5000 steps")
	}
	if digest(a) == digest(other) {
		t.Error("plants of two seeds are equal")
	}
}

// checkLaws checks what must hold after any step.
func checkLaws(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *Site) {
	t.Helper()
	dc, aux := 0.0, 0.0
	for bi, b := range s.Banks {
		amps := 0.0
		for ri, r := range b.Racks {
			amps += r.CurrentA
			sum := 0.0
			for _, v := range r.cellV {
				if math.IsNaN(v) || v < 1 || v > 5 {
					t.Fatalf("%.1f h: bank %d rack %d has a cell at %g V", s.HourOfDay(), bi, ri, v)
				}
				sum += v
			}
			if r.Connected && math.Abs(sum-r.VoltageV) > 0.005*r.VoltageV {
				t.Fatalf("%.1f h: rack %d: cells sum to %.2f V, rack has %.2f V", s.HourOfDay(), ri, sum, r.VoltageV)
			}
			if r.Connected && math.Abs(r.VoltageV-b.VoltageV) > 1e-6*b.VoltageV {
				t.Fatalf("%.1f h: rack %d has %.6f V on a bus of %.6f V", s.HourOfDay(), ri, r.VoltageV, b.VoltageV)
			}
			if r.SoC < 0 || r.SoC > 1 || !(r.SoH > 0.5 && r.SoH <= 1) {
				t.Fatalf("rack %d: soc %g soh %g", ri, r.SoC, r.SoH)
			}
			for m := range r.Modules {
				for c := range r.cellsPer {
					if x := r.CellC(m, c); math.IsNaN(x) || x < -40 || x > 90 {
						t.Fatalf("rack %d module %d cell %d at %g degC", ri, m, c, x)
					}
				}
			}
		}
		if math.Abs(amps-b.CurrentA) > 1e-6*b.RatedAh {
			t.Fatalf("%.1f h: racks carry %g A, the bank %g A", s.HourOfDay(), amps, b.CurrentA)
		}
		if math.Abs(b.VoltageV*b.CurrentA-b.PowerW) > 1e-6*b.RatedW {
			t.Fatalf("V x A = %g W, power %g W", b.VoltageV*b.CurrentA, b.PowerW)
		}
		dc += b.PowerW
		aux += b.AuxW
	}
	ac := 0.0
	for i, p := range s.PCS {
		if loss := p.DCW - p.ActiveW; loss <= 0 || loss > 0.05*p.RatedW+41 {
			t.Fatalf("pcs %d loses %g W at %g W", i, loss, p.DCW)
		}
		ac += p.ActiveW
	}
	if len(s.PCS) >= len(s.Banks) && math.Abs(ac-aux-s.Meter.ActiveW) > 1e-6*math.Abs(dc)+1e-6 {
		t.Fatalf("meter %g W, converters less auxiliaries %g W", s.Meter.ActiveW, ac-aux)
	}
}

func TestLawsHoldOverADayAndAHealthyPlantIsQuiet(t *testing.T) {
	for _, c := range []Chemistry{LFP, NMC} {
		t.Run(string(c), func(t *testing.T) {
			s := mustNew(t, small(c))
			states := map[ChargeState]bool{}
			for i := range 86400 {
				s.Step()
				if i%7 == 0 {
					checkLaws(t, s)
				}
				b := s.Banks[0]
				states[b.Charge] = true
				if b.Evt1 != 0 {
					t.Fatalf("%.2f h: a healthy bank raised %#x (soc %.3f)", s.HourOfDay(), b.Evt1, b.SoC)
				}
			}
			for _, want := range []ChargeState{ChargeCharging, ChargeDischarging, ChargeHolding} {
				if !states[want] {
					t.Errorf("a day without charge state %d", want)
				}
			}
		})
	}
}

// A cycle from one state of charge back to it: what the cells store less is what was
// given less what was taken less losses, and efficiencies are those of real plants.
func TestEnergyIsConservedOverCycles(t *testing.T) {
	for _, c := range []Chemistry{LFP, NMC} {
		t.Run(string(c), func(t *testing.T) {
			params := small(c)
			params.StepS = 4
			s := mustNew(t, params)
			b, p := s.Banks[0], s.PCS[0]
			for s.ElapsedS < 29*3600 { // to the end of the second evening, when the bank is empty
				s.Step()
			}
			stored, in, out, loss, soc := b.StoredWh(), b.ChargedWh, b.DischargeWh, b.LossWh(), b.SoC
			acIn, acOut, mIn, mOut := p.AbsorbedWh, p.InjectedWh, s.Meter.ImportedWh, s.Meter.ExportedWh
			for end := s.ElapsedS + 2*86400; s.ElapsedS < end; {
				s.Step()
				if s.Steps%900 != 0 {
					continue
				}
				given := b.ChargedWh - in - (b.DischargeWh - out) - (b.LossWh() - loss)
				if gap := b.StoredWh() - stored - given; math.Abs(gap) > 0.003*b.RatedWh {
					t.Fatalf("%.1f h: stored %+.0f Wh, given less taken and lost %.0f Wh", s.HourOfDay(), b.StoredWh()-stored, given)
				}
			}
			in, out = b.ChargedWh-in, b.DischargeWh-out
			acIn, acOut = p.AbsorbedWh-acIn, p.InjectedWh-acOut
			mIn, mOut = s.Meter.ImportedWh-mIn, s.Meter.ExportedWh-mOut
			if in < 1.2*b.RatedWh {
				t.Fatalf("only %.0f Wh charged in two days of a %.0f Wh bank", in, b.RatedWh)
			}
			if math.Abs(b.SoC-soc) > 0.01 {
				t.Errorf("soc %.3f after two days, was %.3f", b.SoC, soc)
			}
			within := func(name string, v, lo, hi float64) {
				t.Logf("%s %.4f", name, v)
				if v < lo || v > hi {
					t.Errorf("%s = %.4f, want %.2f..%.2f", name, v, lo, hi)
				}
			}
			within("dc efficiency", out/in, 0.94, 0.985)
			within("ac efficiency", acOut/acIn, 0.88, 0.96)
			within("meter efficiency", mOut/mIn, 0.75, 0.94)
		})
	}
}

// Charging for hours at full power must fold back, not trip; the same for discharging.
func TestLimitsFoldBackAtBothEnds(t *testing.T) {
	for _, c := range []Chemistry{LFP, NMC} {
		for _, rate := range []float64{-MaxCRate, MaxCRate} {
			t.Run(fmt.Sprintf("%s %+.1fC", c, rate), func(t *testing.T) {
				p := small(c)
				p.Duty = []DutySlot{{0, 24, rate}}
				s := mustNew(t, p)
				b := s.Banks[0]
				cell := *b.chem
				b.chem.SoCMin, b.chem.SoCMax = -1, 2 // no energy manager: the BMS alone
				for i := range 8 * 3600 {
					s.Step()
					if i%60 == 0 {
						checkLaws(t, s)
					}
				}
				if b.State != BankConnected || b.Evt1&EvtAlarms != 0 {
					t.Errorf("state %d, events %#x: the bank tripped", b.State, b.Evt1)
				}
				if math.Abs(b.CurrentA) > 0.06*b.RatedAh {
					t.Errorf("still %.1f A after eight hours", b.CurrentA)
				}
				for _, r := range b.Racks {
					if r.CellMaxV > cell.OverVAlarm.Set || r.CellMinV < cell.UnderVAlarm.Set {
						t.Errorf("cells at %.3f..%.3f V", r.CellMinV, r.CellMaxV)
					}
				}
			})
		}
	}
}

func TestWeakCellShowsUnderLoadAndHeals(t *testing.T) {
	s := mustNew(t, small(LFP))
	b := s.Banks[0]
	if !b.Racks[1].SetWeak(2, 2, 5, 0.6) {
		t.Fatal("SetWeak refused an existing cell")
	}
	for _, at := range [][2]int{{3, 0}, {0, 4}, {-1, 0}} {
		if b.Racks[1].SetWeak(at[0], at[1], 5, 1) {
			t.Errorf("SetWeak took cell %v", at)
		}
	}
	for range 3 * 3600 / 2 {
		s.Step()
	}
	sum := b.Summary()
	if b.CurrentA <= 0 {
		t.Fatalf("current %g A in the evening", b.CurrentA)
	}
	want := At{Value: sum.CellV.Min.Value, Rack: 2, Module: 3, Cell: 3}
	if sum.CellV.Min != want {
		t.Errorf("lowest cell %+v, want %+v", sum.CellV.Min, want)
	}
	hot := At{Value: sum.CellC.Max.Value, Rack: 2, Module: 3, Cell: 3}
	if sum.CellC.Max != hot {
		t.Errorf("hottest cell %+v, want %+v", sum.CellC.Max, hot)
	}
	checkLaws(t, s)
	before := b.Racks[1].Modules[2].sumFactor
	b.Racks[1].Heal()
	if after := b.Racks[1].Modules[2].sumFactor; after >= before || math.Abs(after-4) > 0.5 {
		t.Errorf("resistance factors sum to %g after healing, %g before", after, before)
	}
}

func TestOpenContactorMovesTheCurrentToTheOthers(t *testing.T) {
	s := mustNew(t, small(LFP))
	b := s.Banks[0]
	for range 1800 {
		s.Step()
	}
	power := b.PowerW
	b.Racks[0].OpenContactor(true)
	for range 5 {
		s.Step()
	}
	if b.Racks[0].Connected || b.Racks[0].CurrentA != 0 || b.Evt1&EvtContactorError == 0 || b.Summary().Connected != 2 {
		t.Errorf("connected %v, %g A, events %#x", b.Racks[0].Connected, b.Racks[0].CurrentA, b.Evt1)
	}
	if math.Abs(b.PowerW-power) > 0.2*power {
		t.Errorf("bank power fell from %g to %g W", power, b.PowerW)
	}
	checkLaws(t, s)
	for _, r := range b.Racks {
		r.OpenContactor(true)
	}
	for range 2 {
		s.Step()
	}
	if b.State != BankFault || b.VoltageV != 0 || b.CurrentA != 0 || s.PCS[0].Running {
		t.Errorf("all racks open: state %d, %g V, %g A", b.State, b.VoltageV, b.CurrentA)
	}
	for _, r := range b.Racks {
		r.OpenContactor(false)
	}
	for range 2 {
		s.Step()
	}
	if b.State != BankConnected || b.Evt1 != 0 {
		t.Errorf("closed again: state %d, events %#x", b.State, b.Evt1)
	}
}

func TestHotRackTripsAndComesBackWhenItMatchesTheBus(t *testing.T) {
	s := mustNew(t, small(LFP))
	b := s.Banks[0]
	heat := func(tempC float64) {
		for m := range b.Racks[0].Modules {
			b.Racks[0].Modules[m].TempC = tempC
		}
	}
	for range 30 {
		heat(58)
		s.Step()
	}
	if b.Racks[0].Connected || b.Evt1&EvtOverTempAlarm == 0 || b.State != BankConnected {
		t.Fatalf("at 58 degC: connected %v, events %#x, state %d", b.Racks[0].Connected, b.Evt1, b.State)
	}
	heat(25)
	for range 50 {
		s.Step()
	}
	if b.Racks[0].Connected {
		t.Error("back before its waiting time")
	}
	for range 120 {
		s.Step()
	}
	if !b.Racks[0].Connected || b.Evt1&EvtAlarms != 0 {
		t.Errorf("cooled down: connected %v, events %#x", b.Racks[0].Connected, b.Evt1)
	}
	checkLaws(t, s)
}

func TestAlarmsNeedTheirDelayAndClearWithHysteresis(t *testing.T) {
	cell, _ := cellOf(LFP)
	rules := alarmRules(cell)
	r := rackReading{cellMaxV: 3.5, cellMinV: 3.5, modMaxC: 25, modMinC: 24, soc: 0.5}
	var a alarms
	run := func(seconds int) uint32 {
		for range seconds {
			a.evaluate(rules, &r, 1)
		}
		return a.bits
	}
	r.cellMaxV = 3.61
	if got := run(19); got != 0 {
		t.Errorf("warning before its delay: %#x", got)
	}
	if got := run(1); got != EvtOverVoltWarning {
		t.Errorf("after 20 s: %#x", got)
	}
	r.cellMaxV = 3.55 // between clear and set
	if got := run(100); got != EvtOverVoltWarning {
		t.Errorf("inside the band: %#x", got)
	}
	r.cellMaxV = 3.51
	if got := run(1); got != 0 {
		t.Errorf("below the band: %#x", got)
	}
	r.cellMinV, r.modMaxC, r.soc = 2.4, 56, 0.01
	if got := run(60); got != EvtUnderVoltAlarm|EvtUnderVoltWarning|EvtOverTempAlarm|EvtOverTempWarning|EvtTempImbalance|EvtTempImbalanceAlarm|
		EvtUnderSoCAlarm|EvtUnderSoCWarning|EvtVoltageImbalance {
		t.Errorf("all at once: %#x", got)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	_, err := New(Params{Chemistry: "nimh", Racks: -1, StartHour: 25, Duty: []DutySlot{{0, 30, 2}}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"chemistry", "banks", "racks", "modules_per_rack", "cells_per_module", "step", "start_hour", "duty[0]: hours", "duty[0]: c_rate"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
}

func TestLawsHoldForAnyPlant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := DefaultParams()
		p.Seed = rapid.Uint64().Draw(t, "seed")
		p.Chemistry = rapid.SampledFrom([]Chemistry{LFP, NMC}).Draw(t, "chemistry")
		p.Banks = rapid.IntRange(1, 3).Draw(t, "banks")
		p.Racks = rapid.IntRange(1, 5).Draw(t, "racks")
		p.ModulesPerRack = rapid.IntRange(1, 4).Draw(t, "modules")
		p.CellsPerModule = rapid.IntRange(1, 8).Draw(t, "cells")
		p.CapacityAh = rapid.SampledFrom([]float64{0, 5, 100, 1000}).Draw(t, "ah")
		p.PCS = rapid.IntRange(0, 4).Draw(t, "pcs")
		p.StepS = rapid.SampledFrom([]float64{0.1, 1, 10}).Draw(t, "step")
		p.InitialSoC = rapid.Float64Range(0, 1).Draw(t, "soc")
		p.AmbientC = rapid.Float64Range(-30, 50).Draw(t, "ambient")
		p.Duty = []DutySlot{{0, 24, rapid.Float64Range(-MaxCRate, MaxCRate).Draw(t, "rate")}}
		s, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			s.Step()
			if i%100 == 0 {
				checkLaws(t, s)
			}
		}
	})
}

// BenchmarkStep is four sites of 12 racks x 8 modules x 52 cells, one second of plant
// time each: ns/op over 1e9 is the share of a core at speed 1.
func BenchmarkStep(b *testing.B) {
	var sites []*Site
	cells := 0
	for i := range 4 {
		p := DefaultParams()
		p.Seed, p.CellsPerModule = uint64(i+1), 52
		sites = append(sites, mustNew(b, p))
		cells += p.Racks * p.ModulesPerRack * p.CellsPerModule
	}
	for b.Loop() {
		for _, s := range sites {
			s.Step()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(cells), "ns/cell")
}
