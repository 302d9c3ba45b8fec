package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bessd/bess"
)

// TestPython has Google's protobuf library read what this package writes, by bessd.proto and the rules of the format
// document, and this package read what the library writes. It needs a Python with grpcio-tools: BESSD_PYTHON=/path/python.
func TestPython(t *testing.T) {
	python := os.Getenv("BESSD_PYTHON")
	if python == "" {
		t.Skip("BESSD_PYTHON names no Python with grpcio-tools")
	}
	dir := t.TempDir()
	args := []string{filepath.Join("testdata", "decode.py"), dir}
	all := fixtures()
	for _, f := range all {
		name := filepath.Join(dir, f.name)
		if err := os.WriteFile(name, f.bytes, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	cmd := exec.Command(python, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(all) {
		t.Fatalf("%d answers for %d messages", len(lines), len(all))
	}
	for i, f := range all {
		t.Run(f.name, func(t *testing.T) {
			again, err := os.ReadFile(filepath.Join(dir, f.name+".again"))
			if err != nil {
				t.Fatal(err)
			}
			if f.name == "raw_reserved" {
				return
			}
			if diff := cmp.Diff(string(describe(t, f.bytes)), string(describe(t, again))); diff != "" {
				t.Errorf("as the library writes it: %s", diff)
			}
			env, err := NewDecoder().Decode(f.bytes)
			if err != nil {
				t.Fatal(err)
			}
			var got, want, said any
			switch env.Arm {
			case ArmScan:
				said = byNumber(env.Scan)
			case ArmDevice:
				said = deviceByField(env.Device)
			case ArmEvent:
				said = eventByField(env.Event)
			}
			if err := json.Unmarshal(lines[i], &got); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(said)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// set holds the fields of a message that are not at their default, as protobuf's JSON form names and prints them.
type set map[string]any

func (m set) text(name, v string) {
	if v != "" {
		m[name] = v
	}
}

func (m set) number(name string, v int64) {
	if v != 0 {
		m[name] = strconv.FormatInt(v, 10) // 64 bits are text in JSON
	}
}

func deviceByField(r *bess.DeviceRecord) any {
	m := set{"kind": "KIND_" + strings.ToUpper(r.Kind.String()), "not_implemented": r.NotImplemented, "identity": r.Identity, "nameplate": r.Nameplate}
	m.text("site", r.Site)
	m.text("device", r.Device)
	m.number("epoch", r.Epoch)
	m.number("rec", r.Rec)
	m.number("ts_us", r.TS)
	m.text("cause", r.Cause)
	m.text("parent", r.Parent)
	m.text("endpoint", r.Endpoint)
	m.number("unit_id", r.UnitID)
	schema := set{}
	schema.text("map", r.Plan.Map)
	periods := []string{}
	for _, d := range r.Plan.Periods {
		periods = append(periods, strconv.FormatInt(d.Microseconds(), 10))
	}
	schema["periods"] = periods
	for name, cols := range map[string][]bess.Column{"columns": r.Plan.Columns, "texts": r.Plan.Texts, "lists": r.Plan.Lists} {
		words, last := []int{}, 0
		for _, c := range cols {
			words = append(words, (int(c.Num)-last)<<4|int(c.Decimals))
			last = int(c.Num)
		}
		schema[name] = words
	}
	m["schema"] = schema
	return set{"device": m}
}

func eventByField(e *bess.AgentEvent) any {
	m := set{"kind": "EVENT_" + strings.ToUpper(e.Kind.String())}
	m.text("site", e.Site)
	m.number("epoch", e.Epoch)
	m.number("rec", e.Rec)
	m.number("ts_us", e.TS)
	m.number("prev_epoch", e.PrevEpoch)
	m.text("version", e.Version)
	m.text("host", e.Host)
	m.number("spool_records", e.SpoolRecords)
	m.number("spool_bytes", e.SpoolBytes)
	m.number("clock_step_us", e.ClockStepUS)
	m.text("note", e.Note)
	var seqs, drops []set
	for _, l := range e.LastSeq {
		s := set{}
		s.text("device", l.Device)
		s.number("seq", l.Seq)
		seqs = append(seqs, s)
	}
	for _, d := range e.Dropped {
		s := set{}
		s.text("device", d.Device)
		s.number("epoch", d.Epoch)
		s.number("first_seq", d.FirstSeq)
		s.number("last_seq", d.LastSeq)
		s.text("reason", d.Reason)
		drops = append(drops, s)
	}
	if seqs != nil {
		m["last_seq"] = seqs
	}
	if drops != nil {
		m["dropped"] = drops
	}
	return set{"event": m}
}

// byNumber gives a scan the way decode.py prints it.
func byNumber(s *bess.Scan) any {
	p := s.Plan
	values := map[string]any{}
	tiers, periods, rejected := []int{}, []int64{}, [][2]int{}
	for i, c := range p.Columns {
		if s.Values[i] != bess.Absent {
			values[strconv.Itoa(int(c.Num))] = bess.Float(s.Values[i], c.Decimals)
		}
	}
	for i, c := range p.Texts {
		if s.Texts[i] != "" {
			values[strconv.Itoa(int(c.Num))] = s.Texts[i]
		}
	}
	for i, c := range p.Lists {
		if s.Lists[i] == nil {
			continue
		}
		l := make([]any, len(s.Lists[i]))
		for j, e := range s.Lists[i] {
			if e != bess.AbsentElement {
				l[j] = bess.Float(int64(e), c.Decimals)
			}
		}
		values[strconv.Itoa(int(c.Num))] = l
	}
	for i, e := range p.Extra {
		if s.Extra[i] != bess.Absent {
			values[e.Name] = bess.Float(s.Extra[i], e.Decimals)
		}
	}
	for i := range p.Slots() {
		tiers = append(tiers, int(p.SlotTier(i)))
	}
	for _, d := range p.Periods {
		periods = append(periods, d.Microseconds())
	}
	for _, r := range s.Rejected {
		rejected = append(rejected, [2]int{int(r.Slot), int(r.Reason)})
	}
	return map[string]any{"site": s.Site, "device": s.Device, "kind": s.Kind, "epoch": s.Epoch, "seq": s.Seq, "ts": s.TS, "scan_us": s.ScanUS,
		"quality": s.Quality - bess.Good, "flags": s.Flags, "map": p.Map, "plan": p.ID(), "periods": periods, "tiers": tiers, "values": values, "rejected": rejected}
}
