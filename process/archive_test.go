package process

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bessd/bess"
	"bessd/process/rollup"
)

// traffic fills two partitions with three sites' messages, repetitions among them, and gives the scans that the tables
// must hold.
func traffic(f *fleet, src *fakeLog, n int64) (want []*bess.Scan) {
	sites := []struct {
		name      string
		partition int
	}{{"alfa", 0}, {"bravo", 1}, {"charlie", 1}}
	for seq := range n {
		for _, s := range sites {
			at := testT0 + seq*1e6 + 300_000
			for _, d := range []string{"bank1", "bank2"} {
				sc := f.scan(s.name, d, testEpoch, seq)
				want = append(want, sc)
				b := f.encode(sc)
				src.put(s.partition, at, b)
				if seq%9 == 4 {
					src.put(s.partition, at+1000, b)
				}
			}
			if seq%5 == 0 {
				src.put(s.partition, at, f.event(s.name, testEpoch, seq/5*2))
				src.put(s.partition, at, f.record(s.name, "bank1", testEpoch, seq/5*2+1))
			}
		}
		if seq%13 == 3 {
			src.put(0, testT0, []byte("\xffgarbage"))
		}
	}
	return want
}

// expect checks that the lake holds exactly the scans, once, and that everything else follows from them.
func expect(t *testing.T, lake *fakeLake, f *fleet, scans []*bess.Scan) {
	t.Helper()
	sec := bess.NewSection()
	in := &intake{derivers: map[*bess.Plan]*bess.Deriver{}}
	for _, s := range scans {
		sec.Append(in.derive(s), 0)
	}
	if twice := counts(lake.rows); len(twice) > 0 {
		t.Fatalf("rows stored more than once: %v", twice)
	}
	if d := cmp.Diff(sorted(rowsOf(sec)), sorted(lake.rows)); d != "" {
		t.Fatal("telemetry:", d)
	}
	if d := cmp.Diff(rollup.MergeAll(allParts(rollup.Of(sec))), rollup.MergeAll(lake.parts), nearly); d != "" {
		t.Fatal("rollups:", d)
	}
	var good, bad int64
	seen := map[streamKey]*bess.SeqSet{}
	for _, r := range lake.ledger {
		if r.Stream != bess.StreamScan {
			continue
		}
		good, bad = good+r.Good, bad+r.Bad
		k := streamKey{r.Site, r.Device, r.Epoch}
		if seen[k] == nil {
			seen[k] = &bess.SeqSet{}
		}
		for _, a := range r.Ranges {
			for q := a.First; q <= a.Last; q++ {
				if !seen[k].Add(q) {
					t.Fatalf("the ledger has %v seq %d twice", k, q)
				}
			}
		}
	}
	if int(good+bad) != len(scans) {
		t.Fatalf("the ledger counts %d good and %d bad of %d scans", good, bad, len(scans))
	}
	for _, s := range scans {
		if k := (streamKey{s.Site, s.Device, s.Epoch}); seen[k] == nil || !seen[k].Contains(s.Seq) {
			t.Fatalf("the ledger lacks %v seq %d", k, s.Seq)
		}
	}
	checkOffsets(t, lake)
}

// nearly compares doubles that are sums over several flushes: their grouping shows in the last bits.
var nearly = cmp.Comparer(func(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-12*max(math.Abs(a), math.Abs(b)) })

// checkOffsets checks that the flushes of each partition and generation follow each other without gap or overlap.
func checkOffsets(t *testing.T, lake *fakeLake) {
	t.Helper()
	type pg struct{ p, g int64 }
	ranges := map[pg][][2]int64{}
	for _, r := range lake.ledger {
		if r.Stream == bess.StreamPosition {
			k := pg{int64(r.Partition), r.Generation}
			ranges[k] = append(ranges[k], [2]int64{r.FirstOffset, r.NextOffset})
		}
	}
	for k, rs := range ranges {
		slices.SortFunc(rs, func(a, b [2]int64) int { return int(a[0] - b[0]) })
		for i := 1; i < len(rs); i++ {
			if rs[i][0] != rs[i-1][1] {
				t.Fatalf("partition %d generation %d: offsets %v", k.p, k.g, rs)
			}
		}
	}
}

func TestEveryScanOnce(t *testing.T) { synctest.Test(t, checkEveryScanOnce) }

func checkEveryScanOnce(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	want := traffic(f, src, 40)
	st, _ := drain(t, testConfig(0, 1), src, lake, nil)
	expect(t, lake, f, want)
	if len(lake.events) != 24 || len(lake.devices) != 24 {
		t.Fatalf("%d events, %d device records", len(lake.events), len(lake.devices))
	}
	if st.Duplicates != 3*2*4 || st.Unchecked != 0 || st.Conflicts != 0 {
		t.Fatalf("%+v", st)
	}
	if st.DeadLetters["decode"] != 3 || len(lake.dead) != 3 || string(lake.dead[0].Payload) != "\xffgarbage" {
		t.Fatalf("dead letters: %v, %v", st.DeadLetters, lake.dead)
	}
	// Once more from the same lake: nothing is new.
	before := len(lake.ledger)
	if st, _ := drain(t, testConfig(0, 1), src, lake, nil); st.Messages != 0 || len(lake.ledger) != before {
		t.Fatalf("a restart read %d messages again", st.Messages)
	}
}

// crashes makes an injection that ends the process at the n-th operation of the lake, and then again and again, each
// time `more` operations further into the next run.
func crashes(n, more int, hit *int) func(op string) error {
	var mu sync.Mutex
	left := n
	return func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		left--
		if left >= 0 {
			return nil
		}
		*hit++
		n += more
		left = n
		return crash{op}
	}
}

// TestCrashAtEveryPoint ends the process at the n-th operation of the lake for every n, before and after the operation
// has its effect, and goes on with a new Archive over what the tables hold.
func TestCrashAtEveryPoint(t *testing.T) { synctest.Test(t, checkCrashAtEveryPoint) }

func checkCrashAtEveryPoint(t *testing.T) {
	// The agents' clocks are right: no look-up crashes beside a flush, so that each crash ends a process of its own.
	time.Sleep(time.Until(time.UnixMicro(testT0)))
	for _, more := range []int{1 << 30, 5} { // one crash; or one after the other
		for n := 0; ; n++ {
			f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
			want := traffic(f, src, 24)
			cfg := testConfig(0, 1)
			cfg.FlushRows = 30 // several flushes
			hit := 0
			lake.fail = crashes(n, more, &hit)
			_, runs := drain(t, cfg, src, lake, nil)
			expect(t, lake, f, want)
			if runs != hit+1 {
				t.Fatalf("crash point %d: %d runs and %d crashes", n, runs, hit)
			}
			if hit == 0 {
				if n < 100 {
					t.Fatalf("only %d operations", n)
				}
				break
			}
		}
	}
}

// TestCrashSplitOwners lets the partitions of an unfinished flush be taken over by processes of their own, each in turn
// crashing once, so that the tables' positions differ between partitions.
func TestCrashSplitOwners(t *testing.T) { synctest.Test(t, checkCrashSplitOwners) }

func checkCrashSplitOwners(t *testing.T) {
	for n := range 40 {
		f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
		want := traffic(f, src, 24)
		both, zero, one := testConfig(0, 1), testConfig(0), testConfig(1)
		both.FlushRows, zero.FlushRows, one.FlushRows = 30, 17, 23
		crashAt := func(k int) {
			lake.fail = func(op string) error {
				if !strings.HasPrefix(op, "commit") {
					return nil
				}
				if k--; k == -1 {
					return crash{op}
				}
				return nil
			}
		}
		once := func(cfg Config) { // until it crashes or has nothing left to do
			a, err := New(cfg, src, lake, lake, nil, testLog(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := runUntilCaughtUp(t, a, src); err != nil && !fenced(err) {
				t.Fatal(err)
			}
		}
		rnd := rand.New(rand.NewPCG(uint64(n), 1))
		crashAt(rnd.IntN(24))
		once(both)
		crashAt(rnd.IntN(14))
		once(zero)
		crashAt(rnd.IntN(14))
		once(one)
		lake.fail = func(string) error { return nil }
		drain(t, both, src, lake, nil)
		expect(t, lake, f, want)
	}
}

func TestTroublesAreWaitedOut(t *testing.T) { synctest.Test(t, checkTroublesAreWaitedOut) }

func checkTroublesAreWaitedOut(t *testing.T) {
	f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
	want := traffic(f, src, 20)
	rnd := rand.New(rand.NewPCG(7, 7))
	var mu sync.Mutex
	flaky := func(p float64) func(string) error {
		return func(op string) error {
			mu.Lock()
			defer mu.Unlock()
			if rnd.Float64() < p {
				return errors.New("injected: " + op)
			}
			return nil
		}
	}
	lake.fail, src.fail = flaky(0.2), flaky(0.2)
	cfg := testConfig(0, 1)
	cfg.FlushRows = 40
	st, runs := drain(t, cfg, src, lake, nil)
	if runs != 1 || st.Flush.Failures == 0 {
		t.Fatalf("%d runs, %d failures", runs, st.Flush.Failures)
	}
	expect(t, lake, f, want)
}

// TestReplayShufflesAndSplits gives the same scans in another order between devices, in other fetches and flushes, with
// repetitions, and finds the same tables.
func TestReplayShufflesAndSplits(t *testing.T) { synctest.Test(t, checkReplayShufflesAndSplits) }

func checkReplayShufflesAndSplits(t *testing.T) {
	f := newFleet(t)
	for seed := range uint64(8) {
		src, lake := newFakeLog(), newFakeLake()
		src.limit = int(seed)*5 + 1
		var scans []*bess.Scan
		for seq := range int64(70) {
			for _, d := range []string{"bank1", "bank2", "bank3"} {
				scans = append(scans, f.scan("alfa", d, testEpoch, seq))
			}
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		order := slices.Clone(scans)
		rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for i, s := range order {
			src.put(0, s.TS+10_000, f.encode(s))
			if rnd.IntN(4) == 0 {
				s := order[rnd.IntN(i+1)]
				src.put(0, s.TS+20_000, f.encode(s))
			}
		}
		cfg := testConfig(0)
		cfg.FlushRows = 20 + int(seed)*17
		drain(t, cfg, src, lake, nil)
		expect(t, lake, f, scans)
	}
}
