package process

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bessd/bess"
)

// TestWhatBecomesADeadLetter gives one message of each kind that can be no row.
func TestWhatBecomesADeadLetter(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	good := f.scan("alfa", "bank1", testEpoch, 0)
	old, future, other, upper := good.Clone(), good.Clone(), good.Clone(), good.Clone()
	old.TS, old.Seq = earliestUS-1, 1
	future.TS, future.Seq = testT0+24*3600*1e6+1, 2
	other.Values[0]++ // the name of good with another payload
	upper.Site = "ALFA"
	for _, m := range [][]byte{f.encode(good), f.encode(old), f.encode(future), f.encode(other), f.encode(upper), {}, {0xff}, {0xba, 0x1f, 0x00}} {
		src.put(0, testT0, m)
	}
	st, _ := drain(t, testConfig(0), src, lake, nil)
	var reasons []string
	for _, d := range lake.dead {
		reasons = append(reasons, d.Reason)
		if want := src.parts[0].msgs[d.Offset]; string(d.Payload) != string(want.Value) || d.RecordTime != testT0 || d.Detail == "" {
			t.Errorf("%+v", d)
		}
	}
	if got, want := strings.Join(reasons, " "), "clock clock conflict identity decode decode unknown_arm"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	expect(t, lake, f, []*bess.Scan{good})
	if st.Conflicts != 1 || st.Duplicates != 0 {
		t.Errorf("%+v", st)
	}
	for _, r := range lake.ledger {
		if r.Stream == bess.StreamScan && (r.Conflicts != 1 || r.Good != 1) {
			t.Errorf("%+v", r)
		}
	}
}

type lookupFunc func(context.Context, *bess.Scan) (bool, error)

func (f lookupFunc) Matches(ctx context.Context, s *bess.Scan) (bool, error) { return f(ctx, s) }

// TestOldRepetitionsAreComparedWithTheLake repeats scans that are no longer remembered.
func TestOldRepetitionsAreComparedWithTheLake(t *testing.T) {
	synctest.Test(t, checkOldRepetitionsAreComparedWithTheLake)
}

func checkOldRepetitionsAreComparedWithTheLake(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	first := []*bess.Scan{f.scan("alfa", "bank1", testEpoch, 0), f.scan("alfa", "bank1", testEpoch, 1), f.scan("alfa", "bank1", testEpoch, 2)}
	for _, s := range first {
		src.put(0, testT0, f.encode(s))
	}
	drain(t, testConfig(0), src, lake, nil)
	changed := first[1].Clone()
	changed.Values[0] = 1
	src.put(0, testT0, f.encode(first[0]))
	src.put(0, testT0, f.encode(changed))
	src.put(0, testT0, f.encode(first[2]))
	asked := 0
	st, _ := drain(t, testConfig(0), src, lake, lookupFunc(func(_ context.Context, s *bess.Scan) (bool, error) {
		asked++
		time.Sleep(3 * lookupLimit / 4) // two of them use up what there is
		return s.Values[0] == first[s.Seq].Values[0], nil
	}))
	if asked != 2 || st.Conflicts != 1 || st.Duplicates != 2 || st.Unchecked != 1 {
		t.Fatalf("asked %d times, %+v", asked, st)
	}
	expect(t, lake, f, first)
}

// TestSlowLookupsDoNotHoldUp repeats a long run, as a replayed topic does, with a lake that is slow, and with one that
// does not answer.
func TestSlowLookupsDoNotHoldUp(t *testing.T) {
	slow := func(context.Context, *bess.Scan) (bool, error) {
		time.Sleep(500 * time.Millisecond)
		return true, nil
	}
	dead := func(ctx context.Context, _ *bess.Scan) (bool, error) {
		<-ctx.Done()
		return false, ctx.Err()
	}
	for name, lookup := range map[string]lookupFunc{"slow": slow, "dead": dead} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkSlowLookups(t, lookup) })
		})
	}
}

func checkSlowLookups(t *testing.T, lookup lookupFunc) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	const n = 2000
	for range 2 {
		for seq := range int64(n) {
			src.put(0, testT0, f.encode(f.scan("alfa", "bank1", testEpoch, seq)))
		}
		began := time.Now()
		st, _ := drain(t, testConfig(0), src, lake, lookup)
		if took := time.Since(began); took > 10*time.Second {
			t.Fatalf("%s", took)
		}
		if st.Scans == 0 && (st.Duplicates != n || st.Conflicts != 0) {
			t.Fatalf("%+v", st)
		}
	}
}

// TestClone runs a cloned gateway beside the first: both are stored, the pair is named once. A restart is no pair.
func TestClone(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	var want []*bess.Scan
	put := func(device string, epoch, seq, ts int64) {
		s := f.scan("alfa", device, epoch, seq)
		s.TS = testT0 + ts*1e6
		want = append(want, s)
		src.put(0, s.TS, f.encode(s))
	}
	clone, next := testEpoch+1, testEpoch+2<<20
	for i := range int64(5) {
		put("bank1", testEpoch, i, i)
		put("bank2", testEpoch, i, i)
	}
	for i := range int64(5) {
		put("bank1", next, i, 5+i)
	}
	st, _ := drain(t, testConfig(0), src, lake, nil)
	if len(st.Twins) != 0 {
		t.Fatalf("a restart was taken for a clone: %+v", st.Twins)
	}
	for i := range int64(3) {
		put("bank1", clone, i, 6+i)
	}
	put("bank2", clone, 0, 2)
	st, _ = drain(t, testConfig(0), src, lake, nil)
	pairs := map[[2]int64]string{}
	for _, tw := range st.Twins {
		pairs[[2]int64{tw.EpochA, tw.EpochB}] = fmt.Sprint(tw.Site, " ", tw.Device, " ", tw.Devices)
	}
	// bank1's clone overlaps its second run; bank2's the first.
	if d := cmp.Diff(map[[2]int64]string{{clone, next}: "alfa bank1 1", {testEpoch, clone}: "alfa bank2 1"}, pairs); d != "" {
		t.Fatal(d)
	}
	expect(t, lake, f, want)
}

// TestTopicReplaced creates the topic anew between runs and while running, shorter and longer than before.
func TestTopicReplaced(t *testing.T) {
	for _, c := range []struct {
		name             string
		before, after    int64
		overlap, trimmed int64 // scans that the new topic repeats, messages that it has lost already
		generations      int64
		gap              bool
	}{
		{"same log", 20, 0, 0, 0, 0, false},
		{"longer, all new", 20, 40, 0, 0, 1, false},
		{"longer, repeats", 20, 40, 15, 0, 1, false},
		{"shorter", 20, 5, 0, 0, 1, false},
		{"starts beyond", 20, 60, 0, 30, 1, true},
		{"starts at the next", 20, 30, 0, 20, 0, false}, // nothing that can be read was not read
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
				var want []*bess.Scan
				for seq := range c.before {
					want = append(want, f.scan("alfa", "bank1", testEpoch, seq))
					src.put(0, testT0, f.encode(want[seq]))
				}
				drain(t, testConfig(0), src, lake, nil)
				if c.after > 0 {
					src.recreate(0)
					for i := range c.after {
						s := f.scan("alfa", "bank1", testEpoch, c.before-c.overlap+i)
						src.put(0, testT0+1, f.encode(s))
						if i >= c.overlap && i >= c.trimmed {
							want = append(want, s)
						}
					}
					src.trim(0, c.trimmed)
				}
				src.put(0, testT0, f.event("alfa", testEpoch, 0))
				cfg := testConfig(0)
				cfg.FlushRows = 7
				hit := 0
				lake.fail = crashes(17, 9, &hit)
				a, err := New(cfg, src, lake, lake, nil, testLog(t))
				if err != nil {
					t.Fatal(err)
				}
				err = runUntilAt(t, a, src, c.generations)
				for err != nil {
					if !fenced(err) {
						t.Fatal(err)
					}
					if a, err = New(cfg, src, lake, lake, nil, testLog(t)); err != nil {
						t.Fatal(err)
					}
					err = runUntilAt(t, a, src, c.generations)
				}
				if g := a.Stats().Partitions[0].Committed.Generation; g != c.generations {
					t.Fatalf("generation %d", g)
				}
				gaps := 0
				for _, r := range lake.ledger {
					if r.Stream == bess.StreamGap {
						gaps++
						if r.FirstOffset != c.before || r.NextOffset != c.trimmed || r.Generation != 0 {
							t.Fatalf("%+v", r)
						}
					}
				}
				if (gaps == 1) != c.gap || gaps > 1 {
					t.Fatalf("%d gaps", gaps)
				}
				expect(t, lake, f, want)
			})
		})
	}
}

// TestUnfinishedFlushOfALostLog cuts the log's end off, as an unclean election does, while a flush of it is unfinished:
// that flush cannot be completed, which is said. Every scan that comes again is stored again: telemetry has it twice, all
// that counts has it once. That is the one case in which a scan is stored twice, see ADR 010.
func TestUnfinishedFlushOfALostLog(t *testing.T) { synctest.Test(t, checkUnfinishedFlushOfALostLog) }

func checkUnfinishedFlushOfALostLog(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	put := func(from, to int64) {
		for seq := from; seq < to; seq++ {
			src.put(0, testT0, f.encode(f.scan("alfa", "bank1", testEpoch, seq)))
		}
	}
	put(0, 10)
	drain(t, testConfig(0), src, lake, nil)
	put(10, 20)
	lake.fail = func(op string) error {
		if op == "committed telemetry" {
			return crash{op}
		}
		return nil
	}
	a, err := New(testConfig(0), src, lake, lake, nil, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); !fenced(err) {
		t.Fatal(err)
	}
	lake.fail = func(string) error { return nil }
	src.parts[0].msgs = src.parts[0].msgs[:15]
	if a, err = New(testConfig(0), src, lake, lake, nil, testLog(t)); err != nil {
		t.Fatal(err)
	}
	if err := runUntilAt(t, a, src, 1); err != nil {
		t.Fatal(err)
	}
	if s := a.Stats(); s.Orphaned != 1 || s.Generations != 1 {
		t.Fatalf("%+v", s)
	}
	// Of the 20 rows, 5 of the 10 scans of the lost flush come again.
	again := counts(lake.rows)
	if len(lake.rows) != 25 || len(again) != 5 {
		t.Fatalf("%d rows, twice: %v", len(lake.rows), again)
	}
	lake.rows = slices.DeleteFunc(lake.rows, func(r string) bool {
		for seq := 15; seq < 20; seq++ { // known to telemetry only
			if strings.HasPrefix(r, fmt.Sprintf("alfa bank1 %d %d ", testEpoch, seq)) {
				return true
			}
		}
		return false
	})
	slices.Sort(lake.rows)
	lake.rows = slices.Compact(lake.rows)
	var want []*bess.Scan
	for seq := range int64(15) {
		want = append(want, f.scan("alfa", "bank1", testEpoch, seq))
	}
	expect(t, lake, f, want)
}

// TestIdlePartitionExpires starts again and again after all messages of a partition have expired: it is the same topic.
func TestIdlePartitionExpires(t *testing.T) { synctest.Test(t, checkIdlePartitionExpires) }

func checkIdlePartitionExpires(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	var want []*bess.Scan
	put := func(n int) {
		for range n {
			want = append(want, f.scan("alfa", "bank1", testEpoch, int64(len(want))))
			src.put(0, testT0, f.encode(want[len(want)-1]))
		}
	}
	put(10)
	drain(t, testConfig(0), src, lake, nil)
	src.trim(0, 10)
	for range 2 {
		if st, _ := drain(t, testConfig(0), src, lake, nil); st.Generations != 0 || st.Gaps != 0 {
			t.Fatalf("%+v", st)
		}
	}
	put(5)
	drain(t, testConfig(0), src, lake, nil)
	put(5)
	st, _ := drain(t, testConfig(0), src, lake, nil)
	if at := st.Partitions[0].Committed; at != (bess.Position{Offset: 20}) {
		t.Fatalf("%+v", at)
	}
	expect(t, lake, f, want)
}

// TestReplayRepeatsNoDeadLetter reads a topic twice, because its end was lost, with crashes in the second pass.
func TestReplayRepeatsNoDeadLetter(t *testing.T) { synctest.Test(t, checkReplayRepeatsNoDeadLetter) }

func checkReplayRepeatsNoDeadLetter(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	good := f.scan("alfa", "bank1", testEpoch, 0)
	other, late := good.Clone(), good.Clone()
	other.Values[0]++
	late.TS, late.Seq = testT0+2*dayUS, 1
	for _, m := range [][]byte{f.encode(good), f.encode(other), f.encode(late), {0xff}, {0xff}, {0xba, 0x1f, 0x00}, {0xff, 1}, f.encode(good)} {
		src.put(0, testT0, m)
	}
	src.put(0, 0, []byte{0xfe}) // without a time it has no name: it is kept each time
	src.put(0, testT0, f.event("alfa", testEpoch, 0))
	drain(t, testConfig(0), src, lake, nil)
	if len(lake.dead) != 7 {
		t.Fatalf("%d dead letters", len(lake.dead))
	}
	src.parts[0].msgs = src.parts[0].msgs[:9]
	cfg := testConfig(0)
	cfg.FlushRows = 1
	hit := 0
	lake.fail = crashes(20, 9, &hit)
	for run := 0; ; run++ {
		a, err := New(cfg, src, lake, lake, nil, testLog(t))
		if err != nil {
			t.Fatal(err)
		}
		if err = runUntilAt(t, a, src, 1); err == nil {
			break
		} else if !fenced(err) || run > 100 {
			t.Fatal(err)
		}
	}
	if hit == 0 {
		t.Fatal("no crash")
	}
	lake.fail = func(string) error { return nil }
	src.put(0, testT0+1, []byte{0xff}) // another message of the same content
	a, err := New(cfg, src, lake, lake, nil, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := runUntilAt(t, a, src, 1); err != nil {
		t.Fatal(err)
	}
	if len(lake.dead) != 7+1+1 {
		t.Errorf("%d dead letters", len(lake.dead))
	}
	expect(t, lake, f, []*bess.Scan{good})
}

// TestTopicReplacedWhileRunning creates the topic anew under a running archive.
func TestTopicReplacedWhileRunning(t *testing.T) { synctest.Test(t, checkTopicReplacedWhileRunning) }

func checkTopicReplacedWhileRunning(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	var want []*bess.Scan
	put := func(n int64) {
		for range n {
			s := f.scan("alfa", "bank1", testEpoch, int64(len(want)))
			want = append(want, s)
			src.put(0, testT0, f.encode(s))
		}
	}
	put(10)
	a, err := New(testConfig(0), src, lake, lake, nil, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	await(t, a, func(s Stats) bool { return s.Partitions[0].Committed == bess.Position{Offset: 10} })
	src.recreate(0)
	put(5)
	await(t, a, func(s Stats) bool { return s.Partitions[0].Committed == bess.Position{Generation: 1, Offset: 5} })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	expect(t, lake, f, want)
}

// TestIdleRunsComeBackFromTheLedger repeats scans of a run that began and ended long before what is loaded at start.
func TestIdleRunsComeBackFromTheLedger(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	var want []*bess.Scan
	for _, d := range []string{"bank1", "bank2"} {
		for seq := range int64(5) {
			want = append(want, f.scan("alfa", d, testEpoch, seq))
			src.put(0, testT0, f.encode(want[len(want)-1]))
		}
	}
	drain(t, testConfig(0), src, lake, nil)
	for i := range lake.ledger {
		lake.ledger[i].CommitTS -= 30 * 24 * 3600 * 1e6
	}
	for _, s := range want {
		src.put(0, testT0, f.encode(s))
	}
	lake.lookups = 0
	st, _ := drain(t, testConfig(0), src, lake, nil)
	if st.Duplicates != 10 || st.Scans != 0 {
		t.Fatalf("%+v", st)
	}
	if lake.lookups != 7+1+1 { // the load by days, the position of an idle partition, one for the run and its two devices
		t.Fatalf("%d reads of the ledger", lake.lookups)
	}
	expect(t, lake, f, want)
}

// TestBackPressure holds up the first flush and sees fetching stop after one more section.
func TestBackPressure(t *testing.T) { synctest.Test(t, checkBackPressure) }

func checkBackPressure(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	want := traffic(f, src, 60)
	release := make(chan struct{})
	lake.fail = func(op string) error {
		if op == "upload telemetry" {
			<-release
		}
		return nil
	}
	cfg := testConfig(0, 1)
	cfg.FlushRows, cfg.FlushAge = 50, time.Hour
	a, err := New(cfg, src, lake, lake, nil, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	await(t, a, func(s Stats) bool { return s.Section.Waiting && s.Section.Rows == 50 })
	if s := a.Stats(); s.Scans != 100 || s.Partitions[0].Lag() == 0 {
		t.Fatalf("%+v", s)
	}
	close(release)
	await(t, a, func(s Stats) bool { return s.Scans == int64(len(want)) })
	cancel() // what is left is committed by the stop
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	expect(t, lake, f, want)
}

// TestStopGivesUpAfterGrace stops while the lake is away, and loses nothing.
func TestStopGivesUpAfterGrace(t *testing.T) { synctest.Test(t, checkStopGivesUpAfterGrace) }

func checkStopGivesUpAfterGrace(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	want := traffic(f, src, 10)
	lake.fail = func(op string) error {
		if strings.HasPrefix(op, "commit rollup") {
			return context.DeadlineExceeded
		}
		return nil
	}
	cfg := testConfig(0, 1)
	cfg.Grace = 30 * time.Millisecond
	a, err := New(cfg, src, lake, lake, nil, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	await(t, a, func(s Stats) bool { return s.Flush.Failing != "" })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	lake.fail = func(string) error { return nil }
	drain(t, cfg, src, lake, nil)
	expect(t, lake, f, want)
}

func await(t *testing.T, a *Archive, ok func(Stats) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok(a.Stats()) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never happened: %+v", a.Stats())
		}
	}
}

func TestLateSeconds(t *testing.T) {
	for _, c := range []struct{ ts, rec, want int64 }{{testT0, testT0 + 999_999, 0}, {testT0, testT0 + 1_000_000, 1}, {testT0, testT0 - 5, 0}, {testT0, -1, 0}, {testT0, testT0 + 3600_500_000, 3600}} {
		if got := lateS(c.ts, c.rec); got != c.want {
			t.Errorf("%v: %d", c, got)
		}
	}
}
