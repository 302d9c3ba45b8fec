package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bessd/bess/columns"
	"bessd/store"
	"bessd/store/blob"
	"bessd/store/delta"
)

// Run runs the tests. open returns a store whose root is empty.
func Run(t *testing.T, open func(t *testing.T) store.Backend) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, store.Backend)
	}{
		{"objects", objects}, {"put if absent", putIfAbsent}, {"one winner", oneWinner}, {"list", list}, {"ranges", ranges}, {"cancelled", cancelled},
		{"commits of several writers", writers}, {"lake", lake},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func objects(t *testing.T, b store.Backend) {
	ctx := t.Context()
	if _, err := b.Get(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) || blob.IsTransient(err) {
		t.Fatalf("getting what is not there: %v", err)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	for _, data := range [][]byte{nil, []byte("x"), big, []byte("y")} {
		must(t, b.Put(ctx, "a/b=1/c.parquet", data))
		got, err := b.Get(ctx, "a/b=1/c.parquet")
		must(t, err)
		if !bytes.Equal(got, data) {
			t.Fatalf("got %d bytes back of %d", len(got), len(data))
		}
	}
	local := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(local, big, 0o600))
	must(t, b.PutFile(ctx, "dt=2026-11-25/part-x.parquet", local))
	got, err := b.Get(ctx, "dt=2026-11-25/part-x.parquet")
	must(t, err)
	if !bytes.Equal(got, big) {
		t.Fatal("a file came back changed")
	}
	must(t, b.Delete(ctx, "a/b=1/c.parquet"))
	must(t, b.Delete(ctx, "a/b=1/c.parquet"))
	if _, err := b.Get(ctx, "a/b=1/c.parquet"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("getting what was deleted: %v", err)
	}
	if err := b.PutFile(ctx, "x", filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Fatal("a missing file was put")
	}
}

func putIfAbsent(t *testing.T, b store.Backend) {
	ctx := t.Context()
	must(t, b.PutIfAbsent(ctx, "t/_delta_log/0.json", []byte("1")))
	if err := b.PutIfAbsent(ctx, "t/_delta_log/0.json", []byte("2")); !errors.Is(err, fs.ErrExist) || blob.IsTransient(err) {
		t.Fatalf("put over an existing object: %v", err)
	}
	got, err := b.Get(ctx, "t/_delta_log/0.json")
	must(t, err)
	if string(got) != "1" {
		t.Fatalf("it is %q now", got)
	}
}

func oneWinner(t *testing.T, b store.Backend) {
	for round := range 5 {
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				switch err := b.PutIfAbsent(context.Background(), fmt.Sprint("r", round), fmt.Append(nil, i)); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, fs.ErrExist) && !blob.IsTransient(err):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 8 won", won.Load())
		}
	}
}

func list(t *testing.T, b store.Backend) {
	ctx := t.Context()
	for _, k := range []string{"t/_delta_log/02.json", "t/_delta_log/01.json", "t/_delta_log/01.checkpoint.parquet", "t/_delta_log/_last", "t/dt=1/p", "t2/_delta_log/03.json"} {
		must(t, b.Put(ctx, k, []byte(k)))
	}
	for _, c := range []struct {
		prefix, after string
		want          []string
	}{
		{"t/_delta_log/", "", []string{"t/_delta_log/01.checkpoint.parquet", "t/_delta_log/01.json", "t/_delta_log/02.json", "t/_delta_log/_last"}},
		{"t/_delta_log/", "t/_delta_log/01", []string{"t/_delta_log/01.checkpoint.parquet", "t/_delta_log/01.json", "t/_delta_log/02.json", "t/_delta_log/_last"}},
		{"t/_delta_log/", "t/_delta_log/01.json", []string{"t/_delta_log/02.json", "t/_delta_log/_last"}},
		{"t/_delta_log/02", "", []string{"t/_delta_log/02.json"}},
		{"nowhere/", "", nil},
		{"t2/", "", []string{"t2/_delta_log/03.json"}},
	} {
		infos, err := b.List(ctx, c.prefix, c.after)
		must(t, err)
		var got []string
		for _, i := range infos {
			got = append(got, i.Key)
			if i.Size != int64(len(i.Key)) || time.Since(i.Modified).Abs() > time.Hour {
				t.Errorf("%+v", i)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q after %q: %s", c.prefix, c.after, d)
		}
	}
}

func ranges(t *testing.T, b store.Backend) {
	ctx := t.Context()
	must(t, b.Put(ctx, "k", []byte("0123456789")))
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, 3, "012"}, {7, 3, "789"}, {8, 100, "89"}, {0, 10, "0123456789"}, {10, 5, ""}, {4, 0, ""}} {
		got, err := b.GetRange(ctx, "k", c.off, c.n)
		must(t, err)
		if string(got) != c.want {
			t.Errorf("%d bytes from %d: %q", c.n, c.off, got)
		}
	}
	if _, err := b.GetRange(ctx, "none", 0, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a range of nothing: %v", err)
	}
}

func cancelled(t *testing.T, b store.Backend) {
	must(t, b.Put(t.Context(), "k", []byte("x")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, gerr := b.Get(ctx, "k")
	_, lerr := b.List(ctx, "", "")
	for i, err := range []error{gerr, lerr, b.Put(ctx, "k", nil), b.PutIfAbsent(ctx, "n", nil)} {
		if !errors.Is(err, context.Canceled) || blob.IsTransient(err) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
}

var schema = columns.Schema{{Name: "ts", Type: columns.Timestamp}, {Name: "seq", Type: columns.Int64}, {Name: "v", Type: columns.Double, Nullable: true}}

func rows(t *testing.T, from, to int) *columns.Rows {
	r := columns.NewRows(schema)
	for i := from; i < to; i++ {
		var v any
		if i%2 == 0 {
			v = float64(i)
		}
		must(t, r.Append(int64(i)*1_000_000, int64(i), v))
	}
	return r
}

// writers has three processes commit to one table at once.
func writers(t *testing.T, b store.Backend) {
	const n, each = 3, 12
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			l, err := store.Open(context.Background(), b, store.Config{StageDir: filepath.Join(t.TempDir(), fmt.Sprint(w)), CheckpointEvery: 10}, []store.TableSpec{{Name: "tab", Schema: schema}})
			if err != nil {
				t.Error(err)
				return
			}
			tab, at := l.Table("tab"), int64(store.NoPosition)
			for i := range each {
				s, err := tab.Stage(context.Background(), "", rows(t, i*2, i*2+2), nil)
				if err != nil {
					t.Error(err)
					return
				}
				next := int64(i*2 + 2)
				if _, err := tab.Commit(context.Background(), store.Commit{Files: []*store.Staged{s}, Positions: []delta.Txn{{AppID: fmt.Sprint(w), Expected: at, Version: next}}}); err != nil {
					t.Error(err)
					return
				}
				at = next
			}
		})
	}
	wg.Wait()
	l, err := store.Open(t.Context(), b, store.Config{StageDir: t.TempDir()}, []store.TableSpec{{Name: "tab", Schema: schema}})
	must(t, err)
	snap, err := l.Table("tab").Snapshot(t.Context())
	must(t, err)
	if snap.Version() != n*each || len(snap.Files()) != n*each {
		t.Fatalf("version %d, %d files", snap.Version(), len(snap.Files()))
	}
	seen := map[int64]int{}
	must(t, l.Table("tab").Scan(t.Context(), store.Scan{Columns: []string{"seq"}}, func(b store.Batch) error {
		for _, i := range b.Rows {
			seen[b.Vectors[0].Int64[i]]++
		}
		return nil
	}))
	for i := range int64(2 * each) {
		if seen[i] != n {
			t.Errorf("seq %d is there %d times, not %d", i, seen[i], n)
		}
	}
}

// lake writes, restarts and reads a partitioned table.
func lake(t *testing.T, b store.Backend) {
	dir := t.TempDir()
	spec := []store.TableSpec{{Name: "telemetry", Schema: schema, Partition: "dt"}}
	at := int64(store.NoPosition)
	for run := range 3 {
		l, err := store.Open(t.Context(), b, store.Config{StageDir: dir, CheckpointEvery: 4}, spec)
		must(t, err)
		tab := l.Table("telemetry")
		have, err := tab.Position(t.Context(), "p")
		must(t, err)
		if have != at {
			t.Fatalf("run %d starts at %d, not %d", run, have, at)
		}
		for i := range 3 {
			n := (run*3 + i) * 10
			one, err := tab.Stage(t.Context(), "2026-11-25", rows(t, n, n+6), nil)
			must(t, err)
			two, err := tab.Stage(t.Context(), "2026-11-26", rows(t, n+6, n+10), nil)
			must(t, err)
			_, err = tab.Commit(t.Context(), store.Commit{Files: []*store.Staged{one, two}, Positions: []delta.Txn{{AppID: "p", Expected: at, Version: int64(n + 10)}}})
			must(t, err)
			at = int64(n + 10)
		}
	}
	l, err := store.Open(t.Context(), b, store.Config{StageDir: dir}, spec)
	must(t, err)
	var seqs, nulls int64
	seen := map[int64]bool{}
	must(t, l.Table("telemetry").Scan(t.Context(), store.Scan{Columns: []string{"seq", "v"}}, func(b store.Batch) error {
		for _, i := range b.Rows {
			seqs++
			seen[b.Vectors[0].Int64[i]] = true
			if b.Vectors[1].Null(i) {
				nulls++
			}
		}
		return nil
	}))
	if seqs != 90 || len(seen) != 90 || nulls != 45 {
		t.Fatalf("%d rows, %d distinct, %d nulls", seqs, len(seen), nulls)
	}
}
