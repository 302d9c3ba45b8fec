package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bessd/bess"
)

// bankImage is a small battery: 802, 803 with two strings, 804 and 805 for rack 1.
func bankImage() []image1 {
	return []image1{
		{id: 1, values: map[string]int64{"Mn": 0}},
		{id: 713, values: map[string]int64{"SoC": 617, "WHAvail": 4000, "Pct_SF": -1, "WH_SF": 2}},
		{id: 802, values: map[string]int64{
			"SoC": 6171, "SoC_SF": -2, "V": 8123, "V_SF": -1, "A": -1234, "A_SF": -1, "W": 500, "W_SF": 2, "Hb": 7, "State": 3, "ChaSt": 4, "LocRemCtl": 0,
			"WHRtg": 5000, "WHRtg_SF": 2, "CellVMax": 3334, "CellV_SF": -3, "CellVMaxStr": 2, "CellVMaxMod": 1, "Evt1": 1 << 2, "EvtVnd1": 0, "Typ": 4, "NCyc": 70000,
		}},
		{id: 803, n: 2, values: map[string]int64{
			"NStr": 2, "NStrCon": 1, "ModTmpMax": 251, "ModTmp_SF": -1, "A_SF": -1, "SoC_SF": 0, "CellV_SF": -3, "StrVMax": 812,
			"V_SF": 0, "StrAMax": 5, "StrAMin": -1234,
			"1.StrSoC": 61, "1.StrA": -1234, "1.StrSt": 3, "1.StrDisRsn": 0, "1.StrCellVMax": 3333, "1.StrCellVMaxMod": 2,
			"2.StrSoC": 62, "2.StrA": 5, "2.StrSt": 1, "2.StrDisRsn": 2, "2.StrConFail": 6, "2.StrEvt1": 0,
		}},
		{id: 804, n: 1, values: map[string]int64{
			"Idx": 1, "NMod": 1, "SoC": 611, "SoC_SF": -1, "A": -12345, "A_SF": -2, "V": 8120, "V_SF": -1, "St": 3, "CellV_SF": -3, "ModTmp_SF": 0,
			"1.ModNCell": 4, "1.ModCellVMax": 3332, "1.ModCellTmpMax": 25,
		}},
		{id: 805, n: 4, values: map[string]int64{
			"StrIdx": 1, "ModIdx": 1, "NCell": 4, "V": 133, "V_SF": -1, "CellV_SF": -3, "Tmp_SF": -1, "CellVMaxCell": 3, "CellVMax": 3335,
			"1.CellV": 3330, "2.CellV": 3331, "4.CellV": 3333, "1.CellTmp": 250, "1.CellSt": 1, "2.CellSt": 0,
		}},
	}
}

func TestSunSpecFansOut(t *testing.T) {
	p := servePlant(t)
	u := p.unit(1)
	u.sunspec(t, 40000, bankImage()...)
	u.put(40004, 'A'<<8|'c', 'm'<<8|'e') // manufacturer
	sink := &inbox{}
	cfg := testConfig(p.addr, Device{ID: "bank1", Unit: 1, Map: "sunspec", Every: 100 * time.Millisecond,
		Tiers: map[string]time.Duration{"slow": 200 * time.Millisecond, "cells": 300 * time.Millisecond, "nameplate": time.Second}})
	_, stop := start(t, cfg, newState(), sink)
	merged := func(device string) map[string]string { // rows of several ticks together show every tier
		out := map[string]string{}
		for _, s := range sink.of(device) {
			for k, v := range get(s) {
				out[k] = v
			}
		}
		return out
	}
	await(t, "cells of the module", func() bool { return merged("bank1/rack01/module01")["cell_voltages_v"] != "" })
	await(t, "nameplate of the bank", func() bool { return merged("bank1")["energy_rated_wh"] != "" })
	await(t, "rack 1's own model", func() bool { return merged("bank1/rack01")["voltage_v"] != "" })
	await(t, "rack 2", func() bool { return len(sink.of("bank1/rack02")) > 0 })
	stop()
	if sink.err != nil {
		t.Fatal(sink.err)
	}

	want := map[string]map[string]string{
		"bank1": {
			"soc_pct": "61.71", "voltage_v": "812.3", "current_a": "-123.4", "power_w": "50000", "energy_available_wh": "400000", "energy_rated_wh": "500000",
			"cell_voltage_max_v": "3.334", "cell_voltage_max_at": "rack02/module01", "cycle_count": "70000", "operating_state": "running",
			"charge_state": "charging", "contactor_state": "partial", "control_location": "remote", "heartbeat": "7", "alarm_bits": "4", "vendor_event1_bits": "0",
			"rack_count": "2", "rack_connected_count": "1", "rack_voltage_max_v": "812", "rack_current_max_a": "0.5", "rack_current_min_a": "-123.4",
			"cell_temperature_max_c": "25.1",
		},
		"bank1/rack01": {
			"soc_pct": "61.1", "current_a": "-123.45", "voltage_v": "812", "module_count": "1", "operating_state": "running", "contactor_state": "closed",
			"disable_reason": "none", "cell_voltage_max_v": "3.333", "cell_voltage_max_at": "module02",
		},
		"bank1/rack02": {
			"soc_pct": "62", "current_a": "0.5", "operating_state": "disconnected", "contactor_state": "failed", "connect_failure_reason": "contactor_failure",
			"disable_reason": "maintenance", "alarm_bits": "1048576",
		},
		"bank1/rack01/module01": {
			"voltage_v": "13.3", "cell_count": "4", "cell_voltage_max_v": "3.335", "cell_voltage_max_at": "cell003", "cell_voltages_v": "3.33 3.331 - 3.333",
			"cell_temperatures_c": "25 - - -", "cells_balancing": "1 0 - -", "cell_temperature_max_c": "25",
		},
	}
	for device, w := range want {
		if diff := cmp.Diff(w, merged(device)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", device, diff)
		}
	}
	kinds := map[string]bess.Kind{}
	parents := map[string]string{}
	for _, d := range sink.devices {
		kinds[d.Device], parents[d.Device] = d.Kind, d.Parent
	}
	if diff := cmp.Diff(map[string]bess.Kind{"bank1": bess.Bank, "bank1/rack01": bess.Rack, "bank1/rack02": bess.Rack, "bank1/rack01/module01": bess.Module}, kinds); diff != "" {
		t.Error(diff)
	}
	if parents["bank1/rack01/module01"] != "bank1/rack01" {
		t.Errorf("parents: %v", parents)
	}
	last := sink.devices[0]
	for _, d := range sink.devices {
		if d.Device == "bank1" {
			last = d
		}
	}
	if last.Identity["manufacturer"] != "Acme" || last.Identity["battery_type"] != "lithium_ion" || last.Nameplate["energy_rated_wh"] != 500000 {
		t.Errorf("bank's record: %+v", last)
	}
	for _, s := range sink.scans {
		if s.Quality != bess.Good {
			t.Errorf("%s seq %d: %s %v", s.Device, s.Seq, s.Quality, get(s))
		}
	}
	checkSeqs(t, sink)
}

// checkSeqs demands that each device's seq counts from 1 without a hole, that ticks are aligned to the device's period
// and ascend, and that no column has two values in one slot.
func checkSeqs(t *testing.T, sink *inbox) {
	t.Helper()
	last := map[string]*bess.Scan{}
	type slotKey struct {
		device, column string
		slot           int64
	}
	filled := map[slotKey]bool{}
	for _, s := range sink.scans {
		if l := last[s.Device]; l == nil && s.Seq != 1 || l != nil && (s.Seq != l.Seq+1 || s.TS <= l.TS) {
			t.Errorf("%s: seq %d at %d follows %+v", s.Device, s.Seq, s.TS, l)
		}
		last[s.Device] = s
		for name, v := range get(s) {
			for slot := range s.Plan.Slots() {
				if s.Plan.SlotName(slot) != name {
					continue
				}
				k := slotKey{s.Device, name, slotOf(s.TS, s.Plan.Periods[s.Plan.SlotTier(slot)])}
				if filled[k] && v[0] != '!' {
					t.Errorf("%s: second value of %s in slot %d", s.Device, name, k.slot)
				}
				filled[k] = true
			}
		}
	}
}

// TestPathsThatDoNotFit has a meter that turns out to be a whole bank behind a converter: what fits is read, and nothing
// with another path gets into scans or heartbeats.
func TestPathsThatDoNotFit(t *testing.T) {
	p := servePlant(t)
	p.unit(1).sunspec(t, 40000, bankImage()...)
	sink := &inbox{}
	d := bankDevice(50 * time.Millisecond)
	d.ID = "area1/block1/feed1/meter1"
	_, stop := start(t, testConfig(p.addr, d), newState(), sink)
	await(t, "a rack", func() bool { return len(sink.of(d.ID+"/rack01")) > 0 })
	await(t, "ten rows", func() bool { return len(sink.of(d.ID)) > 10 })
	stop()
	if sink.err != nil {
		t.Error(sink.err)
	}
	named := 0
	for _, e := range sink.events {
		for _, l := range e.LastSeq {
			named++
			if err := bess.CheckDevice(l.Device); err != nil {
				t.Error(err)
			}
		}
	}
	if named == 0 {
		t.Error("no heartbeat names a device")
	}
	checkSeqs(t, sink)
}
