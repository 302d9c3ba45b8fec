package store_test

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bessd/bess/columns"
	"bessd/internal/testenv"
	"bessd/store"
	"bessd/store/delta"
	"bessd/store/fsdir"
	"bessd/store/storetest"
)

var judged = columns.Schema{
	{Name: "ts", Type: columns.Timestamp, Comment: "tick"},
	{Name: "seq", Type: columns.Int64},
	{Name: "site", Type: columns.String},
	{Name: "state", Type: columns.Int64, Nullable: true},
	{Name: "volt", Type: columns.Double, Nullable: true},
	{Name: "note", Type: columns.String, Nullable: true},
	{Name: "payload", Type: columns.Binary, Nullable: true},
	{Name: "valid", Type: columns.Bool, Nullable: true},
	{Name: "cells", Type: columns.FloatList, Nullable: true},
	{Name: "rejected", Type: columns.StringList, Nullable: true},
	{Name: "flags", Type: columns.BoolList, Nullable: true},
	{Name: "extra", Type: columns.DoubleMap, Nullable: true},
	{Name: "never", Type: columns.Double, Nullable: true},
}

// judgedRow has nulls of every kind at different rhythms, empty lists and maps
// beside null ones, null elements, and doubles with all their bits.
func judgedRow(i int) []any {
	pick := func(every int, v any) any {
		if i%every == 0 {
			return nil
		}
		return v
	}
	f := float32(3.2) + float32(i%100)/1000
	cells := any([]float32{f, f + 0.001, f - 0.001})
	switch i % 5 {
	case 1:
		cells = []float32{}
	case 2:
		cells = []*float32{&f, nil}
	}
	extra := any(map[string]float64{"fan_rpm": float64(i % 50), "Tü": math.Sqrt(float64(i))})
	if i%4 == 1 {
		extra = map[string]float64{}
	}
	no := false
	return []any{
		int64(1_795_564_800_000_000 + i*1_000_003), int64(i), fmt.Sprintf("site%d", i/500),
		pick(3, int64(i%4)), pick(4, math.Sin(float64(i))), pick(2, fmt.Sprintf("note \"%d\" ü", i%11)), pick(9, []byte{0xff, byte(i)}),
		pick(5, i%2 == 0), pick(6, cells), pick(7, []string{"comm", fmt.Sprint(i % 3)}), pick(3, []*bool{nil, &no}), pick(8, extra), nil,
	}
}

// writeJudged fills a table through several restarts: two days in each commit,
// checkpoints, and a column that is added half-way. It returns what must be read.
func writeJudged(t *testing.T, b store.Backend) storetest.Figures {
	t.Helper()
	dir := t.TempDir()
	var sum storetest.Summary
	at, rows := int64(store.NoPosition), 0
	schema := judged
	for run := range 2 {
		if run == 1 {
			sum.AddMissing("soh_pct", rows)
			schema = append(judged[:len(judged):len(judged)], columns.Column{Name: "soh_pct", Type: columns.Double, Nullable: true, Comment: "%"})
		}
		l, err := store.Open(t.Context(), b, store.Config{StageDir: dir, Engine: "bessd/test", CheckpointEvery: 4}, []store.TableSpec{{Name: "telemetry", Schema: schema, Partition: "dt", Description: "judged"}})
		if err != nil {
			t.Fatal(err)
		}
		tab := l.Table("telemetry")
		for range 5 {
			var files []*store.Staged
			for _, dt := range []string{"2026-11-25", "2026-11-26"} {
				src := columns.NewRows(schema)
				for range 150 {
					r := judgedRow(rows)
					if run == 1 {
						r = append(r, float64(rows)/7)
					}
					if err := src.Append(r...); err != nil {
						t.Fatal(err)
					}
					rows++
				}
				if err := sum.AddSource(schema, src, "dt", dt); err != nil {
					t.Fatal(err)
				}
				s, err := tab.Stage(t.Context(), dt, src, map[string]string{"bessd.offsets": "x"})
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, s)
			}
			if _, err := tab.Commit(t.Context(), store.Commit{Files: files, Positions: []delta.Txn{{AppID: "bessd/t/1/0", Expected: at, Version: int64(rows)}}}); err != nil {
				t.Fatal(err)
			}
			at = int64(rows)
		}
	}
	return sum.Figures()
}

type verdict struct {
	Version   int64
	Files     int
	Deltalake storetest.Figures
	DuckDB    storetest.Figures
}

func judge(t *testing.T, py *testenv.Python, url string, want storetest.Figures) {
	t.Helper()
	var got struct{ Tables map[string]verdict }
	py.JSON(t, &got, "read_delta.py", url)
	v := got.Tables[url]
	if v.Version != 11 || v.Files != 20 {
		t.Errorf("version %d, %d files", v.Version, v.Files)
	}
	if d := cmp.Diff(want, v.Deltalake); d != "" {
		t.Errorf("deltalake: %s", d)
	}
	if d := cmp.Diff(want, v.DuckDB); d != "" {
		t.Errorf("duckdb: %s", d)
	}
}

// TestForeignReaders says that delta-rs and DuckDB read what we wrote, value by
// value, from a directory.
func TestForeignReaders(t *testing.T) {
	py := testenv.LakePython(t)
	root := filepath.Join(t.TempDir(), "lake")
	b, err := fsdir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	want := writeJudged(t, b)
	judge(t, py, filepath.Join(root, "telemetry"), want)
}
