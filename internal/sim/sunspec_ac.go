package sim

import (
	"math"

	"bessd/internal/sim/plant"
)

// phases splits a three-phase value; the phases of a real plant are never quite equal.
func phases(v float64) [3]float64 { return [3]float64{v * 0.336, v * 0.332, v * 0.332} }

func powerFactor(w, va float64) float64 {
	if va == 0 {
		return 0
	}
	return w / va
}

func acPart(m *model, pcs int) part {
	return part{model: m, once: func(w writer, s *plant.Site) {
		p := s.PCS[pcs]
		most := p.RatedW * 1.3
		w.scale(fit(most/p.NominalV/math.Sqrt(3)*3, 32000, -1), "A_SF")
		w.scale(-1, "V_SF", "Tmp_SF")
		w.scale(-3, "Hz_SF", "PF_SF")
		w.scale(fit(most, 32000, 0), "W_SF", "VA_SF", "Var_SF")
		w.scale(0, "TotWh_SF")
		w.set("ACType", 2)
		w.set("ConnSt", 1)
		w.set("Alrm", 0)
		w.set("DERMode", 1)
	}, fill: func(w writer, v *view) {
		s, p := v.site, v.site.PCS[pcs]
		va := math.Hypot(p.ActiveW, p.ReactiveVar)
		ll := p.NominalV * s.GridPU
		amps := va / (math.Sqrt(3) * ll)
		inverter := uint64(3) // running
		if !p.Running {
			inverter = 7 // standby
		}
		w.set("St", 1)
		w.set("InvSt", inverter)
		w.num("W", p.ActiveW)
		w.num("VA", va)
		w.num("Var", p.ReactiveVar)
		w.num("PF", powerFactor(p.ActiveW, va))
		w.num("A", 3*amps)
		w.num("LLV", ll)
		w.num("LNV", ll/math.Sqrt(3))
		w.num("Hz", s.GridHz)
		w.num("TotWhInj", p.InjectedWh)
		w.num("TotWhAbs", p.AbsorbedWh)
		w.num("TmpAmb", s.AmbientC)
		w.num("TmpCab", p.CabinetC)
		w.num("TmpSnk", p.SinkC)
		watts, vas, vars := phases(p.ActiveW), phases(va), phases(p.ReactiveVar)
		for i, l := range []string{"L1", "L2", "L3"} {
			next := []string{"L1L2", "L2L3", "L3L1"}[i]
			w.num("W"+l, watts[i])
			w.num("VA"+l, vas[i])
			w.num("Var"+l, vars[i])
			w.num("PF"+l, powerFactor(p.ActiveW, va))
			w.num("A"+l, vas[i]/(ll/math.Sqrt(3)*s.PhasePU[i]))
			w.num("V"+l, ll/math.Sqrt(3)*s.PhasePU[i])
			w.num("V"+next, ll*(s.PhasePU[i]+s.PhasePU[(i+1)%3])/2)
		}
	}}
}

func dcPart(m *model, pcs int) part {
	return part{model: m, repeats: 1, once: func(w writer, s *plant.Site) {
		p := s.PCS[pcs]
		b := s.Banks[p.Bank]
		w.scale(fit(plant.MaxCRate*b.RatedAh*1.3, 32000, -1), "DCA_SF")
		w.scale(-1, "DCV_SF", "Tmp_SF")
		w.scale(fit(b.RatedW*1.3, 32000, 0), "DCW_SF")
		w.scale(0, "DCWH_SF")
		w.set("PrtAlrms", 0)
		w.set("NPrt", 1)
		g := w.repeat(0)
		g.set("PrtTyp", 1)
		g.set("ID", 1)
		g.text("IDStr", "BAT1")
		g.set("DCAlrm", 0)
	}, fill: func(w writer, v *view) {
		p := v.site.PCS[pcs]
		for _, x := range []writer{w, w.repeat(0)} {
			x.num("DCA", p.DCA)
			x.num("DCW", p.DCW)
			x.num("DCWhInj", p.DCDischargedWh)
			x.num("DCWhAbs", p.DCChargedWh)
		}
		g := w.repeat(0)
		g.num("DCV", p.DCV)
		g.num("Tmp", p.SinkC)
		g.set("DCSta", 1)
	}}
}

func meterPart(m *model) part {
	return part{model: m, once: func(w writer, s *plant.Site) {
		most := 0.0
		for _, b := range s.Banks {
			most += 1.3 * b.RatedW
		}
		w.scale(fit(most/s.Meter.NominalV/math.Sqrt(3)*3, 32000, -1), "A_SF")
		w.scale(-1, "V_SF", "PF_SF")
		w.scale(-2, "Hz_SF")
		w.scale(fit(most, 32000, 0), "W_SF", "VA_SF", "VAR_SF")
		w.scale(fit(4*(s.Meter.ImportedWh+s.Meter.ExportedWh), math.MaxUint32, 0), "TotWh_SF")
		w.set("Evt", 0)
	}, fill: func(w writer, v *view) {
		s, mt := v.site, &v.site.Meter
		va := math.Hypot(mt.ActiveW, mt.ReactiveVar)
		ll := mt.NominalV * s.GridPU
		pf := 100 * powerFactor(mt.ActiveW, va)
		w.num("A", va/(math.Sqrt(3)*ll)*3)
		w.num("PhV", ll/math.Sqrt(3))
		w.num("PPV", ll)
		w.num("Hz", s.GridHz)
		w.num("W", mt.ActiveW)
		w.num("VA", va)
		w.num("VAR", mt.ReactiveVar)
		w.num("PF", pf)
		w.num("TotWhExp", mt.ExportedWh)
		w.num("TotWhImp", mt.ImportedWh)
		watts, vas, vars := phases(mt.ActiveW), phases(va), phases(mt.ReactiveVar)
		for i, ph := range []string{"phA", "phB", "phC"} {
			w.num("A"+ph, vas[i]/(ll/math.Sqrt(3)*s.PhasePU[i]))
			w.num("PhV"+ph, ll/math.Sqrt(3)*s.PhasePU[i])
			w.num("PhV"+[]string{"phAB", "phBC", "phCA"}[i], ll*(s.PhasePU[i]+s.PhasePU[(i+1)%3])/2)
			w.num("W"+ph, watts[i])
			w.num("VA"+ph, vas[i])
			w.num("VAR"+ph, vars[i])
			w.num("PF"+ph, pf)
		}
	}}
}
