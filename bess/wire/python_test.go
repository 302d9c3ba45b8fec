package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
			if env.Arm != ArmScan {
				return
			}
			var got, want any
			if err := json.Unmarshal(lines[i], &got); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(byNumber(env.Scan))
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
		"quality": s.Quality - bess.Good, "flags": s.Flags, "map": p.Map, "periods": periods, "tiers": tiers, "values": values, "rejected": rejected}
}
