package sim

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bessd/internal/sim/plant"
)

// dumped is what scripts/judge/sunspec_dump.py prints; nil values are not implemented.
type dumped struct {
	Base   int
	Models []struct {
		ID, Addr, Len int
		Error         string
		Points        map[string]any
		Groups        map[string][]map[string]any
	}
}

// dump reads a unit with pysunspec2.
func dump(t *testing.T, python, addr string, unit uint8) dumped {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../../scripts/judge/sunspec_dump.py")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, script, host, port, fmt.Sprint(unit)).Output()
	if err != nil {
		if ee, ok := err.(*exec.ExitError); ok {
			t.Logf("%s", ee.Stderr)
		}
		t.Fatalf("running the judge: %v", err)
	}
	var d dumped
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("judge printed %.200s: %v", out, err)
	}
	return d
}

// TestPySunSpec2ReadsThePlant lets a SunSpec client that nobody here wrote read the
// simulator over TCP, and compares its points with the plant.
func TestPySunSpec2ReadsThePlant(t *testing.T) {
	python := os.Getenv("BESSD_PYTHON")
	if python == "" {
		t.Skip("SKIPPED JUDGE: set BESSD_PYTHON to a python that has pysunspec2==1.3.7 to check the simulator against it")
	}
	for _, variant := range []struct {
		layout, chemistry string
		base, sign        int
	}{{LayoutSingle, "lfp", 40000, 1}, {LayoutUnitPerRack, "nmc", 0, -1}, {LayoutModulesApart, "lfp", 50000, 1}} {
		t.Run(variant.layout, func(t *testing.T) {
			cfg := smallSite()
			cfg.Layout, cfg.Chemistry, cfg.Base, cfg.CurrentSign, cfg.Speed = variant.layout, variant.chemistry, variant.base, variant.sign, 900
			s := running(t, oneSite(cfg))
			s.Tick()
			s.Tick()
			ep, seen := s.Endpoints()[0], map[int]int{}
			c := &checker{t: t}
			absent := 0
			for _, u := range ep.Units {
				d := dump(t, python, ep.Address, u.ID)
				if d.Base != variant.base {
					t.Errorf("found at %d, served at %d", d.Base, variant.base)
				}
				var ids []int
				for _, m := range d.Models {
					ids = append(ids, m.ID)
					seen[m.ID]++
					if m.Error != "" {
						t.Errorf("%s model %d: %s", u.Device, m.ID, m.Error)
					}
					for _, v := range m.Points {
						if v == nil {
							absent++
						}
					}
					_ = s.Truth("", func(p *plant.Site, _ uint64) {
						c.what = fmt.Sprintf("%s model %d", u.Device, m.ID)
						judge(c, m.ID, m.Points, m.Groups, p, float64(variant.sign))
					})
				}
				if !slices.Equal(ids, u.Models) {
					t.Errorf("%s: models %v, announced %v", u.Device, ids, u.Models)
				}
			}
			if seen[804] != 3 || seen[805] != 6 || seen[802] != 1 || seen[203] != 1 {
				t.Errorf("models %v", seen)
			}
			t.Logf("%d values compared, %d points not implemented", c.n, absent)
		})
	}
}

// num is a value of the judge; NaN, which no check passes, when it has none.
func num(points map[string]any, name string) float64 {
	if v, ok := points[name].(float64); ok {
		return v
	}
	return math.NaN()
}

// judge compares one model; steps are the resolutions that the simulator documents.
func judge(c *checker, id int, pt map[string]any, groups map[string][]map[string]any, p *plant.Site, sign float64) {
	b := p.Banks[0]
	sum := b.Summary()
	near := func(points map[string]any, name string, want, step float64) {
		c.t.Helper()
		got := num(points, name)
		if math.IsNaN(got) {
			c.t.Errorf("%s: %s is %v", c.what, name, points[name])
		}
		c.near(name, got, want, step)
	}
	none := func(names ...string) {
		c.t.Helper()
		for _, n := range names {
			if v, ok := pt[n]; !ok || v != nil {
				c.t.Errorf("%s: %s is %v, want not implemented", c.what, n, v)
			}
		}
	}
	switch id {
	case 1:
		if md, ok := pt["Md"].(string); !ok || md == "" || !strings.HasPrefix(fmt.Sprint(pt["SN"]), "SIM-alfa-") {
			c.t.Errorf("common %v", pt)
		}
	case 713:
		near(pt, "WHRtg", b.RatedWh, 10)
		near(pt, "WHAvail", b.RatedWh*b.SoC*b.SoH, 10)
		near(pt, "SoC", 100*b.SoC, 0.1)
		near(pt, "SoH", 100*b.SoH, 0.1)
	case 802:
		none("DisChaRte", "SocRsvMax", "CtrlHb", "StateVnd", "WarrDt", "ReqW", "ReqInvState")
		near(pt, "AHRtg", b.RatedAh, 1)
		near(pt, "WDisChaRteMax", b.RatedW, 10)
		near(pt, "SoC", 100*b.SoC, 0.1)
		near(pt, "V", b.VoltageV, 0.1)
		near(pt, "VMax", b.MaxVoltageV(), 0.1)
		near(pt, "A", sign*b.CurrentA, 0.1)
		near(pt, "W", sign*b.PowerW, 10)
		near(pt, "CellVMin", sum.CellV.Min.Value, 0.001)
		near(pt, "CellVMinStr", float64(sum.CellV.Min.Rack), 0)
		near(pt, "NCyc", math.Floor(b.Cycles), 0)
		near(pt, "ADisChaMax", b.DisMaxA, 0.1)
		near(pt, "ChaSt", float64(b.Charge), 0)
		near(pt, "Evt1", float64(b.Evt1), 0)
	case 803:
		near(pt, "NStr", float64(len(b.Racks)), 0)
		near(pt, "ModTmpMax", sum.ModuleC.Max.Value, 0.1)
		near(pt, "StrVMin", sum.RackV.Min.Value, 0.1)
		strings := groups["string"]
		if len(strings) != len(b.Racks) {
			c.t.Fatalf("%s: %d strings", c.what, len(strings))
		}
		for i, r := range b.Racks {
			near(strings[i], "StrA", sign*r.CurrentA, 0.1)
			near(strings[i], "StrSoC", 100*r.SoC, 0.1)
			near(strings[i], "StrCellVAvg", sum.Racks[i].CellV.Mean, 0.001)
			near(strings[i], "StrSt", 3, 0)
		}
	case 804:
		r := b.Racks[int(num(pt, "Idx"))-1]
		near(pt, "V", r.VoltageV, 0.1)
		near(pt, "A", sign*r.CurrentA, 0.1)
		near(pt, "SoH", 100*r.SoH, 0.1)
		none("SetEna", "SetCon")
		modules := groups["lithium_ion_string_module"]
		if len(modules) != len(r.Modules) {
			c.t.Fatalf("%s: %d modules", c.what, len(modules))
		}
		for m, g := range modules {
			ms := r.ModuleSummary(m)
			near(g, "ModCellVMax", ms.CellV.Max.Value, 0.001)
			near(g, "ModCellTmpMin", ms.CellC.Min.Value, 0.1)
			near(g, "ModCellTmpMinCell", float64(ms.CellC.Min.Cell), 0)
		}
	case 805:
		r, m := b.Racks[int(num(pt, "StrIdx"))-1], int(num(pt, "ModIdx"))-1
		ms := r.ModuleSummary(m)
		near(pt, "V", ms.VoltageV, 0.01)
		near(pt, "SoC", 100*ms.SoC, 0.1)
		cells := groups["lithium-ion-module-cell"]
		if len(cells) != r.CellCount() {
			c.t.Fatalf("%s: %d cells", c.what, len(cells))
		}
		sumV := 0.0
		for i, g := range cells {
			near(g, "CellV", r.CellV(m, i), 0.001)
			near(g, "CellTmp", r.CellC(m, i), 0.1)
			sumV += num(g, "CellV")
		}
		c.near("sum of CellV", sumV, ms.VoltageV, 0.001*float64(len(cells)))
	case 701:
		x := p.PCS[0]
		none("TotVarhInj", "TmpOt", "ThrotPct", "MnAlrmInfo")
		near(pt, "W", x.ActiveW, 10)
		near(pt, "Var", x.ReactiveVar, 10)
		near(pt, "Hz", p.GridHz, 0.001)
		near(pt, "LLV", x.NominalV*p.GridPU, 0.1)
		near(pt, "TotWhInj", x.InjectedWh, 1)
		near(pt, "TmpCab", x.CabinetC, 0.1)
	case 714:
		x := p.PCS[0]
		near(pt, "DCW", x.DCW, 10)
		near(pt, "DCWhAbs", x.DCChargedWh, 1)
		if len(groups["Prt"]) != 1 {
			c.t.Fatalf("%s: %d ports", c.what, len(groups["Prt"]))
		}
		near(groups["Prt"][0], "DCV", x.DCV, 0.1)
		near(groups["Prt"][0], "DCA", x.DCA, 0.1)
	case 203:
		near(pt, "W", p.Meter.ActiveW, 10)
		near(pt, "Hz", p.GridHz, 0.01)
		near(pt, "TotWhExp", p.Meter.ExportedWh, 1)
		near(pt, "PhVphA", p.Meter.NominalV*p.GridPU*p.PhasePU[0]/math.Sqrt(3), 0.1)
	default:
		c.t.Errorf("%s is not judged", c.what)
	}
}
