package tables

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bessd/bess"
	"bessd/bess/columns"
	"bessd/store"
	"bessd/store/blob"
	"bessd/store/fsdir"
)

const t0 = 1767225598_000000 // two seconds before a midnight

func openLake(t testing.TB, dir string) *Lake {
	t.Helper()
	b, err := fsdir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return openBackend(t, b)
}

func openBackend(t testing.TB, b store.Backend) *Lake {
	t.Helper()
	l, err := store.Open(t.Context(), b, store.Config{StageDir: t.TempDir(), Engine: "bessd/test", Log: slog.New(slog.DiscardHandler)}, Specs())
	if err != nil {
		t.Fatal(err)
	}
	return New(l)
}

func testPlan(t testing.TB) *bess.Plan {
	p, err := bess.NewPlan(bess.Plan{Map: "test@1", Periods: []time.Duration{time.Second, 10 * time.Second}, Columns: []bess.Column{
		{Num: bess.NumVoltageV, Decimals: 1}, {Num: bess.NumCurrentA, Decimals: 2}, {Num: bess.NumOperatingState}, {Num: bess.NumAlarmBits}, {Num: 9000, Decimals: 1}},
		Texts: []bess.Column{{Num: bess.NumCellVoltageMinAt, Tier: 1}},
		Lists: []bess.Column{{Num: bess.NumCellVoltagesV, Decimals: 3, Tier: 1}, {Num: bess.NumCellsBalancing, Tier: 1}},
		Extra: []bess.ExtraColumn{{Name: "test.fan_rpm", Decimals: 0}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testScan(p *bess.Plan, device string, seq int64) *bess.Scan {
	s := &bess.Scan{Site: "alfa", Device: device, Kind: bess.Rack, TS: t0 + seq*1e6, ScanUS: 12_345, Epoch: 77, Seq: seq, Quality: bess.Partial, Flags: bess.ClockStepped}
	s.Reset(p)
	copy(s.Values, []int64{8123 + seq, -1250, 5, 6, 42})
	s.Texts[0] = "cell002"
	s.Lists[0], s.Lists[1] = []int32{3300, bess.AbsentElement, 3310}, []int32{1, 0, bess.AbsentElement}
	s.Extra[0] = 1200
	if seq%2 == 1 {
		s.Reset(p)
		s.Quality, s.Flags = bess.Bad, 0
		s.Lists[1] = []int32{}
		s.Rejected = []bess.Rejection{{Slot: 0, Reason: bess.ReasonComm}, {Slot: 8, Reason: bess.ReasonSentinel}}
	}
	return s
}

// fixedDay has its parts at hand.
type fixedDay struct {
	date  string
	parts []bess.RollupPart
}

func (d fixedDay) Date() string { return d.date }
func (d fixedDay) Rows() int    { return len(d.parts) }
func (d fixedDay) Append(dst []bess.RollupPart, from, to int) []bess.RollupPart {
	return append(dst, d.parts[from:to]...)
}

func testFlush(t testing.TB, from int64) *bess.Flush {
	p := testPlan(t)
	sec := bess.NewSection()
	for seq := from; seq < from+4; seq++ {
		for _, d := range []string{"bank2", "bank1"} {
			sec.Append(testScan(p, d, seq), 3)
		}
	}
	ranges := []bess.SeqRange{{First: from, Last: from + 3}}
	return &bess.Flush{
		Topic: "t", Ranges: []bess.OffsetRange{{Partition: 0, From: from * 10, To: from*10 + 40}, {Partition: 5, Generation: 2, From: from, To: from + 4}},
		Scans: sec, Rollups: []bess.RollupDay{fixedDay{"2025-12-31", []bess.RollupPart{
			{Site: "alfa", Device: "bank1", Kind: bess.Rack, Epoch: 77, Point: "voltage_v", MinuteTS: t0 - 58e6, N: 2, Sum: 3, Min: 1, Max: 2, FirstTS: t0, LastTS: t0 + 1e6, WeightS: 2, Has: bess.HasSum}}}, fixedDay{"2026-01-01", []bess.RollupPart{
			{Site: "alfa", Device: "bank1", Kind: bess.Rack, Epoch: 77, Point: "operating_state", MinuteTS: t0 + 2e6, N: 1, WeightS: 1, States: []bess.StateSeconds{{State: "running", Seconds: 1}}, Has: bess.HasStates}}}},
		Devices: []bess.DeviceRecord{{Site: "alfa", Device: "bank1", Kind: bess.Bank, Epoch: 77, Rec: from, TS: t0, Cause: "start", Plan: p,
			Identity: map[string]string{"manufacturer": "acme", "color": "red"}, Nameplate: map[string]float64{"energy_rated_wh": 5000, "odd": 1}}},
		Events: []bess.AgentEvent{{Site: "alfa", Epoch: 77, Rec: from + 1, TS: t0, Kind: bess.EventDropped, LastSeq: []bess.DeviceSeq{{Device: "bank1", Seq: 9}},
			Dropped: []bess.DroppedRange{{Device: "bank1", Epoch: 77, FirstSeq: 1, LastSeq: 2, Reason: "spool_age"}}}},
		DeadLetters: []bess.DeadLetter{{Partition: 0, Offset: from, RecordTime: -1, Reason: "decode", Detail: "x", Payload: []byte{0xff, 0}}},
		Ledger: []bess.LedgerRow{
			{Stream: bess.StreamScan, Site: "alfa", Device: "bank1", Epoch: 77, FirstOffset: from * 10, NextOffset: from*10 + 40, Ranges: ranges, FirstTS: t0 + from*1e6, LastTS: t0 + (from+3)*1e6, Partial: 2, Bad: 2, CommitTS: t0 + from*1e6},
			{Stream: bess.StreamRecord, Site: "alfa", Epoch: 77, Ranges: []bess.SeqRange{{First: from, Last: from}, {First: from + 2, Last: from + 3}}, Duplicates: 1, Conflicts: 2, CommitTS: t0 + from*1e6},
			{Stream: bess.StreamPosition, Partition: 5, Generation: 2, FirstOffset: from, NextOffset: from + 4, FingerprintOffset: from + 3, Fingerprint: "abc", CommitTS: t0 + from*1e6},
		},
	}
}

func write(ctx context.Context, t testing.TB, l *Lake, f *bess.Flush) map[bess.Table]bess.Commit {
	t.Helper()
	out := map[bess.Table]bess.Commit{}
	for _, table := range bess.FlushTables() {
		s, err := l.Stage(ctx, f, table)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Upload(ctx); err != nil {
			t.Fatal(err)
		}
		c, err := s.Commit(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out[table] = c
		if err := s.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestFlushComesBack writes two flushes, each over a midnight, and reads rows, positions and ledger back.
func TestFlushComesBack(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	l := openLake(t, dir)
	first, second := testFlush(t, 0), testFlush(t, 4)
	commits := write(ctx, t, l, first)
	write(ctx, t, l, second)
	if c := commits[bess.TableTelemetry]; c.Rows != 8 || c.Files != 2 || c.Values != int64(first.Scans.Values()) || c.Bytes == 0 {
		t.Errorf("%+v", c)
	}
	if c := commits[bess.TableDeadLetters]; c.Rows != 1 || c.Files != 1 {
		t.Errorf("%+v", c)
	}

	l = openLake(t, dir) // as after a restart
	for _, table := range bess.FlushTables() {
		got, err := l.Positions(ctx, "t", table)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[int]bess.Position{0: {Offset: 80}, 5: {Generation: 2, Offset: 8}}, got); d != "" {
			t.Errorf("%s: %s", table, d)
		}
	}
	if got, err := l.Positions(ctx, "other", bess.TableLedger); err != nil || len(got) != 0 {
		t.Errorf("positions of another topic: %v, %v", got, err)
	}

	var rows []bess.LedgerRow
	collect := func(r *bess.LedgerRow) error { rows = append(rows, *r); return nil }
	if err := l.Rows(ctx, bess.LedgerQuery{}, collect); err != nil {
		t.Fatal(err)
	}
	byTime := func(a, b bess.LedgerRow) int { return int(a.CommitTS - b.CommitTS) }
	slices.SortStableFunc(rows, byTime)
	if d := cmp.Diff(append(slices.Clone(first.Ledger), second.Ledger...), rows); d != "" {
		t.Error(d)
	}
	rows = nil
	if err := l.Rows(ctx, bess.LedgerQuery{FromUS: t0 + 1, Site: "alfa", Epoch: 77, Stream: bess.StreamRecord}, collect); err != nil || len(rows) != 1 || rows[0].Conflicts != 2 {
		t.Errorf("%v, %v", rows, err)
	}

	names := []string{"ts", "device", "quality", "scan_ms", "late_s", "voltage_v", "current_a", "operating_state", "alarm_bits", "cell_voltage_min_at", "cell_voltages_v", "cells_balancing", "extra", "rejected", "flags", "power_w"}
	var got [][]any
	err := l.table(bess.TableTelemetry).Scan(ctx, store.Scan{Columns: names, Where: []store.Equal{{Column: "device", Value: "bank1"}}}, func(b store.Batch) error {
		for _, i := range b.Rows {
			row := []any{b.File.Partition}
			for k := range names {
				row = append(row, b.Vectors[k].Cell(i))
			}
			got = append(got, row)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f := func(x float32) *float32 { return &x }
	yes, no := true, false
	var want [][]any
	for seq := range int64(8) {
		day := "2025-12-31"
		if seq >= 2 {
			day = "2026-01-01"
		}
		if seq%2 == 1 {
			want = append(want, []any{day, t0 + seq*1e6, "bank1", "bad", 12.345, int64(3), nil, nil, nil, nil, nil, nil, []bool{}, nil, []string{"voltage_v:comm", "test.fan_rpm:sentinel"}, nil, nil})
			continue
		}
		want = append(want, []any{day, t0 + seq*1e6, "bank1", "partial", 12.345, int64(3), float64(8123+seq) / 10, -12.5, "running", int64(6), "cell002",
			[]*float32{f(3.3), nil, f(3.31)}, []*bool{&yes, &no, nil}, map[string]float64{"num9000": 4.2, "test.fan_rpm": 1200}, nil, []string{"clock_stepped"}, nil})
	}
	slices.SortFunc(got, func(a, b []any) int { return int(a[1].(int64) - b[1].(int64)) })
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// askedDay remembers which ranges were asked for.
type askedDay struct {
	fixedDay
	asked *[][2]int
}

func (d askedDay) Append(dst []bess.RollupPart, from, to int) []bess.RollupPart {
	*d.asked = append(*d.asked, [2]int{from, to})
	return d.fixedDay.Append(dst, from, to)
}

// TestRollupsAreMadeOnce says that the parts of a range are made once for all columns, and that no more than a range of
// them is held: a backlog has millions.
func TestRollupsAreMadeOnce(t *testing.T) {
	parts := make([]bess.RollupPart, 250)
	for i := range parts {
		parts[i].N = int64(i)
	}
	var asked [][2]int
	layout := rollupLayout()
	days := rollupDays(layout, []bess.RollupDay{askedDay{fixedDay{"2026-01-01", parts}, &asked}, askedDay{fixedDay{"2026-01-02", parts[100:]}, &asked}})
	read := func(day, from, to int) {
		t.Helper()
		for col := range layout {
			var v columns.Vector
			v.Reset(layout[col].Type)
			if err := days[day].src.Column(col, from, to, &v); err != nil {
				t.Fatal(err)
			}
			if v.Rows() != to-from || layout[col].Name == "n" && v.Int64[0] != int64(day*100+from) {
				t.Fatalf("day %d, column %d, [%d, %d): %d rows, %v", day, col, from, to, v.Rows(), v.Int64)
			}
		}
	}
	for _, r := range [][3]int{{0, 0, 100}, {0, 0, 60}, {0, 60, 100}, {0, 100, 200}, {0, 200, 250}, {0, 0, 100}, {1, 0, 100}, {1, 100, 150}} {
		read(r[0], r[1], r[2])
	}
	if d := cmp.Diff([][2]int{{0, 100}, {100, 200}, {200, 250}, {0, 100}, {0, 100}, {100, 150}}, asked); d != "" {
		t.Error(d)
	}
	if made := days[0].src.(*rollupDay).made; made != days[1].src.(*rollupDay).made || cap(made.parts) >= 250 {
		t.Errorf("room for %d parts is held, or for each day", cap(made.parts))
	}
	if err := days[0].src.Column(0, 200, 251, new(columns.Vector)); err == nil {
		t.Error("a part beyond the last came")
	}
}

func TestCommitTwiceAndFenced(t *testing.T) {
	ctx := t.Context()
	l := openLake(t, t.TempDir())
	f := testFlush(t, 0)
	write(ctx, t, l, f)
	for table, c := range write(ctx, t, l, f) {
		if !c.Done || c.Rows != 0 {
			t.Errorf("%s: %+v", table, c)
		}
	}
	f.Ranges[0].To++ // another end than that of whoever was first
	s, err := l.Stage(ctx, f, bess.TableLedger)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Commit(ctx)
	var fenced interface{ Fenced() bool }
	if !errors.As(err, &fenced) || !fenced.Fenced() {
		t.Errorf("got %v", err)
	}
	if err := s.Discard(); err != nil {
		t.Error(err)
	}
	if u := l.lake.Staged(); u.Files != 0 {
		t.Errorf("%+v left in the stage", u)
	}
}

// lateStore loses the reply of a commit and stores it only when the next one asks for the same version.
type lateStore struct {
	*fsdir.Store
	key  string // ends so
	late []byte
}

func (l *lateStore) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	if !strings.HasSuffix(key, l.key) {
		return l.Store.PutIfAbsent(ctx, key, data)
	}
	if l.late == nil {
		l.late = data
		return &blob.Error{Op: "putting", Key: key, Kind: blob.Permanent, Err: context.DeadlineExceeded}
	}
	if err := l.Store.PutIfAbsent(ctx, key, l.late); err != nil {
		return err
	}
	return l.Store.PutIfAbsent(ctx, key, data)
}

// TestCommitThatArrivesLate says that a commit which was given up, and which the store carries out after the next try has
// read the positions, is taken for what it is, and not for that of another process.
func TestCommitThatArrivesLate(t *testing.T) {
	ctx := t.Context()
	dir, err := fsdir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &lateStore{Store: dir, key: "telemetry/_delta_log/00000000000000000001.json"}
	l := openBackend(t, b)
	s, err := l.Stage(ctx, testFlush(t, 0), bess.TableTelemetry)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Upload(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	c, err := s.Commit(ctx)
	if err != nil || !c.Done || c.Version != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	files, err := l.table(bess.TableTelemetry).Files(ctx)
	if err != nil || len(files) != len(s.files) {
		t.Fatal(len(files), err)
	}
}

func TestMatches(t *testing.T) {
	ctx := t.Context()
	l := openLake(t, t.TempDir())
	write(ctx, t, l, testFlush(t, 0))
	p := testPlan(t)
	for _, seq := range []int64{0, 1, 3} {
		if same, err := l.Matches(ctx, testScan(p, "bank1", seq)); err != nil || !same {
			t.Errorf("seq %d: %v, %v", seq, same, err)
		}
	}
	for name, change := range map[string]func(s *bess.Scan){
		"value":   func(s *bess.Scan) { s.Values[0]++ },
		"absent":  func(s *bess.Scan) { s.Values[3] = bess.Absent },
		"element": func(s *bess.Scan) { s.Lists[0] = []int32{3300, 3300, 3310} },
		"extra":   func(s *bess.Scan) { s.Extra[0] = 7 },
		"quality": func(s *bess.Scan) { s.Quality = bess.Good },
	} {
		s := testScan(p, "bank1", 2)
		change(s)
		if same, err := l.Matches(ctx, s); err != nil || same {
			t.Errorf("%s changed: %v, %v", name, same, err)
		}
	}
	if _, err := l.Matches(ctx, testScan(p, "bank9", 0)); !errors.Is(err, errNoRow) {
		t.Error(err)
	}
	for _, other := range []int64{1, 86400e6} { // another tick of the name is not searched for
		s := testScan(p, "bank1", 0)
		s.TS += other
		if _, err := l.Matches(ctx, s); !errors.Is(err, errNoRow) {
			t.Error(err)
		}
	}
}

func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s bess.SeqSet
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			s.Add(rapid.Int64Range(-5, 40).Draw(t, "seq"))
		}
		got, err := parseRanges(formatRanges(s.Ranges()))
		if err != nil || !slices.Equal(got, s.Ranges()) {
			t.Fatal(got, err)
		}
	})
	for _, bad := range []string{"a", "1..", "5..2", "1,,2", "1-2"} {
		if _, err := parseRanges(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

// TestSchemas guards the order of columns: what is published never moves.
func TestSchemas(t *testing.T) {
	for _, s := range Specs() {
		if err := s.Schema.Validate(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	s := telemetrySchema(telemetryColumns())
	if len(s) != 12+len(bess.Points())+1 || s[0].Name != "ts" || s[12].Name != "soc_pct" || s[len(s)-1].Name != "extra" {
		t.Errorf("%d columns", len(s))
	}
	for _, c := range s {
		if c.Type == columns.Invalid {
			t.Errorf("%s has no type", c.Name)
		}
	}
}
