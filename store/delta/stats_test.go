package delta

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bessd/bess/columns"
)

func TestStatsForm(t *testing.T) {
	s := columns.Schema{{Name: "ts", Type: columns.Timestamp}, {Name: "n", Type: columns.Int64}, {Name: "v", Type: columns.Double}, {Name: "bad", Type: columns.Double}, {Name: "site", Type: columns.String}, {Name: "long", Type: columns.String}, {Name: "none", Type: columns.Double}, {Name: "cells", Type: columns.FloatList}}
	got, err := EncodeStats(3, s, []ColumnStats{
		{HasBounds: true, MinInt: 1_795_000_000_000_001, MaxInt: 1_795_000_000_123_001},
		{HasBounds: true, MinInt: -2, MaxInt: 1 << 60, Nulls: 1},
		{HasBounds: true, MinDouble: -0.5, MaxDouble: 1e21},
		{HasBounds: true, MinDouble: math.NaN(), MaxDouble: 1},
		{HasBounds: true, MinString: "a", MaxString: "b\"ü<"},
		{HasBounds: true, MinString: "a", MaxString: strings.Repeat("b", 65)},
		{Nulls: 3},
		{Nulls: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"numRecords":3,"minValues":{"ts":"2026-11-18T11:06:40.000Z","n":-2,"v":-0.5,"site":"a"},"maxValues":{"ts":"2026-11-18T11:06:40.124Z","n":1152921504606846976,"v":1e+21,"site":"b\"ü\u003c"},"nullCount":{"ts":0,"n":1,"v":0,"bad":0,"site":0,"long":0,"none":3,"cells":2}}`
	if got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	p := ParseStats(got)
	if n, ok := p.Nulls("cells"); p.NumRecords != 3 || n != 2 || !ok {
		t.Fatalf("%+v", p)
	}
}

// TestStatsNeverHideARow says that whatever the values, no predicate that a
// row meets is refused by the statistics of its file.
func TestStatsNeverHideARow(t *testing.T) {
	s := columns.Schema{{Name: "ts", Type: columns.Timestamp}, {Name: "n", Type: columns.Int64}, {Name: "s", Type: columns.String}}
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.SliceOfN(rapid.Int64Range(-1e15, 4e15), 1, 5).Draw(t, "ts")
		ns := rapid.SliceOfN(rapid.Int64(), 1, 5).Draw(t, "n")
		ss := rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "s")
		c := []ColumnStats{{HasBounds: true, MinInt: us[0], MaxInt: us[0]}, {HasBounds: true, MinInt: ns[0], MaxInt: ns[0]}, {HasBounds: true, MinString: ss[0], MaxString: ss[0]}}
		for _, x := range us {
			c[0].MinInt, c[0].MaxInt = min(c[0].MinInt, x), max(c[0].MaxInt, x)
		}
		for _, x := range ns {
			c[1].MinInt, c[1].MaxInt = min(c[1].MinInt, x), max(c[1].MaxInt, x)
		}
		for _, x := range ss {
			c[2].MinString, c[2].MaxString = min(c[2].MinString, x), max(c[2].MaxString, x)
		}
		text, err := EncodeStats(9, s, c)
		if err != nil || !json.Valid([]byte(text)) {
			t.Fatal(err, text)
		}
		p := ParseStats(text)
		for _, x := range us {
			if !p.MayHoldTime("ts", x, x) {
				t.Fatalf("%d is hidden by %s", x, text)
			}
		}
		for _, x := range ns {
			if !p.MayHoldInt("n", x, x) {
				t.Fatalf("%d is hidden by %s", x, text)
			}
		}
		for _, x := range ss {
			if !p.MayHoldString("s", x) {
				t.Fatalf("%q is hidden by %s", x, text)
			}
		}
	})
}

func FuzzParseCommit(f *testing.F) {
	f.Add([]byte(`{"commitInfo":{"timestamp":1,"txnId":"x"}}` + "\n" + `{"add":{"path":"dt=2026-11-20/p.parquet","partitionValues":{"dt":null},"size":1,"stats":"{\"numRecords\":2}"}}`))
	f.Add([]byte(`{"txn":{"appId":"a","version":3}}` + "\n" + `{"remove":{"path":"p"}}` + "\n" + `{"cdc":{}}`))
	f.Add([]byte(`{"metaData":{"id":"x","format":{},"schemaString":"{}"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		actions, err := parseCommit(data)
		if err != nil {
			return
		}
		s := newState()
		if s.apply(0, actions) != nil || s.meta == nil {
			return
		}
		snap, err := s.snapshot()
		if err != nil {
			return
		}
		snap.Schema()
		for _, f := range snap.Files() {
			f.Stats().TimeRange("ts")
		}
	})
}

func FuzzDecodeCheckpoint(f *testing.F) {
	s := newState()
	s.protocol, s.meta = &protocol{MinReaderVersion: 1, MinWriterVersion: 2}, &metaData{ID: "x", SchemaString: "{}"}
	s.files["a"] = addFile{Path: "a", PartitionValues: map[string]*string{"dt": nil}, Stats: "{}"}
	data, err := encodeCheckpoint(s.checkpointRows(fixedNow))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 1<<16 {
			decodeCheckpoint(data, 1)
		}
	})
}

var fixedNow = time.Unix(1_795_000_000, 0)
