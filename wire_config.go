package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"strings"

	"bessd/agent"
	"bessd/bess"
	"bessd/bess/maps"
	"bessd/config"
	"bessd/ingest"
	"bessd/internal/obs"
	"bessd/internal/sim"
	"bessd/internal/yamlx"
)

// loadConfig reads a configuration and lets the parts check their figures, so that all problems come at once. Every
// error is a usageError.
func (p program) loadConfig(path string, mode config.Mode) (*config.File, error) {
	f, err := config.Load(path, mode, p.env)
	if f == nil {
		return nil, usageError{err}
	}
	var problems yamlx.Problems
	errors.As(err, &problems)
	problems = append(problems, f.Place(checkParts(f), err)...)
	if f.Mode == config.ModeAgent {
		problems = append(problems, checkMaps(f)...)
	}
	if err := problems.Err(); err != nil {
		return nil, usageError{err}
	}
	return f, nil
}

// checkParts asks the parts what they think of their figures.
func checkParts(f *config.File) error {
	switch f.Mode {
	case config.ModeAgent:
		c := agentConfig(f.Agent)
		return c.Validate()
	case config.ModeSim:
		return simConfig(f.Sim).Validate()
	}
	return nil
}

// checkMaps loads the register maps of an agent, each once, and lays them out below their devices.
func checkMaps(f *config.File) yamlx.Problems {
	var problems yamlx.Problems
	loaded := map[string]*maps.Map{} // nil = it is no map
	for i, e := range f.Agent.Endpoints {
		for j, d := range e.Devices {
			if d.Map == "" || d.Map == "sunspec" {
				continue
			}
			at := fmt.Sprintf("endpoints[%d].devices[%d]", i, j)
			m, seen := loaded[d.Map]
			if !seen {
				var err error
				var inMap yamlx.Problems
				m, err = loadMap(d.Map)
				loaded[d.Map] = m
				if errors.As(err, &inMap) { // they name the map's own lines
					problems = append(problems, inMap...)
				} else if err != nil {
					problems = append(problems, f.Place(fmt.Errorf("%s.map: %w", at, err), nil)...)
				}
			}
			if m == nil || bess.CheckDevice(d.ID) != nil {
				continue
			}
			if _, err := m.Layout(d.ID); err != nil {
				problems = append(problems, f.Place(fmt.Errorf("%s.id: %s does not fit below it: %w", at, d.Map, err), nil)...)
			}
		}
	}
	return problems
}

func loadMap(name string) (*maps.Map, error) {
	if m, err := maps.BuiltIn(name); m != nil || err != nil {
		return m, err
	}
	if !config.IsPath(name) {
		return nil, fmt.Errorf("%s is neither sunspec nor a built-in map (%s); for a file write its path, such as maps/%s.yaml",
			name, strings.Join(maps.BuiltInNames(), ", "), name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("there is no map %s; correct the path (it is relative to the configuration's directory)", name)
	}
	return maps.Load(name, data)
}

// logger makes the logger of a mode and tells the configuration's warnings.
func logger(w io.Writer, c config.Log, warnings yamlx.Problems) (*slog.Logger, error) {
	log, err := obs.NewLogger(w, obs.LogConfig{Level: c.Level, Format: c.Format})
	if err != nil {
		return nil, usageError{err}
	}
	for _, p := range warnings {
		log.Warn("configuration", obs.Err, p.Error())
	}
	return log, nil
}

func agentConfig(c *config.Agent) agent.Config {
	out := agent.DefaultConfig()
	out.Site = c.Site
	out.ReconnectMin, out.ReconnectMax = c.Reconnect.Min, c.Reconnect.Max
	out.ProbeMin, out.ProbeMax = c.Probe.Min, c.Probe.Max
	out.HeartbeatEvery, out.RecordEvery = c.Heartbeat, c.Records
	for _, e := range c.Endpoints {
		ep := agent.Endpoint{
			Address: e.Address, Timeout: e.Timeout, MaxRegisters: e.MaxRegisters,
			PauseAfterConnect: e.PauseAfterConnect, PauseBetweenRequests: e.PauseBetweenRequests,
		}
		for _, d := range e.Devices {
			ep.Devices = append(ep.Devices, agent.Device(d))
		}
		out.Endpoints = append(out.Endpoints, ep)
	}
	return out
}

func kafkaConfig(c config.Kafka) ingest.Config {
	out := ingest.Config{Brokers: c.Brokers, Topics: []string{c.Topic}, ClientID: c.ClientID, RequestTimeout: c.RequestTimeout}
	if t := c.TLS; t != nil {
		out.TLS = &ingest.TLS{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName}
	}
	if s := c.SASL; s != nil {
		out.SASL = &ingest.SASL{Mechanism: ingest.Mechanism(s.Mechanism), Username: s.Username, Password: s.Password.Reveal()}
	}
	return out
}

func simConfig(c *config.Sim) sim.Config {
	out := sim.Config{
		Ledger:  sim.LedgerConfig{Ring: c.Ledger.Ring, File: c.Ledger.File},
		Control: sim.ControlConfig{Listen: c.Control.Listen},
	}
	for _, s := range c.Sites {
		out.Sites = append(out.Sites, simSite(s))
	}
	return out
}

func simSite(c config.SimSite) sim.SiteConfig {
	s := sim.SiteConfig{
		ID: c.ID, Seed: c.Seed, Chemistry: c.Chemistry, Speed: c.Speed, Host: c.Host, Port: c.Port, Endpoints: c.Endpoints,
		Banks: c.Banks, Racks: c.Racks, ModulesPerRack: c.ModulesPerRack, CellsPerModule: c.CellsPerModule, CapacityAh: c.CapacityAh,
		PCS: c.PCS, Meter: c.Meter, Map: c.Map, Layout: c.Layout, Base: c.Base, CurrentSign: c.CurrentSign,
		Refresh: c.Refresh, Step: c.Step, StartHour: c.StartHour, AmbientC: c.AmbientC, InitialSoC: c.InitialSoC,
		MaxConnections: c.MaxConnections,
	}
	if s.Seed == 0 {
		s.Seed = seedOf(c.ID)
	}
	for _, d := range c.Duty {
		s.Duty = append(s.Duty, sim.DutyConfig(d))
	}
	for _, f := range c.Faults {
		s.Faults = append(s.Faults, sim.Fault{
			Kind: sim.FaultKind(f.Kind), Device: f.Device, Address: f.Address, Count: f.Count, Probability: f.Probability,
			Delay: f.Delay, Code: f.Code, Rack: f.Rack, Module: f.Module, Cell: f.Cell, Factor: f.Factor, After: f.After, For: f.For,
		})
	}
	return s
}

// seedOf gives a site the same plant at every start.
func seedOf(site string) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, site)
	return h.Sum64()
}
