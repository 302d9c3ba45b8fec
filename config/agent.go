package config

import (
	"time"

	"bessd/internal/yamlx"
)

// Agent is the configuration of `bessd agent`.
type Agent struct {
	Site      string        `yaml:"site" doc:"id of the site: a-z, 0-9 and -"`
	DataDir   string        `yaml:"data_dir" doc:"directory of the spool and the agent's memory; one agent each"`
	Kafka     Kafka         `yaml:"kafka" doc:"where to send"`
	Endpoints []Endpoint    `yaml:"endpoints" doc:"what to read"`
	Spool     Spool         `yaml:"spool" doc:"what waits while Kafka is away"`
	Reconnect MinMax        `yaml:"reconnect" doc:"waits between attempts to reach an endpoint, doubling with jitter"`
	Probe     MinMax        `yaml:"probe" doc:"waits between attempts to reach a silent unit behind an endpoint that answers"`
	Heartbeat time.Duration `yaml:"heartbeat" doc:"period of the agent's heartbeat events"`
	Records   time.Duration `yaml:"records" doc:"period of repeated device records"`
	HTTP      HTTP          `yaml:"http" doc:"metrics and health"`
	Log       Log           `yaml:"log" doc:"how to log"`
}

// Spool bounds what waits on disk.
type Spool struct {
	MaxBytes     yamlx.Size    `yaml:"max_bytes" doc:"bound on disk; the oldest goes first, and an event names it"`
	MaxAge       time.Duration `yaml:"max_age" doc:"drops what is older; 0 never does"`
	SyncEvery    time.Duration `yaml:"sync_every" doc:"how long a scan may wait for its sync to disk while Kafka is away"`
	SegmentBytes yamlx.Size    `yaml:"segment_bytes" doc:"size of one file, and so of what is dropped at once"`
}

// MinMax bounds waits.
type MinMax struct {
	Min time.Duration `yaml:"min" doc:"first wait"`
	Max time.Duration `yaml:"max" doc:"longest wait"`
}

// Endpoint is one Modbus TCP address.
type Endpoint struct {
	Address              string        `yaml:"address,required" doc:"host:port"`
	Timeout              time.Duration `yaml:"timeout" doc:"of one request"`
	PauseAfterConnect    time.Duration `yaml:"pause_after_connect" doc:"for devices that need it"`
	PauseBetweenRequests time.Duration `yaml:"pause_between_requests" doc:"for devices that need it"`
	MaxRegisters         int           `yaml:"max_registers" doc:"per request, 1 to 125"`
	Devices              []Device      `yaml:"devices,required" doc:"the units behind the address"`
}

// SetDefaults sets what is not written.
func (e *Endpoint) SetDefaults() { e.Timeout, e.MaxRegisters = time.Second, 125 }

// Device is one unit behind an endpoint.
type Device struct {
	ID    string                   `yaml:"id,required" doc:"path within the site, such as bank1"`
	Unit  int                      `yaml:"unit" doc:"Modbus unit id, 0 to 255"`
	Map   string                   `yaml:"map" doc:"sunspec, the name of a built-in map, or the path of a YAML map"`
	Every time.Duration            `yaml:"every" doc:"period; divides a minute or is whole minutes"`
	Kind  string                   `yaml:"kind,omitempty" doc:"of the device, where the map leaves it open"`
	Set   map[string]int           `yaml:"set,omitempty" doc:"current_sign: -1 where the device counts charging as positive"`
	Tiers map[string]time.Duration `yaml:"tiers,omitempty" doc:"periods of slow, cells, nameplate; multiples of every"`
}

// SetDefaults sets what is not written.
func (d *Device) SetDefaults() { d.Unit, d.Map, d.Every = 1, "sunspec", time.Second }

// DefaultAgent is an agent without site, data_dir, brokers and endpoints, which must be written.
func DefaultAgent() Agent {
	return Agent{
		Kafka:     defaultKafka(),
		Spool:     Spool{MaxBytes: 1 << 30, SyncEvery: 250 * time.Millisecond, SegmentBytes: 16 << 20},
		Reconnect: MinMax{time.Second, time.Minute}, Probe: MinMax{time.Second, 30 * time.Second},
		Heartbeat: 5 * time.Second, Records: time.Hour,
		Log: defaultLog(),
	}
}

func (a *Agent) check(c *checker) {
	c.required("site", a.Site, "the id of this site, such as site: alfa")
	a.DataDir = c.dir("data_dir", a.DataDir)
	c.kafka("kafka", &a.Kafka)
	if len(a.Endpoints) == 0 && !c.doc.Has("endpoints") {
		c.bad("endpoints", "missing; name at least one, with address and devices")
	}
	for i := range a.Endpoints {
		for j := range a.Endpoints[i].Devices {
			if d := &a.Endpoints[i].Devices[j]; IsPath(d.Map) {
				d.Map = c.path(d.Map)
			}
		}
	}
	c.size("spool.segment_bytes", a.Spool.SegmentBytes, 1<<20, 1<<30)
	if a.Spool.MaxBytes < 2*a.Spool.SegmentBytes {
		c.bad("spool.max_bytes", "%s; want at least two segments of spool.segment_bytes (%s)", a.Spool.MaxBytes, a.Spool.SegmentBytes)
	}
	c.duration("spool.sync_every", a.Spool.SyncEvery, time.Millisecond, time.Minute)
	if a.Spool.MaxAge != 0 {
		c.duration("spool.max_age", a.Spool.MaxAge, time.Minute, 10*365*24*time.Hour)
	}
	c.http("http", a.HTTP)
	c.log("log", a.Log)
}
