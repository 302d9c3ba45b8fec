package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"bessd/agent/spool"
)

// fakeKafka stores what it is sent. behave says how each call goes.
type fakeKafka struct {
	mu       sync.Mutex
	calls    int
	count    int // partitions
	stored   []uint64
	counts   map[uint64][]int // partition counts that each seq was sent with
	largest  int              // payloads bytes of the largest call
	inFlight int

	// behave may be nil: all is well. It returns how many of n payloads are
	// stored, how many are acknowledged, and the error.
	behave func(call, n int) (stored, acked int, err error)
	refuse func(seq uint64) bool
	block  func(ctx context.Context) // may be nil
}

func (k *fakeKafka) Partitions(context.Context) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(k.count, 1), nil
}

func (k *fakeKafka) Send(ctx context.Context, partitions int, payloads [][]byte) (Sent, error) {
	k.mu.Lock()
	block := k.block
	k.inFlight++
	if k.inFlight > 1 {
		panic("two sends at once")
	}
	k.mu.Unlock()
	if block != nil {
		block(ctx)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inFlight--
	call := k.calls
	k.calls++
	stored, acked, err := len(payloads), len(payloads), ctx.Err()
	if err != nil {
		return Sent{}, err
	}
	if k.behave != nil {
		stored, acked, err = k.behave(call, len(payloads))
	}
	var out Sent
	size := 0
	for i, p := range payloads {
		size += len(p)
		seq := binary.LittleEndian.Uint64(p)
		if k.counts == nil {
			k.counts = map[uint64][]int{}
		}
		k.counts[seq] = append(k.counts[seq], partitions)
		if k.refuse != nil && k.refuse(seq) {
			if i < acked {
				out.Rejected, out.Reason = append(out.Rejected, i), errors.New("refused")
			}
			continue
		}
		if i < stored {
			k.stored = append(k.stored, seq)
		}
	}
	k.largest = max(k.largest, size)
	out.Done = acked
	return out, err
}

// firsts are the seqs in the order of their first arrival.
func (k *fakeKafka) firsts() (out []uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := map[uint64]bool{}
	for _, s := range k.stored {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func record(seq int) Record {
	p := binary.LittleEndian.AppendUint64(nil, uint64(seq))
	return Record{Meta: spool.Meta{Device: "bank1", Epoch: 1, Seq: uint64(seq)}, Payload: append(p, make([]byte, 100)...)}
}

func upTo(n int) (out []uint64) {
	for i := range n {
		out = append(out, uint64(i))
	}
	return out
}

type rig struct {
	*Forwarder
	spool  *spool.Spool
	stop   func() error
	losses *[]spool.Loss
}

// start runs a forwarder until stop.
func start(t testing.TB, cfg Config, k Producer) rig {
	t.Helper()
	var mu sync.Mutex
	losses := new([]spool.Loss)
	cfg.OnLoss = func(l spool.Loss) {
		mu.Lock()
		defer mu.Unlock()
		*losses = append(*losses, l)
	}
	s, err := spool.Open(spool.Config{Dir: t.TempDir(), SegmentBytes: 64 << 10, OnLoss: cfg.OnLoss})
	if err != nil {
		t.Fatal(err)
	}
	f := New(cfg, k, s)
	return run(t, f, s, losses)
}

func run(t testing.TB, f *Forwarder, s *spool.Spool, losses *[]spool.Loss) rig {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		err := <-done
		return errors.Join(err)
	})
	t.Cleanup(func() {
		_ = stop()
		_ = s.Close()
	})
	return rig{f, s, stop, losses}
}

func put(t testing.TB, f *Forwarder, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := f.Put(record(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHealthyLinkNeverTouchesTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKafka{block: func(context.Context) { time.Sleep(100 * time.Millisecond) }} // a round trip
		r := start(t, Config{}, k)
		for i := range 100 {
			put(t, r.Forwarder, 10*i, 10*i+10)
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := k.firsts(); !slices.Equal(got, upTo(1000)) {
			t.Errorf("%d records arrived, or out of order", len(got))
		}
		st := r.Stats()
		if st.Syncs != 0 || st.Acked != 1000 || st.Queued != 0 || st.QueuedBytes != 0 || !st.LinkUp {
			t.Errorf("%+v", st)
		}
		if st.Sends > 60 {
			t.Errorf("%d sends for 100 ticks: records are not batched", st.Sends)
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		if err := r.Put(record(0)); !errors.Is(err, ErrStopped) {
			t.Errorf("Put after the end: %v", err)
		}
	})
}

func TestBrokenLinkSpoolsWithinSyncAndDrainsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		down := true
		k := &fakeKafka{behave: func(_, n int) (int, int, error) {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return 0, 0, errors.New("link down")
			}
			return n, n, nil
		}}
		r := start(t, Config{}, k)
		n := 0
		for range 200 {
			put(t, r.Forwarder, n, n+20)
			n += 20
			time.Sleep(100 * time.Millisecond)
			if st := r.Stats(); st.Queued > 20*4 {
				t.Fatalf("%d records in memory: %+v", st.Queued, st)
			}
		}
		time.Sleep(300 * time.Millisecond)
		st := r.Stats()
		if st.Queued != 0 || st.Spooled != int64(n) || st.LinkUp || st.LinkErr == nil {
			t.Errorf("before the link returns: %+v", st)
		}
		if st.Syncs > 90 {
			t.Errorf("%d syncs in 20 s", st.Syncs)
		}
		mu.Lock()
		down = false
		mu.Unlock()
		for range 100 {
			put(t, r.Forwarder, n, n+20)
			n += 20
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := k.firsts(); !slices.Equal(got, upTo(n)) {
			t.Errorf("%d of %d records arrived, or out of order", len(got), n)
		}
		if ss := r.spool.Stats(); ss.Records != 0 {
			t.Errorf("spool %+v", ss)
		}
		if st := r.Stats(); !st.LinkUp || st.Acked != int64(n) || st.Lost != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestSlowAckIsSyncedAndThenForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKafka{block: func(context.Context) { time.Sleep(2 * time.Second) }}
		r := start(t, Config{}, k)
		put(t, r.Forwarder, 0, 5)
		time.Sleep(time.Second)
		if st, ss := r.Stats(), r.spool.Stats(); st.Spooled != 5 || ss.Records != 5 || st.Queued != 5 {
			t.Errorf("while the send is under way: %+v, %+v", st, ss)
		}
		time.Sleep(1500 * time.Millisecond)
		if st, ss := r.Stats(), r.spool.Stats(); st.Queued != 0 || ss.Records != 0 || st.Acked != 5 {
			t.Errorf("after the ack: %+v, %+v", st, ss)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if len(k.stored) != 5 {
			t.Errorf("stored %v", k.stored)
		}
	})
}

// Whatever the link does, each record that was taken arrives, in order of first
// arrival, and the spool ends empty.
func TestEverythingTakenArrives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type fault struct{ Kind, Share int }
		faults := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) fault {
			return fault{rapid.IntRange(0, 4).Draw(rt, "kind"), rapid.IntRange(0, 100).Draw(rt, "share")}
		}), 0, 30).Draw(rt, "faults")
		steps := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 30).Draw(rt, "puts")
		pause := time.Duration(rapid.IntRange(1, 400).Draw(rt, "pause ms")) * time.Millisecond
		batchBytes := rapid.SampledFrom([]int{300, 2000, 256 << 10}).Draw(rt, "batch bytes")
		synctest.Test(t, func(t *testing.T) {
			k := &fakeKafka{}
			k.behave = func(call, n int) (int, int, error) {
				if call >= len(faults) {
					return n, n, nil
				}
				part := n * faults[call].Share / 100
				switch faults[call].Kind {
				case 0: // refused at once
					return 0, 0, errors.New("refused")
				case 1: // stored, acknowledgement lost
					return n, 0, errors.New("ack lost")
				case 2: // partly acknowledged
					return part, part, errors.New("partly")
				case 3: // partly stored and nothing acknowledged
					return part, 0, errors.New("cut")
				}
				return n, n, nil
			}
			slow := 0
			k.block = func(ctx context.Context) {
				slow++
				if slow%5 == 0 { // never answers
					select {
					case <-ctx.Done():
					case <-time.After(time.Minute):
					}
				}
				if slow > 40 {
					k.mu.Lock()
					k.block = nil
					k.mu.Unlock()
				}
			}
			r := start(t, Config{BatchBytes: batchBytes, SendTimeout: 700 * time.Millisecond, RetryMax: time.Second}, k)
			n := 0
			for _, c := range steps {
				put(t, r.Forwarder, n, n+c)
				n += c
				time.Sleep(pause)
			}
			for deadline := time.Now().Add(10 * time.Minute); len(k.firsts()) < n || r.spool.Stats().Records > 0 || r.Stats().Queued > 0; {
				if time.Now().After(deadline) {
					rt.Fatalf("%d of %d arrived, spool %+v, %+v", len(k.firsts()), n, r.spool.Stats(), r.Stats())
				}
				time.Sleep(100 * time.Millisecond)
			}
			if got := k.firsts(); !slices.Equal(got, upTo(n)) {
				rt.Fatalf("out of order: %v", got)
			}
			if st := r.Stats(); st.Acked != int64(n) || st.Taken != int64(n) || st.Lost != 0 || len(*r.losses) != 0 {
				rt.Fatalf("%+v, losses %v", st, *r.losses)
			}
			if err := r.stop(); err != nil {
				rt.Fatal(err)
			}
			if err := r.spool.Close(); err != nil {
				rt.Fatal(err)
			}
		})
	})
}

func TestStopMovesTheRestToTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKafka{block: func(ctx context.Context) { <-ctx.Done() }}
		r := start(t, Config{}, k)
		put(t, r.Forwarder, 0, 100)
		time.Sleep(10 * time.Millisecond)
		begin := time.Now()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > 4*time.Second {
			t.Errorf("stopping took %v", d)
		}
		if ss := r.spool.Stats(); ss.Records != 100 {
			t.Errorf("spool %+v", ss)
		}
		// The next run delivers them.
		k2 := &fakeKafka{}
		r2 := run(t, New(Config{}, k2, r.spool), r.spool, r.losses)
		put(t, r2.Forwarder, 100, 110)
		time.Sleep(time.Second)
		if got := k2.firsts(); !slices.Equal(got, upTo(110)) {
			t.Errorf("arrived %v", got)
		}
	})
}

func TestStopSendsWhatIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKafka{block: func(context.Context) { time.Sleep(100 * time.Millisecond) }}
		r := start(t, Config{Linger: time.Hour, BatchBytes: 2000}, k)
		put(t, r.Forwarder, 0, 10)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if got := k.firsts(); !slices.Equal(got, upTo(10)) || r.Stats().Syncs != 0 {
			t.Errorf("arrived %v, %+v", got, r.Stats())
		}
	})
}

// With a backlog in the spool, stopping puts memory behind it and sends nothing early.
func TestStopKeepsTheOrderBehindABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKafka{}
		k.behave = func(call, n int) (int, int, error) {
			if call == 0 {
				return 0, 0, errors.New("down")
			}
			return n, n, nil
		}
		r := start(t, Config{RetryMin: 2 * time.Second, BatchBytes: 1000}, k)
		put(t, r.Forwarder, 0, 50)
		time.Sleep(500 * time.Millisecond) // failed once, and spooled
		put(t, r.Forwarder, 50, 60)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r2 := run(t, New(Config{}, k, r.spool), r.spool, r.losses)
		time.Sleep(time.Second)
		if err := r2.stop(); err != nil {
			t.Fatal(err)
		}
		if got := k.firsts(); !slices.Equal(got, upTo(60)) {
			t.Errorf("arrived %v", got)
		}
	})
}

func TestRefusedIsReportedAndDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKafka{refuse: func(seq uint64) bool { return seq%10 == 3 }}
		r := start(t, Config{}, k)
		put(t, r.Forwarder, 0, 30)
		time.Sleep(time.Second)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		st := r.Stats()
		if st.Acked != 27 || st.Lost != 3 || st.Queued != 0 || !st.LinkUp {
			t.Errorf("%+v", st)
		}
		var seqs []uint64
		for _, l := range *r.losses {
			if l.Reason != Refused || l.Err == nil {
				t.Errorf("loss %+v", l)
			}
			for _, x := range l.Ranges {
				seqs = append(seqs, x.First)
			}
		}
		if !slices.Equal(seqs, []uint64{3, 13, 23}) {
			t.Errorf("reported %v", seqs)
		}
	})
}

// A record that was tried with one partition count keeps it; new ones take the new count.
func TestPartitionCountSticks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKafka{count: 4}
		k.behave = func(call, n int) (int, int, error) {
			if call < 3 {
				return n, 0, errors.New("ack lost")
			}
			return n, n, nil
		}
		r := start(t, Config{}, k)
		put(t, r.Forwarder, 0, 5)
		time.Sleep(30 * time.Millisecond) // tried once
		k.mu.Lock()
		k.count = 8
		k.mu.Unlock()
		time.Sleep(5 * time.Second)
		put(t, r.Forwarder, 5, 10)
		time.Sleep(time.Second)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		for seq := range uint64(10) {
			want := 4
			if seq >= 5 {
				want = 8
			}
			for _, c := range k.counts[seq] {
				if c != want {
					t.Errorf("record %d went out with counts %v, want %d", seq, k.counts[seq], want)
				}
			}
		}
		if r.Stats().Acked != 10 {
			t.Errorf("%+v", r.Stats())
		}
	})
}

// brokenDisk is a spool that takes nothing.
type brokenDisk struct{ err error }

func (d brokenDisk) Append(int, []spool.Record) (spool.Position, error) { return 0, d.err }
func (d brokenDisk) Read(spool.Position, int) (spool.Batch, error)      { return spool.Batch{}, d.err }
func (d brokenDisk) Ack(spool.Position, spool.Position) error           { return d.err }

func TestWithoutDiskAndLinkTheOldestGoVisibly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var losses []spool.Loss
		fail := true
		k := &fakeKafka{behave: func(_, n int) (int, int, error) {
			mu.Lock()
			defer mu.Unlock()
			if fail {
				return 0, 0, errors.New("down")
			}
			return n, n, nil
		}}
		cfg := Config{QueueBytes: 100 << 10, BatchBytes: 4 << 10, OnLoss: func(l spool.Loss) {
			mu.Lock()
			defer mu.Unlock()
			losses = append(losses, l)
		}}
		f := New(cfg, k, brokenDisk{spool.ErrFull})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		for i := range 200 {
			put(t, f, 10*i, 10*i+10)
			time.Sleep(10 * time.Millisecond)
			if st := f.Stats(); st.QueuedBytes > 110<<10 {
				t.Fatalf("memory holds %d bytes", st.QueuedBytes)
			}
		}
		if st := f.Stats(); !errors.Is(st.SpoolErr, spool.ErrFull) || st.Lost == 0 {
			t.Errorf("%+v", st)
		}
		mu.Lock()
		fail = false
		mu.Unlock()
		time.Sleep(30 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		lost := 0
		for _, l := range losses {
			lost += l.Records
			if l.Reason != QueueFull || len(l.Ranges) == 0 {
				t.Errorf("loss %+v", l)
			}
		}
		got := k.firsts()
		if lost+len(got) != 2000 || len(got) == 0 || got[len(got)-1] != 1999 {
			t.Errorf("%d lost and %d arrived of 2000", lost, len(got))
		}
	})
}

func TestStopWithoutDiskAndLinkReportsTheLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := 0
		k := &fakeKafka{behave: func(int, int) (int, int, error) { return 0, 0, errors.New("down") }}
		f := New(Config{OnLoss: func(l spool.Loss) { lost += l.Records }}, k, brokenDisk{spool.ErrFull})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		put(t, f, 0, 7)
		cancel()
		if err := <-done; !errors.Is(err, spool.ErrFull) || lost != 7 {
			t.Errorf("%v, %d lost", err, lost)
		}
	})
}

// slowNetError is what a timeout looks like.
type slowNetError struct{ error }

func (slowNetError) Timeout() bool   { return true }
func (slowNetError) Temporary() bool { return true }

func TestBatchesShrinkOnASlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Nothing above 20 kB gets through in time.
		k := &sizeLimited{limit: 20 << 10}
		r := start(t, Config{RetryMax: time.Second}, k)
		put(t, r.Forwarder, 0, 3000)
		time.Sleep(5 * time.Minute)
		if got := k.firsts(); len(got) != 3000 {
			t.Errorf("%d arrived; %+v", len(got), r.Stats())
		}
	})
}

type sizeLimited struct {
	fakeKafka
	limit int
}

func (k *sizeLimited) Send(ctx context.Context, partitions int, payloads [][]byte) (Sent, error) {
	n := 0
	for _, p := range payloads {
		n += len(p)
	}
	if n > k.limit {
		return Sent{}, fmt.Errorf("sending: %w", slowNetError{errors.New("too slow")})
	}
	return k.fakeKafka.Send(ctx, partitions, payloads)
}

func BenchmarkPutToAck(b *testing.B) {
	k := &discard{}
	r := start(b, Config{Linger: time.Millisecond}, k)
	rec := Record{Payload: make([]byte, 700)}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Put(rec); err != nil {
			b.Fatal(err)
		}
		for r.Stats().QueuedBytes > 4<<20 {
			time.Sleep(time.Millisecond)
		}
	}
	b.SetBytes(700)
}

type discard struct{}

func (discard) Partitions(context.Context) (int, error) { return 1, nil }
func (discard) Send(_ context.Context, _ int, p [][]byte) (Sent, error) {
	return Sent{Done: len(p)}, nil
}
