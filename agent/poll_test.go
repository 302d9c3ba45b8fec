package agent

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"bessd/bess"
	"bessd/internal/sim/mbap"
)

func bankDevice(every time.Duration) Device {
	return Device{ID: "bank1", Unit: 1, Map: "sunspec", Every: every,
		Tiers: map[string]time.Duration{"slow": 2 * every, "cells": 10 * every, "nameplate": 10 * every}}
}

func pylon(id string, unit int, every time.Duration) Device {
	return Device{ID: id, Unit: unit, Map: "pylontech_powercube_m2", Every: every}
}

// pylonImage fills the registers of the Pylontech map.
func pylonImage(u *plantUnit) {
	for a := uint16(0x1000); a < 0x1200; a++ {
		u.put(a, 0)
	}
	minus50 := int64(-5025)                                                        // -50.25 A
	u.put(0x1100, 1<<11|1<<9, 0, 4, 7512, uint16(minus50>>16), uint16(minus50))    // status .. current
	u.put(0x1106, uint16(0x10000-25), 56, 123, 8400)                               // temperature, SoC, cycles, max charge voltage
	u.put(0x110A, 0xFFFF, 0xD8F0)                                                  // -100.00 A as a limit
	u.put(0x1110, 3345, 3340, 0, 0, 260, 240, 0, 0, 5012, 5000, 0, 0, 255, 245, 0) // cells, modules
	u.put(0x1118, 5012)
	u.put(0x1120, 99)
	u.put(0x1132, 1<<12)
	u.put(0x1148, 450)
	u.put(0x100A, 12)
	u.put(0x100C, 3)
}

func TestVendorMap(t *testing.T) {
	p := servePlant(t)
	pylonImage(p.unit(3))
	sink := &inbox{}
	d := pylon("bank7", 3, 100*time.Millisecond)
	_, stop := start(t, testConfig(p.addr, d), newState(), sink)
	await(t, "a row with slow values", func() bool {
		for _, s := range sink.of("bank7") {
			if v := get(s); v["insulation_resistance_ohm"] != "" && v["rack_count"] != "" {
				return true
			}
		}
		return false
	})
	stop()
	got := map[string]string{}
	for _, s := range sink.of("bank7") {
		for k, v := range get(s) {
			got[k] = v
		}
	}
	for k, want := range map[string]string{
		"voltage_v": "751.2", "current_a": "-50.25", "temperature_c": "-2.5", "soc_pct": "56", "charge_current_limit_a": "100", "soh_pct": "99",
		"operating_state": "running", "charge_state": "charging", "cell_voltage_max_v": "3.345", "insulation_resistance_ohm": "450000", "rack_count": "3",
		"pylontech_powercube_m2.modVmax": "50.12", "vendor_event2_bits": "4", "vendor_event3_bits": "4096", "contactor_bits": "0",
		"alarm_bits": "4362076160", // other_warning and insulation_alarm
	} {
		if got[k] != want {
			t.Errorf("%s: %q, want %q", k, got[k], want)
		}
	}
	checkSeqs(t, sink)
}

func TestCurrentSign(t *testing.T) {
	p := servePlant(t)
	p.unit(1).sunspec(t, 0, bankImage()...)
	sink := &inbox{}
	d := bankDevice(50 * time.Millisecond)
	d.Set = map[string]int{"current_sign": -1}
	_, stop := start(t, testConfig(p.addr, d), newState(), sink)
	var got map[string]string
	await(t, "a good row of the bank", func() bool {
		rows := sink.of("bank1")
		i := slices.IndexFunc(rows, func(s *bess.Scan) bool { return s.Quality == bess.Good })
		if i >= 0 {
			got = get(rows[i])
		}
		return i >= 0
	})
	stop()
	for k, want := range map[string]string{"current_a": "123.4", "power_w": "-50000", "rack_current_max_a": "123.4", "rack_current_min_a": "-0.5", "voltage_v": "812.3"} {
		if got[k] != want {
			t.Errorf("%s: %s, want %s", k, got[k], want)
		}
	}
}

func TestUnitDeadAtStart(t *testing.T) {
	p := servePlant(t)
	u := p.unit(1)
	u.sunspec(t, 50000, bankImage()...)
	state, first := newState(), &inbox{}
	cfg := testConfig(p.addr, bankDevice(20*time.Millisecond))
	a1, stop := start(t, cfg, state, first)
	await(t, "all devices", func() bool {
		return len(first.of("bank1/rack01/module01")) > 1 && len(first.of("bank1/rack02")) > 0 && len(first.of("bank1")) > 0
	})
	stop()

	p.change(func() {
		u.answer = func(mbap.Request) (mbap.Reply, bool) { return mbap.Reply{Spoil: mbap.Silent}, true }
	})
	second := &inbox{}
	a2, stop := start(t, cfg, state, second)
	for _, device := range []string{"bank1", "bank1/rack01", "bank1/rack02", "bank1/rack01/module01"} {
		await(t, "bad rows of "+device, func() bool { return len(second.of(device)) > 0 })
	}
	await(t, "many of the bank", func() bool { return len(second.of("bank1")) > 20 })
	for _, s := range second.scans {
		if s.Quality != bess.Bad {
			t.Fatalf("%s: %s", s.Device, s.Quality)
		}
	}
	p.change(func() { u.answer = nil })
	await(t, "the unit again", func() bool { s := second.of("bank1"); return s[len(s)-1].Quality == bess.Good })
	stop()
	if a2.Epoch() <= a1.Epoch() || second.events[0].Kind != bess.EventStart || second.events[0].PrevEpoch != a1.Epoch() {
		t.Errorf("epochs %d, %d; first event %+v", a1.Epoch(), a2.Epoch(), second.events[0])
	}
	if e := second.events[len(second.events)-1]; e.Kind != bess.EventStop {
		t.Errorf("last event %+v", e)
	}
	// What is implemented is known at once: the plan of a bad row has all columns.
	if s := second.of("bank1/rack01/module01")[0]; bess.Find(s.Plan.Lists, bess.NumCellVoltagesV) < 0 {
		t.Errorf("the module's first plan has no cells: %+v", s.Plan)
	}
	checkSeqs(t, second)
}

func TestUnknownDeadUnitYieldsItsRoot(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close() // nobody listens
	sink := &inbox{}
	start(t, testConfig(addr, Device{ID: "pcs1", Unit: 1, Map: "sunspec", Every: 20 * time.Millisecond}), newState(), sink)
	await(t, "bad rows", func() bool { return len(sink.of("pcs1")) > 3 })
	if s := sink.of("pcs1")[0]; s.Quality != bess.Bad || s.Kind != bess.PCS {
		t.Errorf("%s %s", s.Quality, s.Kind)
	}
}

func TestReconnect(t *testing.T) {
	p := servePlant(t)
	pylonImage(p.unit(1))
	sink := &inbox{}
	a, stop := start(t, testConfig(p.addr, pylon("bank1", 1, 20*time.Millisecond)), newState(), sink)
	goods := func() (n int) {
		for _, s := range sink.of("bank1") {
			if s.Quality == bess.Good {
				n++
			}
		}
		return n
	}
	for i := range 5 {
		n := goods()
		await(t, "good rows", func() bool { return goods() > n+3 })
		p.srv.CloseConnections()
		await(t, "a new connection", func() bool { return a.Stats().Reconnects > int64(i) })
	}
	stop()
	checkSeqs(t, sink)
}

// TestGarbage spoils answers in every way: values are absent, never wrong, and polling goes on.
func TestGarbage(t *testing.T) {
	for _, spoil := range []mbap.Spoil{mbap.Silent, mbap.Close, mbap.Half, mbap.WrongLength, mbap.WrongTransaction, mbap.WrongUnit, mbap.Short, mbap.Noise} {
		p := servePlant(t)
		u := p.unit(1)
		pylonImage(u)
		var mu sync.Mutex
		n := 0
		u.answer = func(q mbap.Request) (mbap.Reply, bool) {
			mu.Lock()
			defer mu.Unlock()
			if n++; n%5 != 3 {
				return mbap.Reply{}, false
			}
			return mbap.Reply{Registers: make([]uint16, q.Count), Spoil: spoil}, true
		}
		sink := &inbox{}
		a, stop := start(t, testConfig(p.addr, pylon("bank1", 1, 20*time.Millisecond)), newState(), sink)
		good := 0
		await(t, "rows after garbage", func() bool {
			good = 0
			for _, s := range sink.of("bank1") {
				if s.Quality != bess.Bad {
					good++
				}
			}
			return good >= 5 && a.Stats().Reconnects > 2
		})
		stop()
		for _, s := range sink.of("bank1") {
			v := get(s)
			if x := v["voltage_v"]; x != "" && x != "751.2" && x != "!comm" {
				t.Errorf("spoil %d: voltage %s", spoil, x)
			}
			if x := v["cell_voltage_max_v"]; x != "" && x != "3.345" && x != "!comm" {
				t.Errorf("spoil %d: cell voltage %s", spoil, x)
			}
			if s.Quality == bess.Good && len(s.Rejected) > 0 || s.Quality == bess.Partial && len(s.Rejected) == 0 {
				t.Errorf("spoil %d: %s with %v", spoil, s.Quality, v)
			}
		}
		checkSeqs(t, sink)
	}
}

func TestExceptionKeepsTheRest(t *testing.T) {
	p := servePlant(t)
	u := p.unit(1)
	pylonImage(u)
	sink := &inbox{}
	a, stop := start(t, testConfig(p.addr, pylon("bank1", 1, 20*time.Millisecond)), newState(), sink)
	await(t, "a good row", func() bool { s := sink.of("bank1"); return len(s) > 0 && s[len(s)-1].Quality == bess.Good })
	p.change(func() { delete(u.regs, 0x1120) }) // state of health
	await(t, "a partial row", func() bool { s := sink.of("bank1"); return s[len(s)-1].Quality == bess.Partial })
	stop()
	s := sink.of("bank1")
	v := get(s[len(s)-1])
	if v["soh_pct"] != "!comm" || v["voltage_v"] != "751.2" {
		t.Errorf("%v", v)
	}
	if a.Stats().Reconnects != 0 {
		t.Error("an exception closed the connection")
	}
}

func TestSentinelOfWhatIsImplemented(t *testing.T) {
	p := servePlant(t)
	u := p.unit(1)
	u.sunspec(t, 40000, bankImage()...)
	sink := &inbox{}
	_, stop := start(t, testConfig(p.addr, bankDevice(20*time.Millisecond)), newState(), sink)
	await(t, "a good row", func() bool { s := sink.of("bank1"); return len(s) > 0 && get(s[len(s)-1])["voltage_v"] == "812.3" })
	at802 := uint16(40002 + 68 + 9)
	p.change(func() { u.put(at802+34, 0xFFFF); u.put(at802+56, 0x8000); u.put(at802+13, 101) }) // V, SoC_SF; SoH appears without a scale factor
	await(t, "a sentinel", func() bool { s := sink.of("bank1"); return get(s[len(s)-1])["voltage_v"] == "!sentinel" })
	s := sink.of("bank1")
	if v := get(s[len(s)-1]); v["soc_pct"] != "!sentinel" || v["soh_pct"] != "" {
		t.Errorf("%v", v)
	}
	p.change(func() { u.put(at802+58, 0); u.put(at802+34, 30000); u.put(at802+59, 0) }) // SoH 101 %, V 30000 V
	await(t, "a value out of range, and a point that comes alive", func() bool {
		s := sink.of("bank1")
		v := get(s[len(s)-1])
		return v["voltage_v"] == "!range" && v["soh_pct"] == "101"
	})
	stop()
	for _, d := range sink.devices {
		if d.Device == "bank1" && d.Cause == "start" {
			if len(d.NotImplemented) == 0 || d.NotImplemented[0] != "balancing_cell_count" {
				t.Errorf("not implemented: %v", d.NotImplemented)
			}
		}
	}
	checkSeqs(t, sink)
}

func TestLayoutChangesUnderway(t *testing.T) {
	p := servePlant(t)
	u := p.unit(1)
	u.sunspec(t, 40000, bankImage()...)
	sink := &inbox{}
	_, stop := start(t, testConfig(p.addr, bankDevice(20*time.Millisecond)), newState(), sink)
	await(t, "a good row", func() bool { s := sink.of("bank1"); return len(s) > 0 && get(s[len(s)-1])["voltage_v"] == "812.3" })
	p.change(func() { // a firmware update puts the inverter's model before the battery's
		clear(u.regs)
		u.sunspec(t, 40000, append([]image1{{id: 103, values: map[string]int64{"W": 1234, "W_SF": 0}}}, bankImage()...)...)
	})
	await(t, "the inverter", func() bool { s := sink.of("bank1/pcs1"); return len(s) > 0 && get(s[0])["active_power_w"] == "1234" })
	n := len(sink.of("bank1"))
	await(t, "the bank again", func() bool { s := sink.of("bank1"); return len(s) > n && get(s[len(s)-1])["voltage_v"] == "812.3" })
	stop()
	for _, s := range sink.of("bank1") {
		if v := get(s)["voltage_v"]; v != "" && v != "812.3" && v != "!comm" {
			t.Errorf("voltage %s read from another model", v)
		}
	}
	checkSeqs(t, sink)
}

// TestSlowTiersNeverDelayFast makes every answer slow: the fast tier keeps its ticks, the slow ones take what is left.
func TestSlowTiersNeverDelayFast(t *testing.T) {
	run := func(cells time.Duration) (missed, abandoned int64, modules, given int) {
		p := servePlant(t)
		u := p.unit(1)
		models := []image1{bankImage()[2]}
		for m := range 12 {
			models = append(models, image1{id: 805, n: 14, values: map[string]int64{
				"StrIdx": 1, "ModIdx": int64(m + 1), "NCell": 14, "V": 466, "V_SF": -1, "CellV_SF": -3, "1.CellV": 3330}})
		}
		u.sunspec(t, 40000, models...)
		sink := &inbox{}
		d := bankDevice(50 * time.Millisecond)
		d.Tiers = map[string]time.Duration{"slow": cells, "cells": cells, "nameplate": time.Minute}
		cfg := testConfig(p.addr, d)
		state := newState()
		_, stop := start(t, cfg, state, sink)
		await(t, "discovery", func() bool { return len(sink.of("bank1/rack01/module12")) > 0 })
		stop()

		p.change(func() {
			u.answer = func(q mbap.Request) (mbap.Reply, bool) { return p.slow(u, q, 8*time.Millisecond), true }
		})
		sink = &inbox{}
		a, stop := start(t, cfg, state, sink)
		await(t, "ticks", func() bool { return len(sink.of("bank1")) >= 25 })
		stop()
		checkSeqs(t, sink)
		for _, s := range sink.scans { // what was given up in rows of its own: no values, or a reason for each
			if s.Quality == bess.Bad && s.Device != "bank1" || get(s)["cell_voltages_v"] == "!comm" {
				given++
			}
		}
		return a.Stats().MissedTicks, a.Stats().Units[0].Abandoned, len(sink.of("bank1/rack01/module12")), given
	}
	missed, _, modules, _ := run(500 * time.Millisecond)
	// Read in one go, the 12 blocks of the cells would take two ticks of the fast tier each time.
	if missed > 5 || modules < 2 {
		t.Errorf("cells each half second: %d ticks missed, %d rows of the last module", missed, modules)
	}
	if missed, abandoned, _, given := run(50 * time.Millisecond); missed > 5 || abandoned == 0 || given == 0 {
		t.Errorf("cells at a rate that the link does not carry: %d ticks missed, %d slots abandoned, %d rows say so", missed, abandoned, given)
	}
}

// slow answers after a delay. It is called with the server's lock held.
func (p *plantServer) slow(u *plantUnit, q mbap.Request, d time.Duration) mbap.Reply {
	out := make([]uint16, q.Count)
	for i := range out {
		v, ok := u.regs[q.Address+uint16(i)]
		if !ok {
			return mbap.Reply{Exception: mbap.IllegalAddress, Delay: d}
		}
		out[i] = v
	}
	return mbap.Reply{Registers: out, Delay: d}
}

func TestSinkRefuses(t *testing.T) {
	p := servePlant(t)
	pylonImage(p.unit(1))
	sink := &inbox{}
	a, stop := start(t, testConfig(p.addr, pylon("bank1", 1, 20*time.Millisecond)), newState(), sink)
	await(t, "rows", func() bool { return len(sink.of("bank1")) > 2 })
	sink.mu.Lock()
	sink.refuse = errors.New("disk full")
	sink.mu.Unlock()
	await(t, "losses", func() bool { return a.Stats().Lost > 3 })
	sink.mu.Lock()
	sink.refuse = nil
	sink.mu.Unlock()
	stop()
	seen := map[int64]bool{}
	for _, s := range sink.of("bank1") {
		seen[s.Seq] = true
	}
	for _, e := range sink.events {
		for _, r := range e.Dropped {
			if r.Reason != "not_taken" {
				t.Errorf("dropped for %s", r.Reason)
			}
			for q := r.FirstSeq; q <= r.LastSeq; q++ {
				if seen[q] {
					t.Errorf("seq %d was taken and reported as dropped", q)
				}
				seen[q] = true
			}
		}
	}
	last := sink.events[len(sink.events)-2].LastSeq
	for q := int64(1); q <= last[0].Seq; q++ {
		if !seen[q] {
			t.Errorf("seq %d of %d is neither taken nor reported", q, last[0].Seq)
		}
	}
}

func TestRunStopsSoon(t *testing.T) {
	p := servePlant(t)
	u := p.unit(1)
	pylonImage(u)
	u.answer = func(mbap.Request) (mbap.Reply, bool) { return mbap.Reply{Spoil: mbap.Silent}, true }
	a, err := New(testConfig(p.addr, pylon("bank1", 1, 20*time.Millisecond)), Options{Sink: &inbox{}, State: newState()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	await(t, "a request", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return u.asked > 0 })
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(3 * time.Second): // a request's timeout is 100 ms
		t.Error("the agent does not stop")
	}
}

// TestIdleConnection drops the connection between two polls, as some devices do: no row suffers.
func TestIdleConnection(t *testing.T) {
	p := servePlant(t)
	pylonImage(p.unit(1))
	sink := &inbox{}
	a, stop := start(t, testConfig(p.addr, pylon("bank1", 1, 500*time.Millisecond)), newState(), sink)
	for n := 1; n <= 4; n++ {
		await(t, "a row", func() bool { return len(sink.of("bank1")) >= n })
		await(t, "rest", func() bool { return time.Now().UnixMilli()%500 > 300 })
		p.srv.CloseConnections()
	}
	stop()
	for _, s := range sink.of("bank1") {
		if s.Quality != bess.Good {
			t.Errorf("seq %d: %s", s.Seq, s.Quality)
		}
	}
	if a.Stats().Reconnects < 3 || a.Stats().Units[0].Errors != 0 {
		t.Errorf("%+v", a.Stats())
	}
}

// TestRackOnItsOwnUnit has the bank's table of strings at one unit and a rack's own models at another.
func TestRackOnItsOwnUnit(t *testing.T) {
	p := servePlant(t)
	im := bankImage()
	p.unit(1).sunspec(t, 40000, im[2], im[3])
	p.unit(2).sunspec(t, 40000, im[4], im[5])
	sink := &inbox{}
	rack := bankDevice(20 * time.Millisecond)
	rack.ID, rack.Unit = "bank1/rack01", 2
	_, stop := start(t, testConfig(p.addr, bankDevice(20*time.Millisecond), rack), newState(), sink)
	for _, d := range []string{"bank1", "bank1/rack02", "bank1/rack01/module01"} {
		await(t, d, func() bool { return len(sink.of(d)) > 1 })
	}
	await(t, "the rack by its own model", func() bool {
		s := sink.of("bank1/rack01")
		return len(s) > 3 && get(s[len(s)-1])["current_a"] == "-123.45"
	})
	stop()
	for _, s := range sink.of("bank1/rack01") {
		if v := get(s); v["disable_reason"] != "" || v["soc_pct"] != "" && v["soc_pct"] != "61.1" {
			t.Errorf("the bank's table fills the rack: %v", v)
		}
	}
	for _, d := range sink.devices {
		if d.Device == "bank1/rack01" && (d.Kind != bess.Rack || d.Parent != "bank1" || d.UnitID != 2) {
			t.Errorf("%+v", d)
		}
	}
	checkSeqs(t, sink)
}

// TestSlowTierBesideOtherUnits has units whose ticks fall together: the first one's slow tier is read in the same tick,
// not when its slot ends.
func TestSlowTierBesideOtherUnits(t *testing.T) {
	p := servePlant(t)
	p.unit(1).sunspec(t, 40000, bankImage()...)
	pylonImage(p.unit(2))
	pylonImage(p.unit(3))
	sink := &inbox{}
	d := bankDevice(50 * time.Millisecond)
	d.Tiers["nameplate"] = time.Hour
	_, stop := start(t, testConfig(p.addr, d, pylon("bank2", 2, 50*time.Millisecond), pylon("bank3", 3, 50*time.Millisecond)), newState(), sink)
	await(t, "the nameplate", func() bool {
		s := sink.of("bank1")
		return len(s) > 0 && get(s[0])["energy_rated_wh"] != ""
	})
	stop()
	for _, r := range sink.devices {
		if r.Device == "bank1" && (r.Nameplate["energy_rated_wh"] != 500000 || r.Identity["battery_type"] != "lithium_ion") {
			t.Errorf("record without nameplate: %+v", r)
		}
	}
}
