package plant

import (
	"math"
	"math/rand/v2"
)

// ChargeState is SunSpec 802.ChaSt.
type ChargeState uint16

// The charge states the plant takes.
const (
	ChargeOff         ChargeState = 1
	ChargeEmpty       ChargeState = 2
	ChargeDischarging ChargeState = 3
	ChargeCharging    ChargeState = 4
	ChargeFull        ChargeState = 5
	ChargeHolding     ChargeState = 6
)

// BankState is SunSpec 802.State.
type BankState uint16

// The bank states the plant takes.
const (
	BankDisconnected BankState = 1
	BankConnected    BankState = 3
	BankFault        BankState = 99
)

// Bank is a battery behind one DC bus: racks in parallel in one conditioned room.
type Bank struct {
	Racks    []*Rack
	VoltageV float64 // of the bus, 0 when no rack is connected
	CurrentA float64 // positive = discharge
	PowerW   float64
	SoC, SoH float64 // 0..1
	Cycles   float64
	Charge   ChargeState
	State    BankState
	Evt1     uint32

	RatedAh, RatedWh       float64
	RatedW                 float64 // both directions
	ChargeMaxA, DisMaxA    float64 // what the BMS allows now
	ChargedWh, DischargeWh float64 // DC energy since commissioning
	AirC                   float64 // in the room
	CoolingW               float64 // thermal, negative = heating
	AuxW                   float64 // electrical: controls, fans, cooling

	chem          *Cell
	lossWh        float64 // heat and charge lost in the cells since the start
	untilBalanceS float64
	imbalanceS    float64
}

func newBank(c *Cell, p Params, rng *rand.Rand) *Bank {
	ah := p.CapacityAh
	if ah == 0 {
		ah = c.CapacityAh
	}
	b := &Bank{chem: c, AirC: 22, Charge: ChargeHolding, State: BankConnected}
	for range p.Racks {
		b.Racks = append(b.Racks, newRack(c, p, rng, ah))
	}
	cells := float64(p.ModulesPerRack * p.CellsPerModule)
	b.RatedAh = ah * float64(p.Racks)
	b.RatedWh = b.RatedAh * c.NominalV * cells
	b.RatedW = MaxCRate * b.RatedWh
	for _, r := range b.Racks {
		r.prepare()
		r.advance(0, 0, b.AirC)
	}
	b.collect()
	// The counters carry the life before the simulation began.
	b.DischargeWh = b.Cycles * b.RatedWh * 0.98
	b.ChargedWh = b.DischargeWh / 0.955
	return b
}

// prepare computes the bus' open-circuit figures: the sum of E/R and of 1/R.
func (b *Bank) prepare() (emfOverOhm, siemens float64) {
	for _, r := range b.Racks {
		r.prepare()
		if r.Connected {
			emfOverOhm += r.emfV / r.ohm
			siemens += 1 / r.ohm
		}
	}
	return emfOverOhm, siemens
}

// step moves the bank by dt with a wish for DC power and returns what it gave.
func (b *Bank) step(wishW, dt, ambientC float64, rules []alarmRule) float64 {
	ge, g := b.prepare()
	power := 0.0
	if g > 0 {
		open := ge / g
		power = min(max(wishW, -b.ChargeMaxA*open), b.DisMaxA*open)
		// Never beyond the point of greatest power, where the root would vanish.
		power = min(power, 0.99*ge*ge/(4*g))
		b.VoltageV = (ge + math.Sqrt(ge*ge-4*g*power)) / (2 * g)
		b.CurrentA = power / b.VoltageV
	} else {
		b.VoltageV, b.CurrentA = 0, 0
	}
	b.PowerW = power

	heatToAir := 0.0
	for _, r := range b.Racks {
		amps := 0.0
		if r.Connected {
			amps = (r.emfV - b.VoltageV) / r.ohm
		}
		bleed := r.bleedW()
		r.advance(amps, dt, b.AirC)
		b.lossWh += (r.heatW + r.lost + amps*amps*r.busbarOhm + bleed) * dt / 3600
		for m := range r.Modules {
			mod := &r.Modules[m]
			heatToAir += b.chem.CoolWPerK * (r.ratedAh / b.chem.CapacityAh) * mod.coolFactor * (mod.TempC - b.AirC) * float64(r.cellsPer)
		}
		r.judge(rules, dt, b.VoltageV)
	}
	if b.untilBalanceS -= dt; b.untilBalanceS <= 0 {
		b.untilBalanceS = 60
		for _, r := range b.Racks {
			r.balance()
		}
	}
	if power > 0 {
		b.DischargeWh += power * dt / 3600
	} else {
		b.ChargedWh -= power * dt / 3600
	}
	b.climate(heatToAir, dt, ambientC)
	b.collect()
	b.judge(dt)
	return power
}

// climate keeps the room near 22 degC (cooling) and above 14 degC (heating).
func (b *Bank) climate(heatW, dt, ambientC float64) {
	size := b.RatedWh / 1e6 // MWh
	most := 28e3*size + 2000
	want := 0.0
	if b.AirC > 21 {
		want = min((b.AirC-21)*0.5, 1) * most
	} else if b.AirC < 14 {
		want = -min((14-b.AirC)*0.5, 1) * most * 0.4
	}
	b.CoolingW += (want - b.CoolingW) * (1 - math.Exp(-dt/120))
	capacity := 6e5*size + 1e5 // J/K: air, racks, walls
	wall := (120*size + 25) * (ambientC - b.AirC)
	// Bounded, so that a long step on a small room cannot overshoot.
	b.AirC += min(max((heatW+wall-b.CoolingW)*dt/capacity, -1), 1)
	cop := 3.2
	if b.CoolingW < 0 {
		cop = 1
	}
	b.AuxW = 350*size + 120 + math.Abs(b.CoolingW)/cop
}

// collect sums the racks up.
func (b *Bank) collect() {
	b.SoC, b.SoH, b.Cycles = 0, 0, 0
	charge, dis, connected := 1.0, 1.0, 0.0
	evt := uint32(0)
	for _, r := range b.Racks {
		b.SoC += r.SoC
		b.SoH += r.SoH
		b.Cycles += r.Cycles
		evt |= r.Evt1
		if r.Connected {
			connected++
			charge, dis = min(charge, r.chargeLim), min(dis, r.disLim)
		}
	}
	n := float64(len(b.Racks))
	b.SoC, b.SoH, b.Cycles = b.SoC/n, b.SoH/n, b.Cycles/n
	// The weakest rack sets the limit of all: they share one bus.
	amps := MaxCRate * b.RatedAh * connected / n
	b.ChargeMaxA, b.DisMaxA = amps*charge, amps*dis
	b.Evt1 = b.Evt1&EvtCurrentImbalance | evt
	b.State, b.Charge = BankConnected, ChargeHolding
	switch {
	case connected == 0 && evt&EvtAlarms != 0:
		b.State, b.Charge = BankFault, ChargeOff
	case connected == 0:
		b.State, b.Charge = BankDisconnected, ChargeOff
	case b.CurrentA > 0.002*b.RatedAh:
		b.Charge = ChargeDischarging
	case b.CurrentA < -0.002*b.RatedAh:
		b.Charge = ChargeCharging
	case b.SoC >= 0.99:
		b.Charge = ChargeFull
	case b.SoC <= 0.04:
		b.Charge = ChargeEmpty
	}
}

// judge raises the current imbalance of the bank: racks that differ by a quarter.
func (b *Bank) judge(dt float64) {
	hi, lo, n := math.Inf(-1), math.Inf(1), 0.0
	for _, r := range b.Racks {
		if r.Connected {
			hi, lo, n = max(hi, r.CurrentA), min(lo, r.CurrentA), n+1
		}
	}
	if n > 1 && math.Abs(b.CurrentA) > 0.05*b.RatedAh && hi-lo > 0.25*math.Abs(b.CurrentA)/n {
		if b.imbalanceS += dt; b.imbalanceS > 60 {
			b.Evt1 |= EvtCurrentImbalance
		}
		return
	}
	b.imbalanceS = 0
	b.Evt1 &^= EvtCurrentImbalance
}

// LossWh is the energy burnt in cells, busbars and by bleeding since the start.
func (b *Bank) LossWh() float64 { return b.lossWh }

// StoredWh is the energy in the cells against empty, at open-circuit voltage.
func (b *Bank) StoredWh() float64 {
	sum := 0.0
	for _, r := range b.Racks {
		sum += r.storedWh()
	}
	return sum
}

// MaxVoltageV and MinVoltageV are what the BMS allows at the bus.
func (b *Bank) MaxVoltageV() float64 { return b.chem.MaxV * float64(len(b.Racks[0].soc)) }

// MinVoltageV is the lowest voltage the BMS allows at the bus.
func (b *Bank) MinVoltageV() float64 { return b.chem.MinV * float64(len(b.Racks[0].soc)) }

// SoCWindow is the range of SoC (0..1) that the energy manager uses.
func (b *Bank) SoCWindow() (lo, hi float64) { return b.chem.SoCMin, b.chem.SoCMax }
