package sim

import (
	"fmt"
	"math"

	"bessd/internal/sim/plant"
)

// view is what the registers of one refresh are made from.
type view struct {
	site  *plant.Site
	banks []plant.BankSummary
	hb    uint16
	sign  float64 // of DC current and power
}

func newView(site *plant.Site, hb uint16, sign int) *view {
	v := &view{site: site, hb: hb, sign: float64(sign)}
	for _, b := range site.Banks {
		v.banks = append(v.banks, b.Summary())
	}
	return v
}

// part is one model instance in a unit's registers: once fills what never changes,
// fill the rest at each refresh.
type part struct {
	model   *model
	repeats int
	once    func(writer, *plant.Site)
	fill    func(writer, *view)
}

func commonPart(m *model, product, serial string, unit uint8) part {
	return part{model: m, once: func(w writer, _ *plant.Site) {
		w.text("Mn", "bessd simulator")
		w.text("Md", product)
		w.text("Vr", "1.0")
		w.text("SN", serial)
		w.set("DA", uint64(unit))
	}}
}

func storagePart(m *model, bank int) part {
	return part{model: m, once: func(w writer, s *plant.Site) {
		w.scale(fit(s.Banks[bank].RatedWh, 60000, 0), "WH_SF")
		w.scale(-1, "Pct_SF")
		w.num("WHRtg", s.Banks[bank].RatedWh)
	}, fill: func(w writer, v *view) {
		b := v.site.Banks[bank]
		w.num("WHAvail", b.RatedWh*b.SoC*b.SoH)
		w.num("SoC", 100*b.SoC)
		w.num("SoH", 100*b.SoH)
		w.set("Sta", severity(b.Evt1))
	}}
}

// severity is 713.Sta: 0 fine, 1 warning, 2 error.
func severity(evt uint32) uint64 {
	switch {
	case evt&plant.EvtAlarms != 0:
		return 2
	case evt != 0:
		return 1
	}
	return 0
}

func batteryPart(m *model, bank int) part {
	return part{model: m, once: func(w writer, s *plant.Site) {
		b := s.Banks[bank]
		w.scale(fit(b.RatedAh, 60000, 0), "AHRtg_SF")
		w.scale(fit(b.RatedWh, 60000, 0), "WHRtg_SF")
		w.scale(fit(b.RatedW, 60000, 0), "WChaDisChaMax_SF")
		w.scale(-1, "SoC_SF", "DoD_SF", "SoH_SF", "V_SF")
		w.scale(-3, "CellV_SF")
		amps := plant.MaxCRate * b.RatedAh * 1.3
		w.scale(fit(amps, 32000, -1), "A_SF")
		w.scale(fit(amps, 60000, -1), "AMax_SF")
		w.scale(fit(b.RatedW*1.3, 32000, 0), "W_SF")
		lo, hi := b.SoCWindow()
		w.num("AHRtg", b.RatedAh)
		w.num("WHRtg", b.RatedWh)
		w.num("WChaRteMax", b.RatedW)
		w.num("WDisChaRteMax", b.RatedW)
		w.num("SoCMax", 100*hi)
		w.num("SoCMin", 100*lo)
		w.num("VMax", b.MaxVoltageV())
		w.num("VMin", b.MinVoltageV())
		w.set("LocRemCtl", 0)
		w.set("AlmRst", 0)
		w.set("Typ", 4)
		w.set("SetOp", 1)
		w.set("SetInvState", 3)
		for _, name := range []string{"Evt2", "EvtVnd1", "EvtVnd2"} {
			w.set(name, 0)
		}
	}, fill: func(w writer, v *view) {
		b, sum := v.site.Banks[bank], &v.banks[bank]
		w.num("SoC", 100*b.SoC)
		w.num("DoD", 100-100*b.SoC)
		w.num("SoH", 100*b.SoH)
		w.set("NCyc", uint64(b.Cycles))
		w.set("ChaSt", uint64(b.Charge))
		w.set("Hb", uint64(v.hb))
		w.set("State", uint64(b.State))
		w.set("Evt1", uint64(b.Evt1))
		w.num("V", b.VoltageV)
		w.num("A", v.sign*b.CurrentA)
		w.num("W", v.sign*b.PowerW)
		w.num("AChaMax", b.ChargeMaxA)
		w.num("ADisChaMax", b.DisMaxA)
		extreme(w, "CellVMax", sum.CellV.Max, "Str", "Mod")
		extreme(w, "CellVMin", sum.CellV.Min, "Str", "Mod")
		w.num("CellVAvg", sum.CellV.Mean)
	}}
}

// extreme writes a value and the points that tell where it is: name+"Str", "Mod", "Cell".
func extreme(w writer, name string, at plant.At, where ...string) {
	w.num(name, at.Value)
	for _, suffix := range where {
		index := map[string]int{"Str": at.Rack, "Mod": at.Module, "Cell": at.Cell}[suffix]
		w.set(name+suffix, uint64(index))
	}
}

// rackState is 804.St: bit 0 enabled, bit 1 contactor closed.
func rackState(r *plant.Rack) uint64 {
	if r.Connected {
		return 3
	}
	return 1
}

// contactors is 804.ConSt: the positive and the negative main contactor.
func contactors(r *plant.Rack) uint64 {
	if r.Connected {
		return 3
	}
	return 0
}

// connectFailure is 804.ConFail.
func connectFailure(r *plant.Rack) uint64 {
	switch {
	case r.Evt1&plant.EvtContactorError != 0:
		return 6
	case !r.Connected:
		return 8
	}
	return 0
}

func bankPart(m *model, bank, racks int) part {
	return part{model: m, repeats: racks, once: func(w writer, s *plant.Site) {
		b := s.Banks[bank]
		w.scale(-3, "CellV_SF")
		w.scale(-1, "ModTmp_SF", "SoH_SF", "SoC_SF", "V_SF")
		w.scale(fit(plant.MaxCRate*b.RatedAh/float64(racks)*2, 32000, -1), "A_SF")
		w.set("NStr", uint64(racks))
		for i := range racks {
			g := w.repeat(i)
			g.set("StrNMod", uint64(len(b.Racks[i].Modules)))
			g.set("StrEvt2", 0)
		}
	}, fill: func(w writer, v *view) {
		b, sum := v.site.Banks[bank], &v.banks[bank]
		w.set("NStrCon", uint64(sum.Connected))
		extreme(w, "ModTmpMax", sum.ModuleC.Max, "Str", "Mod")
		extreme(w, "ModTmpMin", sum.ModuleC.Min, "Str", "Mod")
		w.num("ModTmpAvg", sum.ModuleC.Mean)
		extreme(w, "StrVMax", sum.RackV.Max, "Str")
		extreme(w, "StrVMin", sum.RackV.Min, "Str")
		w.num("StrVAvg", sum.RackV.Mean)
		hi, lo := sum.RackA.Max, sum.RackA.Min
		if v.sign < 0 {
			hi, lo = lo, hi
		}
		hi.Value, lo.Value = v.sign*hi.Value, v.sign*lo.Value
		extreme(w, "StrAMax", hi, "Str")
		extreme(w, "StrAMin", lo, "Str")
		w.num("StrAAvg", v.sign*sum.RackA.Mean)
		w.set("NCellBal", uint64(sum.Balancing))
		for i, r := range b.Racks {
			g, rs := w.repeat(i), &sum.Racks[i]
			g.set("StrSt", rackState(r))
			g.set("StrConFail", connectFailure(r))
			g.num("StrSoC", 100*r.SoC)
			g.num("StrSoH", 100*r.SoH)
			g.num("StrA", v.sign*r.CurrentA)
			extreme(g, "StrCellVMax", rs.CellV.Max, "Mod")
			extreme(g, "StrCellVMin", rs.CellV.Min, "Mod")
			g.num("StrCellVAvg", rs.CellV.Mean)
			extreme(g, "StrModTmpMax", rs.ModuleC.Max, "Mod")
			extreme(g, "StrModTmpMin", rs.ModuleC.Min, "Mod")
			g.num("StrModTmpAvg", rs.ModuleC.Mean)
			g.set("StrDisRsn", 0)
			g.set("StrConSt", contactors(r))
			g.set("StrEvt1", uint64(r.Evt1))
		}
	}}
}

func rackPart(m *model, bank, rack, modules int) part {
	return part{model: m, repeats: modules, once: func(w writer, s *plant.Site) {
		w.scale(-1, "SoC_SF", "SoH_SF", "DoD_SF", "V_SF", "ModTmp_SF")
		w.scale(-3, "CellV_SF")
		w.scale(fit(plant.MaxCRate*s.Banks[bank].RatedAh/float64(len(s.Banks[bank].Racks))*2, 32000, -1), "A_SF")
		w.set("Idx", uint64(rack+1))
		w.set("NMod", uint64(modules))
		w.set("Evt2", 0)
		for i := range modules {
			w.repeat(i).set("ModNCell", uint64(s.Banks[bank].Racks[rack].CellCount()))
		}
	}, fill: func(w writer, v *view) {
		r, sum := v.site.Banks[bank].Racks[rack], &v.banks[bank].Racks[rack]
		w.set("St", rackState(r))
		w.set("ConFail", connectFailure(r))
		w.set("NCellBal", uint64(sum.Balancing))
		w.num("SoC", 100*r.SoC)
		w.num("DoD", 100-100*r.SoC)
		w.set("NCyc", uint64(r.Cycles))
		w.num("SoH", 100*r.SoH)
		w.num("A", v.sign*r.CurrentA)
		w.num("V", r.VoltageV)
		extreme(w, "CellVMax", sum.CellV.Max, "Mod")
		extreme(w, "CellVMin", sum.CellV.Min, "Mod")
		w.num("CellVAvg", sum.CellV.Mean)
		extreme(w, "ModTmpMax", sum.ModuleC.Max, "Mod")
		extreme(w, "ModTmpMin", sum.ModuleC.Min, "Mod")
		w.num("ModTmpAvg", sum.ModuleC.Mean)
		w.set("ConSt", contactors(r))
		w.set("Evt1", uint64(r.Evt1))
		for i := range sum.Modules {
			g, ms := w.repeat(i), &sum.Modules[i]
			g.num("ModSoC", 100*ms.SoC)
			g.num("ModSoH", 100*r.SoH)
			extreme(g, "ModCellVMax", ms.CellV.Max, "Cell")
			extreme(g, "ModCellVMin", ms.CellV.Min, "Cell")
			g.num("ModCellVAvg", ms.CellV.Mean)
			extreme(g, "ModCellTmpMax", ms.CellC.Max, "Cell")
			extreme(g, "ModCellTmpMin", ms.CellC.Min, "Cell")
			g.num("ModCellTmpAvg", ms.CellC.Mean)
		}
	}}
}

func modulePart(m *model, serial string, bank, rack, module, cells int) part {
	first := m.fixedSize
	return part{model: m, repeats: cells, once: func(w writer, _ *plant.Site) {
		w.scale(-1, "SoC_SF", "SoH_SF", "DoD_SF", "Tmp_SF")
		w.scale(-2, "V_SF")
		w.scale(-3, "CellV_SF")
		w.set("StrIdx", uint64(rack+1))
		w.set("ModIdx", uint64(module+1))
		w.set("NCell", uint64(cells))
		w.text("SN", fmt.Sprintf("%s-R%02d-M%02d", serial, rack+1, module+1))
	}, fill: func(w writer, v *view) {
		r, ms := v.site.Banks[bank].Racks[rack], &v.banks[bank].Racks[rack].Modules[module]
		w.num("SoC", 100*ms.SoC)
		w.num("DoD", 100-100*ms.SoC)
		w.num("SoH", 100*r.SoH)
		w.set("NCyc", uint64(r.Cycles))
		w.num("V", ms.VoltageV)
		extreme(w, "CellVMax", ms.CellV.Max, "Cell")
		extreme(w, "CellVMin", ms.CellV.Min, "Cell")
		w.num("CellVAvg", ms.CellV.Mean)
		extreme(w, "CellTmpMax", ms.CellC.Max, "Cell")
		extreme(w, "CellTmpMin", ms.CellC.Min, "Cell")
		w.num("CellTmpAvg", ms.CellC.Mean)
		w.set("NCellBal", uint64(ms.Balancing))
		// CellV, CellTmp, CellSt of each cell: most of all registers, so without names.
		for c := range cells {
			at := w.all[first+4*c : first+4*c+4]
			at[0] = uint16(math.Round(r.CellV(module, c) * 1000))
			at[1] = uint16(int16(math.Round(r.CellC(module, c) * 10)))
			at[2], at[3] = 0, 0
			if r.Balancing(module, c) {
				at[3] = 1
			}
		}
	}}
}
