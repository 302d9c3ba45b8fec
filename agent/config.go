package agent

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"bessd/agent/sunspec"
	"bessd/bess"
)

// Config says what one agent reads. DefaultConfig fills what is left out.
type Config struct {
	Site      string
	Endpoints []Endpoint

	// ReconnectMin and ReconnectMax bound the waits between attempts to reach an endpoint; jittered, doubling.
	ReconnectMin, ReconnectMax time.Duration
	// ProbeMin and ProbeMax bound the waits between attempts to reach a unit that does not answer behind an endpoint
	// that does.
	ProbeMin, ProbeMax time.Duration
	// HeartbeatEvery is the period of heartbeat events, RecordEvery that of repeated device records.
	HeartbeatEvery, RecordEvery time.Duration
}

// Endpoint is one TCP address with the units behind it.
type Endpoint struct {
	Address string        // host:port
	Timeout time.Duration // of one request; the longest that a dead unit can hold up its neighbours
	// PauseAfterConnect and PauseBetweenRequests spare devices that need them; 0 for most.
	PauseAfterConnect    time.Duration
	PauseBetweenRequests time.Duration
	MaxRegisters         int // per request, at most 125
	Devices              []Device
}

// Device is one unit: a root device of the site, and those that its map declares below it.
type Device struct {
	ID    string         // path within the site, the root of what the map declares
	Unit  int            // Modbus unit id, 0 to 255
	Map   string         // sunspec, a built-in name, or the path of a YAML map
	Every time.Duration  // period of the fast tier
	Kind  string         // of the root; "" = as the map or the models tell
	Set   map[string]int // current_sign: -1 turns currents and powers of a device that counts charge as positive
	// Tiers sets periods of slower tiers: slow, cells, nameplate. 0 or absent = the map's own.
	Tiers map[string]time.Duration
}

// DefaultConfig gives the timings that suit most sites; it has no site and no endpoints.
func DefaultConfig() Config {
	return Config{
		ReconnectMin: time.Second, ReconnectMax: time.Minute,
		ProbeMin: time.Second, ProbeMax: 30 * time.Second,
		HeartbeatEvery: 5 * time.Second, RecordEvery: time.Hour,
	}
}

// DefaultEndpoint gives the settings of an endpoint that are not set.
func DefaultEndpoint() Endpoint { return Endpoint{Timeout: time.Second, MaxRegisters: 125} }

// DefaultDevice gives the settings of a device that are not set.
func DefaultDevice() Device { return Device{Unit: 1, Map: "sunspec", Every: time.Second} }

// Validate returns all problems at once, joined, each with the path of the setting; nil if there is none.
func (c *Config) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
	}
	if err := bess.CheckSite(c.Site); err != nil {
		bad("site", "%w", err)
	}
	for _, b := range []struct {
		name     string
		min, max time.Duration
	}{{"reconnect", c.ReconnectMin, c.ReconnectMax}, {"probe", c.ProbeMin, c.ProbeMax}} {
		if b.min <= 0 || b.max < b.min {
			bad(b.name, "waits from %s to %s; want 0 < min <= max", b.min, b.max)
		}
	}
	if c.HeartbeatEvery <= 0 {
		bad("heartbeat", "period %s; want more than 0", c.HeartbeatEvery)
	}
	if c.RecordEvery <= 0 {
		bad("records", "period %s; want more than 0", c.RecordEvery)
	}
	if len(c.Endpoints) == 0 {
		bad("endpoints", "none; name at least one, with address and devices")
	}
	roots, addresses := map[string]string{}, map[string]string{}
	for i := range c.Endpoints {
		path := fmt.Sprintf("endpoints[%d]", i)
		e := &c.Endpoints[i]
		if other, dup := addresses[e.Address]; dup {
			bad(path+".address", "%s is also at %s; put all its devices under one endpoint", e.Address, other)
		}
		addresses[e.Address] = path
		e.validate(path, roots, bad)
	}
	return errors.Join(errs...)
}

func (e *Endpoint) validate(path string, roots map[string]string, bad func(path, format string, args ...any)) {
	if host, port, err := net.SplitHostPort(e.Address); err != nil || host == "" {
		bad(path+".address", "%q; want host:port, such as 10.0.0.5:502", e.Address)
	} else if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		bad(path+".address", "port %q; want 1 to 65535", port)
	}
	if e.Timeout < 10*time.Millisecond || e.Timeout > time.Minute {
		bad(path+".timeout", "%s; want 10ms to 1m", e.Timeout)
	}
	if e.MaxRegisters < 1 || e.MaxRegisters > 125 {
		bad(path+".max_registers", "%d; want 1 to 125", e.MaxRegisters)
	}
	if e.PauseAfterConnect < 0 || e.PauseBetweenRequests < 0 {
		bad(path, "negative pause")
	}
	if len(e.Devices) == 0 {
		bad(path+".devices", "none; name at least one, with id, unit, map and every")
	}
	for i := range e.Devices {
		d := &e.Devices[i]
		path := fmt.Sprintf("%s.devices[%d]", path, i)
		if err := bess.CheckDevice(d.ID); err != nil {
			bad(path+".id", "%w", err)
		} else if below := d.below(); bess.CheckDevice(d.ID+below) != nil {
			bad(path+".id", "%s leaves no room for %s, which SunSpec models put below it: a path has 5 parts and %d bytes at most; shorten it, or set kind if it is something else",
				d.ID, below[1:], bess.MaxDeviceLen)
		}
		if other, dup := roots[d.ID]; dup {
			bad(path+".id", "%s is also at %s; ids are unique within a site", d.ID, other)
		}
		roots[d.ID] = path
		if d.Unit < 0 || d.Unit > 255 {
			bad(path+".unit", "%d; want 0 to 255", d.Unit)
		}
		if d.Map == "" {
			bad(path+".map", "empty; want sunspec, a built-in name or the path of a map")
		}
		if !bess.ValidPeriod(d.Every) {
			bad(path+".every", "%s; want a period that divides a minute, or whole minutes", d.Every)
		}
		if _, ok := bess.ParseKind(d.Kind); !ok && d.Kind != "" {
			bad(path+".kind", "%q is no kind of device", d.Kind)
		}
		for _, k := range sortedKeys(d.Set) {
			if v := d.Set[k]; k != "current_sign" {
				bad(path+".set", "unknown setting %q; known: current_sign", k)
			} else if v != 1 && v != -1 {
				bad(path+".set."+k, "%d; want 1 or -1", v)
			}
		}
		for _, k := range sortedKeys(d.Tiers) {
			switch p := d.Tiers[k]; {
			case !slices.Contains([]string{"slow", "cells", "nameplate"}, k):
				bad(path+".tiers", "unknown tier %q; known: slow, cells, nameplate (the fast one is every)", k)
			case d.Every > 0 && (!bess.ValidPeriod(p) || p%d.Every != 0):
				bad(path+".tiers."+k, "%s; want a multiple of every (%s) that divides a minute or is whole minutes", p, d.Every)
			}
		}
	}
}

// below is the deepest path that SunSpec models usually add to the device, "" if none.
func (d *Device) below() string {
	if d.Map != "sunspec" {
		return "" // the map's own layout is checked with the map
	}
	kind, ok := bess.ParseKind(d.Kind)
	if !ok {
		kind = sunspec.KindOf(d.ID)
	}
	switch kind {
	case bess.Rack:
		return "/module01"
	case bess.PCS:
		return "/dc1"
	case bess.KindUnknown, bess.SiteController, bess.Bank:
		return "/rack01/module01"
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
