package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bessd/agent/sunspec"
	"bessd/bess"
	"bessd/bess/maps"
	"bessd/internal/backoff"
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
	cfg       Config
	opt       Options
	log       *slog.Logger
	clock     *clock
	epoch     int64
	prevEpoch int64
	facts     map[uint16]*maps.Model
	rules     map[uint16]maps.ModelRules
	endpoints []*endpoint

	rec                      atomic.Int64 // last record of the epoch
	scans, bad, values, lost atomic.Int64

	mu      sync.Mutex
	devices map[string]*identity
	dropped []bess.DroppedRange
}

// epochKey is where State keeps the last epoch.
const epochKey = "epoch"

// stopGrace bounds how long the last records may take to be handed over.
const stopGrace = 5 * time.Second

// New checks the configuration, loads the register maps and takes a new epoch, which is on disk when it returns.
func New(cfg Config, opt Options) (*Agent, error) {
	if opt.Sink == nil || opt.State == nil {
		return nil, errors.New("agent without sink or state")
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("agent configuration: %w", err)
	}
	a := &Agent{cfg: cfg, opt: opt, log: opt.Log, clock: newClock(), devices: map[string]*identity{}, rules: maps.SunSpecRules()}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if a.facts, err = maps.Models(); err != nil {
		return nil, fmt.Errorf("loading SunSpec models: %w", err)
	}
	var errs []error
	for _, ec := range cfg.Endpoints {
		e, err := newEndpoint(a, ec)
		if err != nil {
			errs = append(errs, fmt.Errorf("endpoint %s: %w", ec.Address, err))
			continue
		}
		a.endpoints = append(a.endpoints, e)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := a.takeEpoch(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Agent) takeEpoch() error {
	stored, err := a.opt.State.Get(epochKey)
	if err != nil {
		return fmt.Errorf("reading the last epoch: %w", err)
	}
	if a.prevEpoch, err = strconv.ParseInt(string(stored), 10, 64); err != nil {
		a.prevEpoch = 0 // none, or damaged: the new one is unique anyway
	}
	a.epoch = bess.NewEpoch(a.prevEpoch, time.Now().Unix(), rand.Uint32())
	if err := a.opt.State.Put(epochKey, strconv.AppendInt(nil, a.epoch, 10)); err != nil {
		return fmt.Errorf("keeping the new epoch: %w", err)
	}
	return nil
}

// newUnit loads the unit's map and what is known of it.
func (a *Agent) newUnit(e *endpoint, d Device) (*unit, error) {
	u := &unit{cfg: d, log: a.log.With("endpoint", e.cfg.Address, "unit", d.Unit, "device", d.ID), savedAt: a.clock.now(),
		backoff: backoff.New(backoff.Config{Min: a.cfg.ProbeMin, Max: a.cfg.ProbeMax})}
	for t := range u.slot {
		u.slot[t] = -1
	}
	stored, err := a.opt.State.Get(u.key())
	if err != nil {
		return nil, fmt.Errorf("reading what is known of the unit: %w", err)
	}
	var known unitState
	if err := json.Unmarshal(stored, &known); err != nil && len(stored) > 0 {
		u.log.Warn("what was kept of the unit cannot be read; it will be learned again", "err", err)
		known = unitState{}
	}
	if known.Map != d.Map {
		known = unitState{} // another map names other fields
	}
	switch {
	case d.Map == "sunspec":
		u.surveyAt = 1 // at the first chance, also to verify what is known
		if known.Chain == nil {
			u.placeholder(a.identity(d.ID))
			return u, nil
		}
		u.chain = known.Chain
		layout, _ := sunspec.Build(u.chain, u.sunspecRoot(), a.facts, a.rules)
		u.adopt(layout, e.cfg.MaxRegisters, a)
	default:
		m, err := loadMap(d.Map)
		if err != nil {
			return nil, err
		}
		if u.static, err = m.Layout(d.ID); err != nil {
			return nil, fmt.Errorf("map %s: %w", d.Map, err)
		}
		u.adopt(u.static, e.cfg.MaxRegisters, a)
	}
	u.recall(&known)
	u.saved = stored
	return u, nil
}

// loadMap finds a built-in map by its name, or reads the file.
func loadMap(name string) (*maps.Map, error) {
	if m, err := maps.BuiltIn(name); m != nil || err != nil {
		return m, err
	}
	if !strings.ContainsAny(name, "./\\") {
		return nil, fmt.Errorf("map %q: neither sunspec nor a built-in map (%s); for a file write its path, such as maps/%s.yaml",
			name, strings.Join(maps.BuiltInNames(), ", "), name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading register map: %w", err)
	}
	return maps.Load(name, data)
}

func (u *unit) sunspecRoot() sunspec.Root {
	k, _ := bess.ParseKind(u.cfg.Kind)
	return sunspec.Root{ID: u.cfg.ID, Kind: k}
}

// mine leaves out the devices of a layout that the configuration gives to another unit: where racks have units of their
// own, the bank's string table does not describe them a second time.
func (a *Agent) mine(l *maps.Layout, root string) *maps.Layout {
	out := *l
	out.Devices = nil
	for _, d := range l.Devices {
		owner := ""
		for _, e := range a.cfg.Endpoints {
			for _, c := range e.Devices {
				if (c.ID == d.Path || strings.HasPrefix(d.Path, c.ID+"/")) && len(c.ID) > len(owner) {
					owner = c.ID
				}
			}
		}
		if owner == root {
			out.Devices = append(out.Devices, d)
		}
	}
	return &out
}

// identity gives the device's identity in this run, new at the first call for a path.
func (a *Agent) identity(path string) *identity {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.devices[path]
	if id == nil {
		id = &identity{path: path}
		a.devices[path] = id
	}
	return id
}

// Run polls until ctx ends, then stops in stages: no new requests, the last rows, a stop event. It returns nil after an
// orderly stop. It may take as long as one request's timeout, or a dial, that was under way.
func (a *Agent) Run(ctx context.Context) error {
	put, cancel := context.WithCancel(context.WithoutCancel(ctx)) // records outlive the polling, for a while
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	defer stop()

	if err := a.event(put, bess.AgentEvent{Kind: bess.EventStart, PrevEpoch: a.prevEpoch}); err != nil {
		return fmt.Errorf("handing over the start event: %w", err)
	}
	var wg sync.WaitGroup
	for _, e := range a.endpoints {
		wg.Go(func() { e.run(ctx, put) })
	}
	a.beat(ctx, put)
	wg.Wait()
	a.reportDropped(put)
	if err := a.heartbeat(put); err != nil {
		return fmt.Errorf("handing over the last heartbeat: %w", err)
	}
	if err := a.event(put, bess.AgentEvent{Kind: bess.EventStop}); err != nil {
		return fmt.Errorf("handing over the stop event: %w", err)
	}
	return nil
}

// beat sends heartbeats, reports losses and follows the wall clock until ctx ends.
func (a *Agent) beat(ctx, put context.Context) {
	heart := time.NewTicker(a.cfg.HeartbeatEvery)
	defer heart.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-heart.C:
			_ = a.heartbeat(put) // counted in Stats.Lost; the next one tells more
		case <-second.C:
			now := time.Now() // the ticker tells when it should have fired, which may be long ago
			if step := a.clock.follow(now, now.UnixMicro()); step != 0 {
				a.log.Warn("the wall clock stepped", "step_us", step)
				_ = a.event(put, bess.AgentEvent{Kind: bess.EventClockStep, ClockStepUS: step}) // counted in Stats.Lost
			}
			a.reportDropped(put)
		}
	}
}

func (a *Agent) put(ctx context.Context, r Record) error { return a.opt.Sink.Put(ctx, r) }

// Epoch names this run of the agent.
func (a *Agent) Epoch() int64 { return a.epoch }

// maxDropped bounds the ranges that wait to be reported.
const maxDropped = 10_000

// Dropped tells the agent that scans were given up after they were taken; the next event says so. Adjacent ranges are
// joined. Safe for concurrent use.
func (a *Agent) Dropped(ranges ...bess.DroppedRange) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range ranges {
		if n := len(a.dropped); n > 0 {
			if l := &a.dropped[n-1]; l.Device == r.Device && l.Epoch == r.Epoch && l.Reason == r.Reason && l.LastSeq+1 == r.FirstSeq {
				l.LastSeq = r.LastSeq
				continue
			}
		}
		if len(a.dropped) < maxDropped { // beyond it, gaps in seq still show every loss
			a.dropped = append(a.dropped, r)
		}
	}
}
