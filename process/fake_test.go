package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"bessd/bess"
	"bessd/bess/wire"
)

// fakeLog is a topic in memory. The zero position of a partition is offset `start`.
type fakeLog struct {
	mu    sync.Mutex
	parts map[int]*fakePartition
	limit int // messages per fetch
	fail  func(op string) error
	grown chan struct{}
}

type fakePartition struct {
	start int64
	msgs  []Message
}

func newFakeLog() *fakeLog {
	return &fakeLog{parts: map[int]*fakePartition{}, limit: 7, grown: make(chan struct{}), fail: func(string) error { return nil }}
}

func (l *fakeLog) partition(p int) *fakePartition {
	if l.parts[p] == nil {
		l.parts[p] = &fakePartition{}
	}
	return l.parts[p]
}

func (l *fakeLog) put(p int, timeUS int64, value []byte) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	fp := l.partition(p)
	off := fp.start + int64(len(fp.msgs))
	fp.msgs = append(fp.msgs, Message{Offset: off, TimeUS: timeUS, Key: []byte("k"), Value: value})
	close(l.grown)
	l.grown = make(chan struct{})
	return off
}

// recreate replaces a partition's log by an empty one that starts at 0.
func (l *fakeLog) recreate(p int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[p] = &fakePartition{}
}

// trim drops the messages before offset.
func (l *fakeLog) trim(p int, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fp := l.partition(p)
	fp.msgs = slices.Clone(fp.msgs[offset-fp.start:])
	fp.start = offset
}

func (l *fakeLog) Bounds(_ context.Context, p int) (int64, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail("bounds"); err != nil {
		return 0, 0, err
	}
	fp := l.partition(p)
	return fp.start, fp.start + int64(len(fp.msgs)), nil
}

func (l *fakeLog) Fetch(ctx context.Context, p int, offset int64) (Fetched, error) {
	l.mu.Lock()
	if err := l.fail("fetch"); err != nil {
		l.mu.Unlock()
		return Fetched{}, err
	}
	fp := l.partition(p)
	end := fp.start + int64(len(fp.msgs))
	if offset < fp.start || offset > end {
		l.mu.Unlock()
		return Fetched{}, fmt.Errorf("offset %d outside [%d, %d]", offset, fp.start, end)
	}
	if offset == end {
		grown := l.grown
		l.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return Fetched{}, ctx.Err()
		}
		return Fetched{Next: offset, HighWatermark: end}, nil
	}
	defer l.mu.Unlock()
	n := min(offset+int64(l.limit), end)
	return Fetched{Messages: slices.Clone(fp.msgs[offset-fp.start : n-fp.start]), Next: n, HighWatermark: end}, nil
}

// crash is an injected failure that ends a Run as a kill would: nothing is tried again.
type crash struct{ op string }

func (c crash) Error() string { return "crash at " + c.op }
func (c crash) Fenced() bool  { return true }

// fakeLake keeps tables in memory, with positions committed together with the rows.
type fakeLake struct {
	mu      sync.Mutex
	pos     map[bess.Table]map[string]bess.Position // by topic/generation/partition
	version map[bess.Table]int64
	rows    []string // telemetry, one text per row
	parts   []bess.RollupPart
	devices []bess.DeviceRecord
	events  []bess.AgentEvent
	dead    []bess.DeadLetter
	ledger  []bess.LedgerRow
	lookups int
	// fail is asked before and after each operation has its effect: a lost reply is a failure after.
	fail func(op string) error
}

func newFakeLake() *fakeLake {
	return &fakeLake{pos: map[bess.Table]map[string]bess.Position{}, version: map[bess.Table]int64{}, fail: func(string) error { return nil }}
}

func (l *fakeLake) Positions(_ context.Context, topic string, t bess.Table) (map[int]bess.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail("positions"); err != nil {
		return nil, err
	}
	out := map[int]bess.Position{}
	for id, p := range l.pos[t] {
		var gen int64
		var part int
		if _, err := fmt.Sscanf(id, topic+"/%d/%d", &gen, &part); err != nil {
			return nil, err
		}
		if old, ok := out[part]; !ok || old.Before(p) {
			out[part] = p
		}
	}
	return out, nil
}

func (l *fakeLake) Stage(_ context.Context, f *bess.Flush, t bess.Table) (Staged, error) {
	if err := l.fail("stage " + t.String()); err != nil {
		return nil, err
	}
	return &fakeStaged{l, f, t}, nil
}

type fakeStaged struct {
	l *fakeLake
	f *bess.Flush
	t bess.Table
}

func (s *fakeStaged) Upload(context.Context) error { return s.l.fail("upload " + s.t.String()) }
func (s *fakeStaged) Discard() error               { return nil }

// otherCommitter is what a fenced commit returns.
var errOther = errors.New("another process commits")

func (s *fakeStaged) Commit(context.Context) (bess.Commit, error) {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail("commit " + s.t.String()); err != nil {
		return bess.Commit{}, err
	}
	at := l.pos[s.t]
	if at == nil {
		at = map[string]bess.Position{}
		l.pos[s.t] = at
	}
	done := 0
	for _, r := range s.f.Ranges {
		p, ok := at[fmt.Sprintf("%s/%d/%d", s.f.Topic, r.Generation, r.Partition)]
		switch {
		case ok && p.Offset >= r.To:
			done++
		case ok && p.Offset > r.From:
			return bess.Commit{}, crash{"fenced: " + errOther.Error()}
		}
	}
	if done == len(s.f.Ranges) {
		return bess.Commit{Done: true}, nil
	}
	if done > 0 {
		return bess.Commit{}, crash{"fenced: partly done"}
	}
	for _, r := range s.f.Ranges {
		at[fmt.Sprintf("%s/%d/%d", s.f.Topic, r.Generation, r.Partition)] = bess.Position{Generation: r.Generation, Offset: r.To}
	}
	l.version[s.t]++
	switch s.t {
	case bess.TableTelemetry:
		l.rows = append(l.rows, rowsOf(s.f.Scans)...)
	case bess.TableRollup1mParts:
		l.parts = append(l.parts, allParts(s.f.Rollups)...)
	case bess.TableDevices:
		l.devices = append(l.devices, s.f.Devices...)
	case bess.TableAgentEvents:
		l.events = append(l.events, s.f.Events...)
	case bess.TableDeadLetters:
		l.dead = append(l.dead, s.f.DeadLetters...)
	case bess.TableLedger:
		l.ledger = append(l.ledger, s.f.Ledger...)
	}
	c := bess.Commit{Version: l.version[s.t], Rows: int64(s.f.Rows(s.t)), Files: 1}
	return c, l.fail("committed " + s.t.String())
}

func (l *fakeLake) Rows(_ context.Context, q bess.LedgerQuery, fn func(*bess.LedgerRow) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail("ledger"); err != nil {
		return err
	}
	l.lookups++
	for i := range l.ledger {
		if q.Match(&l.ledger[i]) {
			r := l.ledger[i]
			if err := fn(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// allParts makes the parts of all days.
func allParts(days []bess.RollupDay) (out []bess.RollupPart) {
	for _, d := range days {
		out = d.Append(out, 0, d.Rows())
	}
	return out
}

// rowsOf names the rows of a section with some of their content.
func rowsOf(s *bess.Section) []string {
	var out []string
	for _, d := range s.Days() {
		for _, r := range d.Runs() {
			ts, epoch, seq, late := r.TS(), r.Epoch(), r.Seq(), r.LateS()
			power, _ := r.Column(bess.NumPowerW)
			for i := range r.Len() {
				v := int64(bess.Absent)
				if power.Len() > 0 {
					v = power.At(i)
				}
				out = append(out, fmt.Sprintf("%s %s %d %d ts=%d late=%d %s power=%d", r.Site(), r.Device(), epoch.At(i), seq.At(i), ts.At(i), late.At(i), r.Quality(i), v))
			}
		}
	}
	return out
}

// fleet makes messages as agents do.
type fleet struct {
	t     testing.TB
	plan  *bess.Plan
	plan2 *bess.Plan
}

func newFleet(t testing.TB) *fleet {
	mk := func(m string, every time.Duration) *bess.Plan {
		p, err := bess.NewPlan(bess.Plan{Map: m, Periods: []time.Duration{every}, Columns: []bess.Column{
			{Num: bess.NumVoltageV, Decimals: 1}, {Num: bess.NumCurrentA, Decimals: 1}, {Num: bess.NumOperatingState}},
			Lists: []bess.Column{{Num: bess.NumCellVoltagesV, Decimals: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	return &fleet{t, mk("a@1", time.Second), mk("b@1", 200*time.Millisecond)}
}

const testT0 = 1767225540_000000 // 2025-12-31T23:59:00Z: tests cross a minute, a day and a year

// epochOf makes an epoch that began at unix second s.
func epochOf(s int64, random int64) int64 { return s<<20 | random }

var testEpoch = epochOf(testT0/1e6-60, 5)

func (f *fleet) scan(site, device string, epoch, seq int64) *bess.Scan {
	s := &bess.Scan{Site: site, Device: device, Kind: bess.Rack, Epoch: epoch, Seq: seq, TS: testT0 + seq*1e6, Quality: bess.Good}
	s.Reset(f.plan)
	if device == "bank2" {
		s.Reset(f.plan2)
	}
	s.Values[0], s.Values[1], s.Values[2] = 8000+seq%7, 100-seq*3, 5
	s.Lists[0] = []int32{3300 + int32(seq%5), 3290, bess.AbsentElement}
	if seq%11 == 10 {
		s.Reset(s.Plan)
		s.Quality = bess.Bad
	}
	return s
}

func (f *fleet) encode(s *bess.Scan) []byte { return wire.AppendScan(nil, s) }

func (f *fleet) event(site string, epoch, rec int64) []byte {
	return wire.AppendEvent(nil, &bess.AgentEvent{Site: site, Epoch: epoch, Rec: rec, TS: testT0 + rec*1e6, Kind: bess.EventHeartbeat, Version: "test"})
}

func (f *fleet) record(site, device string, epoch, rec int64) []byte {
	return wire.AppendDevice(nil, &bess.DeviceRecord{Site: site, Device: device, Kind: bess.Rack, Epoch: epoch, Rec: rec, TS: testT0 + rec*1e6, Cause: "start", Plan: f.plan})
}

func testConfig(partitions ...int) Config {
	c := DefaultConfig()
	c.Topic, c.Partitions = "t", partitions
	c.FlushAge = 20 * time.Millisecond
	c.Grace = 5 * time.Second
	return c
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(p))
	return len(p), nil
}

// ends gives the end of each partition's log.
func (l *fakeLog) ends() map[int]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[int]int64{}
	for p, fp := range l.parts {
		out[p] = fp.start + int64(len(fp.msgs))
	}
	return out
}

// drain runs archives, a new one after each crash, until everything in the log is committed.
func drain(t testing.TB, cfg Config, src *fakeLog, lake *fakeLake, lookup RowLookup) (last Stats, runs int) {
	t.Helper()
	for runs = 1; ; runs++ {
		if runs > 500 {
			t.Fatal("no end of crashes")
		}
		a, err := New(cfg, src, lake, lake, lookup, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		if err = runUntilCaughtUp(t, a, src); err == nil {
			return a.Stats(), runs
		}
		if !fenced(err) {
			t.Fatal(err)
		}
	}
}

func runUntilCaughtUp(t testing.TB, a *Archive, src *fakeLog) error {
	t.Helper()
	return runUntilAt(t, a, src, 0)
}

// runUntilAt runs until every partition is committed up to its end in the generation, or a later one.
func runUntilAt(t testing.TB, a *Archive, src *fakeLog, generation int64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			t.Fatalf("not caught up: %+v", a.Stats())
		case <-tick.C:
			if caughtUp(a, src.ends(), generation) {
				cancel()
				return <-done
			}
		}
	}
}

func caughtUp(a *Archive, ends map[int]int64, generation int64) bool {
	s := a.Stats()
	for _, p := range a.cfg.Partitions {
		if s.Partitions[p].Committed.Before(bess.Position{Generation: generation, Offset: ends[p]}) {
			return false
		}
	}
	return true
}

func sorted[T ~string](in []T) []T {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}

func counts(in []string) map[string]int {
	m := map[string]int{}
	for _, s := range in {
		m[s]++
	}
	maps.DeleteFunc(m, func(_ string, n int) bool { return n == 1 })
	return m
}
