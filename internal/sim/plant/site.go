package plant

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// PCS is a bidirectional converter between one bank and the site's AC bus.
type PCS struct {
	Bank             int     // index of the bank it works on
	RatedW           float64 // AC
	NominalV         float64 // line to line
	ActiveW          float64 // AC, positive = export
	ReactiveVar      float64
	DCW, DCV, DCA    float64 // positive = from the battery
	SetpointW        float64 // AC
	CabinetC, SinkC  float64
	InjectedWh       float64 // AC, since commissioning
	AbsorbedWh       float64
	DCDischargedWh   float64
	DCChargedWh      float64
	Running          bool
	standbyW, linear float64
	constant, square float64
}

// loss is what the converter burns at a DC power while it runs.
func (p *PCS) loss(dcW float64) float64 {
	x := math.Abs(dcW)
	return p.constant + p.linear*x + p.square*x*x
}

// Meter is the site's AC meter at the point of connection: all PCS less the
// auxiliary load. Positive power is export.
type Meter struct {
	ActiveW, ReactiveVar   float64
	ExportedWh, ImportedWh float64
	NominalV               float64
}

// Site is a plant. Fields are the state after the last Step and for reading only.
type Site struct {
	Params   Params
	Banks    []*Bank
	PCS      []*PCS
	Meter    Meter
	ElapsedS float64 // plant time since the start
	Steps    int64
	AmbientC float64
	GridHz   float64
	GridPU   float64    // voltage relative to nominal
	PhasePU  [3]float64 // each phase's share of that voltage, near 1

	duty    []DutySlot
	rules   []alarmRule
	rng     *rand.Rand
	weather [3]float64
	command float64 // ramped AC set point of the site, as a C rate
	wobble  float64
	wishes  []float64
	drawn   []float64
	served  []float64 // converters per bank
	done    []float64 // per bank: direction that reached the end of the SoC window
}

// New builds a site; the error joins every problem of the parameters.
func New(p Params) (*Site, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("plant parameters: %w", err)
	}
	chem, _ := cellOf(p.Chemistry)
	rng := rand.New(rand.NewPCG(p.Seed, 0x9e3779b97f4a7c15))
	s := &Site{Params: p, rules: alarmRules(chem), rng: rng, GridHz: 50, GridPU: 1, PhasePU: [3]float64{1, 1, 1}}
	for i := range s.weather {
		s.weather[i] = rng.Float64() * 2 * math.Pi
	}
	for i := range s.PhasePU {
		s.PhasePU[i] = 1 + 0.003*gauss(rng)
	}
	for _, d := range p.Duty {
		shift := 0.15 * gauss(rng)
		d.FromHour, d.ToHour = wrapHour(d.FromHour+shift), wrapHour(d.ToHour+shift)
		s.duty = append(s.duty, d)
	}
	for range p.Banks {
		s.Banks = append(s.Banks, newBank(chem, p, rng))
	}
	served := make([]float64, p.Banks)
	s.served = served
	for i := range p.PCS {
		served[i%p.Banks]++
	}
	s.Meter.NominalV = acVoltage(s.ratedW())
	for i := range p.PCS {
		bank := i % p.Banks
		b := s.Banks[bank]
		rated := b.RatedW / served[bank]
		s.PCS = append(s.PCS, &PCS{
			Bank: bank, RatedW: rated, NominalV: s.Meter.NominalV, CabinetC: 25, SinkC: 28,
			standbyW: 0.0010*rated + 40, constant: 0.0030 * rated, linear: 0.007, square: 0.010 / rated,
			InjectedWh: b.DischargeWh / served[bank] * 0.978, AbsorbedWh: b.ChargedWh / served[bank] / 0.978,
			DCDischargedWh: b.DischargeWh / served[bank], DCChargedWh: b.ChargedWh / served[bank],
		})
		s.Meter.ExportedWh += s.PCS[i].InjectedWh
		s.Meter.ImportedWh += s.PCS[i].AbsorbedWh * 1.03
	}
	s.wishes, s.drawn = make([]float64, p.Banks), make([]float64, p.Banks)
	s.done = make([]float64, p.Banks)
	s.surroundings()
	return s, nil
}

func acVoltage(ratedW float64) float64 {
	if ratedW < 200e3 {
		return 400
	}
	return 690
}

func (s *Site) ratedW() float64 {
	sum := 0.0
	for _, b := range s.Banks {
		sum += b.RatedW
	}
	return sum
}

func wrapHour(h float64) float64 { return math.Mod(h+24, 24) }

// HourOfDay is the local hour, 0 up to 24.
func (s *Site) HourOfDay() float64 {
	return wrapHour(s.Params.StartHour + math.Mod(s.ElapsedS/3600, 24))
}

// surroundings sets the outside temperature: a day curve with its top at 15 h and a
// slow drift over days.
func (s *Site) surroundings() {
	h, days := s.HourOfDay(), s.ElapsedS/86400
	drift := math.Sin(2*math.Pi*days/3.7+s.weather[0]) + 0.6*math.Sin(2*math.Pi*days/1.9+s.weather[1]) + 0.25*math.Sin(2*math.Pi*days*7+s.weather[2])
	s.AmbientC = s.Params.AmbientC - s.Params.AmbientSwingC*math.Cos(2*math.Pi*(h-3)/24) + 1.5*drift
}

// dutyRate is what the daily plan asks for at an hour, as a C rate.
func (s *Site) dutyRate(h float64) float64 {
	for _, d := range s.duty {
		in := h >= d.FromHour && h < d.ToHour
		if d.FromHour > d.ToHour {
			in = h >= d.FromHour || h < d.ToHour
		}
		if in {
			return d.CRate
		}
	}
	return 0
}

// Step moves the site by Params.StepS seconds of plant time.
func (s *Site) Step() {
	dt := s.Params.StepS
	s.Steps++
	s.ElapsedS = float64(s.Steps) * dt
	s.surroundings()
	s.grid(dt)

	target := s.dutyRate(s.HourOfDay())
	ramp := MaxCRate / 300 * dt // full power in five minutes
	s.command += min(max(target-s.command, -ramp), ramp)
	s.wobble += -s.wobble*dt/30 + 0.02*math.Sqrt(2*dt/30)*gauss(s.rng) // the grid operator's correction

	aux := 0.0
	for i, b := range s.Banks {
		wish := s.within(i, s.command) * b.RatedWh
		if math.Abs(wish) > 0.002*b.RatedWh {
			wish *= 1 + s.wobble
		} else {
			wish = 0
		}
		s.wishes[i] = wish
		dcWish, n := wish, s.served[i]
		if wish != 0 { // the plan is in AC power: ask for the losses too
			for _, p := range s.PCS {
				if p.Bank == i {
					dcWish += p.loss(wish / n)
				}
			}
		}
		s.drawn[i] = b.step(dcWish, dt, s.AmbientC, s.rules)
		aux += b.AuxW
		for _, p := range s.PCS {
			if p.Bank == i {
				p.follow(s, wish/n, s.drawn[i]/n, b.VoltageV, dt)
			}
		}
	}
	s.metering(aux, dt)
}

// within keeps a bank inside its SoC window. A direction that reached the window's
// end stays off until the plan turns or 3 % of SoC are made up, so that self
// discharge does not make the converter chatter.
func (s *Site) within(bank int, rate float64) float64 {
	soc := s.Banks[bank].SoC
	lo, hi := s.Banks[bank].SoCWindow()
	switch {
	case rate > 0 && soc <= lo:
		s.done[bank] = 1
	case rate < 0 && soc >= hi:
		s.done[bank] = -1
	case rate*s.done[bank] < 0, s.done[bank] > 0 && soc > lo+0.03, s.done[bank] < 0 && soc < hi-0.03:
		s.done[bank] = 0
	}
	if rate*s.done[bank] > 0 {
		return 0
	}
	return rate
}

// follow sets the converter to its share of the bank's DC power.
func (p *PCS) follow(s *Site, setpointW, dcW, busV, dt float64) {
	p.SetpointW, p.DCW, p.DCV, p.DCA = setpointW, dcW, busV, 0
	p.Running = dcW != 0
	heat := p.standbyW
	if p.Running {
		p.DCA = dcW / busV
		heat = p.loss(dcW)
	}
	p.ActiveW = dcW - heat
	p.ReactiveVar = 0.012*p.RatedW + 0.03*math.Abs(p.ActiveW) // filter capacitors and control error
	wh := p.ActiveW * dt / 3600
	p.InjectedWh += max(wh, 0)
	p.AbsorbedWh += max(-wh, 0)
	p.DCDischargedWh += max(dcW, 0) * dt / 3600
	p.DCChargedWh += max(-dcW, 0) * dt / 3600
	rise := 30 * heat / (0.0125 * p.RatedW)
	p.SinkC += (s.AmbientC + 4 + rise - p.SinkC) * (1 - math.Exp(-dt/400))
	p.CabinetC += (s.AmbientC + 3 + 0.35*rise - p.CabinetC) * (1 - math.Exp(-dt/1500))
}

func (s *Site) grid(dt float64) {
	s.GridHz += -(s.GridHz-50)*dt/120 + 0.018*math.Sqrt(2*dt/120)*gauss(s.rng)
	s.GridPU += -(s.GridPU-1.005)*dt/600 + 0.006*math.Sqrt(2*dt/600)*gauss(s.rng)
}

func (s *Site) metering(aux, dt float64) {
	m := &s.Meter
	m.ActiveW, m.ReactiveVar = -aux, -0.35*aux // motors of fans and compressors
	for _, p := range s.PCS {
		m.ActiveW += p.ActiveW
		m.ReactiveVar += p.ReactiveVar
	}
	if len(s.PCS) == 0 { // banks driven by converters that are not simulated
		for _, w := range s.drawn {
			m.ActiveW += w
		}
	}
	wh := m.ActiveW * dt / 3600
	m.ExportedWh += max(wh, 0)
	m.ImportedWh += max(-wh, 0)
}
