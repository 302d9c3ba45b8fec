package sim

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"bessd/internal/sim/plant"
)

// Register maps of a site's banks. Converters and the meter always speak SunSpec.
const (
	MapSunSpec   = "sunspec"
	MapPylontech = "pylontech_powercube_m2"
)

// Layouts of a SunSpec bank.
const (
	// LayoutSingle puts 1, 713, 802, 803, all 804 and all 805 into the bank's unit.
	LayoutSingle = "single"
	// LayoutUnitPerRack puts 1, 713, 802, 803 into the bank's unit and gives each rack a
	// unit of its own with 1, its 804 and its 805.
	LayoutUnitPerRack = "unit_per_rack"
	// LayoutModulesApart puts 1, 713, 802, 803 and all 804 into the bank's unit and gives
	// each rack a unit with 1 and its 805.
	LayoutModulesApart = "modules_apart"
)

// Endpoint schemes of a site.
const (
	EndpointPerSite   = "per_site"   // one address with all units
	EndpointPerDevice = "per_device" // one address for each bank, converter and meter
)

// Config is everything that a simulator serves. YAML keys are the field names in
// snake_case; package config decodes them.
type Config struct {
	Sites   []SiteConfig
	Ledger  LedgerConfig
	Control ControlConfig
}

// SiteConfig is one simulated site.
type SiteConfig struct {
	ID             string  // [a-z0-9-], 1..32 characters
	Seed           uint64  // equal seeds and equal sizes give equal plants
	Chemistry      string  // lfp | nmc
	Speed          float64 // plant seconds per second, 0 = the plant stands still
	Host           string  // address to listen on
	Port           int     // of the first endpoint, further ones follow; 0 = any free port for each
	Endpoints      string  // per_site | per_device
	Banks          int
	Racks          int // per bank
	ModulesPerRack int
	CellsPerModule int
	CapacityAh     float64 // of a cell; 0 = the chemistry's
	PCS            int
	Meter          bool
	Map            string        // of the banks: sunspec | pylontech_powercube_m2
	Layout         string        // single | unit_per_rack | modules_apart
	Base           int           // register address of the SunSpec mark: 0, 40000 or 50000
	CurrentSign    int           // of DC current and power in 802, 803, 804: 1 = discharge positive, -1 = charge positive
	Refresh        time.Duration // how often the registers change
	Step           time.Duration // plant time per step of the physics
	StartHour      float64       // local hour of the plant's day at start
	AmbientC       float64       // mean outside temperature
	InitialSoC     float64       // 0..1
	Duty           []DutyConfig  // empty = charge at night and noon, discharge in the evening
	MaxConnections int           // per endpoint, a further one throws out the oldest; 0 = no limit
	KeepImages     int           // register images kept per unit for Image, beside the present one
	Manual         bool          // registers change only by Tick (for tests)
	Faults         []Fault
}

// DutyConfig asks for a power between two hours of the day; c_rate is relative to the
// rated energy, positive = discharge.
type DutyConfig struct {
	FromHour, ToHour float64
	CRate            float64
}

// LedgerConfig says where the record of answered requests is kept.
type LedgerConfig struct {
	Ring int    // records kept in memory
	File string // also append to this file as CSV; "" = memory only
}

// ControlConfig is the HTTP endpoint that switches faults at run time.
type ControlConfig struct {
	Listen string // loopback host:port; "" = off
}

// DefaultConfig is one site named alfa with DefaultSite's plant.
func DefaultConfig() Config {
	return Config{Sites: []SiteConfig{DefaultSite("alfa", 1)}, Ledger: LedgerConfig{Ring: 65536}}
}

// DefaultSite is one LFP bank of twelve racks of 8 x 16 cells, one PCS and a meter on
// one endpoint of the loopback interface.
func DefaultSite(id string, seed uint64) SiteConfig {
	p := plant.DefaultParams()
	return SiteConfig{
		ID: id, Seed: seed, Chemistry: string(p.Chemistry), Speed: 1, Host: "127.0.0.1", Endpoints: EndpointPerSite,
		Banks: p.Banks, Racks: p.Racks, ModulesPerRack: p.ModulesPerRack, CellsPerModule: p.CellsPerModule, PCS: p.PCS, Meter: true,
		Map: MapSunSpec, Layout: LayoutSingle, Base: 40000, CurrentSign: 1, Refresh: time.Second, Step: time.Second,
		StartHour: p.StartHour, AmbientC: p.AmbientC, InitialSoC: p.InitialSoC,
	}
}

// params translates the site for the plant.
func (c SiteConfig) params() plant.Params {
	p := plant.DefaultParams()
	p.Seed, p.Chemistry = c.Seed, plant.Chemistry(c.Chemistry)
	p.Banks, p.Racks, p.ModulesPerRack, p.CellsPerModule, p.PCS = c.Banks, c.Racks, c.ModulesPerRack, c.CellsPerModule, c.PCS
	p.CapacityAh, p.StepS, p.StartHour, p.AmbientC, p.InitialSoC = c.CapacityAh, c.stepS(), c.StartHour, c.AmbientC, c.InitialSoC
	if len(c.Duty) > 0 {
		p.Duty = nil
		for _, d := range c.Duty {
			p.Duty = append(p.Duty, plant.DutySlot(d))
		}
	}
	return p
}

// stepS is the plant's step: never longer than what one refresh moves it.
func (c SiteConfig) stepS() float64 {
	step := c.Step.Seconds()
	if moved := c.Refresh.Seconds() * c.Speed; moved > 0 {
		step = min(step, moved)
	}
	return step
}

var siteID = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Validate returns every problem, each with the path of its key, joined.
func (c Config) Validate() error {
	var errs []error
	if len(c.Sites) == 0 {
		errs = append(errs, errors.New("sites: none given, want at least one"))
	}
	seen := map[string]bool{}
	for i, s := range c.Sites {
		for _, err := range s.problems() {
			errs = append(errs, fmt.Errorf("sites[%d].%w", i, err))
		}
		if seen[s.ID] {
			errs = append(errs, fmt.Errorf("sites[%d].id %q: used twice", i, s.ID))
		}
		seen[s.ID] = true
	}
	if c.Ledger.Ring < 0 || c.Ledger.Ring > 1<<24 {
		errs = append(errs, fmt.Errorf("ledger.ring %d: want 0..%d", c.Ledger.Ring, 1<<24))
	}
	if c.Control.Listen != "" {
		if err := checkLoopback(c.Control.Listen); err != nil {
			errs = append(errs, fmt.Errorf("control.listen %q: %w", c.Control.Listen, err))
		}
	}
	return errors.Join(errs...)
}

func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("want host:port: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("faults may be switched from this machine only: want 127.0.0.1, ::1 or localhost")
	}
	return nil
}

func (c SiteConfig) problems() []error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	oneOf := func(key, got string, want ...string) {
		for _, w := range want {
			if got == w {
				return
			}
		}
		errs = append(errs, fmt.Errorf("%s %q: want one of %q", key, got, want))
	}
	bad(siteID.MatchString(c.ID), "id %q: want 1..32 of a-z, 0-9 and -", c.ID)
	oneOf("endpoints", c.Endpoints, EndpointPerSite, EndpointPerDevice)
	oneOf("map", c.Map, MapSunSpec, MapPylontech)
	oneOf("layout", c.Layout, LayoutSingle, LayoutUnitPerRack, LayoutModulesApart)
	bad(c.Host != "", "host: empty, want an address such as 127.0.0.1")
	bad(c.Port >= 0 && c.Port <= 65535, "port %d: want 0..65535", c.Port)
	bad(c.Speed >= 0 && c.Speed <= 100_000, "speed %g: want 0..100000", c.Speed)
	bad(c.Base == 0 || c.Base == 40000 || c.Base == 50000, "base %d: want 0, 40000 or 50000", c.Base)
	bad(c.CurrentSign == 1 || c.CurrentSign == -1, "current_sign %d: want 1 or -1", c.CurrentSign)
	bad(c.Refresh >= 10*time.Millisecond && c.Refresh <= time.Hour, "refresh %s: want 10ms..1h", c.Refresh)
	bad(c.Step > 0, "step %s: want above 0", c.Step)
	bad(c.MaxConnections >= 0, "max_connections %d: want 0 or more", c.MaxConnections)
	bad(c.KeepImages >= 0 && c.KeepImages <= 100_000, "keep_images %d: want 0..100000", c.KeepImages)
	if err := c.params().Validate(); err != nil {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			errs = append(errs, joined.Unwrap()...)
		}
	}
	for i, f := range c.Faults {
		if err := f.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("faults[%d]: %w", i, err))
		}
	}
	if len(errs) > 0 {
		return errs // sizes below need sane figures
	}
	endpoints, err := layOut(c)
	if err != nil {
		return []error{err}
	}
	bad(c.Port == 0 || c.Port+len(endpoints)-1 <= 65535, "port %d: %d endpoints follow it, beyond 65535", c.Port, len(endpoints))
	for i, f := range c.Faults {
		if err := f.target(c, endpoints); err != nil {
			errs = append(errs, fmt.Errorf("faults[%d].%w", i, err))
		}
	}
	return errs
}
