package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bessd/bess/columns"
	"bessd/store/blob"
	"bessd/store/delta"
	"bessd/store/fsdir"
)

var specs = []TableSpec{
	{Name: "telemetry", Partition: "dt", Schema: columns.Schema{
		{Name: "ts", Type: columns.Timestamp}, {Name: "site", Type: columns.String}, {Name: "device", Type: columns.String},
		{Name: "epoch", Type: columns.Int64}, {Name: "seq", Type: columns.Int64},
		{Name: "voltage_v", Type: columns.Double, Nullable: true}, {Name: "cells", Type: columns.FloatList, Nullable: true}, {Name: "extra", Type: columns.DoubleMap, Nullable: true},
	}},
	{Name: "ledger", AppendOnly: true, Schema: columns.Schema{{Name: "device", Type: columns.String}, {Name: "first_seq", Type: columns.Int64}, {Name: "next_seq", Type: columns.Int64}}},
}

func openLake(t testing.TB, b Backend, dir string) *Lake {
	t.Helper()
	l, err := Open(t.Context(), b, Config{StageDir: filepath.Join(dir, "stage"), Engine: "bessd/test", RetryFirst: time.Millisecond}, specs)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dirBackend(t testing.TB) (*fsdir.Store, string) {
	t.Helper()
	dir := t.TempDir()
	b, err := fsdir.Open(filepath.Join(dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	return b, dir
}

// scans makes rows with seq [from, to) of a device.
func scans(t testing.TB, device string, from, to int) *columns.Rows {
	rows := columns.NewRows(specs[0].Schema)
	for i := from; i < to; i++ {
		var volt any
		if i%3 > 0 {
			volt = float64(i) / 10
		}
		if err := rows.Append(int64(1_795_000_000_000_000+i*1_000_000), "alfa", device, int64(7), int64(i), volt, []float32{3.2, 3.3}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

func stage(t testing.TB, tab *Table, partition string, src columns.Source) *Staged {
	t.Helper()
	s, err := tab.Stage(t.Context(), partition, src, map[string]string{"bessd.offsets": "x"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seqs(t testing.TB, tab *Table, where ...Equal) (out []int64) {
	t.Helper()
	if err := tab.Scan(t.Context(), Scan{Columns: []string{"seq"}, Where: where}, func(b Batch) error {
		for _, i := range b.Rows {
			out = append(out, b.Vectors[0].Int64[i])
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStageUploadCommitScan(t *testing.T) {
	b, dir := dirBackend(t)
	l := openLake(t, b, dir)
	tab := l.Table("telemetry")
	// A batch over midnight: two files, one commit.
	one, two := stage(t, tab, "2026-11-25", scans(t, "rack1", 0, 5)), stage(t, tab, "2026-11-26", scans(t, "rack2", 5, 8))
	if u := l.Staged(); u.Files != 2 || u.Bytes != one.Size+two.Size || u.Bytes == 0 {
		t.Fatalf("%+v", u)
	}
	v, err := tab.Commit(t.Context(), Commit{Files: []*Staged{one, two}, Positions: []delta.Txn{{AppID: "p0", Expected: NoPosition, Version: 8}}})
	if err != nil || v != 1 {
		t.Fatal(v, err)
	}
	if u := l.Staged(); u != (Usage{}) {
		t.Fatalf("%+v after the commit", u)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "stage", "*", "*")); len(left) > 0 {
		t.Fatal(left)
	}
	if d := cmp.Diff([]int64{0, 1, 2, 3, 4, 5, 6, 7}, seqs(t, tab)); d != "" {
		t.Fatal(d)
	}
	// Another process sees the same, and finds one old row.
	other := openLake(t, b, filepath.Join(dir, "other")).Table("telemetry")
	var got []any
	err = other.Scan(t.Context(), Scan{Columns: []string{"ts", "voltage_v", "cells", "extra"}, Where: []Equal{{"site", "alfa"}, {"device", "rack2"}, {"epoch", int64(7)}, {"seq", int64(7)}}}, func(b Batch) error {
		if b.File.Partition != "2026-11-26" {
			t.Errorf("partition %q", b.File.Partition)
		}
		for _, i := range b.Rows {
			for _, v := range b.Vectors {
				got = append(got, v.Cell(i))
			}
		}
		return nil
	})
	if d := cmp.Diff([]any{int64(1_795_000_007_000_000), 0.7, []float32{3.2, 3.3}, nil}, got); err != nil || d != "" {
		t.Fatal(err, d)
	}
	if p, err := other.Position(t.Context(), "p0"); p != 8 || err != nil {
		t.Fatal(p, err)
	}
	if p, err := other.Position(t.Context(), "p1"); p != NoPosition || err != nil {
		t.Fatal(p, err)
	}
}

// TestScanInRanges reads a file that counts as large piece by piece, with
// failures in between.
func TestScanInRanges(t *testing.T) {
	b, dir := dirBackend(t)
	l := openLake(t, &troubled{Backend: b}, dir)
	l.whole = 0
	tab := l.Table("telemetry")
	if _, err := tab.Commit(t.Context(), Commit{Files: []*Staged{stage(t, tab, "2026-11-25", scans(t, "a", 0, 3000))}}); err != nil {
		t.Fatal(err)
	}
	if got := seqs(t, tab, Equal{"device", "a"}); len(got) != 3000 || got[2999] != 2999 {
		t.Fatalf("%d rows", len(got))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tab.Scan(ctx, Scan{Columns: []string{"seq"}}, func(Batch) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Fatalf("after the end of the context: %v", err)
	}
}

// TestScanOfADamagedLake says that a file that is not as the log says is named,
// and never read as if it were.
func TestScanOfADamagedLake(t *testing.T) {
	b, dir := dirBackend(t)
	tab := openLake(t, b, dir).Table("telemetry")
	s := stage(t, tab, "2026-11-25", scans(t, "a", 0, 30))
	if _, err := tab.Commit(t.Context(), Commit{Files: []*Staged{s}}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "lake", "telemetry", s.Path)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	torn := append([]byte{}, data...)
	for i := 4; i < len(torn)/2; i++ {
		torn[i] ^= 0x55
	}
	for what, content := range map[string][]byte{"cut": data[:len(data)-9], "torn": torn, "zero": make([]byte, len(data))} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
		err := tab.Scan(t.Context(), Scan{Columns: []string{"seq", "cells", "site"}}, func(Batch) error { return nil })
		if err == nil || blob.IsTransient(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	os.Remove(name)
	if err := tab.Scan(t.Context(), Scan{Columns: []string{"seq"}}, func(Batch) error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// counting counts the data files that are read.
type counting struct {
	Backend
	data atomic.Int64
}

func (c *counting) Get(ctx context.Context, key string) ([]byte, error) {
	if filepath.Ext(key) == ".parquet" {
		c.data.Add(1)
	}
	return c.Backend.Get(ctx, key)
}

func TestScanPrunes(t *testing.T) {
	b, dir := dirBackend(t)
	c := &counting{Backend: b}
	tab := openLake(t, c, dir).Table("telemetry")
	for i := range 10 {
		s := stage(t, tab, "2026-11-25", scans(t, fmt.Sprintf("rack%d", i%2), i*100, i*100+100))
		if _, err := tab.Commit(t.Context(), Commit{Files: []*Staged{s}}); err != nil {
			t.Fatal(err)
		}
	}
	c.data.Store(0)
	if got := seqs(t, tab, Equal{"seq", int64(342)}); len(got) != 1 || got[0] != 342 || c.data.Load() != 1 {
		t.Fatalf("%v from %d files", got, c.data.Load())
	}
	c.data.Store(0)
	if got := seqs(t, tab, Equal{"device", "rack0"}, Equal{"ts", int64(1_795_000_000_000_000 + 342*1_000_000)}); len(got) != 0 || c.data.Load() != 0 {
		t.Fatalf("%v from %d files", got, c.data.Load())
	}
	for _, s := range []Scan{{Columns: []string{"nope"}}, {Columns: []string{"seq", "seq"}}, {Columns: []string{"seq"}, Where: []Equal{{"seq", "text"}}}} {
		if err := tab.Scan(t.Context(), s, func(Batch) error { return nil }); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

// meeting lets data files through only when enough of them are asked for at once.
type meeting struct {
	Backend
	need int
	late time.Duration

	mu       sync.Mutex
	now, max int
	met      sync.Once
	all      chan struct{} // closed when `need` are there
}

func (m *meeting) Get(ctx context.Context, key string) ([]byte, error) {
	if strings.Contains(key, "/dt=") {
		m.mu.Lock()
		m.now++
		if m.max = max(m.max, m.now); m.now == m.need {
			m.met.Do(func() { close(m.all) })
		}
		m.mu.Unlock()
		select {
		case <-m.all:
		case <-ctx.Done():
		case <-time.After(m.late):
		}
		defer func() {
			m.mu.Lock()
			m.now--
			m.mu.Unlock()
		}()
	}
	return m.Backend.Get(ctx, key)
}

// TestScanFetchesAhead says that a scan of many small files, as a start of
// central makes it, does not wait for one after the other, that what it has
// fetched is bounded, and that the files come in order all the same.
func TestScanFetchesAhead(t *testing.T) {
	const atOnce = 16
	b, dir := dirBackend(t)
	m := &meeting{Backend: b, need: atOnce, late: 5 * time.Second, all: make(chan struct{})}
	tab := openLake(t, m, dir).Table("telemetry")
	var files []*Staged
	for i := range 3 * atOnce {
		files = append(files, stage(t, tab, "2026-11-25", scans(t, "a", i, i+1)))
	}
	if _, err := tab.Commit(t.Context(), Commit{Files: files}); err != nil {
		t.Fatal(err)
	}
	var paths []string
	fail := errors.New("enough")
	scan := func(stop int) error {
		return tab.Scan(t.Context(), Scan{Columns: []string{"seq"}}, func(b Batch) error {
			if paths = append(paths, b.File.Path); len(paths) == stop {
				return fail
			}
			return nil
		})
	}
	if err := scan(0); err != nil || len(paths) != len(files) || !slices.IsSorted(paths) {
		t.Fatal(err, paths)
	}
	if m.max != atOnce {
		t.Errorf("%d files at the same time, want %d", m.max, atOnce)
	}
	paths = nil
	if err := scan(3); !errors.Is(err, fail) {
		t.Error(err)
	}
	if m.now != 0 {
		t.Errorf("%d files are still being fetched", m.now)
	}

	// Files that are large against the bound come one by one.
	m.max, paths = 0, nil
	snap, err := tab.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	large := slices.Clone(snap.Files())
	for i := range large {
		large[i].Size = openBytes/2 + 1
	}
	tab.lake.whole = openBytes
	err = tab.openAll(t.Context(), large, func(delta.File, io.ReaderAt) error { return nil })
	if err == nil || m.max != 1 { // they do not have the size that they claim
		t.Errorf("%d large files at the same time, %v", m.max, err)
	}
}

func TestCrashLeftovers(t *testing.T) {
	b, dir := dirBackend(t)
	l := openLake(t, b, dir)
	s := stage(t, l.Table("telemetry"), "2026-11-25", scans(t, "rack1", 0, 5))
	if err := l.Table("telemetry").Upload(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stage", "ledger", "part-x.parquet.tmp"), []byte("torn"), 0o644); err != nil {
		t.Fatal(err)
	}
	again := openLake(t, b, dir) // the process died here
	if left := again.Leftovers(); left.Files != 2 || left.Bytes != s.Size+4 {
		t.Fatalf("%+v", left)
	}
	if got := seqs(t, again.Table("telemetry")); len(got) > 0 {
		t.Fatalf("uncommitted rows %v", got)
	}
	if _, err := os.Stat(s.Local); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestStageRefusesAForeignDirectory(t *testing.T) {
	b, dir := dirBackend(t)
	precious := filepath.Join(dir, "stage", "thesis.doc")
	os.MkdirAll(filepath.Dir(precious), 0o755)
	os.WriteFile(precious, []byte("x"), 0o644)
	if _, err := Open(t.Context(), b, Config{StageDir: filepath.Dir(precious)}, specs); err == nil {
		t.Fatal("accepted")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Fatal(err)
	}
}

func TestFencedCommitKeepsTheStagedFile(t *testing.T) {
	b, dir := dirBackend(t)
	one, two := openLake(t, b, filepath.Join(dir, "1")).Table("telemetry"), openLake(t, b, filepath.Join(dir, "2")).Table("telemetry")
	move := []delta.Txn{{AppID: "p", Expected: NoPosition, Version: 5}}
	if _, err := one.Commit(t.Context(), Commit{Files: []*Staged{stage(t, one, "2026-11-25", scans(t, "a", 0, 5))}, Positions: move}); err != nil {
		t.Fatal(err)
	}
	s := stage(t, two, "2026-11-25", scans(t, "a", 0, 5))
	_, err := two.Commit(t.Context(), Commit{Files: []*Staged{s}, Positions: move})
	var fenced interface{ Fenced() bool }
	if !errors.As(err, &fenced) || !fenced.Fenced() {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(s.Local); err != nil {
		t.Fatal(err)
	}
	two.Discard(s)
	two.Discard(s)
	if u := two.lake.Staged(); u != (Usage{}) {
		t.Fatalf("%+v", u)
	}
	if got := seqs(t, two); len(got) != 5 {
		t.Fatalf("%v", got)
	}
}

func TestAwaitRoom(t *testing.T) {
	b, dir := dirBackend(t)
	l, err := Open(t.Context(), b, Config{StageDir: filepath.Join(dir, "s"), StageBytes: 10}, specs)
	if err != nil {
		t.Fatal(err)
	}
	tab := l.Table("telemetry")
	if err := l.AwaitRoom(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := stage(t, tab, "2026-11-25", scans(t, "a", 0, 5))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.AwaitRoom(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("a full stage: %v", err)
	}
	done := make(chan error)
	go func() { done <- l.AwaitRoom(t.Context()) }()
	tab.Discard(s)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestTroubledStore runs flushes against a store in which every operation
// fails at times, before or after it was done. Each row must be there once.
func TestTroubledStore(t *testing.T) {
	b, dir := dirBackend(t)
	bad := &troubled{Backend: b}
	l, err := Open(t.Context(), bad, Config{StageDir: filepath.Join(dir, "s"), RetryFirst: time.Microsecond, CheckpointEvery: 7, Log: slog.New(slog.DiscardHandler)}, specs)
	if err != nil {
		t.Fatal(err)
	}
	tab := l.Table("telemetry")
	at := int64(NoPosition)
	for i := range 40 {
		s := stage(t, tab, "2026-11-25", scans(t, "a", i*10, i*10+10))
		next := int64(i*10 + 10)
		if _, err := tab.Commit(t.Context(), Commit{Files: []*Staged{s}, Positions: []delta.Txn{{AppID: "p", Expected: at, Version: next}}}); err != nil {
			t.Fatal(err)
		}
		at = next
	}
	seen := map[int64]int{}
	for _, s := range seqs(t, openLake(t, b, filepath.Join(dir, "o")).Table("telemetry")) {
		seen[s]++
	}
	for i := range int64(400) {
		if seen[i] != 1 {
			t.Fatalf("seq %d is there %d times", i, seen[i])
		}
	}
	if len(seen) != 400 || bad.n.Load() < 100 {
		t.Fatalf("%d rows, %d operations", len(seen), bad.n.Load())
	}
}

// troubled fails two of every five operations: one without doing it, one after.
type troubled struct {
	Backend
	n atomic.Int64
}

func (f *troubled) run(do func() error) error {
	n := f.n.Add(1)
	if n%5 == 1 {
		return &blob.Error{Op: "doing", Kind: blob.Transient, Err: errors.New("503")}
	}
	if err := do(); err != nil || n%5 != 3 {
		return err
	}
	return &blob.Error{Op: "doing", Kind: blob.Transient, Err: errors.New("connection cut")}
}

func (f *troubled) Get(ctx context.Context, key string) (data []byte, err error) {
	err = f.run(func() error { data, err = f.Backend.Get(ctx, key); return err })
	return data, err
}
func (f *troubled) Put(ctx context.Context, key string, data []byte) error {
	return f.run(func() error { return f.Backend.Put(ctx, key, data) })
}
func (f *troubled) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	return f.run(func() error { return f.Backend.PutIfAbsent(ctx, key, data) })
}
func (f *troubled) PutFile(ctx context.Context, key, local string) error {
	return f.run(func() error { return f.Backend.PutFile(ctx, key, local) })
}
func (f *troubled) GetRange(ctx context.Context, key string, off, n int64) (data []byte, err error) {
	err = f.run(func() error { data, err = f.Backend.GetRange(ctx, key, off, n); return err })
	return data, err
}
func (f *troubled) List(ctx context.Context, prefix, after string) (infos []blob.Info, err error) {
	err = f.run(func() error { infos, err = f.Backend.List(ctx, prefix, after); return err })
	return infos, err
}

func TestPermanentFailureReturnsWithRemedy(t *testing.T) {
	b, dir := dirBackend(t)
	deny := &blob.Error{Op: "putting", Key: "k", Kind: blob.Permanent, Remedy: "allow s3:PutObject", Err: errors.New("access denied")}
	_, err := Open(t.Context(), denying{b, deny}, Config{StageDir: filepath.Join(dir, "s")}, specs)
	if !errors.Is(err, deny) {
		t.Fatalf("got %v", err)
	}
}

type denying struct {
	Backend
	err error
}

func (d denying) PutIfAbsent(context.Context, string, []byte) error { return d.err }

func TestTwoOpenAtOnceWithOneNewer(t *testing.T) {
	b, dir := dirBackend(t)
	wider := []TableSpec{specs[0], specs[1]}
	wider[0].Schema = append(specs[0].Schema[:len(specs[0].Schema):len(specs[0].Schema)], columns.Column{Name: "soh_pct", Type: columns.Double, Nullable: true})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s := specs
			if i%2 == 1 {
				s = wider
			}
			if _, err := Open(context.Background(), b, Config{StageDir: filepath.Join(dir, fmt.Sprint(i)), RetryFirst: time.Millisecond}, s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tab := openLake(t, b, dir).Table("telemetry")
	if _, err := tab.Commit(t.Context(), Commit{Files: []*Staged{stage(t, tab, "2026-11-25", scans(t, "a", 0, 2))}}); err != nil {
		t.Fatal(err)
	}
	err := tab.Scan(t.Context(), Scan{Columns: []string{"soh_pct"}}, func(b Batch) error { // lacking in the file
		if b.Vectors[0].Nulls() != 2 {
			t.Errorf("%d nulls", b.Vectors[0].Nulls())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
