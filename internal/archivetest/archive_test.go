package archivetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bessd/bess"
	"bessd/bess/wire"
	"bessd/process"
	"bessd/store"
	"bessd/store/blob"
	"bessd/store/fsdir"
	"bessd/store/tables"
)

// lake joins the two rooms as package main does.
type lake struct{ *tables.Lake }

func (l lake) Stage(ctx context.Context, f *bess.Flush, t bess.Table) (process.Staged, error) {
	s, err := l.Lake.Stage(ctx, f, t)
	if err != nil {
		return nil, err
	}
	return s, nil
}

var (
	_ process.Lake      = lake{}
	_ process.Ledger    = (*tables.Lake)(nil)
	_ process.RowLookup = (*tables.Lake)(nil)
)

// memLog is one partition in memory.
type memLog struct {
	msgs  []process.Message
	batch int
}

func (l *memLog) Bounds(context.Context, int) (int64, int64, error) {
	return 0, int64(len(l.msgs)), nil
}

func (l *memLog) Fetch(ctx context.Context, _ int, offset int64) (process.Fetched, error) {
	end := int64(len(l.msgs))
	if offset >= end {
		<-ctx.Done()
		return process.Fetched{}, ctx.Err()
	}
	n := min(end, offset+int64(l.batch))
	return process.Fetched{Messages: slices.Clone(l.msgs[offset:n]), Next: n, HighWatermark: end}, nil
}

// faulty injects failures before and after the operations of a directory.
type faulty struct {
	*fsdir.Store
	mu   sync.Mutex
	fail func(op, key string) error
}

func (f *faulty) at(op, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail(op, key)
}

func (f *faulty) Get(ctx context.Context, key string) ([]byte, error) {
	if err := f.at("get", key); err != nil {
		return nil, err
	}
	return f.Store.Get(ctx, key)
}

func (f *faulty) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	if err := f.at("put", key); err != nil {
		return err
	}
	if err := f.Store.PutIfAbsent(ctx, key, data); err != nil {
		return err
	}
	return f.at("put done", key)
}

func (f *faulty) PutFile(ctx context.Context, key, local string) error {
	if err := f.at("file", key); err != nil {
		return err
	}
	if err := f.Store.PutFile(ctx, key, local); err != nil {
		return err
	}
	return f.at("file done", key)
}

// crash ends a Run as a kill would: nobody tries again.
type crash struct{ op string }

func (c crash) Error() string { return "crash at " + c.op }
func (c crash) Fenced() bool  { return true }

const t0 = 1767225540_000000 // 2025-12-31T23:59:00Z

func plan(t testing.TB) *bess.Plan {
	cols := []bess.Column{}
	for _, p := range bess.Points() {
		if p.Kinds.Has(bess.Bank) && (p.Type == bess.Double || p.Type == bess.Enum || p.Type == bess.Bits) && p.Num != bess.NumPowerW {
			cols = append(cols, bess.Column{Num: p.Num, Decimals: p.Decimals})
		}
	}
	p, err := bess.NewPlan(bess.Plan{Map: "test@1", Periods: []time.Duration{time.Second}, Columns: cols})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fill makes seconds of scans of n devices, with repetitions unless clean.
func fill(t testing.TB, devices int, seconds int64, clean bool) (log *memLog, values int) {
	p := plan(t)
	log = &memLog{batch: 100}
	s := &bess.Scan{Site: "alfa", Kind: bess.Bank, Epoch: (t0/1e6 - 60) << 20, Quality: bess.Good}
	for seq := range seconds {
		for d := range devices {
			s.Device, s.Seq, s.TS = fmt.Sprintf("bank%d", d+1), seq, t0+seq*1e6
			s.Reset(p)
			for i, c := range p.Columns {
				s.Values[i] = (seq*7 + int64(i)*31 + int64(d)*3) % 4000
				if bess.PointByNum(c.Num).Type != bess.Double {
					s.Values[i] = 5
				}
			}
			values += s.PresentValues()
			b := wire.AppendScan(nil, s)
			m := process.Message{TimeUS: s.TS + 200_000, Key: []byte("alfa"), Value: b}
			for range 1 + btoi(!clean && seq%7 == 3) {
				m.Offset = int64(len(log.msgs))
				log.msgs = append(log.msgs, m)
			}
		}
	}
	return log, values
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func config() process.Config {
	c := process.DefaultConfig()
	c.Topic, c.Partitions, c.FlushAge = "t", []int{0}, 20*time.Millisecond
	return c
}

// run archives until everything is committed, or a crash.
func run(t testing.TB, b store.Backend, log *memLog, cfg process.Config) (*tables.Lake, process.Stats, error) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	opened, err := store.Open(t.Context(), b, store.Config{StageDir: t.TempDir(), Engine: "bessd/test", RetryFirst: time.Millisecond, Log: quiet}, tables.Specs())
	if err != nil {
		return nil, process.Stats{}, err
	}
	l := tables.New(opened)
	a, err := process.New(cfg, log, lake{l}, l, l, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				t.Fatalf("not caught up: %+v", a.Stats())
			}
			return l, a.Stats(), err
		case <-tick.C:
			if a.Stats().Partitions[0].Committed.Offset >= int64(len(log.msgs)) {
				cancel()
				return l, a.Stats(), <-done
			}
		}
	}
}

// content reads tables back, in an order that does not depend on flushes.
func content(t *testing.T, dir string) (rows []string, parts map[string]float64) {
	t.Helper()
	b, err := fsdir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := store.Open(t.Context(), b, store.Config{StageDir: t.TempDir()}, tables.Specs())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"device", "seq", "ts", "late_s", "voltage_v", "power_w", "operating_state"}
	err = opened.Table("telemetry").Scan(t.Context(), store.Scan{Columns: names}, func(b store.Batch) error {
		for _, i := range b.Rows {
			var row []any
			for k := range names {
				row = append(row, b.Vectors[k].Cell(i))
			}
			rows = append(rows, fmt.Sprint(row...))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(rows)
	parts = map[string]float64{}
	err = opened.Table("rollup_1m_parts").Scan(t.Context(), store.Scan{Columns: []string{"device", "point", "minute_ts", "n", "weight_s"}}, func(b store.Batch) error {
		for _, i := range b.Rows {
			k := fmt.Sprint(b.Vectors[0].String[i], " ", b.Vectors[1].String[i], " ", b.Vectors[2].Int64[i])
			parts[k+" n"] += float64(b.Vectors[3].Int64[i])
			parts[k+" weight"] += b.Vectors[4].Double[i]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, parts
}

// TestCrashesOverTheStore kills the archive at random operations of the store, before or after they have their effect,
// again and again, and finds the same tables as after an undisturbed run.
func TestCrashesOverTheStore(t *testing.T) {
	log, _ := fill(t, 3, 90, false)
	cfg := config()
	cfg.FlushRows = 60
	clean := t.TempDir()
	b, err := fsdir.Open(clean)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := run(t, b, log, cfg); err != nil {
		t.Fatal(err)
	}
	wantRows, wantParts := content(t, clean)
	if len(wantRows) != 270 {
		t.Fatalf("%d rows", len(wantRows))
	}
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		dir := t.TempDir()
		b, err := fsdir.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		crashes := 0
		for left := 0; ; {
			left = 30 + rnd.IntN(60)
			f := &faulty{Store: b, fail: func(op, key string) error {
				if left--; left == 0 {
					return crash{op + " " + key}
				}
				return nil
			}}
			_, _, err := run(t, f, log, cfg)
			if err == nil {
				break
			}
			if c := (crash{}); !errors.As(err, &c) {
				t.Fatal(err)
			}
			if crashes++; crashes > 200 {
				t.Fatal("no end of crashes")
			}
		}
		if crashes == 0 {
			t.Fatal("no crash")
		}
		rows, parts := content(t, dir)
		if d := cmp.Diff(wantRows, rows); d != "" {
			t.Fatalf("after %d crashes: %s", crashes, d)
		}
		if d := cmp.Diff(wantParts, parts); d != "" {
			t.Fatalf("after %d crashes: %s", crashes, d)
		}
	}
}

// TestStoreTroubles has a store that loses replies, refuses and is full for a while, under one archive.
func TestStoreTroubles(t *testing.T) {
	log, _ := fill(t, 3, 60, false)
	cfg := config()
	cfg.FlushRows = 60
	dir := t.TempDir()
	b, err := fsdir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(5, 5))
	failed := 0
	f := &faulty{Store: b, fail: func(op, key string) error {
		if rnd.IntN(4) > 0 {
			return nil
		}
		failed++
		return &blob.Error{Op: op, Key: key, Kind: blob.Transient, Err: syscall.ENOSPC}
	}}
	if _, _, err := run(t, f, log, cfg); err != nil {
		t.Fatal(err)
	}
	rows, _ := content(t, dir)
	if len(rows) != 180 || len(slices.Compact(rows)) != 180 || failed < 10 {
		t.Fatalf("%d rows, %d failures", len(rows), failed)
	}
}

// BenchmarkArchive measures messages in memory to committed tables in a directory: everything but Kafka and S3.
func BenchmarkArchive(b *testing.B) {
	log, values := fill(b, 20, 3600, true)
	log.batch = 2000
	cfg := config()
	cfg.FlushAge, cfg.FlushRows = time.Hour, len(log.msgs)/2
	var wire int
	for _, m := range log.msgs {
		wire += len(m.Value)
	}
	var cpu time.Duration
	var bytes int64
	for b.Loop() {
		dir, err := fsdir.Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		before := cpuTime()
		_, st, err := run(b, dir, log, cfg)
		if err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - before
		bytes += st.Flush.Bytes
	}
	n := float64(values) * float64(b.N)
	b.ReportMetric(cpu.Seconds()/n*1e6, "cpu-s/Mvalues")
	b.ReportMetric(float64(bytes)/n, "filebytes/value")
	b.ReportMetric(float64(wire)/float64(values), "wirebytes/value")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
