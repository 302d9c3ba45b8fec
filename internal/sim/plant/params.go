package plant

import (
	"errors"
	"fmt"
)

// Params says what a site is made of. The zero value of a field that has a default
// takes the default (see DefaultParams); New reports all problems at once.
type Params struct {
	Seed           uint64
	Chemistry      Chemistry
	Banks          int
	Racks          int     // per bank, in parallel
	ModulesPerRack int     // in series
	CellsPerModule int     // in series
	CapacityAh     float64 // of a cell (or of its parallel group); 0 = the chemistry's
	PCS            int     // served to the banks in turn; 0 = each bank is driven directly
	StepS          float64 // plant seconds per Step
	StartHour      float64 // local hour of day at step 0
	AmbientC       float64 // daily mean outside
	AmbientSwingC  float64 // half of the difference between afternoon and night
	InitialSoC     float64 // 0..1
	Duty           []DutySlot
}

// DutySlot asks for a power during a part of each day. CRate is relative to the
// rated energy: 0.25 empties a full battery in four hours; negative charges.
// A slot with FromHour > ToHour goes over midnight.
type DutySlot struct {
	FromHour, ToHour float64
	CRate            float64
}

// MaxCRate is the rated power of every bank, relative to its rated energy.
const MaxCRate = 0.5

// DefaultParams is one LFP bank of twelve racks of 8 x 16 cells with one PCS.
func DefaultParams() Params {
	return Params{
		Seed: 1, Chemistry: LFP, Banks: 1, Racks: 12, ModulesPerRack: 8, CellsPerModule: 16, PCS: 1,
		StepS: 1, StartHour: 18, AmbientC: 18, AmbientSwingC: 7, InitialSoC: 0.86, Duty: DailyDuty(),
	}
}

// DailyDuty charges at night and at noon, discharges in the evening and holds between.
func DailyDuty() []DutySlot {
	return []DutySlot{
		{FromHour: 1, ToHour: 4, CRate: -0.22},
		{FromHour: 11, ToHour: 13.5, CRate: -0.18},
		{FromHour: 17.25, ToHour: 21, CRate: 0.24},
	}
}

// Validate returns every problem, each naming the field.
func (p Params) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	_, known := cellOf(p.Chemistry)
	bad(known, "chemistry %q: want %s or %s", p.Chemistry, LFP, NMC)
	bad(p.Banks >= 1 && p.Banks <= 32, "banks %d: want 1..32", p.Banks)
	bad(p.Racks >= 1 && p.Racks <= 100, "racks %d: want 1..100", p.Racks)
	bad(p.ModulesPerRack >= 1 && p.ModulesPerRack <= 60, "modules_per_rack %d: want 1..60", p.ModulesPerRack)
	bad(p.CellsPerModule >= 1 && p.CellsPerModule <= 480, "cells_per_module %d: want 1..480", p.CellsPerModule)
	bad(p.CapacityAh >= 0 && p.CapacityAh <= 5000, "capacity_ah %g: want 0 (the chemistry's) .. 5000", p.CapacityAh)
	bad(p.PCS >= 0 && p.PCS <= 64, "pcs %d: want 0..64", p.PCS)
	bad(p.StepS > 0 && p.StepS <= 10, "step %g s: want above 0 up to 10", p.StepS)
	bad(p.StartHour >= 0 && p.StartHour < 24, "start_hour %g: want 0 up to 24", p.StartHour)
	bad(p.AmbientC >= -30 && p.AmbientC <= 50, "ambient_c %g: want -30..50", p.AmbientC)
	bad(p.AmbientSwingC >= 0 && p.AmbientSwingC <= 25, "ambient_swing_c %g: want 0..25", p.AmbientSwingC)
	bad(p.InitialSoC >= 0 && p.InitialSoC <= 1, "initial_soc %g: want 0..1", p.InitialSoC)
	for i, d := range p.Duty {
		bad(d.FromHour >= 0 && d.FromHour <= 24 && d.ToHour >= 0 && d.ToHour <= 24, "duty[%d]: hours %g to %g: want 0..24", i, d.FromHour, d.ToHour)
		bad(d.CRate >= -MaxCRate && d.CRate <= MaxCRate, "duty[%d]: c_rate %g: want -%g..%g", i, d.CRate, MaxCRate, MaxCRate)
	}
	return errors.Join(errs...)
}
