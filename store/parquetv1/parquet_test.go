package parquetv1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"pgregory.net/rapid"

	"bessd/bess/columns"
	"bessd/store/delta"
)

var everyType = columns.Schema{
	{Name: "ts", Type: columns.Timestamp},
	{Name: "seq", Type: columns.Int64},
	{Name: "site", Type: columns.String},
	{Name: "state", Type: columns.Int64, Nullable: true},
	{Name: "volt", Type: columns.Double, Nullable: true},
	{Name: "note", Type: columns.String, Nullable: true},
	{Name: "raw", Type: columns.Binary, Nullable: true},
	{Name: "on", Type: columns.Bool, Nullable: true},
	{Name: "cells", Type: columns.FloatList, Nullable: true},
	{Name: "rejected", Type: columns.StringList, Nullable: true},
	{Name: "flags", Type: columns.BoolList, Nullable: true},
	{Name: "extra", Type: columns.DoubleMap, Nullable: true},
	{Name: "never", Type: columns.Double, Nullable: true},
	{Name: "always", Type: columns.FloatList},
}

// row makes row i of a repeatable table that has every kind of null.
func row(i int) []any {
	pick := func(every int, v any) any {
		if i%every == 0 {
			return nil
		}
		return v
	}
	f := float32(i%7) / 8
	cells := any([]float32{f, 3.25, f + 1})
	switch i % 5 {
	case 1:
		cells = []float32{}
	case 2:
		cells = []*float32{nil, &f, nil}
	}
	extra := any(map[string]float64{"a": float64(i), "b": 0.5})
	if i%4 == 1 {
		extra = map[string]float64{}
	}
	return []any{
		int64(1_795_000_000_000_000 + i*1_000_003), int64(i), fmt.Sprintf("site%d", i/50),
		pick(3, int64(i%4)), pick(4, float64(i%1000)/10), pick(2, fmt.Sprintf("note %d ü", i%11)), pick(9, string([]byte{0xff, byte(i)})),
		pick(5, i%2 == 0), pick(6, cells), pick(7, []string{"comm", fmt.Sprint(i % 3)}), pick(3, []bool{true, i%2 == 0}), pick(8, extra), nil, []float32{1},
	}
}

func table(t testing.TB, n int) *columns.Rows {
	rows := columns.NewRows(everyType)
	for i := range n {
		if err := rows.Append(row(i)...); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

func cells(t testing.TB, data []byte, s columns.Schema) [][]any {
	t.Helper()
	var out [][]any
	err := Read(bytes.NewReader(data), int64(len(data)), s, func(n int, cols []columns.Vector) error {
		for i := range n {
			r := make([]any, len(cols))
			for c := range cols {
				r[c] = cols[c].Cell(i)
			}
			out = append(out, r)
		}
		for c := range cols {
			if err := cols[c].Check(); err != nil {
				return fmt.Errorf("%s: %w", s[c].Name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func cellsOf(rows *columns.Rows, s columns.Schema) [][]any {
	out := make([][]any, rows.Rows())
	for c := range s {
		var v columns.Vector
		v.Reset(s[c].Type)
		rows.Column(c, 0, rows.Rows(), &v)
		for i := range out {
			out[i] = append(out[i], v.Cell(i))
		}
	}
	return out
}

// TestRoundTrip writes tables of several sizes with small pages and row groups
// and reads them back cell by cell.
func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 2, 63, 64, 65, 1023, 1025, 5000} {
		rows := table(t, n)
		var b bytes.Buffer
		info, err := Write(&b, everyType, rows, Options{RowGroupRows: 1500, PageRows: 400, Engine: "bessd/test"})
		if err != nil {
			t.Fatal(err)
		}
		if info.Size != int64(b.Len()) || info.Rows != int64(n) || info.RowGroups != (n+1499)/1500 {
			t.Fatalf("%d rows: %+v, %d bytes", n, info, b.Len())
		}
		if d := cmp.Diff(cellsOf(rows, everyType), cells(t, b.Bytes(), everyType)); n > 0 && d != "" {
			t.Fatalf("%d rows: %s", n, d)
		}
	}
}

func TestRoundTripAnyRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := columns.Schema{{Name: "i", Type: columns.Int64, Nullable: true}, {Name: "l", Type: columns.FloatList, Nullable: true}, {Name: "s", Type: columns.String, Nullable: true}}
		rows := columns.NewRows(s)
		for range rapid.IntRange(0, 200).Draw(t, "rows") {
			var r []any
			if rapid.Bool().Draw(t, "") {
				r = append(r, rapid.Int64().Draw(t, "i"))
			} else {
				r = append(r, nil)
			}
			switch rapid.IntRange(0, 2).Draw(t, "") {
			case 0:
				r = append(r, nil)
			case 1:
				r = append(r, make([]*float32, rapid.IntRange(1, 3).Draw(t, "n")))
			case 2:
				r = append(r, rapid.SliceOfN(rapid.Float32Range(-1, 1), 0, 4).Draw(t, "l"))
			}
			if rapid.Bool().Draw(t, "") {
				r = append(r, rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "s"))
			} else {
				r = append(r, nil)
			}
			if err := rows.Append(r...); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if _, err := Write(&b, s, rows, Options{RowGroupRows: rapid.IntRange(1, 100).Draw(t, "group"), PageRows: rapid.IntRange(1, 50).Draw(t, "page")}); err != nil {
			t.Fatal(err)
		}
		var got [][]any
		if err := Read(bytes.NewReader(b.Bytes()), int64(b.Len()), s, func(n int, cols []columns.Vector) error {
			for i := range n {
				got = append(got, []any{cols[0].Cell(i), cols[1].Cell(i), cols[2].Cell(i)})
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := cellsOf(rows, s)
		if d := cmp.Diff(want, got); len(want) > 0 && d != "" {
			t.Fatal(d)
		}
	})
}

func TestStatistics(t *testing.T) {
	rows := table(t, 100)
	info, err := Write(&bytes.Buffer{}, everyType, rows, Options{RowGroupRows: 30})
	if err != nil {
		t.Fatal(err)
	}
	text, err := delta.EncodeStats(info.Rows, everyType, info.Columns)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		NumRecords           int
		MinValues, MaxValues map[string]any
		NullCount            map[string]int
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if got.NumRecords != 100 || got.MinValues["seq"] != 0.0 || got.MaxValues["seq"] != 99.0 || got.MinValues["volt"] != 0.1 || got.MaxValues["site"] != "site1" {
		t.Fatal(text)
	}
	for name, want := range map[string]int{"ts": 0, "state": 34, "volt": 25, "cells": 17, "extra": 13, "never": 100, "rejected": 15} {
		if got.NullCount[name] != want {
			t.Errorf("%s: %d nulls, want %d", name, got.NullCount[name], want)
		}
	}
	for _, name := range []string{"cells", "extra", "raw", "on", "never"} {
		if _, ok := got.MinValues[name]; ok {
			t.Errorf("%s has bounds", name)
		}
	}
}

func TestNaNHasNoBounds(t *testing.T) {
	s := columns.Schema{{Name: "v", Type: columns.Double, Nullable: true}}
	for _, order := range [][]any{{math.NaN(), 1.0, 2.0}, {1.0, math.NaN(), 2.0}, {1.0, 2.0, math.NaN()}, {1.0, math.Inf(1), 2.0}} {
		rows := columns.NewRows(s)
		for _, x := range order {
			rows.Append(x)
		}
		info, err := Write(&bytes.Buffer{}, s, rows, Options{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := delta.EncodeStats(3, s, info.Columns)
		if want := `{"numRecords":3,"minValues":{},"maxValues":{},"nullCount":{"v":0}}`; err != nil || text != want {
			t.Errorf("%v: %s, %v", order, text, err)
		}
	}
}

// TestForm looks at what must never change without a new format: encodings
// that all readers know, data pages of version 1, zstd.
func TestForm(t *testing.T) {
	var b bytes.Buffer
	if _, err := Write(&b, everyType, table(t, 5000), Options{}); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Metadata().RowGroups[0].Columns {
		name := c.MetaData.PathInSchema[0]
		if c.MetaData.Codec != format.Zstd {
			t.Errorf("%s: codec %v", name, c.MetaData.Codec)
		}
		for _, s := range c.MetaData.EncodingStats {
			if s.PageType == format.DataPageV2 {
				t.Errorf("%s has data pages of version 2", name)
			}
			if s.PageType == format.DataPage {
				want := map[string]format.Encoding{"ts": format.DeltaBinaryPacked, "seq": format.DeltaBinaryPacked, "raw": format.Plain, "on": format.Plain, "flags": format.Plain}
				w, ok := want[name]
				if !ok {
					w = format.RLEDictionary
				}
				if s.Encoding != w {
					t.Errorf("%s: encoding %v, want %v", name, s.Encoding, w)
				}
			}
		}
	}
}

func TestSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	for _, w := range []*bytes.Buffer{&a, &b} {
		if _, err := Write(w, everyType, table(t, 1000), Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Fatal("the same rows gave different bytes")
	}
}

// unique has n distinct doubles: a dictionary would be a waste.
func TestDictionaryIsGivenUp(t *testing.T) {
	s := columns.Schema{{Name: "v", Type: columns.Double}}
	rows := columns.NewRows(s)
	const n = 40_000
	for i := range n {
		rows.Append(float64(i) * 1.1)
	}
	var b bytes.Buffer
	if _, err := Write(&b, s, rows, Options{PageRows: 4 << 10, DictionaryBytes: 16 << 10}); err != nil {
		t.Fatal(err)
	}
	got := cells(t, b.Bytes(), s)
	if len(got) != n || got[n-1][0] != (n-1)*1.1 {
		t.Fatal("wrong values")
	}
	f, _ := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	plain := false
	for _, s := range f.Metadata().RowGroups[0].Columns[0].MetaData.EncodingStats {
		plain = plain || s.PageType == format.DataPage && s.Encoding == format.Plain
	}
	if !plain {
		t.Fatal("no page is plain")
	}
}

type badSource struct {
	columns.Source
	column func(col, from, to int, v *columns.Vector) error
}

func (b badSource) Column(col, from, to int, v *columns.Vector) error {
	return b.column(col, from, to, v)
}

func TestBadSources(t *testing.T) {
	s := columns.Schema{{Name: "a", Type: columns.Int64}}
	rows := columns.NewRows(s)
	rows.Append(1)
	boom := errors.New("boom")
	for name, f := range map[string]func(col, from, to int, v *columns.Vector) error{
		"error":    func(int, int, int, *columns.Vector) error { return boom },
		"too few":  func(int, int, int, *columns.Vector) error { return nil },
		"too many": func(_, _, _ int, v *columns.Vector) error { v.AppendInt64(1); v.AppendInt64(1); return nil },
		"null":     func(_, _, _ int, v *columns.Vector) error { v.AppendNull(); return nil },
		"type":     func(_, _, _ int, v *columns.Vector) error { v.Reset(columns.Double); v.AppendDouble(1); return nil },
		"panic":    func(int, int, int, *columns.Vector) error { panic("boom") },
	} {
		if _, err := Write(&bytes.Buffer{}, s, badSource{rows, f}, Options{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Write(failing{}, everyType, table(t, 10), Options{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a failing disk: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestReadMissingAndWrongColumns(t *testing.T) {
	var b bytes.Buffer
	if _, err := Write(&b, everyType, table(t, 10), Options{}); err != nil {
		t.Fatal(err)
	}
	got := cells(t, b.Bytes(), columns.Schema{{Name: "later", Type: columns.FloatList, Nullable: true}, {Name: "seq", Type: columns.Int64}})
	if len(got) != 10 || got[3][0] != nil || got[3][1] != int64(3) {
		t.Fatal(got)
	}
	for _, c := range []columns.Column{{Name: "seq", Type: columns.Double}, {Name: "cells", Type: columns.Double}, {Name: "volt", Type: columns.FloatList}, {Name: "cells", Type: columns.DoubleMap}, {Name: "note", Type: columns.Timestamp}} {
		if err := Read(bytes.NewReader(b.Bytes()), int64(b.Len()), columns.Schema{c}, func(int, []columns.Vector) error { return nil }); err == nil {
			t.Errorf("%v was read", c)
		}
	}
}

// TestFixture says that files written by earlier versions stay readable.
func TestFixture(t *testing.T) {
	name := filepath.Join("testdata", "v1.parquet")
	rows := table(t, 40)
	if os.Getenv("BESSD_UPDATE") != "" {
		var b bytes.Buffer
		if _, err := Write(&b, everyType, rows, Options{Engine: "bessd/0.1"}); err != nil {
			t.Fatal(err)
		}
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(cellsOf(rows, everyType), cells(t, data, everyType)); d != "" {
		t.Fatal(d)
	}
}

func FuzzRead(f *testing.F) {
	for _, n := range []int{0, 3, 70} {
		var b bytes.Buffer
		if _, err := Write(&b, everyType, table(f, n), Options{RowGroupRows: 40}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		Read(bytes.NewReader(data), int64(len(data)), everyType, func(n int, cols []columns.Vector) error {
			for c := range cols {
				if err := cols[c].Check(); err != nil {
					t.Errorf("%s: %v", everyType[c].Name, err)
				}
				if cols[c].Rows() != n {
					t.Errorf("%s has %d rows of %d", everyType[c].Name, cols[c].Rows(), n)
				}
			}
			return nil
		})
	})
}
