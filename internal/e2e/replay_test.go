//go:build integration && judges

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bessd/bess/wire"
	"bessd/ingest"
	"bessd/internal/testenv"
)

// replay is one way to send the same messages again.
type replay struct {
	name       string
	partitions int
	archive    string // central's archive section
	pieces     int    // in which the messages are sent, with a pause after each
	pause      time.Duration
	// order arranges the streams, each in order of its numbers, into one sequence.
	order func(*rand.Rand, [][]message) []message
}

var replays = []replay{
	{"between-devices", 3, "{flush_every: 1s, flush_bytes: 1MiB}", 24, 500 * time.Millisecond, interleave},
	{"within-devices", 1, "{flush_every: 2s, flush_bytes: 1MiB}", 10, 700 * time.Millisecond, shuffle},
}

// TestReplayShuffled polls three sites of 23 devices each, and then sends the topic's messages again to two other
// topics: shuffled between devices, and also within them; with one in twenty repeated; with other partition counts.
// Each time a central of its own cuts other flushes. All three lakes must hold the same rows and the same merged rollups.
func TestReplayShuffled(t *testing.T) {
	c := newChain(t, chainOptions{flush: "7s", partitions: 2})
	yaml := "sites:\n"
	var agents []*part
	sites := []string{"alfa", "bravo", "charlie"}
	for _, site := range sites {
		p := port(t)
		yaml += fmt.Sprintf("  - {id: %s, port: %d, racks: 4, modules_per_rack: 4, cells_per_module: 52, speed: 20}\n", site, p)
		agents = append(agents, c.agent("agent-"+site, site, fmt.Sprintf(
			"  - address: 127.0.0.1:%d\n    devices:\n      - {id: bank1, unit: 1, map: sunspec, every: 1s, tiers: {slow: 1s, cells: 2s}}\n"+
				"      - {id: pcs1, unit: 2, map: sunspec, every: 1s}\n      - {id: meter1, unit: 3, map: sunspec, every: 1s}\n", p), ""))
	}
	sim := c.part("sim", "sim", yaml)
	sim.start()
	for _, a := range agents {
		a.start()
	}
	central := c.central()
	central.start()
	c.wait(35*time.Second, "enough to shuffle")
	for _, a := range agents {
		a.stop()
	}
	sim.stop()
	c.caughtUp(central)
	central.stop()

	all := readTopic(t, c.client(t, topic), topic)
	py := c.judges(t)
	first := c.exactlyOnce(t, py, "")
	c.rollups(t, py)
	if len(first.Epochs) < 20 {
		t.Fatalf("%d devices, want 20 or more", len(first.Epochs))
	}
	for i, r := range replays {
		t.Run(r.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(20261126, uint64(i)))
			again := c.replayed(t, r)
			central := again.replayCentral(r)
			central.start()
			sequence := r.order(rnd, streams(all))
			again.send(t, r, sequence)
			again.caughtUp(central)
			central.stop()

			n := again.exactlyOnce(t, py, "")
			if n.Rows != first.Rows || len(n.Epochs) != len(first.Epochs) {
				t.Errorf("%d rows of %d epochs, the first time %d of %d", n.Rows, len(n.Epochs), first.Rows, len(first.Epochs))
			}
			again.rollups(t, py)
			var same struct {
				Rows, Figures, Records int
				Flushes                [2]int
				Differences            []string
			}
			py.JSON(t, &same, "same_lake.py", c.lake, again.lake)
			for _, d := range same.Differences {
				t.Error(d)
			}
			if min(same.Flushes[0], same.Flushes[1]) < 3 {
				t.Errorf("flushes that committed telemetry: %v, want 3 or more in each lake", same.Flushes)
			}
			t.Logf("%d messages, sent again as %d: %d rows, %d records and %d figures of merged rollups are equal; flushes %v",
				len(all), len(sequence), same.Rows, same.Records, same.Figures, same.Flushes)
		})
	}
}

// replayed is the chain with another lake and central behind another topic of the same broker.
func (c *chain) replayed(t *testing.T, r replay) *chain {
	again := *c
	again.t, again.lake, again.http = t, "s3://"+c.s3.Bucket+"/"+r.name, testenv.FreeAddr(t)
	c.kafka.CreateTopic(t, replayTopic(r), r.partitions, nil)
	return &again
}

func replayTopic(r replay) string { return "replay." + r.name }

// replayCentral makes the central of a replayed chain.
func (c *chain) replayCentral(r replay) *part {
	name := "central-" + r.name
	return c.part(name, "central", fmt.Sprintf(`
data_dir: %s
kafka: {brokers: [%q], topic: %s}
store:
  url: %s
  s3: {endpoint: %q, region: %s, path_style: true, credentials: files, access_key_file: access-key, secret_key_file: secret-key}
archive: %s
http: {listen: %q}
`, c.subdir(name), c.kafka.Addr, replayTopic(r), c.lake, c.s3.Endpoint, c.s3.Region, r.archive, c.http))
}

// client is a client of the broker for one topic.
func (c *chain) client(t *testing.T, topic string) *ingest.Client {
	t.Helper()
	client, err := ingest.NewClient(ingest.Config{Brokers: []string{c.kafka.Addr}, Topics: []string{topic}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// message is one Kafka message and the stream it belongs to: a device's scans, or a site's records.
type message struct {
	site, device string
	value        []byte
}

// readTopic reads every message that a topic holds, partition by partition.
func readTopic(t *testing.T, client *ingest.Client, name string) []message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	consumer, err := ingest.NewConsumer(client, ingest.ConsumerConfig{Topic: name})
	if err != nil {
		t.Fatal(err)
	}
	partitions, err := consumer.Partitions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var all []message
	decoder := wire.NewDecoder()
	for p := range partitions {
		next, end, err := consumer.Offsets(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		for next < end {
			f, err := consumer.Fetch(ctx, p, next)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range f.Messages {
				device := ""
				e, err := decoder.Decode(m.Value)
				if err != nil {
					t.Fatalf("message %d of partition %d: %v", m.Offset, p, err)
				}
				if e.Arm == wire.ArmScan {
					device = e.Scan.Device
				}
				all = append(all, message{string(m.Key), device, m.Value})
			}
			next = f.Next
		}
	}
	return all
}

// streams sorts messages by the stream they belong to; within one they stay in order.
func streams(all []message) [][]message {
	type key struct{ site, device string }
	at := map[key]int{}
	var out [][]message
	for _, m := range all {
		k := key{m.site, m.device}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], m)
	}
	return out
}

// interleave mixes the streams, keeps the order within each, and repeats one message in twenty some time later.
func interleave(rnd *rand.Rand, streams [][]message) []message {
	var turns []int
	for i, s := range streams {
		for range s {
			turns = append(turns, i)
		}
	}
	rnd.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	next := make([]int, len(streams))
	var out []message
	for _, i := range turns {
		out = append(out, streams[i][next[i]])
		next[i]++
		if rnd.IntN(20) == 0 {
			out = append(out, out[rnd.IntN(len(out))])
		}
	}
	return out
}

// shuffle keeps no order at all; one message in twenty is there twice.
func shuffle(rnd *rand.Rand, streams [][]message) []message {
	out := interleave(rnd, streams)
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// send produces the sequence piece by piece. Within a piece and a site it keeps the order.
func (c *chain) send(t *testing.T, r replay, sequence []message) {
	t.Helper()
	client := c.client(t, replayTopic(r))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	producers := map[string]*ingest.Producer{}
	for i := range r.pieces {
		values := map[string][][]byte{}
		for _, m := range sequence[len(sequence)*i/r.pieces : len(sequence)*(i+1)/r.pieces] {
			values[m.site] = append(values[m.site], m.value)
		}
		for _, site := range slices.Sorted(maps.Keys(values)) {
			v := values[site]
			p, err := producers[site], error(nil)
			if p == nil {
				if p, err = ingest.NewProducer(client, ingest.ProducerConfig{Topic: replayTopic(r), Key: []byte(site)}); err != nil {
					t.Fatal(err)
				}
				producers[site] = p
			}
			testenv.Await(t, 15*time.Second, func() error { // a new topic's leaders may need a moment
				out, err := p.Produce(ctx, r.partitions, v)
				if len(out.Rejected) > 0 {
					t.Fatalf("the broker rejected %d messages of %s: %v", len(out.Rejected), site, out.Rejected[0].Err)
				}
				v = v[out.Done:]
				return err
			})
		}
		c.wait(r.pause, "so that the pieces meet several flushes")
	}
}
