package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bessd/bess/columns"
	"bessd/store/blob"
	"bessd/store/fsdir"
)

var testSchema = columns.Schema{{Name: "ts", Type: columns.Timestamp}, {Name: "seq", Type: columns.Int64}, {Name: "v", Type: columns.Double, Nullable: true, Comment: "volts"}}

func newBackend(t testing.TB) (*fsdir.Store, string) {
	dir := t.TempDir()
	b, err := fsdir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b, filepath.Join(dir, "tab", "_delta_log")
}

func newTable(t testing.TB, b Backend) *Table {
	return New(b, "tab", Options{Log: slog.New(slog.DiscardHandler), Engine: "bessd/test"})
}

func create(t testing.TB, tab *Table) {
	t.Helper()
	if err := tab.Ensure(t.Context(), Spec{Schema: testSchema, Partition: "dt"}); err != nil {
		t.Fatal(err)
	}
}

func add(name string) Add {
	return Add{Path: "dt=2026-11-25/" + name + ".parquet", Partition: "2026-11-25", Size: 7, Modified: time.UnixMilli(1), Stats: `{"numRecords":1}`}
}

func commit(t testing.TB, tab *Table, c Change) int64 {
	t.Helper()
	v, err := tab.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func snapshot(t testing.TB, tab *Table) *Snapshot {
	t.Helper()
	s, err := tab.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCommitAndReadBack(t *testing.T) {
	b, _ := newBackend(t)
	tab := newTable(t, b)
	if _, err := tab.Snapshot(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("snapshot of nothing: %v", err)
	}
	create(t, tab)
	create(t, newTable(t, b)) // again: nothing to do
	x := add("a")
	x.Tags = map[string]string{"bessd.offsets": "0-5"}
	v := commit(t, tab, Change{Adds: []Add{x}, Txns: []Txn{{AppID: "p0", Expected: NoVersion, Version: 5}}})
	if v != 1 {
		t.Fatalf("version %d", v)
	}
	for _, tab := range []*Table{tab, newTable(t, b)} {
		s := snapshot(t, tab)
		want := []File{{Path: x.Path, Partition: "2026-11-25", Size: 7, Modified: time.UnixMilli(1).UTC(), Tags: x.Tags, stats: x.Stats}}
		if d := cmp.Diff(want, s.Files(), cmp.AllowUnexported(File{})); d != "" {
			t.Fatal(d)
		}
		if s.Txn("p0") != 5 || s.Txn("p1") != NoVersion || s.Version() != 1 || s.PartitionColumn() != "dt" {
			t.Fatalf("%+v", s)
		}
		schema, err := s.Schema()
		for i := range schema {
			schema[i].Nullable = testSchema[i].Nullable // declared nullable for all
		}
		if d := cmp.Diff(testSchema, schema); err != nil || d != "" {
			t.Fatal(err, d)
		}
	}
}

func TestFenced(t *testing.T) {
	b, _ := newBackend(t)
	one, two := newTable(t, b), newTable(t, b)
	create(t, one)
	snapshot(t, two)
	commit(t, one, Change{Adds: []Add{add("a")}, Txns: []Txn{{"p0", NoVersion, 5}}})
	_, err := two.Commit(t.Context(), Change{Adds: []Add{add("b")}, Txns: []Txn{{"p0", NoVersion, 5}}})
	var fenced *FencedError
	if !errors.As(err, &fenced) || fenced.Have != 5 || fenced.Expected != NoVersion {
		t.Fatalf("got %v", err)
	}
	if n := len(snapshot(t, two).Files()); n != 1 {
		t.Fatalf("%d files after a fenced commit", n)
	}
}

func TestManyWriters(t *testing.T) {
	b, _ := newBackend(t)
	create(t, newTable(t, b))
	const writers, commits = 4, 30
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			tab := newTable(t, b)
			at := NoVersion
			for i := range commits {
				if _, err := tab.Commit(context.Background(), Change{
					Adds: []Add{add(fmt.Sprintf("w%d-%d", w, i))},
					Txns: []Txn{{fmt.Sprint(w), at, int64(i)}},
				}); err != nil {
					t.Error(err)
					return
				}
				at = int64(i)
			}
		})
	}
	wg.Wait()
	s := snapshot(t, newTable(t, b))
	if s.Version() != writers*commits || len(s.Files()) != writers*commits {
		t.Fatalf("version %d, %d files", s.Version(), len(s.Files()))
	}
	for w := range writers {
		if s.Txn(fmt.Sprint(w)) != commits-1 {
			t.Fatalf("writer %d at %d", w, s.Txn(fmt.Sprint(w)))
		}
	}
}

// flaky changes what conditional puts and gets answer.
type flaky struct {
	Backend
	put func(n int64, stored error) error
	get func(key string) error
	n   atomic.Int64
}

func (f *flaky) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	err := f.Backend.PutIfAbsent(ctx, key, data)
	if f.put != nil {
		return f.put(f.n.Add(1), err)
	}
	return err
}

func (f *flaky) Get(ctx context.Context, key string) ([]byte, error) {
	if f.get != nil {
		if err := f.get(key); err != nil {
			return nil, err
		}
	}
	return f.Backend.Get(ctx, key)
}

// TestLostReply says that a commit that was stored, but whose reply was lost so
// that a retry met it as existing, is recognised as our own.
func TestLostReply(t *testing.T) {
	b, _ := newBackend(t)
	create(t, newTable(t, b))
	tab := newTable(t, &flaky{Backend: b, put: func(n int64, stored error) error {
		if stored == nil && n%2 == 1 {
			return fmt.Errorf("412: %w", fs.ErrExist)
		}
		return stored
	}})
	at := NoVersion
	for i := range int64(10) {
		if v := commit(t, tab, Change{Adds: []Add{add(fmt.Sprint(i))}, Txns: []Txn{{"p", at, i}}}); v != i+1 {
			t.Fatalf("commit %d became version %d", i, v)
		}
		at = i
	}
	if s := snapshot(t, newTable(t, b)); s.Version() != 10 || len(s.Files()) != 10 {
		t.Fatalf("version %d, %d files", s.Version(), len(s.Files()))
	}
}

// TestUnknownOutcome says that after a failure with unknown outcome the table's
// positions tell the truth.
func TestUnknownOutcome(t *testing.T) {
	b, _ := newBackend(t)
	create(t, newTable(t, b))
	tab := newTable(t, &flaky{Backend: b, put: func(n int64, stored error) error {
		if n == 1 {
			return &blob.Error{Op: "putting", Kind: blob.Transient, Err: errors.New("timeout")}
		}
		return stored
	}})
	c := Change{Adds: []Add{add("a")}, Txns: []Txn{{"p", NoVersion, 1}}}
	if _, err := tab.Commit(t.Context(), c); !blob.IsTransient(err) {
		t.Fatalf("got %v", err)
	}
	if s := snapshot(t, tab); s.Txn("p") != 1 || len(s.Files()) != 1 {
		t.Fatal("the stored commit is not seen")
	}
	var fenced *FencedError
	if _, err := tab.Commit(t.Context(), c); !errors.As(err, &fenced) {
		t.Fatalf("the same again: %v", err)
	}
}

func TestStoreThatContradictsItself(t *testing.T) {
	b, _ := newBackend(t)
	create(t, newTable(t, b))
	tab := newTable(t, &flaky{Backend: b, put: func(int64, error) error { return fs.ErrExist },
		get: func(key string) error {
			if strings.HasSuffix(key, "1.json") {
				return fs.ErrNotExist
			}
			return nil
		}})
	_, err := tab.Commit(t.Context(), Change{Adds: []Add{add("a")}})
	if err == nil || !strings.Contains(err.Error(), "conditional writes") {
		t.Fatalf("got %v", err)
	}
}

func TestCheckpoints(t *testing.T) {
	b, dir := newBackend(t)
	tab := newTable(t, b)
	tab.opt.CheckpointEvery = 10
	create(t, tab)
	for i := range int64(25) {
		at := i - 1
		if i == 0 {
			at = NoVersion
		}
		a := add(fmt.Sprintf("f%d", i))
		a.Tags = map[string]string{"n": fmt.Sprint(i)}
		commit(t, tab, Change{Adds: []Add{a}, Txns: []Txn{{"p", at, i}}})
	}
	commit(t, tab, Change{Removes: []string{add("f3").Path}, Rewrite: true})
	want := snapshot(t, tab)
	check := func(name string) {
		t.Helper()
		got := snapshot(t, newTable(t, b))
		if d := cmp.Diff(want, got, cmp.AllowUnexported(Snapshot{}, File{}, metaData{})); d != "" {
			t.Fatalf("%s: %s", name, d)
		}
	}
	check("with everything")
	remove := func(names ...string) {
		for _, n := range names {
			if err := os.Remove(filepath.Join(dir, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	hint, err := os.ReadFile(filepath.Join(dir, "_last_checkpoint"))
	if err != nil || !strings.Contains(string(hint), `"version":20`) {
		t.Fatalf("hint %s, %v", hint, err)
	}
	for v := range 15 {
		remove(fmt.Sprintf("%020d.json", v))
	}
	check("log cleaned up below a checkpoint")
	remove("_last_checkpoint")
	check("without the hint")
	if err := os.WriteFile(filepath.Join(dir, "_last_checkpoint"), []byte(`{"version":25,"size":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	check("hint to a checkpoint that is not there")
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d.checkpoint.parquet", 20)), []byte("PAR1 torn"), 0o644); err != nil {
		t.Fatal(err)
	}
	for v := range 15 { // the older checkpoint needs them from 11 on only
		if v > 10 {
			data, _ := encodeCommit([]action{{CommitInfo: &commitInfo{}}, {Add: &addFile{Path: add(fmt.Sprintf("f%d", v-1)).Path, PartitionValues: map[string]*string{"dt": ptr("2026-11-25")}, Size: 7, ModificationTime: 1, Stats: `{"numRecords":1}`, Tags: map[string]string{"n": fmt.Sprint(v - 1)}}}})
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d.json", v)), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	check("damaged newest checkpoint")
	remove(fmt.Sprintf("%020d.checkpoint.parquet", 20), fmt.Sprintf("%020d.checkpoint.parquet", 10), "_last_checkpoint")
	var corrupt *CorruptError
	if _, err := newTable(t, b).Snapshot(t.Context()); !errors.As(err, &corrupt) {
		t.Fatalf("a log without its beginning: %v", err)
	}
}

func TestHintNeverGoesBack(t *testing.T) {
	b, dir := newBackend(t)
	tab := newTable(t, b)
	tab.opt.CheckpointEvery = 2
	create(t, tab)
	ahead := []byte(`{"version":99,"size":1}`)
	commit(t, tab, Change{Adds: []Add{add("a")}})
	if err := os.WriteFile(filepath.Join(dir, "_last_checkpoint"), ahead, 0o644); err != nil {
		t.Fatal(err)
	}
	commit(t, tab, Change{Adds: []Add{add("b")}})
	if got, _ := os.ReadFile(filepath.Join(dir, "_last_checkpoint")); string(got) != string(ahead) {
		t.Fatalf("hint is %s", got)
	}
}

func TestRefuses(t *testing.T) {
	line := func(s string) func(string) {
		return func(dir string) { os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d.json", 1)), []byte(s), 0o644) }
	}
	for name, c := range map[string]struct {
		spoil func(dir string)
		want  any
	}{
		"protocol 3":      {line(`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":[]}}`), new(*ProtocolError)},
		"writer 4":        {line(`{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}`), new(*ProtocolError)},
		"deletion vector": {line(`{"add":{"path":"x","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true,"deletionVector":{"storageType":"u"}}}`), new(*ProtocolError)},
		"torn json":       {line(`{"commitInfo":{"timest`), new(*CorruptError)},
		"gap":             {func(dir string) { os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d.json", 2)), nil, 0o644) }, new(*CorruptError)},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir := newBackend(t)
			warm := newTable(t, b)
			create(t, warm)
			c.spoil(dir)
			if _, err := newTable(t, b).Snapshot(t.Context()); !errors.As(err, c.want) {
				t.Errorf("cold: %v", err)
			}
			if name == "gap" {
				return // the next version is missing for a warm table
			}
			if _, err := warm.Commit(t.Context(), Change{Adds: []Add{add("a")}}); !errors.As(err, c.want) {
				t.Errorf("warm: %v", err)
			}
		})
	}
}

func TestAddColumns(t *testing.T) {
	b, _ := newBackend(t)
	create(t, newTable(t, b))
	wider := append(testSchema[:3:3], columns.Column{Name: "soh", Type: columns.Double, Nullable: true, Comment: "%"}, columns.Column{Name: "cells", Type: columns.FloatList, Nullable: true})
	var wg sync.WaitGroup
	for range 4 { // several start at once with the new version
		wg.Go(func() {
			if err := newTable(t, b).Ensure(context.Background(), Spec{Schema: wider, Partition: "dt"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tab := newTable(t, b)
	s := snapshot(t, tab)
	schema, _ := s.Schema()
	if len(schema) != 5 || schema[4].Type != columns.FloatList || s.Version() != 1 {
		t.Fatalf("version %d: %v", s.Version(), schema)
	}
	if !strings.HasSuffix(s.meta.SchemaString, `{"name":"dt","type":"date","nullable":true,"metadata":{}}]}`) {
		t.Fatal(s.meta.SchemaString)
	}
	if err := tab.Ensure(t.Context(), Spec{Schema: testSchema, Partition: "dt"}); err != nil {
		t.Fatalf("an older program beside: %v", err)
	}
	if err := tab.Ensure(t.Context(), Spec{Schema: columns.Schema{{Name: "soh", Type: columns.Int64}}, Partition: "dt"}); err == nil {
		t.Fatal("another type was accepted")
	}
}

func TestConcurrentCreate(t *testing.T) {
	b, _ := newBackend(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := newTable(t, b).Ensure(context.Background(), Spec{Schema: testSchema, Partition: "dt"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := snapshot(t, newTable(t, b)); s.Version() != 0 {
		t.Fatalf("version %d", s.Version())
	}
}

func TestAppendOnlyAndRemoves(t *testing.T) {
	b, _ := newBackend(t)
	tab := newTable(t, b)
	if err := tab.Ensure(t.Context(), Spec{Schema: testSchema, AppendOnly: true}); err != nil {
		t.Fatal(err)
	}
	a := add("a")
	a.Path, a.Partition = "part-a.parquet", ""
	commit(t, tab, Change{Adds: []Add{a}})
	if _, err := tab.Commit(t.Context(), Change{Removes: []string{a.Path}}); err == nil {
		t.Fatal("rows were removed from an append-only table")
	}
	other := newTable(t, b)
	snapshot(t, other)
	commit(t, tab, Change{Removes: []string{a.Path}, Rewrite: true})
	var removed *RemovedError
	if _, err := other.Commit(t.Context(), Change{Removes: []string{a.Path}, Rewrite: true}); !errors.As(err, &removed) {
		t.Fatalf("the second compactor: %v", err)
	}
	a.Path = "part a.parquet"
	if _, err := tab.Commit(t.Context(), Change{Adds: []Add{a}}); err == nil {
		t.Fatal("a path with a space was accepted")
	}
}
