package tables

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"bessd/bess"
	"bessd/store"
	"bessd/store/fsdir"
)

// countingBackend counts the data files that are read.
type countingBackend struct {
	store.Backend
	files atomic.Int64
}

func (b *countingBackend) Get(ctx context.Context, key string) ([]byte, error) {
	if strings.HasSuffix(key, ".parquet") {
		b.files.Add(1)
	}
	return b.Backend.Get(ctx, key)
}

// TestMatchesReadsOneFile looks a scan up among files of which any could hold it by its device, epoch and number.
func TestMatchesReadsOneFile(t *testing.T) {
	ctx := t.Context()
	dir, err := fsdir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &countingBackend{Backend: dir}
	opened, err := store.Open(ctx, b, store.Config{StageDir: t.TempDir(), Engine: "bessd/test", Log: slog.New(slog.DiscardHandler)}, Specs())
	if err != nil {
		t.Fatal(err)
	}
	l, p := New(opened), testPlan(t)
	const flushes = 12
	for k := range int64(flushes) {
		sec := bess.NewSection()
		for d, seq := range map[string]int64{"bank1": 0, "bank2": k, "bank3": 2 * flushes} {
			s := testScan(p, d, seq)
			s.TS = t0 + k*1e6 // over a midnight
			sec.Append(s, 0)
		}
		f := &bess.Flush{Topic: "t", Ranges: []bess.OffsetRange{{From: 3 * k, To: 3*k + 3}}, Scans: sec}
		s, err := l.Stage(ctx, f, bess.TableTelemetry)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Upload(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for k := range int64(flushes) {
		b.files.Store(0)
		s := testScan(p, "bank2", k)
		s.TS = t0 + k*1e6
		if same, err := l.Matches(ctx, s); err != nil || !same {
			t.Fatalf("number %d: %v, %v", k, same, err)
		}
		if n := b.files.Load(); n != 1 {
			t.Errorf("number %d: %d files read, want 1", k, n)
		}
	}
}
