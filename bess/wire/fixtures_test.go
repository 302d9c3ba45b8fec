package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"bessd/bess"
)

var update = flag.Bool("update", false, "write fixtures that are missing; those that exist are never changed")

type fixture struct {
	name  string
	bytes []byte
}

// fixtures are messages as this version writes them. Those of earlier versions stay in testdata.
func fixtures() []fixture {
	bank, module := bankPlan(), modulePlan()
	full := bankScan(bank, 1, 2)
	part := bankScan(bank, 2, 2)
	part.Quality, part.Flags = bess.Partial, bess.ClockStepped
	for i, c := range bank.Columns {
		if c.Tier == 1 {
			part.Values[i] = bess.Absent // not due
		}
	}
	part.Values[4] = bess.Absent
	part.Rejected = []bess.Rejection{{Slot: 4, Reason: bess.ReasonRange}}
	bad := bankScan(bank, 3, 2)
	bad.Reset(bank)
	bad.Quality, bad.ScanUS = bess.Bad, 3_000_000
	cells := moduleScan(module, 1, 4)
	cells.Lists[0][11] = bess.AbsentElement
	cells.Lists[2] = nil
	cells.Texts[1] = ""
	mixed := must(bess.NewPlan(bess.Plan{Map: "maps/meter.yaml@3", Periods: bank.Periods,
		Columns: []bess.Column{{Num: bess.NumActivePowerW, Decimals: 1}, {Num: bess.NumFrequencyHz, Decimals: 3, Tier: 1}, {Num: 60000, Decimals: 2}},
		Extra:   []bess.ExtraColumn{{Name: "meter.thd_pct", Decimals: 1}, {Name: "meter.uptime", Tier: 1}}}))
	meter := &bess.Scan{Site: "b-2", Device: "meter_poi", Kind: bess.Meter, TS: 1795000000_200000, Epoch: 1795000000<<20 | 5, Seq: 9, Quality: bess.Good}
	meter.Reset(mixed)
	copy(meter.Values, []int64{-1234567, 50012, 4711})
	meter.Extra[0] = 34
	meter.Extra[1] = -1
	return []fixture{
		{"scan_full", AppendScan(nil, full)},
		{"scan_partial", AppendScan(nil, part)},
		{"scan_bad", AppendScan(nil, bad)},
		{"scan_cells", AppendScan(nil, cells)},
		{"scan_extra_and_newer_column", AppendScan(nil, meter)},
		{"device", AppendDevice(nil, &bess.DeviceRecord{Site: "alfa", Device: "bank1/rack07/module05", Kind: bess.Module, Epoch: 1795000000<<20 | 77123, Rec: 4,
			TS: 1795000001_000000, Cause: "start", Parent: "bank1/rack07", Endpoint: "10.0.0.5:502", UnitID: 1, Plan: module,
			NotImplemented: []string{"current_a", "dod_pct"},
			Identity:       map[string]string{"manufacturer": "Ampère", "serial_number": "A-0007", "options": ""},
			Nameplate:      map[string]float64{"capacity_rated_ah": 100.5, "energy_rated_wh": 17203.2}})},
		{"event_heartbeat", AppendEvent(nil, &bess.AgentEvent{Site: "alfa", Epoch: 1795000000<<20 | 77123, Rec: 5, TS: 1795000005_000000, Kind: bess.EventHeartbeat,
			Version: "1.0.0", Host: "gw-1", SpoolRecords: 12, SpoolBytes: 34567, LastSeq: []bess.DeviceSeq{{Device: "bank1", Seq: 5}, {Device: "bank1/rack07", Seq: 4}}})},
		{"event_dropped", AppendEvent(nil, &bess.AgentEvent{Site: "alfa", Epoch: 1795000000<<20 | 77123, Rec: 6, TS: 1795000006_000000, Kind: bess.EventDropped,
			PrevEpoch: 1794000000<<20 | 3, ClockStepUS: -2_500_000, Note: "disk full",
			Dropped: []bess.DroppedRange{{Device: "bank1", Epoch: 1794000000<<20 | 3, FirstSeq: 10, LastSeq: 99, Reason: "spool_bytes"}}})},
		{"raw_reserved", protowire.AppendBytes(protowire.AppendTag(nil, envRaw, protowire.BytesType), []byte("registers"))},
	}
}

// TestFixturesStayReadable decodes every message that was ever committed and compares it with what it meant then.
func TestFixturesStayReadable(t *testing.T) {
	dir := filepath.Join("testdata", "v1")
	if *update {
		for _, f := range fixtures() {
			create(t, filepath.Join(dir, f.name+".bin"), f.bytes)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.bin"))
	if err != nil || len(names) < len(fixtures()) {
		t.Fatalf("%d fixtures, want %d or more (%v)", len(names), len(fixtures()), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(t, b)
			golden := name[:len(name)-len(".bin")] + ".json"
			if *update {
				create(t, golden, got)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEncodingIsStable holds the writer to the committed bytes. A change on purpose adds fixtures under new names.
func TestEncodingIsStable(t *testing.T) {
	for _, f := range fixtures() {
		want, err := os.ReadFile(filepath.Join("testdata", "v1", f.name+".bin"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, f.bytes) {
			t.Errorf("%s: other bytes than committed", f.name)
		}
	}
}

func create(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// describe gives a message's meaning as JSON, names instead of slots.
func describe(t *testing.T, b []byte) []byte {
	t.Helper()
	env, err := NewDecoder().Decode(b)
	var v any
	switch {
	case errors.Is(err, ErrUnknownArm):
		v = map[string]any{"arm": env.Arm, "error": err.Error()}
	case err != nil:
		t.Fatal(err)
	case env.Arm == ArmScan:
		v = describeScan(env.Scan)
	case env.Arm == ArmDevice:
		r := *env.Device
		v = struct {
			bess.DeviceRecord
			Kind   string
			PlanID string
		}{r, r.Kind.String(), r.Plan.ID()}
	case env.Arm == ArmEvent:
		v = struct {
			bess.AgentEvent
			Kind string
		}{*env.Event, env.Event.Kind.String()}
	}
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

func describeScan(s *bess.Scan) any {
	values := map[string]any{}
	rejected := []string{}
	p := s.Plan
	slot := 0
	put := func(v any, ok bool) {
		if ok {
			values[p.SlotName(slot)] = v
		}
		slot++
	}
	for i, v := range s.Values {
		put(bess.Float(v, p.Columns[i].Decimals), v != bess.Absent)
	}
	for _, v := range s.Texts {
		put(v, v != "")
	}
	for i, l := range s.Lists {
		out := make([]any, len(l))
		for j, e := range l {
			if e != bess.AbsentElement {
				out[j] = bess.Float(int64(e), p.Lists[i].Decimals)
			}
		}
		put(out, l != nil)
	}
	for i, v := range s.Extra {
		put(bess.Float(v, p.Extra[i].Decimals), v != bess.Absent)
	}
	for _, r := range s.Rejected {
		rejected = append(rejected, p.SlotName(int(r.Slot))+":"+r.Reason.String())
	}
	return struct {
		Site, Device, Kind     string
		TS, ScanUS, Epoch, Seq int64
		Quality                string
		Flags                  []string
		PlanID                 string
		Plan                   *bess.Plan
		Values                 map[string]any
		Rejected               []string
	}{s.Site, s.Device, s.Kind.String(), s.TS, s.ScanUS, s.Epoch, s.Seq, s.Quality.String(), s.Flags.Names(), p.ID(), p, values, rejected}
}
