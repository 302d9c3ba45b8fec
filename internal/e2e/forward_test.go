package e2e

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bessd/agent/forward"
	"bessd/agent/spool"
	"bessd/ingest"
	"bessd/internal/broker"
)

const (
	forwardChildEnv = "BESSD_FORWARD_CHILD"
	forwardTopic    = "bess.telemetry"
	forwardSite     = "alfa"
)

// kafkaSender is the adapter that package main has too.
type kafkaSender struct{ p *ingest.Producer }

func (k kafkaSender) Partitions(ctx context.Context) (int, error) { return k.p.Partitions(ctx) }

func (k kafkaSender) Send(ctx context.Context, partitions int, payloads [][]byte) (forward.Sent, error) {
	got, err := k.p.Produce(ctx, partitions, payloads)
	out := forward.Sent{Done: got.Done}
	for _, r := range got.Rejected {
		out.Rejected, out.Reason = append(out.Rejected, r.Index), r.Err
	}
	return out, err
}

// openForwarder builds the path from Put to Kafka; close it after Run.
func openForwarder(addr, dir string) (f *forward.Forwarder, s *spool.Spool, closeAll func(), err error) {
	client, err := ingest.NewClient(ingest.Config{Brokers: []string{addr}, Topics: []string{forwardTopic}, RequestTimeout: 2 * time.Second})
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := ingest.NewProducer(client, ingest.ProducerConfig{Topic: forwardTopic, Key: []byte(forwardSite)})
	if err != nil {
		return nil, nil, nil, err
	}
	s, err = spool.Open(spool.Config{Dir: dir, SegmentBytes: 64 << 10})
	if err != nil {
		return nil, nil, nil, err
	}
	f = forward.New(forward.Config{Sync: 50 * time.Millisecond, RetryMax: 300 * time.Millisecond, SendTimeout: 3 * time.Second}, kafkaSender{p}, s)
	return f, s, func() {
		_ = s.Close()
		client.Close()
	}, nil
}

// TestForwardChild is the process that TestForwardSurvivesKills kills. It puts
// records for ever and prints n whenever all below n have been taken, which is
// when none is in memory.
func TestForwardChild(t *testing.T) {
	spec := os.Getenv(forwardChildEnv)
	if spec == "" {
		t.Skip("runs only as a child")
	}
	var seq uint64
	addr, rest, _ := strings.Cut(spec, "|")
	dir, first, _ := strings.Cut(rest, "|")
	if _, err := fmt.Sscan(first, &seq); err != nil {
		t.Fatal(err)
	}
	f, _, closeAll, err := openForwarder(addr, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	go func() { _ = f.Run(context.Background()) }()
	tick := time.NewTicker(2 * time.Millisecond)
	for n := 0; ; n++ {
		<-tick.C
		// In bursts with pauses, so that memory runs empty now and then.
		if n%100 < 50 {
			if err := f.Put(forwardRecord(seq)); err != nil {
				t.Fatal(err)
			}
			seq++
		}
		if f.Stats().Queued == 0 {
			fmt.Println("taken", seq)
		}
	}
}

func forwardRecord(seq uint64) forward.Record {
	return forward.Record{
		Meta:    spool.Meta{Device: "bank1", Epoch: 1, Seq: seq},
		Payload: append(binary.LittleEndian.AppendUint64(nil, seq), make([]byte, 300)...),
	}
}

// Agent and broker are killed or stopped again and again; whatever counted as
// taken is in Kafka in the end, and the spool is empty.
func TestForwardSurvivesKills(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 4
	}
	kafkaDir, spoolDir := t.TempDir(), filepath.Join(t.TempDir(), "spool")
	cfg := broker.Config{DataDir: kafkaDir, SyncWrites: true, Topics: []broker.Topic{{Name: forwardTopic, Partitions: 3}}}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Addr = b.Addrs()[0]
	defer func() { b.Close() }()

	taken := map[uint64]bool{}
	next := uint64(0)
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestForwardChild$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d", forwardChildEnv, cfg.Addr, spoolDir, next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(200+round*97%500)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		// In two of three rounds the broker goes away under way; in one of them it
		// stays away until the agent is dead.
		ended, restarted := make(chan struct{}), make(chan error, 1)
		go func() {
			defer close(restarted)
			if round%3 == 0 {
				return
			}
			<-time.After(time.Duration(100+round*53%200) * time.Millisecond)
			b.Close()
			if round%3 == 1 {
				<-ended
			} else {
				<-time.After(150 * time.Millisecond)
			}
			var err error
			b, err = broker.New(cfg)
			restarted <- err
		}()
		from := next
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var n uint64
			if _, err := fmt.Sscanf(lines.Text(), "taken %d", &n); err != nil {
				continue
			}
			for ; from < n; from++ {
				taken[from] = true
			}
		}
		close(ended)
		kill.Stop()
		if err := <-restarted; err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		next = from + 10_000
	}
	if len(taken) < 20*rounds {
		t.Fatalf("only %d records were taken in %d rounds", len(taken), rounds)
	}

	// The last run delivers what is left.
	f, s, closeAll, err := openForwarder(cfg.Addr, spoolDir)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	left := s.Stats().Records
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	runCtx, stop := context.WithCancel(ctx)
	go func() { done <- f.Run(runCtx) }()
	for s.Stats().Records > 0 {
		if ctx.Err() != nil {
			t.Fatalf("the spool still holds %+v, %+v", s.Stats(), f.Stats())
		}
		<-time.After(5 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	client, err := ingest.NewClient(ingest.Config{Brokers: []string{cfg.Addr}, Topics: []string{forwardTopic}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	consumer, err := ingest.NewConsumer(client, ingest.ConsumerConfig{Topic: forwardTopic, MaxWait: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	partition := ingest.Partition([]byte(forwardSite), 3)
	total, missing := 0, len(taken)
	highest := uint64(0)
	seen := map[uint64]bool{}
	for offset := int64(0); ; {
		got, err := consumer.Fetch(ctx, partition, offset)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			seq := binary.LittleEndian.Uint64(m.Value)
			total++
			if taken[seq] && !seen[seq] {
				missing--
			}
			if !seen[seq] && seq < highest {
				t.Fatalf("record %d arrived for the first time after %d", seq, highest)
			}
			seen[seq] = true
			highest = max(highest, seq)
		}
		offset = got.Next
		if offset == got.HighWatermark {
			break
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d taken records are not in Kafka", missing, len(taken))
	}
	t.Logf("%d rounds: %d taken, %d messages in Kafka for %d records, %d left to the last run", rounds, len(taken), total, len(seen), left)
}
