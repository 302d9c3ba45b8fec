package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"bessd/ingest"
	"bessd/internal/backoff"
	"bessd/internal/broker"
)

// cluster is what a test runs against: our in-process broker, or the real one
// that BESSD_TEST_KAFKA names (host:port,host:port).
type cluster struct {
	brokers []string
	fake    *broker.Broker // nil for a real one
}

func newCluster(t testing.TB, cfg broker.Config) cluster {
	t.Helper()
	if real := os.Getenv("BESSD_TEST_KAFKA"); real != "" {
		return cluster{brokers: strings.Split(real, ",")}
	}
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return cluster{brokers: b.Addrs(), fake: b}
}

func (c cluster) needFake(t *testing.T) *broker.Broker {
	t.Helper()
	if c.fake == nil {
		t.Skip("needs the in-process broker")
	}
	return c.fake
}

var topicCount atomic.Int64

// topic makes a topic that no other test has, and a client for it.
func (c cluster) topic(t testing.TB, partitions int, config map[string]string) (*ingest.Client, string) {
	t.Helper()
	name := fmt.Sprintf("bessd-test-%d-%d", time.Now().UnixNano(), topicCount.Add(1))
	client := newClient(t, ingest.Config{Brokers: c.brokers, Topics: []string{name}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	info, err := client.EnsureTopic(ctx, ingest.TopicSpec{Name: name, Partitions: partitions, Replication: 1, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	if info.Partitions != partitions {
		t.Fatalf("the new topic has %d partitions, want %d", info.Partitions, partitions)
	}
	return client, name
}

func newClient(t testing.TB, cfg ingest.Config) *ingest.Client {
	t.Helper()
	c, err := ingest.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newProducer(t testing.TB, c *ingest.Client, cfg ingest.ProducerConfig) *ingest.Producer {
	t.Helper()
	p, err := ingest.NewProducer(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newConsumer(t testing.TB, c *ingest.Client, cfg ingest.ConsumerConfig) *ingest.Consumer {
	t.Helper()
	out, err := ingest.NewConsumer(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// produceAll sends everything, again after transient errors.
func produceAll(t testing.TB, p *ingest.Producer, partitions int, values [][]byte) {
	t.Helper()
	b := backoff.New(backoff.Config{Min: 5 * time.Millisecond, Max: 200 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		got, err := p.Produce(ctx, partitions, values)
		if len(got.Rejected) > 0 {
			t.Fatalf("rejected: %v", got.Rejected)
		}
		values = values[got.Done:]
		if err == nil && len(values) == 0 {
			return
		}
		if b.Wait(ctx) != nil {
			t.Fatalf("%d messages left: %v", len(values), err)
		}
	}
}

// read returns the values of a partition from offset on until want are there.
func read(t testing.TB, c *ingest.Consumer, partition int, offset int64, want int) []ingest.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out []ingest.Message
	for len(out) < want {
		f, err := c.Fetch(ctx, partition, offset)
		if err != nil {
			if ctx.Err() != nil || ingest.KindOf(err) != ingest.Transient {
				t.Fatal(err)
			}
			continue
		}
		out = append(out, f.Messages...)
		offset = f.Next
	}
	return out
}

func numbered(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, "value-%06d", i)
	}
	return out
}

func TestProduceAndFetch(t *testing.T) {
	c := newCluster(t, broker.Config{})
	client, topic := c.topic(t, 4, nil)
	site := []byte("alfa")
	p := newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: site, MaxBatchBytes: 2000})
	consumer := newConsumer(t, client, ingest.ConsumerConfig{Topic: topic, MaxBytes: 3000, MaxWait: 50 * time.Millisecond})
	partitions, err := p.Partitions(t.Context())
	if err != nil || partitions != 4 {
		t.Fatalf("Partitions: %d, %v", partitions, err)
	}
	partition := ingest.Partition(site, 4)
	before := time.Now().Truncate(time.Millisecond)
	values := numbered(500)
	produceAll(t, p, 4, values)

	msgs := read(t, consumer, partition, 0, len(values))
	for i, m := range msgs {
		if string(m.Value) != string(values[i]) || string(m.Key) != "alfa" || m.Offset != int64(i) || m.Partition != partition {
			t.Fatalf("message %d: offset %d partition %d key %q value %q", i, m.Offset, m.Partition, m.Key, m.Value)
		}
		if m.Time.Before(before) || m.Time.After(time.Now()) {
			t.Fatalf("message %d has time %v, sent after %v", i, m.Time, before)
		}
	}
	start, end, err := consumer.Offsets(t.Context(), partition)
	if err != nil || start != 0 || end != 500 {
		t.Fatalf("Offsets: [%d, %d), %v", start, end, err)
	}
	if f, err := consumer.Fetch(t.Context(), partition, end); err != nil || len(f.Messages) != 0 || f.Next != end || f.HighWatermark != end {
		t.Fatalf("at the end: %+v, %v", f, err)
	}
	// An offset in the middle of a batch starts exactly there.
	if f, err := consumer.Fetch(t.Context(), partition, 137); err != nil || f.Messages[0].Offset != 137 {
		t.Fatalf("from 137: %+v, %v", f, err)
	}
}

func TestFetchAt(t *testing.T) {
	c := newCluster(t, broker.Config{})
	client, topic := c.topic(t, 1, nil)
	consumer := newConsumer(t, client, ingest.ConsumerConfig{Topic: topic})
	produceAll(t, newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: []byte("k")}), 1, numbered(10))
	for _, off := range []int64{0, 7, 9} {
		m, err := consumer.FetchAt(t.Context(), 0, off)
		if err != nil || string(m.Value) != fmt.Sprintf("value-%06d", off) {
			t.Errorf("at %d: %q, %v", off, m.Value, err)
		}
	}
	for off, want := range map[int64]error{-1: ingest.ErrBeforeStart, 10: ingest.ErrBeyondEnd, 99: ingest.ErrBeyondEnd} {
		_, err := consumer.FetchAt(t.Context(), 0, off)
		oe, ok := errors.AsType[*ingest.OffsetError](err)
		if !ok || !errors.Is(err, want) || oe.Start != 0 || oe.End != 10 {
			t.Errorf("at %d: %v, want %v", off, err, want)
		}
	}
}

func TestFetchOutsideTheLogIsAnError(t *testing.T) {
	c := newCluster(t, broker.Config{})
	client, topic := c.topic(t, 1, nil)
	consumer := newConsumer(t, client, ingest.ConsumerConfig{Topic: topic})
	produceAll(t, newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: []byte("k")}), 1, numbered(10))
	if _, err := consumer.Fetch(t.Context(), 0, 11); !errors.Is(err, ingest.ErrBeyondEnd) {
		t.Errorf("beyond the end: %v", err)
	}
	if c.fake == nil {
		return
	}
	if err := c.fake.DeleteRecords(topic, 0, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := consumer.Fetch(t.Context(), 0, 2); !errors.Is(err, ingest.ErrBeforeStart) {
		t.Errorf("before the start: %v", err)
	}
	if f, err := consumer.Fetch(t.Context(), 0, 5); err != nil || f.LogStart != 5 || len(f.Messages) != 5 {
		t.Errorf("from the new start: %+v, %v", f, err)
	}
}

func TestTooLargeIsRejectedAlone(t *testing.T) {
	c := newCluster(t, broker.Config{})
	client, topic := c.topic(t, 1, map[string]string{"max.message.bytes": "20000"})
	p := newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: []byte("k")})
	values := numbered(40)
	big := incompressible(30_000)
	values[13], values[39] = big, big
	got, err := p.Produce(t.Context(), 1, values)
	if err != nil || got.Done != 40 || len(got.Rejected) != 2 || got.Rejected[0].Index != 13 || got.Rejected[1].Index != 39 {
		t.Fatalf("%+v, %v", got, err)
	}
	if k := ingest.KindOf(got.Rejected[0].Err); k != ingest.TooLarge {
		t.Errorf("kind %v: %v", k, got.Rejected[0].Err)
	}
	msgs := read(t, newConsumer(t, client, ingest.ConsumerConfig{Topic: topic}), 0, 0, 38)
	for i, j := 0, 0; i < len(values); i++ {
		if i == 13 || i == 39 {
			continue
		}
		if string(msgs[j].Value) != string(values[i]) {
			t.Fatalf("message %d is %.20q, want %q", j, msgs[j].Value, values[i])
		}
		j++
	}
}

func incompressible(n int) []byte {
	out := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range out {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		out[i] = byte(x)
	}
	return out
}

func TestLeaderChangeAndNewPartitionsAreSeen(t *testing.T) {
	c := newCluster(t, broker.Config{Nodes: 3})
	fake := c.needFake(t)
	client, topic := c.topic(t, 1, nil)
	p := newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: []byte("k")})
	consumer := newConsumer(t, client, ingest.ConsumerConfig{Topic: topic, MaxWait: 20 * time.Millisecond})
	for i := range 4 {
		if err := fake.MoveLeader(topic, 0, (fake.Leader(topic, 0)+1)%3); err != nil {
			t.Fatal(err)
		}
		produceAll(t, p, 1, numbered(3))
		read(t, consumer, 0, int64(3*i), 3)
	}
	admin := &kafka.Client{Addr: kafka.TCP(c.brokers...), Timeout: 5 * time.Second}
	if _, err := admin.CreatePartitions(t.Context(), &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 5}}}); err != nil {
		t.Fatal(err)
	}
	// An error makes the client look again, and so does time.
	if err := fake.MoveLeader(topic, 0, (fake.Leader(topic, 0)+1)%3); err != nil {
		t.Fatal(err)
	}
	produceAll(t, p, 1, numbered(1))
	if n, err := p.Partitions(t.Context()); err != nil || n != 5 {
		t.Errorf("partitions %d, %v; want 5", n, err)
	}
}

func TestLostAckIsTransient(t *testing.T) {
	c := newCluster(t, broker.Config{})
	fake := c.needFake(t)
	client, topic := c.topic(t, 1, nil)
	p := newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: []byte("k")})
	fake.Fail(broker.Failure{API: broker.Produce, Code: broker.RequestTimedOut})
	got, err := p.Produce(t.Context(), 1, numbered(3))
	if ingest.KindOf(err) != ingest.Transient || err == nil || got.Done != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	produceAll(t, p, 1, numbered(3))
	if end := fake.End(topic, 0); end != 6 {
		t.Errorf("the log ends at %d: the lost acknowledgement should have stored the messages twice", end)
	}
}

func TestPartialSuccessIsCounted(t *testing.T) {
	c := newCluster(t, broker.Config{})
	fake := c.needFake(t)
	client, topic := c.topic(t, 1, nil)
	p := newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: []byte("k"), MaxBatchBytes: 500})
	requests := 0
	remove := fake.Intercept(broker.Produce, func() broker.Action {
		requests++
		return broker.Action{Drop: requests == 3}
	})
	defer remove()
	got, err := p.Produce(t.Context(), 1, numbered(100))
	if err == nil || got.Done == 0 || got.Done == 100 {
		t.Fatalf("%+v, %v", got, err)
	}
	if end := fake.End(topic, 0); end != int64(got.Done) {
		t.Errorf("Done is %d, the log holds %d", got.Done, end)
	}
}

func TestSilentBrokerIsATimeout(t *testing.T) {
	c := newCluster(t, broker.Config{})
	fake := c.needFake(t)
	_, topic := c.topic(t, 1, nil)
	client := newClient(t, ingest.Config{Brokers: c.brokers, Topics: []string{topic}, RequestTimeout: 300 * time.Millisecond})
	p := newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: []byte("k")})
	remove := fake.Intercept(broker.Produce, func() broker.Action { return broker.Action{Delay: time.Hour} })
	_, err := p.Produce(t.Context(), 1, numbered(3))
	timeout, ok := errors.AsType[net.Error](err)
	if !ok || !timeout.Timeout() || ingest.KindOf(err) != ingest.Transient {
		t.Errorf("a silent broker gives %v", err)
	}
	remove()
	produceAll(t, p, 1, numbered(3))
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	c := newCluster(t, broker.Config{})
	fake := c.needFake(t)
	seed, topic := c.topic(t, 2, nil)
	seed.Close()
	if err := goleak.Find(); err == nil {
		t.Fatal("the broker has no goroutines, so this test cannot see anything")
	}
	before := goleak.IgnoreCurrent()
	client, err := ingest.NewClient(ingest.Config{Brokers: c.brokers, Topics: []string{topic}})
	if err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, client, ingest.ProducerConfig{Topic: topic, Key: []byte("k")})
	drop := true
	remove := fake.Intercept(broker.Produce, func() broker.Action {
		drop = !drop
		return broker.Action{Drop: drop}
	})
	for range 5 {
		produceAll(t, p, 2, numbered(10))
	}
	remove()
	client.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func TestErrorsNameARemedy(t *testing.T) {
	c := newCluster(t, broker.Config{})
	client := newClient(t, ingest.Config{Brokers: c.brokers, Topics: []string{"no-such-topic"}})
	_, err := client.Topic(t.Context(), "no-such-topic")
	if e, ok := errors.AsType[*ingest.Error](err); !ok || e.Kind != ingest.Transient || e.Remedy == "" {
		t.Errorf("unknown topic: %v", err)
	}
	p := newProducer(t, client, ingest.ProducerConfig{Topic: "no-such-topic", Key: []byte("k")})
	if _, err := p.Produce(t.Context(), 1, numbered(1)); ingest.KindOf(err) != ingest.Transient || err == nil {
		t.Errorf("producing to an unknown topic: %v", err)
	}

	nobody := newClient(t, ingest.Config{Brokers: []string{"127.0.0.1:1"}, Topics: []string{"x"}, RequestTimeout: 2 * time.Second})
	_, err = nobody.Topic(t.Context(), "x")
	if e, ok := errors.AsType[*ingest.Error](err); !ok || e.Kind != ingest.Transient || e.Remedy == "" {
		t.Errorf("no broker: %v", err)
	}
}

func TestRecoversWhenTheBrokerComesLater(t *testing.T) {
	if os.Getenv("BESSD_TEST_KAFKA") != "" {
		t.Skip("needs the in-process broker")
	}
	b, err := broker.New(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	addr := b.Addrs()[0]
	b.Close()
	client := newClient(t, ingest.Config{Brokers: []string{addr}, Topics: []string{"later"}})
	p := newProducer(t, client, ingest.ProducerConfig{Topic: "later", Key: []byte("k")})
	if _, err := p.Produce(t.Context(), 1, numbered(1)); err == nil {
		t.Fatal("produced to a closed broker")
	}
	b, err = broker.New(broker.Config{Addr: addr, Topics: []broker.Topic{{Name: "later", Partitions: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	produceAll(t, p, 1, numbered(1))
}

func TestConfigValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  ingest.Config
		want string
	}{
		"no brokers":      {ingest.Config{}, "none given"},
		"no port":         {ingest.Config{Brokers: []string{"kafka"}}, "host:port"},
		"half a cert":     {ingest.Config{Brokers: []string{"k:9092"}, TLS: &ingest.TLS{CertFile: "x"}}, "key_file"},
		"mechanism":       {ingest.Config{Brokers: []string{"k:9092"}, SASL: &ingest.SASL{Mechanism: "GSSAPI", Username: "u", Password: "p"}}, "SCRAM-SHA-512"},
		"readable secret": {ingest.Config{Brokers: []string{"k:9092"}, SASL: &ingest.SASL{Mechanism: ingest.Plain, Username: "u", Password: "p"}}, "readable"},
		"no ca file":      {ingest.Config{Brokers: []string{"k:9092"}, TLS: &ingest.TLS{CAFile: "/does/not/exist"}}, "ca_file"},
	} {
		if _, err := ingest.NewClient(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q in it", name, err, tc.want)
		}
	}
	s := ingest.SASL{Mechanism: ingest.Plain, Username: "u", Password: "secret"}
	if out := fmt.Sprintf("%v %+v %#v", s, &s, s); strings.Contains(out, "secret") {
		t.Errorf("the password shows: %s", out)
	}
}
