package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"bessd/agent"
	"bessd/agent/forward"
	"bessd/agent/spool"
	"bessd/bess"
	"bessd/config"
	"bessd/ingest"
	"bessd/internal/obs"
	"bessd/internal/run"
)

// agentNode is an agent with everything below it:
//
//	agent -> forward.Forwarder -> ingest.Producer
//	  |            +-> spool.Spool
//	  +-> spool.State (epoch, layouts)
type agentNode struct {
	site    string
	dir     *dataDir
	state   *spool.State
	spool   *spool.Spool
	client  *ingest.Client
	forward *forward.Forwarder
	agent   *agent.Agent
	losses  *lossQueue
	metrics *obs.Metrics
	health  *obs.Health
}

// newAgentNode opens what an agent needs on disk and builds its parts; nothing is connected yet.
func newAgentNode(c *config.Agent, log *slog.Logger) (n *agentNode, err error) {
	log = log.With(obs.Site, c.Site)
	n = &agentNode{site: c.Site, losses: newLossQueue(log)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.dir, err = openDataDir(c.DataDir, "agent", "data_dir"); err != nil {
		return n, err
	}
	if n.state, err = spool.OpenState(n.dir.sub("agent.db")); err != nil {
		return n, fmt.Errorf("opening the agent's memory: %w", err)
	}
	if aside := n.state.SetAside(); aside != "" {
		log.Error("the agent's memory was damaged and set aside; layouts are learned anew", "file", aside)
	}
	n.spool, err = spool.Open(spool.Config{
		Dir: n.dir.sub("spool"), SegmentBytes: int64(c.Spool.SegmentBytes), MaxBytes: int64(c.Spool.MaxBytes), MaxAge: c.Spool.MaxAge,
		OnLoss: n.losses.put,
	})
	if err != nil {
		return n, fmt.Errorf("opening the spool: %w", err)
	}
	if n.client, err = ingest.NewClient(kafkaConfig(c.Kafka)); err != nil {
		return n, usageError{err}
	}
	producer, err := ingest.NewProducer(n.client, ingest.ProducerConfig{Topic: c.Kafka.Topic, Key: []byte(c.Site)})
	if err != nil {
		return n, err
	}
	n.forward = forward.New(forward.Config{
		Sync: c.Spool.SyncEvery, OnLoss: n.losses.put, Log: log,
	}, producerAdapter{producer}, n.spool)
	host, _ := os.Hostname()
	n.agent, err = agent.New(agentConfig(c), agent.Options{
		Sink: sinkAdapter{n.forward}, State: stateAdapter{n.state}, Spool: n.waiting,
		Log: log.With(obs.Component, "agent"), Version: version(), Host: host,
	})
	if err != nil {
		return n, usageError{err}
	}
	n.health = obs.NewHealth()
	n.health.Check("kafka", func() error { return n.forward.Stats().LinkErr })
	n.health.Check("spool", func() error { return n.forward.Stats().SpoolErr })
	return n, n.measure()
}

// stages lists the agent's parts from the disk up: they stop from the devices down. serve may be nil.
func (n *agentNode) stages(serve *obs.Server) []run.Stage {
	disk := run.Stage{Name: n.site + ": disk", Parts: []run.Part{run.Closer("agent data", n.close)}}
	if serve != nil {
		disk.Parts = append(disk.Parts, run.Part{Name: "http", Run: serve.Run})
	}
	return []run.Stage{
		disk,
		{Name: n.site + ": forwarder", Parts: []run.Part{{Name: "forwarder", Run: n.forward.Run}}},
		{Name: n.site + ": devices", Parts: []run.Part{
			{Name: "agent", Run: n.agent.Run},
			{Name: "losses", Run: func(ctx context.Context) error { return n.losses.run(ctx, n.agent) }},
		}},
	}
}

// waiting is what heartbeats tell about records that are not delivered.
func (n *agentNode) waiting() agent.SpoolStats {
	s, f := n.spool.Stats(), n.forward.Stats()
	return agent.SpoolStats{Records: int64(s.Records + f.Queued), Bytes: s.Bytes + f.QueuedBytes}
}

// close releases what newAgentNode opened; parts that were not opened are skipped.
func (n *agentNode) close() error {
	var errs []error
	if n.client != nil {
		n.client.Close()
	}
	if n.spool != nil {
		errs = append(errs, n.spool.Close())
	}
	if n.state != nil {
		errs = append(errs, n.state.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.close())
	}
	return errors.Join(errs...)
}

// measure adds the agent's figures to a registry of its own.
func (n *agentNode) measure() error {
	n.metrics = obs.NewMetrics(map[string]string{"site": n.site})
	var errs []error
	counter := func(pkg, what, unit, help string, read func() int64) {
		errs = append(errs, n.metrics.Counter(pkg, what, unit, help, nil, func() float64 { return float64(read()) }))
	}
	gauge := func(pkg, what, unit, help string, read func() float64) {
		errs = append(errs, n.metrics.Gauge(pkg, what, unit, help, nil, read))
	}
	a, f, s := n.agent.Stats, n.forward.Stats, n.spool.Stats
	gauge("agent", "devices", "", "Known devices.", func() float64 { return float64(a().Devices) })
	gauge("agent", "units_up", "", "Modbus units that answered last time.", func() float64 {
		up := 0
		for _, u := range a().Units {
			if u.Up {
				up++
			}
		}
		return float64(up)
	})
	counter("agent", "scans", "", "Scans taken.", func() int64 { return a().Scans })
	counter("agent", "bad_scans", "", "Scans of devices that did not answer.", func() int64 { return a().BadScans })
	counter("agent", "values", "", "Values in scans.", func() int64 { return a().Values })
	counter("agent", "requests", "", "Modbus requests.", func() int64 { return a().Requests })
	counter("agent", "registers", "", "Modbus registers read.", func() int64 { return a().Registers })
	counter("agent", "missed_ticks", "", "Ticks that were not polled in time.", func() int64 { return a().MissedTicks })
	counter("agent", "reconnects", "", "Connections made again.", func() int64 { return a().Reconnects })
	counter("agent", "lost_records", "", "Records that could not be taken.", func() int64 { return a().Lost })
	gauge("forward", "queued", "records", "Records in memory.", func() float64 { return float64(f().Queued) })
	gauge("forward", "link_up", "", "1 when Kafka took the last batch.", func() float64 { return map[bool]float64{true: 1}[f().LinkUp] })
	counter("forward", "acked", "records", "Records acknowledged by Kafka.", func() int64 { return f().Acked })
	counter("forward", "spooled", "records", "Records written to the spool.", func() int64 { return f().Spooled })
	counter("forward", "retries", "", "Sends that failed.", func() int64 { return f().Retries })
	counter("forward", "lost", "records", "Records refused or dropped from memory.", func() int64 { return f().Lost })
	gauge("spool", "waiting", "records", "Records on disk that are not delivered.", func() float64 { return float64(s().Records) })
	gauge("spool", "size", "bytes", "Size of the spool's files.", func() float64 { return float64(s().Bytes) })
	gauge("spool", "oldest_age", "seconds", "Age of the oldest record that is not delivered.", func() float64 {
		if o := s().Oldest; !o.IsZero() {
			return time.Since(o).Seconds()
		}
		return 0
	})
	counter("spool", "lost", "records", "Records dropped from disk.", func() int64 { return s().Lost })
	return errors.Join(errs...)
}

// sinkAdapter gives the agent's records to the forwarder.
type sinkAdapter struct{ f *forward.Forwarder }

var _ agent.Sink = sinkAdapter{}

func (s sinkAdapter) Put(_ context.Context, r agent.Record) error {
	return s.f.Put(forward.Record{
		Meta:    spool.Meta{Device: r.Device, Epoch: uint64(r.Epoch), Seq: uint64(r.Seq), Tick: time.UnixMicro(r.TickUS)},
		Payload: r.Data,
	})
}

// stateAdapter gives the agent its memory.
type stateAdapter struct{ s *spool.State }

var _ agent.State = stateAdapter{}

func (s stateAdapter) Get(key string) ([]byte, error) {
	v, _ := s.s.Get(key)
	return v, nil
}

func (s stateAdapter) Put(key string, value []byte) error { return s.s.Put(key, value) }

// producerAdapter gives the forwarder its way to Kafka.
type producerAdapter struct{ p *ingest.Producer }

var _ forward.Producer = producerAdapter{}

func (a producerAdapter) Partitions(ctx context.Context) (int, error) { return a.p.Partitions(ctx) }

func (a producerAdapter) Send(ctx context.Context, partitions int, payloads [][]byte) (forward.Sent, error) {
	res, err := a.p.Produce(ctx, partitions, payloads)
	sent := forward.Sent{Done: res.Done}
	for _, r := range res.Rejected {
		sent.Rejected = append(sent.Rejected, r.Index)
		sent.Reason = r.Err
	}
	return sent, err
}

// lossQueue carries reports of lost records from the spool and the forwarder, which must not wait, to the agent, which
// tells them in an event. It holds those that come before the agent exists.
type lossQueue struct {
	log  *slog.Logger
	wake chan struct{} // one slot

	mu     sync.Mutex
	ranges []bess.DroppedRange
}

func newLossQueue(log *slog.Logger) *lossQueue {
	return &lossQueue{log: log, wake: make(chan struct{}, 1)}
}

// lossReason translates to the words of bess.DroppedRange.
func lossReason(r spool.Reason) string {
	switch r {
	case spool.OverBytes:
		return "spool_bytes"
	case spool.OverAge:
		return "spool_age"
	case spool.Damaged, spool.Quarantined:
		return "spool_damaged"
	case forward.Refused:
		return "message_too_large"
	}
	return string(r)
}

func (q *lossQueue) put(l spool.Loss) {
	q.log.Error("records are lost", "reason", l.Reason, obs.Count, l.Records, obs.Bytes, l.Bytes, "file", l.File, obs.Err, l.Err)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range l.Ranges {
		q.ranges = append(q.ranges, bess.DroppedRange{
			Device: r.Device, Epoch: int64(r.Epoch), FirstSeq: int64(r.First), LastSeq: int64(r.Last), Reason: lossReason(l.Reason),
		})
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *lossQueue) run(ctx context.Context, a *agent.Agent) error {
	for {
		q.mu.Lock()
		ranges := q.ranges
		q.ranges = nil
		q.mu.Unlock()
		if len(ranges) > 0 {
			a.Dropped(ranges...)
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}
