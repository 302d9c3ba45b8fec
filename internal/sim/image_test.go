package sim

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"bessd/internal/sim/plant"
)

// checker compares decoded values with the plant to half a step of the register.
type checker struct {
	t    *testing.T
	what string
	n    int
}

func (c *checker) near(name string, got, want, step float64) {
	c.t.Helper()
	c.n++
	if math.Abs(got-want) > 0.5*step*(1+1e-9)+1e-9*math.Abs(want) {
		c.t.Errorf("%s %s: served %g, plant %g (step %g)", c.what, name, got, want, step)
	}
}

func (c *checker) same(name string, got, want float64) {
	c.t.Helper()
	c.n++
	if got != want {
		c.t.Errorf("%s %s: served %g, want %g", c.what, name, got, want)
	}
}

// The checks below have the offsets of the SunSpec model files written out, so that
// they share no table with the code under test.

func check802(c *checker, in instance, b *plant.Bank, sign float64) {
	s := b.Summary()
	c.near("AHRtg", in.u(2)*in.sf(52), b.RatedAh, in.sf(52))
	c.near("WHRtg", in.u(3)*in.sf(53), b.RatedWh, in.sf(53))
	c.near("WChaRteMax", in.u(4)*in.sf(54), b.RatedW, in.sf(54))
	c.near("SoC", in.u(11)*in.sf(56), 100*b.SoC, in.sf(56))
	c.near("DoD", in.u(12)*in.sf(57), 100-100*b.SoC, in.sf(57))
	c.near("SoH", in.u(13)*in.sf(58), 100*b.SoH, in.sf(58))
	c.same("NCyc", in.u32(14), math.Floor(b.Cycles))
	c.same("ChaSt", in.u(16), float64(b.Charge))
	c.same("CtrlHb", in.u(19), 0xFFFF)
	c.same("Typ", in.u(21), 4)
	c.same("State", in.u(22), float64(b.State))
	c.same("StateVnd", in.u(23), 0xFFFF)
	c.same("WarrDt", in.u32(24), 0xFFFFFFFF)
	c.same("Evt1", in.u32(26), float64(b.Evt1))
	c.near("V", in.u(34)*in.sf(59), b.VoltageV, in.sf(59))
	c.near("CellVMax", in.u(37)*in.sf(60), s.CellV.Max.Value, in.sf(60))
	c.same("CellVMaxStr", in.u(38), float64(s.CellV.Max.Rack))
	c.same("CellVMaxMod", in.u(39), float64(s.CellV.Max.Module))
	c.near("CellVMin", in.u(40)*in.sf(60), s.CellV.Min.Value, in.sf(60))
	c.same("CellVMinStr", in.u(41), float64(s.CellV.Min.Rack))
	c.near("CellVAvg", in.u(43)*in.sf(60), s.CellV.Mean, in.sf(60))
	c.near("A", in.i(44)*in.sf(61), sign*b.CurrentA, in.sf(61))
	c.near("AChaMax", in.u(45)*in.sf(62), b.ChargeMaxA, in.sf(62))
	c.near("W", in.i(47)*in.sf(63), sign*b.PowerW, in.sf(63))
	c.same("ReqW", in.u(49), 0x8000)
}

func check803(c *checker, in instance, b *plant.Bank, sign float64) {
	s := b.Summary()
	c.same("NStr", in.u(2), float64(len(b.Racks)))
	c.same("NStrCon", in.u(3), float64(s.Connected))
	c.near("ModTmpMax", in.i(4)*in.sf(23), s.ModuleC.Max.Value, in.sf(23))
	c.same("ModTmpMaxStr", in.u(5), float64(s.ModuleC.Max.Rack))
	c.near("StrVAvg", in.u(15)*in.sf(27), s.RackV.Mean, in.sf(27))
	hi, lo := sign*s.RackA.Max.Value, sign*s.RackA.Min.Value
	if sign < 0 {
		hi, lo = lo, hi
	}
	c.near("StrAMax", in.i(16)*in.sf(24), hi, in.sf(24))
	c.near("StrAMin", in.i(18)*in.sf(24), lo, in.sf(24))
	for i, r := range b.Racks {
		at := 28 + 32*i
		c.same("StrNMod", in.u(at), float64(len(r.Modules)))
		c.same("StrSt", in.u32(at+1), 3)
		c.near("StrSoC", in.u(at+4)*in.sf(26), 100*r.SoC, in.sf(26))
		c.near("StrSoH", in.u(at+5)*in.sf(25), 100*r.SoH, in.sf(25))
		c.near("StrA", in.i(at+6)*in.sf(24), sign*r.CurrentA, in.sf(24))
		c.near("StrCellVMax", in.u(at+7)*in.sf(22), s.Racks[i].CellV.Max.Value, in.sf(22))
		c.near("StrModTmpAvg", in.i(at+16)*in.sf(23), s.Racks[i].ModuleC.Mean, in.sf(23))
		c.same("StrEvt1", in.u32(at+20), float64(r.Evt1))
		c.same("StrSetEna", in.u(at+28), 0xFFFF)
	}
}

func check804(c *checker, in instance, b *plant.Bank, sign float64) {
	r := b.Racks[int(in.u(2))-1]
	c.same("NMod", in.u(3), float64(len(r.Modules)))
	c.near("SoC", in.u(8)*in.sf(38), 100*r.SoC, in.sf(38))
	c.near("SoH", in.u(12)*in.sf(39), 100*r.SoH, in.sf(39))
	c.near("A", in.i(13)*in.sf(41), sign*r.CurrentA, in.sf(41))
	c.near("V", in.u(14)*in.sf(42), r.VoltageV, in.sf(42))
	c.same("Evt1", in.u32(28), float64(r.Evt1))
	for i := range r.Modules {
		ms, at := r.ModuleSummary(i), 48+16*i
		c.same("ModNCell", in.u(at), float64(r.CellCount()))
		c.near("ModSoC", in.u(at+1)*in.sf(38), 100*ms.SoC, in.sf(38))
		c.near("ModCellVMin", in.u(at+5)*in.sf(43), ms.CellV.Min.Value, in.sf(43))
		c.same("ModCellVMinCell", in.u(at+6), float64(ms.CellV.Min.Cell))
		c.near("ModCellTmpMax", in.i(at+8)*in.sf(44), ms.CellC.Max.Value, in.sf(44))
		c.same("pad", in.u(at+15), 0x8000)
	}
}

func check805(c *checker, in instance, b *plant.Bank) {
	r, m := b.Racks[int(in.u(2))-1], int(in.u(3))-1
	ms := r.ModuleSummary(m)
	c.same("NCell", in.u(4), float64(r.CellCount()))
	c.near("SoC", in.u(5)*in.sf(38), 100*ms.SoC, in.sf(38))
	c.near("V", in.u(10)*in.sf(41), ms.VoltageV, in.sf(41))
	c.near("CellVMax", in.u(11)*in.sf(42), ms.CellV.Max.Value, in.sf(42))
	c.same("CellTmpMinCell", in.u(19), float64(ms.CellC.Min.Cell))
	for cell := range r.CellCount() {
		at := 44 + 4*cell
		c.near("CellV", in.u(at)*in.sf(42), r.CellV(m, cell), in.sf(42))
		c.near("CellTmp", in.i(at+1)*in.sf(43), r.CellC(m, cell), in.sf(43))
		balancing := 0.0
		if r.Balancing(m, cell) {
			balancing = 1
		}
		c.same("CellSt", in.u32(at+2), balancing)
	}
}

func check701(c *checker, in instance, s *plant.Site, p *plant.PCS) {
	c.same("ACType", in.u(2), 2)
	c.near("W", in.i(10)*in.sf(116), p.ActiveW, in.sf(116))
	c.near("Var", in.i(12)*in.sf(119), p.ReactiveVar, in.sf(119))
	c.near("LLV", in.u(15)*in.sf(114), p.NominalV*s.GridPU, in.sf(114))
	c.near("Hz", in.u32(17)*in.sf(115), s.GridHz, in.sf(115))
	c.near("TotWhInj", in.u64(19)*in.sf(120), p.InjectedWh, in.sf(120))
	c.near("TotWhAbs", in.u64(23)*in.sf(120), p.AbsorbedWh, in.sf(120))
	c.same("TotVarhInj", in.u64(27), float64(math.MaxUint64))
	c.near("TmpSnk", in.i(37)*in.sf(122), p.SinkC, in.sf(122))
	c.same("TmpTrns", in.u(38), 0x8000)
	c.near("WL1+WL2+WL3", (in.i(41)+in.i(64)+in.i(87))*in.sf(116), p.ActiveW, 3*in.sf(116))
	c.same("TotVarh_SF", in.u(121), 0x8000)
}

func check714(c *checker, in instance, p *plant.PCS) {
	c.same("NPrt", in.u(4), 1)
	c.near("DCA", in.i(5)*in.sf(15), p.DCA, in.sf(15))
	c.near("DCW", in.i(6)*in.sf(17), p.DCW, in.sf(17))
	c.near("DCWhInj", in.u64(7)*in.sf(18), p.DCDischargedWh, in.sf(18))
	c.near("Prt.DCV", in.u(31)*in.sf(16), p.DCV, in.sf(16))
	c.near("Prt.DCWhAbs", in.u64(37)*in.sf(18), p.DCChargedWh, in.sf(18))
}

func check203(c *checker, in instance, s *plant.Site) {
	c.near("W", in.i(18)*in.sf(22), s.Meter.ActiveW, in.sf(22))
	c.near("VAR", in.i(28)*in.sf(32), s.Meter.ReactiveVar, in.sf(32))
	c.near("Hz", in.i(16)*in.sf(17), s.GridHz, in.sf(17))
	c.near("PPV", in.i(11)*in.sf(15), s.Meter.NominalV*s.GridPU, in.sf(15))
	c.near("TotWhExp", in.u32(38)*in.sf(54), s.Meter.ExportedWh, in.sf(54))
	c.near("TotWhImp", in.u32(46)*in.sf(54), s.Meter.ImportedWh, in.sf(54))
	c.same("TotVAhExp", in.u32(55), 0)
	c.same("TotVAh_SF", in.u(71), 0x8000)
}

func TestRegistersEqualThePlant(t *testing.T) {
	for name, change := range map[string]func(*SiteConfig){
		"single":        func(*SiteConfig) {},
		"unit per rack": func(c *SiteConfig) { c.Layout, c.Base, c.CurrentSign = LayoutUnitPerRack, 0, -1 },
		"modules apart": func(c *SiteConfig) { c.Layout, c.Base, c.Chemistry = LayoutModulesApart, 50000, "nmc" },
		"per device": func(c *SiteConfig) {
			c.Endpoints, c.Banks, c.PCS, c.CapacityAh, c.InitialSoC = EndpointPerDevice, 2, 3, 3000, 0.4
		},
		"charging, balancing": func(c *SiteConfig) { c.StartHour, c.InitialSoC = 11.9, 0.97 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := smallSite()
			cfg.Speed = 300
			change(&cfg)
			s := running(t, oneSite(cfg))
			for range 5 {
				s.Tick()
			}
			seen := map[int]int{}
			c := &checker{t: t}
			for _, ep := range s.Endpoints() {
				cl := connect(t, ep.Address)
				for _, u := range ep.Units {
					chain := cl.walk(t, u.ID, cfg.Base)
					var ids []int
					for _, in := range chain {
						ids = append(ids, in.id)
					}
					if !slices.Equal(ids, u.Models) || u.Base != cfg.Base {
						t.Errorf("unit %d serves %v, announced %v at %d", u.ID, ids, u.Models, u.Base)
					}
					err := s.Truth("alfa", func(p *plant.Site, _ uint64) {
						for _, in := range chain {
							seen[in.id]++
							c.what = u.Device
							checkInstance(c, in, p, u.Device, float64(cfg.CurrentSign))
						}
					})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			for id, want := range map[int]int{802: cfg.Banks, 803: cfg.Banks, 713: cfg.Banks, 804: 3 * cfg.Banks, 805: 6 * cfg.Banks, 701: cfg.PCS, 714: cfg.PCS, 203: 1} {
				if seen[id] != want {
					t.Errorf("%d instances of model %d, want %d", seen[id], id, want)
				}
			}
			t.Logf("%d values compared", c.n)
		})
	}
}

func checkInstance(c *checker, in instance, p *plant.Site, device string, sign float64) {
	n := int(device[len(strings.TrimRight(device, "0123456789"))] - '1')
	bank := p.Banks[0]
	if strings.HasPrefix(device, "bank2") {
		bank = p.Banks[1]
	}
	switch in.id {
	case 1:
		if got := in.text(2, 16); got != "bessd simulator" {
			c.t.Errorf("manufacturer %q", got)
		}
		if got := in.text(50, 16); got != "SIM-alfa-"+device {
			c.t.Errorf("serial number %q", got)
		}
	case 713:
		c.near("WHRtg", in.u(2)*in.sf(7), bank.RatedWh, in.sf(7))
		c.near("WHAvail", in.u(3)*in.sf(7), bank.RatedWh*bank.SoC*bank.SoH, in.sf(7))
		c.near("SoC", in.u(4)*in.sf(8), 100*bank.SoC, in.sf(8))
	case 802:
		check802(c, in, bank, sign)
	case 803:
		check803(c, in, bank, sign)
	case 804:
		check804(c, in, bank, sign)
	case 805:
		check805(c, in, bank)
	case 701:
		check701(c, in, p, p.PCS[n])
	case 714:
		check714(c, in, p.PCS[n])
	case 203:
		check203(c, in, p)
	default:
		c.t.Errorf("model %d is not checked", in.id)
	}
}

func TestBorders(t *testing.T) {
	s := running(t, oneSite(smallSite()))
	ep := s.Endpoints()[0]
	cl := connect(t, ep.Address)
	end := 40002
	for _, in := range cl.walk(t, 1, 40000) {
		end += len(in.regs)
	}
	for _, tc := range []struct {
		unit, addr, count int
		code              byte
	}{
		{1, 39999, 2, 2}, {1, 0, 1, 2}, {1, 50000, 2, 2}, {1, end + 1, 2, 2}, {1, end + 2, 1, 2}, {1, 65535, 2, 2},
		{1, 40000, 126, 3}, {1, 40000, 0, 3}, {99, 40000, 2, 0x0B},
	} {
		if _, err := cl.read(byte(tc.unit), tc.addr, tc.count, patient); !isException(err, tc.code) {
			t.Errorf("unit %d %d+%d: %v, want exception %d", tc.unit, tc.addr, tc.count, err, tc.code)
		}
	}
	if regs := cl.must(t, 1, end, 2); regs[0] != 0xFFFF || regs[1] != 0 {
		t.Errorf("end model %x", regs)
	}
}

func TestPylontech(t *testing.T) {
	cfg := smallSite()
	cfg.Map, cfg.Speed = MapPylontech, 600
	s := running(t, oneSite(cfg))
	s.Tick()
	ep := s.Endpoints()[0]
	if len(ep.Units) != 3 || ep.Units[0].Map != MapPylontech || ep.Units[1].Map != MapSunSpec || len(ep.Units[0].Models) != 0 {
		t.Fatalf("units %+v", ep.Units)
	}
	cl := connect(t, ep.Address)
	in := instance{regs: cl.must(t, 1, 0x1100, 73)}
	i32 := func(off int) float64 { return float64(int32(uint32(in.u32(off)))) }
	c := &checker{t: t, what: "pylontech"}
	_ = s.Truth("", func(p *plant.Site, _ uint64) {
		b := p.Banks[0]
		sum := b.Summary()
		if b.CurrentA < 10 {
			t.Fatalf("want a discharging bank, have %g A", b.CurrentA)
		}
		c.same("status", in.u(0), 1<<12)
		c.near("V", in.u(3)*0.1, b.VoltageV, 0.1)
		c.near("A", i32(4)*0.01, b.CurrentA, 0.01)
		c.near("temp", in.i(6)*0.1, sum.ModuleC.Mean, 0.1)
		c.near("SoC", in.u(7), 100*b.SoC, 1)
		c.near("maxChgA", i32(0xA)*0.01, b.ChargeMaxA, 0.01)
		c.near("maxDisA", i32(0xD)*0.01, b.DisMaxA, 0.01)
		c.near("cellVmax", in.u(0x10)*0.001, sum.CellV.Max.Value, 0.001)
		c.near("cellVmin", in.u(0x11)*0.001, sum.CellV.Min.Value, 0.001)
		c.near("cellTmin", in.i(0x15)*0.1, sum.CellC.Min.Value, 0.1)
		c.near("modVmax", in.u(0x18)*0.01, sum.ModuleV.Max.Value, 0.01)
		c.near("SoH", in.u(0x20), 100*b.SoH, 1)
	})
	if got := cl.must(t, 1, 0x100C, 1)[0]; got != 3 {
		t.Errorf("%d piles", got)
	}
	if _, err := cl.read(1, 0x1140, 20, patient); !isException(err, 2) {
		t.Errorf("read across the end: %v", err)
	}
}

// Equal seeds serve equal registers, however they are started.
func TestSameSeedSameRegisters(t *testing.T) {
	a, b := running(t, oneSite(smallSite())), running(t, oneSite(smallSite()))
	for range 20 {
		a.Tick()
		b.Tick()
	}
	for _, u := range a.Endpoints()[0].Units {
		x := connect(t, a.Endpoints()[0].Address).walk(t, u.ID, 40000)
		y := connect(t, b.Endpoints()[0].Address).walk(t, u.ID, 40000)
		for i := range x {
			if !slices.Equal(x[i].regs, y[i].regs) {
				t.Errorf("%s model %d differs", u.Device, x[i].id)
			}
		}
	}
}

// A read is answered from one image while images change: the served registers are
// those that the ledger's sequence number names.
func TestReadsAreAtomicAndPairWithTheLedger(t *testing.T) {
	cfg := smallSite()
	cfg.KeepImages = 3000
	s := running(t, oneSite(cfg))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.Tick()
				runtime.Gosched()
			}
		}
	}()
	cl := connect(t, s.Endpoints()[0].Address)
	const at802, hb = 40002 + 68 + 9, 18
	paired, compared := 0, 0
	for range 200 {
		regs := cl.must(t, 1, at802, 125)
		// The record follows the answer; the next one cannot come before the next read.
		var rec Record
		await(t, "the record", func() bool {
			all := s.Ledger().Records()
			if len(all) > 0 {
				rec = all[len(all)-1]
			}
			return int64(len(all)) == s.Ledger().Total() && len(all) > paired
		})
		paired++
		if rec.Heartbeat != regs[hb] || rec.Outcome != OutcomeOK || rec.Address != at802 || rec.Count != 125 || rec.Device != "bank1" {
			t.Fatalf("record %+v for heartbeat %d", rec, regs[hb])
		}
		want, err := s.Image("alfa", "bank1", rec.Seq, at802, 125)
		if err != nil {
			continue // too many refreshes since
		}
		compared++
		if !slices.Equal(want, regs) {
			t.Fatal("served registers are not those of the image")
		}
	}
	close(stop)
	<-stopped
	if compared < 20 {
		t.Errorf("only %d of 200 images were still there", compared)
	}
	if got := s.Ledger().Served("alfa", "bank1"); got.OK != 200 || got.Registers != 200*125 {
		t.Errorf("served %+v", got)
	}
}
