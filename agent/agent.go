package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"bessd/bess"
)

// RecordKind says what a Record holds.
type RecordKind uint8

// Kinds of records.
const (
	KindScan RecordKind = iota + 1
	KindDevice
	KindEvent
)

// Record is one encoded envelope (see bess/wire), ready to be stored and sent.
type Record struct {
	Kind   RecordKind
	Device string // "" for events
	Epoch  int64
	Seq    int64  // of the device for scans, Rec for the others
	TickUS int64  // ts of the scan or record, microseconds UTC
	Data   []byte // owned by the Sink
}

// Sink takes records in order. Put is called from several goroutines; it may block to push back, and returns when the
// record is taken. A record whose Put failed is lost and reported with the next event.
type Sink interface {
	Put(ctx context.Context, r Record) error
}

// State keeps small facts over restarts: the epoch and what is known of each unit. Get gives nil for a key that is not
// there. Both are called from several goroutines; Put returns when the value is on disk.
type State interface {
	Get(key string) ([]byte, error)
	Put(key string, value []byte) error
}

// SpoolStats is what heartbeats tell about records that wait to be sent.
type SpoolStats struct {
	Records int64
	Bytes   int64
}

// Options are the parts that an Agent works with.
type Options struct {
	Sink    Sink
	State   State
	Spool   func() SpoolStats // may be nil
	Log     *slog.Logger      // may be nil
	Version string            // of the program, for events
	Host    string            // of the gateway, for events
}

// Agent polls the endpoints of one Config. Create it with New, then call Run once.
type Agent struct {
	cfg Config
	opt Options
	log *slog.Logger
}

// New checks the configuration, loads the register maps and takes a new epoch, which is on disk when it returns.
func New(cfg Config, opt Options) (*Agent, error) {
	if opt.Sink == nil || opt.State == nil {
		return nil, errors.New("agent without sink or state")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	a := &Agent{cfg: cfg, opt: opt, log: opt.Log}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a, nil
}

// Run polls until ctx ends, then stops in stages: no new requests, the last rows, a stop event. It returns nil after an
// orderly stop.
func (a *Agent) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Epoch names this run of the agent.
func (a *Agent) Epoch() int64 { return 0 }

// Dropped tells the agent that the spool gave scans up; the next event says so. Safe for concurrent use.
func (a *Agent) Dropped(ranges ...bess.DroppedRange) {}

// Stats is a snapshot of what an agent did since New. Counters never decrease.
type Stats struct {
	Epoch       int64
	Devices     int   // known devices
	Scans       int64 // taken by the sink
	BadScans    int64 // of these with quality bad
	Values      int64 // in them, list elements included
	Requests    int64
	Registers   int64 // read
	MissedTicks int64
	Reconnects  int64
	Lost        int64 // records that the sink refused
	Units       []UnitStats
}

// UnitStats is a snapshot of one unit.
type UnitStats struct {
	Endpoint   string
	Unit       int
	Device     string // root
	Devices    int
	Up         bool // answered at its last attempt
	Requests   int64
	Exceptions int64 // answers that say no
	Timeouts   int64
	Errors     int64 // other failures of transport or protocol
	Missed     int64 // ticks that were not polled in time
	Abandoned  int64 // slow tiers that were not read within their slot
	LastError  string
}

// Stats gives a snapshot; safe for concurrent use.
func (a *Agent) Stats() Stats { return Stats{} }
