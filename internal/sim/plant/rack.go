package plant

import (
	"math"
	"math/rand/v2"
)

// Module is the state that all cells of one module share.
type Module struct {
	TempC float64 // of the module, mean over its cells
	// rcV is the voltage over the RC pair and hotC the rise of a nominal cell's core
	// above the module; both scale with a cell's resistance factor.
	rcV, hotC  float64
	ohm        float64 // resistance of a nominal cell now
	sumFactor  float64 // sum of its cells' resistance factors
	coolFactor float64 // how well its place in the rack is cooled
	meanSoC    float64
}

// Rack is a series string of modules with its own contactor.
type Rack struct {
	Modules   []Module
	Connected bool
	CurrentA  float64 // positive = discharge
	VoltageV  float64 // at the rack's terminals, behind busbars and contactor
	SoC       float64 // 0..1, mean of its cells
	SoH       float64 // 0..1
	Cycles    float64 // equivalent full cycles, by discharged charge
	Evt1      uint32  // SunSpec event bits
	CellMaxV  float64
	CellMinV  float64

	chem        *Cell
	cellsPer    int
	ratedAh     float64
	busbarOhm   float64
	hysV        float64
	chargeLim   float64 // 0..1 of MaxCRate
	disLim      float64
	alarm       alarms
	forcedOpen  bool
	tripped     bool
	clearS      float64
	emfV, ohm   float64 // of the present step
	soc         []float64
	ocv         []float64
	cellV       []float64
	factor      []float64 // resistance relative to nominal
	invAs       []float64 // 1 / capacity in ampere seconds, without fade
	bleedA      []float64 // self discharge and balancing
	placeC      []float64 // temperature against the module's mean
	balancing   []bool
	selfA       float64
	healthy     map[int][2]float64 // factor and invAs of cells made weak
	heatW, lost float64            // of the last step: heat in cells, charge not stored
}

func newRack(c *Cell, p Params, rng *rand.Rand, ratedAh float64) *Rack {
	n := p.ModulesPerRack * p.CellsPerModule
	r := &Rack{
		Modules: make([]Module, p.ModulesPerRack), Connected: true, chem: c, cellsPer: p.CellsPerModule, ratedAh: ratedAh,
		chargeLim: 1, disLim: 1, selfA: ratedAh * 0.02 / (30 * 24), // 2 % a month
		soc: make([]float64, n), ocv: make([]float64, n), cellV: make([]float64, n), factor: make([]float64, n), invAs: make([]float64, n),
		bleedA: make([]float64, n), placeC: make([]float64, n), balancing: make([]bool, n), healthy: map[int][2]float64{},
	}
	r.SoH = 0.995 - 0.05*rng.Float64()
	r.Cycles = (0.995 - r.SoH) / c.FadePerCycle * (0.35 + 0.1*rng.Float64())
	r.busbarOhm = c.R0Ohm * c.CapacityAh / ratedAh * 0.02 * float64(n) * (1 + 0.05*gauss(rng))
	rackSoC := p.InitialSoC + 0.004*gauss(rng)
	for i := range r.soc {
		r.soc[i] = min(max(rackSoC+0.004*gauss(rng), 0), 1)
		r.factor[i] = 1 + 0.03*gauss(rng)
		r.invAs[i] = 1 / (3600 * ratedAh * (1.005 + 0.006*gauss(rng)))
		r.bleedA[i] = r.selfA
		// The end cells of a module sit at its walls and run cooler.
		x := 2*float64(i%p.CellsPerModule)/math.Max(1, float64(p.CellsPerModule-1)) - 1
		r.placeC[i] = 0.35 - 0.9*x*x + 0.15*gauss(rng)
	}
	for m := range r.Modules {
		mod := &r.Modules[m]
		mod.TempC = 24 + 0.3*gauss(rng)
		mod.coolFactor = 1 + 0.06*gauss(rng) - 0.10*float64(m)/float64(len(r.Modules)) // warm air rises
		r.sumModule(m)
	}
	return r
}

// gauss is a normal deviate cut at three sigma, so that no seed gives an absurd cell.
func gauss(rng *rand.Rand) float64 { return min(max(rng.NormFloat64(), -3), 3) }

func (r *Rack) sumModule(m int) {
	mod := &r.Modules[m]
	mod.sumFactor, mod.meanSoC = 0, 0
	for i := m * r.cellsPer; i < (m+1)*r.cellsPer; i++ {
		mod.sumFactor += r.factor[i]
		mod.meanSoC += r.soc[i]
	}
	mod.meanSoC /= float64(r.cellsPer)
}

// prepare computes the electromotive force and the resistance of the step.
func (r *Rack) prepare() {
	scale := r.chem.CapacityAh / r.ratedAh
	emf, ohm := -r.hysV*float64(len(r.soc)), r.busbarOhm
	tab := &r.chem.ocv
	for i, s := range r.soc {
		x := s * ocvSteps
		k := min(max(int(x), 0), ocvSteps-1)
		v := tab[k] + (x-float64(k))*(tab[k+1]-tab[k])
		r.ocv[i] = v
		emf += v
	}
	for m := range r.Modules {
		mod := &r.Modules[m]
		mod.ohm = r.chem.R0Ohm * scale * r.chem.resistanceFactor(mod.TempC, mod.meanSoC)
		emf -= mod.rcV * mod.sumFactor
		ohm += mod.ohm * mod.sumFactor
	}
	r.emfV, r.ohm = emf, ohm
}

// advance moves the rack by dt seconds at a current. airC is the air around it.
func (r *Rack) advance(amps, dt, airC float64) {
	c := r.chem
	r.CurrentA = amps
	r.VoltageV = r.emfV - amps*r.ohm
	eff := 1.0
	if amps < 0 {
		eff = c.ChargeEff
	}
	stored := amps * eff * dt / r.SoH
	rcGain := 1 - math.Exp(-dt/c.TauS)
	maxV, minV, socSum := math.Inf(-1), math.Inf(1), 0.0
	r.heatW, r.lost = 0, 0
	for m := range r.Modules {
		mod := &r.Modules[m]
		drop, socMod, ocvMod := mod.rcV+amps*mod.ohm, 0.0, 0.0
		for i := m * r.cellsPer; i < (m+1)*r.cellsPer; i++ {
			v := r.ocv[i] - r.hysV - r.factor[i]*drop
			r.cellV[i] = v
			maxV, minV = max(maxV, v), min(minV, v)
			r.soc[i] -= (stored + r.bleedA[i]*dt/r.SoH) * r.invAs[i]
			socMod += r.soc[i]
			ocvMod += r.ocv[i]
		}
		mod.meanSoC = socMod / float64(r.cellsPer)
		socSum += socMod
		// Ohmic and RC losses, hysteresis, and the charge that is not stored.
		heat := amps * (drop*mod.sumFactor + r.hysV*float64(r.cellsPer))
		r.heatW += heat
		lost := -amps * (1 - eff) * ocvMod
		r.lost += lost
		heat += lost
		perCell := max(heat, 0) / float64(r.cellsPer)
		mod.hotC += (perCell*0.35 - mod.hotC) * (1 - math.Exp(-dt/300))
		cooling := c.CoolWPerK * (r.ratedAh / c.CapacityAh) * mod.coolFactor * (mod.TempC - airC)
		mod.TempC += (perCell - cooling) * dt / (c.HeatJPerK * r.ratedAh / c.CapacityAh)
		mod.rcV += (amps*mod.ohm*c.R1Ohm/c.R0Ohm - mod.rcV) * rcGain
	}
	r.CellMaxV, r.CellMinV = maxV, minV
	r.SoC = min(max(socSum/float64(len(r.soc)), 0), 1)
	if amps != 0 {
		sign := math.Copysign(1, amps)
		r.hysV += (sign*c.HysteresisV - r.hysV) * (1 - math.Exp(-math.Abs(amps)*dt/(0.02*r.ratedAh*3600)))
	}
	if amps > 0 {
		cycles := amps * dt / 3600 / r.ratedAh
		r.Cycles += cycles
		r.SoH -= cycles * c.FadePerCycle
	}
	r.fold(dt)
}

// fold lets the allowed currents follow cell voltage, SoC and temperature; a
// filter of ten seconds keeps the loop through the cells' resistance calm.
func (r *Rack) fold(dt float64) {
	c := r.chem
	hot, cold := r.moduleExtremes()
	ramp := func(v, full, zero float64) float64 { return min(max((v-zero)/(full-zero), 0), 1) }
	temp := ramp(hot, 46, 54)
	charge := min(ramp(r.CellMaxV, c.ChargeFoldV[0], c.ChargeFoldV[1]), ramp(r.SoC, 0.95, 1.0), temp, ramp(cold, 10, 0))
	dis := min(ramp(r.CellMinV, c.DisFoldV[0], c.DisFoldV[1]), ramp(r.SoC, 0.08, 0.03), temp, ramp(cold, -10, -20))
	k := 1 - math.Exp(-dt/10)
	r.chargeLim += (charge - r.chargeLim) * k
	r.disLim += (dis - r.disLim) * k
}

func (r *Rack) moduleExtremes() (hot, cold float64) {
	hot, cold = math.Inf(-1), math.Inf(1)
	for m := range r.Modules {
		hot, cold = max(hot, r.Modules[m].TempC), min(cold, r.Modules[m].TempC)
	}
	return hot, cold
}

// balance decides which cells bleed: those above the rack's lowest cell while
// voltages are high enough to tell states of charge apart.
func (r *Rack) balance() {
	for i, v := range r.cellV {
		on := v > r.chem.BalanceFromV && v > r.CellMinV+r.chem.BalanceDeltaV
		r.balancing[i] = on
		r.bleedA[i] = r.selfA
		if on {
			r.bleedA[i] += r.chem.BalanceA
		}
	}
}

// judge raises and clears alarm bits, and opens or closes the contactor.
func (r *Rack) judge(rules []alarmRule, dt, busV float64) {
	hot, cold := r.moduleExtremes()
	limit := MaxCRate * r.ratedAh
	reading := rackReading{
		cellMaxV: r.CellMaxV, cellMinV: r.CellMinV, modMaxC: hot, modMinC: cold, soc: r.SoC,
		overCharge: -r.CurrentA / limit, overDischarge: r.CurrentA / limit,
	}
	r.alarm.evaluate(rules, &reading, dt)
	if r.alarm.bits&evtTrips != 0 {
		r.tripped, r.clearS = true, 0
	} else if r.tripped {
		// A rack that comes back must match the bus: no more than its rated current may flow.
		if r.clearS += dt; r.clearS > 60 && (busV == 0 || math.Abs(r.emfV-busV) < limit*r.ohm) {
			r.tripped = false
		}
	}
	r.Connected = !r.tripped && !r.forcedOpen
	r.Evt1 = r.alarm.bits
	if r.forcedOpen {
		r.Evt1 |= EvtContactorError
	}
}

// storedWh is the energy between the cells' present charge and empty, at open circuit.
func (r *Rack) storedWh() float64 {
	sum := 0.0
	for i, s := range r.soc {
		sum += r.chem.energy(s) * r.SoH / r.invAs[i] / 3600
	}
	return sum
}

// bleedW is the power that self discharge and balancing burn now.
func (r *Rack) bleedW() float64 {
	sum := 0.0
	for i, a := range r.bleedA {
		sum += a * r.ocv[i]
	}
	return sum
}

// CellCount is the number of cells in a module.
func (r *Rack) CellCount() int { return r.cellsPer }

// CellV returns the voltage of a cell in volts. Indexes count from 0.
func (r *Rack) CellV(module, cell int) float64 { return r.cellV[module*r.cellsPer+cell] }

// CellC returns the temperature of a cell in degC. Indexes count from 0.
func (r *Rack) CellC(module, cell int) float64 {
	i, mod := module*r.cellsPer+cell, &r.Modules[module]
	return mod.TempC + r.placeC[i] + mod.hotC*(r.factor[i]-1)
}

// CellSoC returns the state of charge of a cell, 0..1. Indexes count from 0.
func (r *Rack) CellSoC(module, cell int) float64 {
	return min(max(r.soc[module*r.cellsPer+cell], 0), 1)
}

// Balancing says whether a cell is bled now. Indexes count from 0.
func (r *Rack) Balancing(module, cell int) bool { return r.balancing[module*r.cellsPer+cell] }

// SetWeak makes a cell weak: its resistance times ohmFactor, its capacity times
// ahFactor, both against the healthy cell. Indexes count from 0; false = no such cell.
func (r *Rack) SetWeak(module, cell int, ohmFactor, ahFactor float64) bool {
	if module < 0 || module >= len(r.Modules) || cell < 0 || cell >= r.cellsPer || !(ohmFactor > 0) || !(ahFactor > 0) {
		return false
	}
	i := module*r.cellsPer + cell
	was, ok := r.healthy[i]
	if !ok {
		was = [2]float64{r.factor[i], r.invAs[i]}
		r.healthy[i] = was
	}
	r.factor[i], r.invAs[i] = was[0]*ohmFactor, was[1]/ahFactor
	r.sumModule(module)
	return true
}

// Heal takes back every SetWeak of the rack.
func (r *Rack) Heal() {
	for i, was := range r.healthy {
		r.factor[i], r.invAs[i] = was[0], was[1]
		r.sumModule(i / r.cellsPer)
	}
	clear(r.healthy)
}

// OpenContactor opens the rack's contactor or lets it close again.
func (r *Rack) OpenContactor(open bool) { r.forcedOpen = open }
