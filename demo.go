package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"bessd/config"
	"bessd/internal/broker"
	"bessd/internal/obs"
	"bessd/internal/run"
	"bessd/internal/sim"
)

// demoOptions say how large the demo is and where it keeps its data.
type demoOptions struct {
	Sites, Racks int
	Dir          string
	Listen       string        // "" serves nothing
	FlushEvery   time.Duration // shorter than central's default, so that rows show up soon
	Every        time.Duration // period of the polls
}

// demo is a whole fleet in one process: real protocols on loopback sockets, every part as in production.
//
//	sim (Modbus TCP) <- one agent per site -> broker (Kafka protocol) -> central -> Dir/lake
type demo struct {
	opt     demoOptions
	dir     *dataDir
	broker  *broker.Broker
	sim     *sim.Sim
	central *centralNode
	agents  []*agentNode
	serve   *obs.Server
	left    atomic.Int64 // messages that the last stop left on the way
}

const demoTopic = "bess.telemetry"

// demoNames are the first sites of a demo; further ones are numbered.
var demoNames = [...]string{"alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"}

func demoSite(i int) string {
	if i < len(demoNames) {
		return demoNames[i]
	}
	return fmt.Sprintf("site%02d", i+1)
}

func (o demoOptions) validate() error {
	var errs []error
	if o.Sites < 1 || o.Sites > 50 {
		errs = append(errs, fmt.Errorf("--sites %d; want 1 to 50", o.Sites))
	}
	if o.Racks < 1 || o.Racks > 60 {
		errs = append(errs, fmt.Errorf("--racks %d; want 1 to 60", o.Racks))
	}
	if o.Listen != "" {
		if err := obs.CheckListen(o.Listen); err != nil {
			errs = append(errs, fmt.Errorf("--listen: %w", err))
		}
	}
	return errors.Join(errs...)
}

// newDemo opens and connects everything; nothing polls yet.
func newDemo(ctx context.Context, o demoOptions, log *slog.Logger) (d *demo, err error) {
	if err := o.validate(); err != nil {
		return nil, usageError{err}
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, usageError{fmt.Errorf("--data %s: %w", o.Dir, err)}
	}
	d = &demo{opt: o}
	defer func() {
		if err != nil {
			d.abandon()
		}
	}()
	if d.dir, err = openDataDir(o.Dir, "demo", "--data"); err != nil {
		return d, err
	}
	d.broker, err = broker.New(broker.Config{
		DataDir: d.dir.sub("kafka"), Log: log,
		Topics: []broker.Topic{{Name: demoTopic, Partitions: 4, Config: map[string]string{"retention.ms": strconv.Itoa(24 * 3600 * 1000)}}},
	})
	if err != nil {
		return d, fmt.Errorf("starting the demo's broker: %w", err)
	}
	central, err := newCentralNode(ctx, d.centralConfig(), log)
	if err != nil {
		return d, err
	}
	d.central = central
	if d.sim, err = sim.New(d.simConfig(), log); err != nil {
		return d, err
	}
	if err = d.sim.Listen(); err != nil {
		return d, fmt.Errorf("starting the simulated sites: %w", err)
	}
	registries := []*obs.Metrics{d.central.metrics}
	for i := range o.Sites {
		n, err := newAgentNode(d.agentConfig(demoSite(i)), log)
		if err != nil {
			return d, err
		}
		d.agents = append(d.agents, n)
		registries = append(registries, n.metrics)
	}
	d.central.metrics.Process()
	if o.Listen != "" {
		if d.serve, err = obs.NewServer(o.Listen, d.central.health, log, registries...); err != nil {
			return d, errors.New(strings.ReplaceAll(err.Error(), "http.listen", "--listen"))
		}
	}
	return d, nil
}

// abandon releases what newDemo opened before it failed.
func (d *demo) abandon() {
	for _, n := range d.agents {
		n.close()
	}
	if d.central != nil {
		d.central.close()
	}
	if d.sim != nil { // a run that is stopped at once closes the listeners
		stopped, cancel := context.WithCancel(context.Background())
		cancel()
		d.sim.Run(stopped)
	}
	if d.broker != nil {
		d.broker.Close()
	}
	if d.dir != nil {
		d.dir.close()
	}
}

func (d *demo) simConfig() sim.Config {
	var c config.Sim
	for i := range d.opt.Sites {
		var s config.SimSite
		s.SetDefaults()
		s.ID, s.Racks = demoSite(i), d.opt.Racks
		s.StartHour = float64((18 + 18*i) % 24) // evening, noon, morning, night: the first discharges, the second charges, others rest
		s.Port = freePort(d.dir.sub("ports", s.ID))
		if i%2 == 1 {
			s.Chemistry = "nmc"
		}
		c.Sites = append(c.Sites, s)
	}
	return simConfig(&c)
}

// freePort gives the port that a file remembers if it is free, 0 otherwise. Sites keep their addresses over restarts
// where they can.
func freePort(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || port < 1 || port > 65535 {
		return 0
	}
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0
	}
	ln.Close()
	return port
}

// rememberPort notes a site's port for the next start; without it, another one is taken.
func rememberPort(file, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(port+"\n"), 0o644)
}

func (d *demo) agentConfig(site string) *config.Agent {
	c := config.DefaultAgent()
	c.Site, c.DataDir = site, d.dir.sub("agents", site)
	c.Kafka.Brokers, c.Kafka.Topic = d.broker.Addrs(), demoTopic
	for _, e := range d.sim.Endpoints() {
		if e.Site != site {
			continue
		}
		var ep config.Endpoint
		ep.SetDefaults()
		ep.Address = e.Address
		for _, u := range e.Units {
			var dev config.Device
			dev.SetDefaults()
			dev.ID, dev.Unit, dev.Map, dev.Every = u.Device, int(u.ID), u.Map, d.opt.Every
			ep.Devices = append(ep.Devices, dev)
		}
		c.Endpoints = append(c.Endpoints, ep)
	}
	return &c
}

func (d *demo) centralConfig() *config.Central {
	c := config.DefaultCentral()
	c.DataDir = d.dir.sub("central")
	c.Kafka.Brokers, c.Kafka.Topic = d.broker.Addrs(), demoTopic
	c.Store.URL = "file://" + filepath.ToSlash(d.dir.sub("lake"))
	c.Archive.FlushEvery = d.opt.FlushEvery
	return &c
}

// stages lists everything from the disk up; agents stop first, the broker last.
func (d *demo) stages(log *slog.Logger) []run.Stage {
	base := run.Stage{Name: "broker", Parts: []run.Part{
		{Name: "broker", Run: d.broker.Run},
		run.Closer("data directory", d.dir.close),
	}}
	if d.serve != nil {
		base.Parts = append(base.Parts, run.Part{Name: "http", Run: d.serve.Run})
	}
	stages := append([]run.Stage{base}, d.central.stages(nil)...)
	stages = append(stages, run.Stage{Name: "simulated sites", Parts: []run.Part{{Name: "simulator", Run: d.sim.Run}}})
	var agents []run.Stage // the same stage of all agents is one
	for _, n := range d.agents {
		for i, s := range n.stages(nil) {
			if i == len(agents) {
				_, what, _ := strings.Cut(s.Name, ": ")
				agents = append(agents, run.Stage{Name: "agents: " + what})
			}
			for _, p := range s.Parts {
				p.Name = n.site + " " + p.Name
				agents[i].Parts = append(agents[i].Parts, p)
			}
		}
	}
	devices := len(agents) - 1
	return append(append(append(stages, agents[:devices]...), d.drainStage(log)), agents[devices])
}

// run works until ctx ends; notify is told how the stages proceed.
func (d *demo) run(ctx context.Context, abort <-chan struct{}, log *slog.Logger, notify func(string, run.Phase, time.Duration)) error {
	for _, e := range d.sim.Endpoints() {
		if err := rememberPort(d.dir.sub("ports", e.Site), e.Address); err != nil {
			log.Warn("remembering a site's port", obs.Err, err)
		}
	}
	g := run.Group{Stages: d.stages(log), Abort: abort, Notify: notify, Log: log}
	return g.Run(ctx)
}
