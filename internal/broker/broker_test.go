package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bessd/ingest"
	"bessd/internal/broker"
)

const childEnv = "BESSD_BROKER_CHILD"

// TestMain turns the test binary into a broker process when a test asks for one.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		addr, dir, _ := strings.Cut(spec, "|")
		b, err := broker.New(broker.Config{Addr: addr, DataDir: dir, SyncWrites: true, Topics: []broker.Topic{{Name: "t", Partitions: 2}}})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println("ready", b.Addrs()[0])
		_ = b.Run(context.Background())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startChild runs a broker in a process of its own and returns its address.
func startChild(t *testing.T, addr, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+addr+"|"+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if got, ok := strings.CutPrefix(strings.TrimSpace(line), "ready "); ok {
		return cmd, got
	}
	t.Fatalf("broker child: %q, %v", line, err)
	return nil, ""
}

func TestAcknowledgedSurvivesKill(t *testing.T) {
	dir, addr := t.TempDir(), "127.0.0.1:0"
	acked := 0
	key := []byte("site")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for round := range 8 {
		var child *exec.Cmd
		child, addr = startChild(t, addr, dir)
		client, err := ingest.NewClient(ingest.Config{Brokers: []string{addr}, Topics: []string{"t"}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := ingest.NewProducer(client, ingest.ProducerConfig{Topic: "t", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		consumer, err := ingest.NewConsumer(client, ingest.ConsumerConfig{Topic: "t", MaxWait: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		// Everything acknowledged before the kill is there, in order.
		partition := ingest.Partition(key, 2)
		next, offset := 0, int64(0)
		for next < acked {
			f, err := consumer.Fetch(ctx, partition, offset)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			for _, m := range f.Messages {
				n := 0
				if _, err := fmt.Sscan(string(m.Value), &n); err != nil || n > next {
					t.Fatalf("round %d: offset %d holds %q, want %d", round, m.Offset, m.Value, next)
				}
				if n == next { // else a repetition: stored, but the kill took the acknowledgement
					next++
				}
			}
			if len(f.Messages) == 0 {
				t.Fatalf("round %d: the log ends at %d, only %d of %d acknowledged messages are there", round, f.HighWatermark, next, acked)
			}
			offset = f.Next
		}
		// Kill while a producer is at work.
		kill := time.AfterFunc(time.Duration(20+13*round)*time.Millisecond, func() { _ = child.Process.Kill() })
		for {
			values := make([][]byte, 20)
			for i := range values {
				values[i] = fmt.Append(nil, acked+i)
			}
			got, err := p.Produce(ctx, 2, values)
			acked += got.Done
			if err != nil {
				break
			}
		}
		_ = child.Wait()
		kill.Stop()
		client.Close()
	}
	if acked < 100 {
		t.Errorf("only %d messages were acknowledged in all: the test did not get going", acked)
	}
}

func TestRestartKeepsLogAndTopicCanBeRecreated(t *testing.T) {
	dir := t.TempDir()
	cfg := broker.Config{DataDir: dir, Topics: []broker.Topic{{Name: "t", Partitions: 3}}}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	produce(t, b, 5)
	b.Close()
	b.Close() // twice is fine

	cfg.Topics[0].Partitions = 9 // an existing topic keeps what it has
	if b, err = broker.New(cfg); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	part := ingest.Partition([]byte("k"), 3)
	if end := b.End("t", part); end != 5 || b.End("t", 3) != -1 {
		t.Fatalf("after the restart partition %d ends at %d, partition 3 at %d", part, end, b.End("t", 3))
	}
	if err := b.CreateTopic(broker.Topic{Name: "t", Partitions: 1}); err == nil {
		t.Error("created a topic that exists")
	}
	if err := b.DeleteTopic("t"); err != nil {
		t.Fatal(err)
	}
	if err := b.CreateTopic(broker.Topic{Name: "t", Partitions: 3}); err != nil {
		t.Fatal(err)
	}
	if end := b.End("t", part); end != 0 {
		t.Errorf("the topic made anew ends at %d", end)
	}
}

func produce(t *testing.T, b *broker.Broker, n int) {
	t.Helper()
	client, err := ingest.NewClient(ingest.Config{Brokers: b.Addrs(), Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p, err := ingest.NewProducer(client, ingest.ProducerConfig{Topic: "t", Key: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	partitions, err := p.Partitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Produce(t.Context(), partitions, make([][]byte, n)); err != nil {
		t.Fatal(err)
	}
}

func TestRetention(t *testing.T) {
	b, err := broker.New(broker.Config{
		Topics:         []broker.Topic{{Name: "t", Partitions: 1, Config: map[string]string{"retention.bytes": "1", "segment.bytes": "1"}}},
		RetentionEvery: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		produce(t, b, 10)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	client, err := ingest.NewClient(ingest.Config{Brokers: b.Addrs(), Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := ingest.NewConsumer(client, ingest.ConsumerConfig{Topic: "t"})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		start, _, err := c.Offsets(t.Context(), 0)
		if err == nil && start > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("retention never moved the log's start (%d, %v)", start, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBadConfigSaysWhatToDo(t *testing.T) {
	b, err := broker.New(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for name, cfg := range map[string]broker.Config{
		"taken port":    {Addr: b.Addrs()[0]},
		"no port":       {Addr: "localhost"},
		"no partitions": {Topics: []broker.Topic{{Name: "x"}}},
		"no directory":  {DataDir: "/dev/null/x"},
	} {
		if b, err := broker.New(cfg); err == nil {
			b.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
