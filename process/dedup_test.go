package process

import (
	"testing"
	"testing/synctest"
	"time"

	"bessd/bess"
)

const dayUS = 24 * 3600 * 1e6

// TestClockThatWasAhead replays scans of agents whose epochs claim a later beginning than there was, because the
// gateway's clock was ahead once.
func TestClockThatWasAhead(t *testing.T) {
	for _, c := range []struct {
		name           string
		begun          time.Duration // by the epoch, after now
		first, further int64         // days since the commits of the two halves
	}{
		{"idle, to come", 60 * 24 * time.Hour, 30, 29},
		{"active, to come", 60 * 24 * time.Hour, 30, 1},
		{"active, has come", -24 * time.Hour, 30, 3},
		{"within the skew", 12 * time.Hour, 30, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, src, lake := newFleet(t), newFakeLog(), newFakeLake()
				time.Sleep(365 * 24 * time.Hour)
				epoch := epochOf(time.Now().Add(c.begun).Unix(), 3)
				var want []*bess.Scan
				half := func(from, to int64, age int64) {
					for seq := from; seq < to; seq++ {
						want = append(want, f.scan("alfa", "bank1", epoch, seq))
						src.put(0, testT0, f.encode(want[seq]))
					}
					n := len(lake.ledger)
					drain(t, testConfig(0), src, lake, nil)
					for i := range lake.ledger[n:] {
						lake.ledger[n+i].CommitTS -= age * dayUS
					}
				}
				half(0, 5, c.first)
				half(5, 10, c.further)
				for _, s := range want {
					src.put(0, testT0, f.encode(s))
				}
				st, _ := drain(t, testConfig(0), src, lake, nil)
				if st.Duplicates != 10 || st.Scans != 0 {
					t.Errorf("%d duplicates, %d scans", st.Duplicates, st.Scans)
				}
				expect(t, lake, f, want)
			})
		})
	}
}

// TestMemoryOfACrashLoop starts an agent once a minute for two days. Its runs leave memory when room is needed, and are
// known all the same.
func TestMemoryOfACrashLoop(t *testing.T) {
	cfg, lake, tw := testConfig(0), newFakeLake(), newTwins(testLog(t))
	cfg.MemoryBytes = 100 << 10
	began := time.Unix(testT0/1e6, 0)
	now := began
	d := newDedup(cfg, lake, tw)
	if err := d.load(t.Context(), now, func(*bess.LedgerRow) {}); err != nil {
		t.Fatal(err)
	}
	key := func(i int64) streamKey { return streamKey{"alfa", "bank1", epochOf(began.Unix()+60*i, i)} }
	accept := func(i int64) verdict {
		s, err := d.stream(t.Context(), key(i), now)
		if err != nil {
			t.Fatal(err)
		}
		return s.add(0, 1, 0)
	}
	const runs = 2 * 24 * 60
	for i := range int64(runs) {
		if v := accept(i); v != fresh {
			t.Fatalf("run %d: verdict %d", i, v)
		}
		lake.ledger = append(lake.ledger, bess.LedgerRow{Stream: bess.StreamScan, Site: "alfa", Device: "bank1", Epoch: key(i).epoch,
			Ranges: []bess.SeqRange{{}}, FirstTS: now.UnixMicro(), LastTS: now.UnixMicro(), CommitTS: now.UnixMicro()})
		now = now.Add(time.Minute)
		if d.evict(now); d.size() > cfg.MemoryBytes {
			t.Fatalf("run %d: %d bytes", i, d.size())
		}
	}
	check := func() {
		t.Helper()
		for i := range int64(runs) {
			if v := accept(i); v == fresh {
				t.Fatalf("run %d is forgotten", i)
			}
		}
	}
	check()
	d = newDedup(cfg, lake, tw) // as after a restart
	if err := d.load(t.Context(), now, func(*bess.LedgerRow) {}); err != nil {
		t.Fatal(err)
	}
	if n := len(d.streams); n > runs/2+1 { // one day is loaded at a time
		t.Fatalf("%d of %d runs loaded", n, runs)
	}
	check()
	now = now.Add(time.Hour)
	if d.evict(now); d.size() > cfg.MemoryBytes {
		t.Fatalf("%d bytes", d.size())
	}
	check()
}

// TestWhatIsAtWorkStaysInMemory has more devices at work than there is room for: they are not looked up again and again.
func TestWhatIsAtWorkStaysInMemory(t *testing.T) {
	cfg, lake := testConfig(0), newFakeLake()
	cfg.MemoryBytes = 1
	now := time.Unix(testT0/1e6, 0)
	d := newDedup(cfg, lake, newTwins(testLog(t)))
	for range 3 {
		for _, device := range []string{"bank1", "bank2"} {
			if _, err := d.stream(t.Context(), streamKey{"alfa", device, testEpoch}, now); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(time.Minute)
		if d.evict(now); len(d.streams) != 2 {
			t.Fatalf("%d streams", len(d.streams))
		}
	}
}
