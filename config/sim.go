package config

import "time"

// Sim is the configuration of `bessd sim`. The simulator checks its figures itself.
type Sim struct {
	Sites   []SimSite  `yaml:"sites" doc:"the simulated sites"`
	Ledger  SimLedger  `yaml:"ledger" doc:"record of what was served"`
	Control SimControl `yaml:"control" doc:"switches faults at run time"`
	Log     Log        `yaml:"log" doc:"how to log"`
}

// SimSite is one simulated site.
type SimSite struct {
	ID             string        `yaml:"id,required" doc:"id of the site: a-z, 0-9 and -"`
	Seed           uint64        `yaml:"seed" doc:"equal seeds give equal plants; 0 derives it from the id"`
	Chemistry      string        `yaml:"chemistry" doc:"lfp or nmc"`
	Speed          float64       `yaml:"speed" doc:"plant seconds per second; 0 stands still"`
	Host           string        `yaml:"host" doc:"address to listen on"`
	Port           int           `yaml:"port" doc:"of the first endpoint, further ones follow; 0 takes free ones"`
	Endpoints      string        `yaml:"endpoints" doc:"per_site: one address with all units; per_device: one each"`
	Banks          int           `yaml:"banks" doc:"battery banks"`
	Racks          int           `yaml:"racks" doc:"per bank"`
	ModulesPerRack int           `yaml:"modules_per_rack" doc:"modules in series"`
	CellsPerModule int           `yaml:"cells_per_module" doc:"cells in series"`
	CapacityAh     float64       `yaml:"capacity_ah" doc:"of a cell; 0 takes the chemistry's"`
	PCS            int           `yaml:"pcs" doc:"converters"`
	Meter          bool          `yaml:"meter" doc:"a meter at the grid"`
	Map            string        `yaml:"map" doc:"of the banks: sunspec or pylontech_powercube_m2"`
	Layout         string        `yaml:"layout" doc:"single, unit_per_rack or modules_apart"`
	Base           int           `yaml:"base" doc:"register of the SunSpec mark: 0, 40000 or 50000"`
	CurrentSign    int           `yaml:"current_sign" doc:"-1 where banks count charging as positive"`
	Refresh        time.Duration `yaml:"refresh" doc:"how often registers change"`
	Step           time.Duration `yaml:"step" doc:"plant time per step of the physics"`
	StartHour      float64       `yaml:"start_hour" doc:"hour of the plant's day at start"`
	AmbientC       float64       `yaml:"ambient_c" doc:"mean outside temperature"`
	InitialSoC     float64       `yaml:"initial_soc" doc:"0 to 1"`
	Duty           []SimDuty     `yaml:"duty,omitempty" doc:"power over the day; none: charge at night and noon, discharge in the evening"`
	MaxConnections int           `yaml:"max_connections" doc:"per endpoint, a further one throws out the oldest; 0 has no bound"`
	Faults         []SimFault    `yaml:"faults,omitempty" doc:"misbehaviour from the start"`
}

// SetDefaults sets what is not written: the same site as the simulator's own default, which a test compares.
func (s *SimSite) SetDefaults() {
	*s = SimSite{
		Chemistry: "lfp", Speed: 1, Host: "127.0.0.1", Endpoints: "per_site", Banks: 1, Racks: 12, ModulesPerRack: 8, CellsPerModule: 16,
		PCS: 1, Meter: true, Map: "sunspec", Layout: "single", Base: 40000, CurrentSign: 1, Refresh: time.Second, Step: time.Second,
		StartHour: 18, AmbientC: 18, InitialSoC: 0.86,
	}
}

// SimDuty asks for a power between two hours of the day.
type SimDuty struct {
	FromHour float64 `yaml:"from_hour" doc:"begin"`
	ToHour   float64 `yaml:"to_hour" doc:"end"`
	CRate    float64 `yaml:"c_rate" doc:"relative to the rated energy, positive = discharge"`
}

// SimFault is one misbehaviour.
type SimFault struct {
	Kind        string        `yaml:"kind,required" doc:"delay, drop, dead, exception, close, half, short, garbage, wrong_length, wrong_transaction, wrong_unit, refuse, stuck_heartbeat, weak_cell, contactor"`
	Device      string        `yaml:"device,omitempty" doc:"\"\" is every unit"`
	Address     int           `yaml:"address,omitempty" doc:"first register; reads that touch the range fail"`
	Count       int           `yaml:"count,omitempty" doc:"registers; 0 is all"`
	Probability float64       `yaml:"probability,omitempty" doc:"0 is always"`
	Delay       time.Duration `yaml:"delay,omitempty" doc:"for delay"`
	Code        int           `yaml:"code,omitempty" doc:"for exception"`
	Rack        int           `yaml:"rack,omitempty" doc:"from 1, for weak_cell and contactor"`
	Module      int           `yaml:"module,omitempty" doc:"from 1"`
	Cell        int           `yaml:"cell,omitempty" doc:"from 1"`
	Factor      float64       `yaml:"factor,omitempty" doc:"for weak_cell"`
	After       time.Duration `yaml:"after,omitempty" doc:"begins after"`
	For         time.Duration `yaml:"for,omitempty" doc:"lasts; 0 until cleared"`
}

// SimLedger says where answered requests are recorded.
type SimLedger struct {
	Ring int    `yaml:"ring" doc:"records kept in memory"`
	File string `yaml:"file,omitempty" doc:"also append to this CSV file"`
}

// SimControl is the HTTP endpoint that switches faults.
type SimControl struct {
	Listen string `yaml:"listen" doc:"loopback host:port; \"\" is off"`
}

// DefaultSim has no sites, which must be written.
func DefaultSim() Sim { return Sim{Ledger: SimLedger{Ring: 65536}, Log: defaultLog()} }

func (s *Sim) check(c *checker) {
	if len(s.Sites) == 0 && !c.doc.Has("sites") {
		c.bad("sites", "missing; name at least one, such as sites: [{id: alfa}]")
	}
	if s.Ledger.File != "" {
		s.Ledger.File = c.path(s.Ledger.File)
	}
	c.log("log", s.Log)
}
