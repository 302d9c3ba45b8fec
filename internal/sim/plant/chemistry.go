package plant

import "math"

// Chemistry names a cell family.
type Chemistry string

// The chemistries that have cell data.
const (
	LFP Chemistry = "lfp"
	NMC Chemistry = "nmc"
)

// ocvSteps is the resolution of the open-circuit voltage table over SoC.
const ocvSteps = 200

// Band is a limit with hysteresis: raised at Set, taken back at Clear.
type Band struct{ Set, Clear float64 }

// Cell holds the data of one chemistry. Voltages are volts per cell.
type Cell struct {
	Chemistry     Chemistry
	NominalV      float64 // energy rating = NominalV * capacity
	CapacityAh    float64 // default capacity, and the one that R0Ohm belongs to
	R0Ohm         float64 // ohmic part at 25 degC and 50 % SoC
	R1Ohm         float64 // of the RC pair
	TauS          float64 // of the RC pair
	HysteresisV   float64 // half of the gap between the charge and discharge OCV
	ActivationK   float64 // R(T) = R25 * exp(ActivationK * (1/T - 1/298.15))
	HeatJPerK     float64 // heat capacity of one cell
	CoolWPerK     float64 // from one cell to the air or plate around its module
	ChargeEff     float64 // share of the charge current that is stored
	FadePerCycle  float64 // share of capacity lost per equivalent full cycle
	ChargeFoldV   [2]float64
	DisFoldV      [2]float64
	MaxV, MinV    float64 // what the BMS allows
	SoCMin        float64 // window the energy manager keeps to, 0..1
	SoCMax        float64
	OverVWarn     Band
	OverVAlarm    Band
	UnderVWarn    Band
	UnderVAlarm   Band
	BalanceFromV  float64 // bleeding starts above this voltage
	BalanceDeltaV float64
	BalanceA      float64

	ocv    [ocvSteps + 1]float64 // volts at SoC i/ocvSteps
	ocvInt [ocvSteps + 1]float64 // integral of ocv from SoC 0, volts
}

// cellOf returns the data of a chemistry and whether it is known.
func cellOf(c Chemistry) (*Cell, bool) {
	var cell Cell
	var knots [][2]float64
	switch c {
	case LFP:
		// Graphite/LFP at 25 degC: steep ends, two plateaus with the step near 65 %.
		knots = [][2]float64{
			{0, 2.80}, {0.01, 2.93}, {0.02, 3.02}, {0.05, 3.13}, {0.10, 3.205}, {0.15, 3.226}, {0.20, 3.250},
			{0.30, 3.283}, {0.40, 3.291}, {0.50, 3.295}, {0.60, 3.302}, {0.65, 3.318}, {0.70, 3.329}, {0.80, 3.332},
			{0.90, 3.335}, {0.95, 3.340}, {0.97, 3.350}, {0.98, 3.368}, {0.99, 3.400}, {1, 3.450},
		}
		cell = Cell{
			NominalV: 3.2, CapacityAh: 280, R0Ohm: 0.30e-3, R1Ohm: 0.16e-3, TauS: 45, HysteresisV: 0.012, ActivationK: 2200,
			HeatJPerK: 5600, CoolWPerK: 0.8, ChargeEff: 0.998, FadePerCycle: 3e-5,
			ChargeFoldV: [2]float64{3.46, 3.58}, DisFoldV: [2]float64{3.00, 2.82}, MaxV: 3.60, MinV: 2.80, SoCMin: 0.08, SoCMax: 0.95,
			OverVWarn: Band{3.60, 3.52}, OverVAlarm: Band{3.65, 3.52}, UnderVWarn: Band{2.80, 2.95}, UnderVAlarm: Band{2.50, 2.80},
			BalanceFromV: 3.38, BalanceDeltaV: 0.008, BalanceA: 0.2,
		}
	case NMC:
		knots = [][2]float64{
			{0, 3.00}, {0.02, 3.20}, {0.05, 3.38}, {0.10, 3.48}, {0.15, 3.53}, {0.20, 3.565}, {0.30, 3.615}, {0.40, 3.655},
			{0.50, 3.70}, {0.60, 3.78}, {0.70, 3.88}, {0.80, 3.97}, {0.90, 4.07}, {0.95, 4.12}, {1, 4.18},
		}
		cell = Cell{
			NominalV: 3.7, CapacityAh: 120, R0Ohm: 0.90e-3, R1Ohm: 0.45e-3, TauS: 30, HysteresisV: 0.003, ActivationK: 2600,
			HeatJPerK: 2100, CoolWPerK: 0.5, ChargeEff: 0.999, FadePerCycle: 6e-5,
			ChargeFoldV: [2]float64{4.08, 4.14}, DisFoldV: [2]float64{3.35, 3.05}, MaxV: 4.15, MinV: 3.00, SoCMin: 0.08, SoCMax: 0.92,
			OverVWarn: Band{4.15, 4.05}, OverVAlarm: Band{4.20, 4.10}, UnderVWarn: Band{2.90, 3.10}, UnderVAlarm: Band{2.70, 3.00},
			BalanceFromV: 3.90, BalanceDeltaV: 0.008, BalanceA: 0.15,
		}
	default:
		return nil, false
	}
	cell.Chemistry = c
	k := 0
	for i := range cell.ocv {
		soc := float64(i) / ocvSteps
		for k < len(knots)-2 && soc > knots[k+1][0] {
			k++
		}
		a, b := knots[k], knots[k+1]
		cell.ocv[i] = a[1] + (b[1]-a[1])*(soc-a[0])/(b[0]-a[0])
		if i > 0 {
			cell.ocvInt[i] = cell.ocvInt[i-1] + (cell.ocv[i]+cell.ocv[i-1])/2/ocvSteps
		}
	}
	return &cell, true
}

// OCV returns the open-circuit voltage at a state of charge (0..1). Outside of
// 0..1 the end slopes go on, which keeps an over-charged cell believable.
func (c *Cell) OCV(soc float64) float64 {
	i, f := ocvIndex(soc)
	return c.ocv[i] + f*(c.ocv[i+1]-c.ocv[i])
}

// energy returns the integral of the OCV from SoC 0 to soc: times Ah it is Wh.
func (c *Cell) energy(soc float64) float64 {
	i, f := ocvIndex(soc)
	return c.ocvInt[i] + f/ocvSteps*(c.ocv[i]+f*(c.ocv[i+1]-c.ocv[i])/2)
}

func ocvIndex(soc float64) (int, float64) {
	x := soc * ocvSteps
	i := min(max(int(x), 0), ocvSteps-1)
	return i, x - float64(i)
}

// resistanceFactor is the resistance at a temperature (degC) and SoC relative to
// 25 degC and mid SoC: Arrhenius, and a rise towards both ends of the SoC range.
func (c *Cell) resistanceFactor(tempC, soc float64) float64 {
	x := 2*soc - 1
	x2 := x * x
	return math.Exp(c.ActivationK*(1/(tempC+273.15)-1/298.15)) * (1 + 0.4*x2*x2*x2)
}
