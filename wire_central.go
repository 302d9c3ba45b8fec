package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"bessd/bess"
	"bessd/config"
	"bessd/ingest"
	"bessd/internal/backoff"
	"bessd/internal/obs"
	"bessd/internal/run"
	"bessd/process"
	"bessd/store"
	"bessd/store/blob"
	"bessd/store/fsdir"
	"bessd/store/s3"
	"bessd/store/tables"
)

// centralNode is a central with everything below it:
//
//	ingest.Consumer -> process.Archive -> tables.Lake -> store.Lake -> s3 or fsdir
type centralNode struct {
	cfg      *config.Central
	log      *slog.Logger
	dir      *dataDir
	client   *ingest.Client
	consumer *ingest.Consumer
	opened   *store.Lake
	lake     *tables.Lake
	metrics  *obs.Metrics
	health   *obs.Health

	mu         sync.Mutex
	archive    *process.Archive
	partitions int // that it has
}

// newCentralNode opens the tables and finds the topic. It waits for Kafka and the store as long as the configuration
// says, and tells at once what only a person can correct.
func newCentralNode(ctx context.Context, c *config.Central, log *slog.Logger) (n *centralNode, err error) {
	n = &centralNode{cfg: c, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.dir, err = openDataDir(c.DataDir, "central", "data_dir"); err != nil {
		return n, err
	}
	start, cancel := context.WithTimeout(ctx, c.StartWait)
	defer cancel()
	if n.client, err = ingest.NewClient(kafkaConfig(c.Kafka)); err != nil {
		return n, usageError{err}
	}
	if n.consumer, err = ingest.NewConsumer(n.client, ingest.ConsumerConfig{Topic: c.Kafka.Topic}); err != nil {
		return n, err
	}
	if err = patiently(start, log, "looking for the topic", n.findTopic, ingestPasses); err != nil {
		return n, err
	}
	if err = n.openLake(start); err != nil {
		return n, err
	}
	partitions, err := n.consumer.Partitions(start)
	if err != nil {
		return n, err
	}
	if err = n.newArchive(partitions); err != nil {
		return n, err
	}
	n.health = obs.NewHealth()
	n.health.Check("store", func() error {
		if f := n.stats().Flush.Failing; f != "" {
			return errors.New(f)
		}
		return nil
	})
	return n, n.measure()
}

// findTopic makes sure of the topic, creating it when the configuration says so.
func (n *centralNode) findTopic(ctx context.Context) error {
	t := n.cfg.CreateTopic
	if t == nil {
		_, err := n.client.Topic(ctx, n.cfg.Kafka.Topic)
		return err
	}
	_, err := n.client.EnsureTopic(ctx, ingest.TopicSpec{
		Name: n.cfg.Kafka.Topic, Partitions: t.Partitions, Replication: t.Replication,
		Config: map[string]string{"retention.ms": strconv.FormatInt(t.Retention.Milliseconds(), 10)},
	})
	return err
}

func ingestPasses(err error) bool { return ingest.KindOf(err) == ingest.Transient }

// patiently repeats f while its error may pass and ctx lives, and then returns the last error rather than ctx's.
func patiently(ctx context.Context, log *slog.Logger, what string, f func(context.Context) error, passes func(error) bool) error {
	wait := backoff.New(backoff.Config{Min: 250 * time.Millisecond, Max: 5 * time.Second})
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !passes(err) || wait.Wait(ctx) != nil {
			return fmt.Errorf("%s: %w", what, last)
		}
		if wait.Failures() == 1 {
			log.Warn(what+": waiting", obs.Err, err)
		}
	}
}

// openBackend opens the object store of a configuration. A directory is made where create says so.
func openBackend(c config.Store, create bool) (store.Backend, error) {
	if dir := c.Dir(); dir != "" {
		if create {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, dataDirError(dir, "store.url", err)
			}
		} else if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("there is no directory %s; correct the URL", dir)
		}
		return fsdir.Open(dir)
	}
	bucket, prefix := c.Bucket()
	return s3.Open(s3.Config{
		Bucket: bucket, Prefix: prefix, Endpoint: c.S3.Endpoint, Region: c.S3.Region, PathStyle: c.S3.PathStyle,
		Credentials: s3.Credentials(c.S3.Credentials), AccessKeyFile: c.S3.AccessKeyFile, SecretKeyFile: c.S3.SecretKeyFile,
	})
}

// checker is a store that can be tried before it is used.
type checker interface {
	Check(ctx context.Context) error
}

// openLake tries the store, creates the tables that are missing and empties the stage.
func (n *centralNode) openLake(ctx context.Context) error {
	b, err := openBackend(n.cfg.Store, true)
	if err != nil {
		return err
	}
	if c, ok := b.(checker); ok {
		if err := patiently(ctx, n.log, "trying the store", c.Check, blob.IsTransient); err != nil {
			return err
		}
	}
	n.opened, err = store.Open(ctx, b, store.Config{
		StageDir: n.dir.sub("stage"), StageBytes: int64(n.cfg.Archive.StageBytes), Engine: "bessd/" + version(),
		Log: n.log.With(obs.Component, "store"),
	}, tables.Specs())
	if err != nil {
		return err
	}
	n.lake = tables.New(n.opened)
	return nil
}

// newArchive makes the archive of all partitions of the topic.
func (n *centralNode) newArchive(partitions int) error {
	cfg := process.DefaultConfig()
	cfg.Topic = n.cfg.Kafka.Topic
	cfg.FlushAge, cfg.FlushBytes = n.cfg.Archive.FlushEvery, int64(n.cfg.Archive.FlushBytes)
	for p := range partitions {
		cfg.Partitions = append(cfg.Partitions, p)
	}
	a, err := process.New(cfg, sourceAdapter{n.consumer}, lakeAdapter{n.lake}, n.lake, n.lake, n.log)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.archive, n.partitions = a, partitions
	return nil
}

// stages lists central's parts from the disk up. serve may be nil.
func (n *centralNode) stages(serve *obs.Server) []run.Stage {
	disk := run.Stage{Name: "central: disk", Parts: []run.Part{run.Closer("central data", n.close)}}
	if serve != nil {
		disk.Parts = append(disk.Parts, run.Part{Name: "http", Run: serve.Run})
	}
	return []run.Stage{disk, {Name: "central: archive", Grace: time.Minute, Parts: []run.Part{{Name: "archive", Run: n.run}}}}
}

// partitionsEvery is how often central looks whether the topic has grown.
const partitionsEvery = time.Minute

// run archives until ctx ends. When the topic grows, it stops in order and goes on with all partitions.
func (n *centralNode) run(ctx context.Context) error {
	for {
		a, have := n.current()
		actx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- a.Run(actx) }()
		grown, err := n.watch(ctx, have, done)
		stop()
		if grown == 0 {
			return err
		}
		if err := <-done; err != nil {
			return err
		}
		n.log.Info("the topic has grown", "partitions", grown, "before", have)
		if err := n.newArchive(grown); err != nil {
			return err
		}
	}
}

// watch waits until the archive ends, whose error it gives, or the topic has more partitions, whose count it gives.
func (n *centralNode) watch(ctx context.Context, have int, done <-chan error) (grown int, err error) {
	tick := time.NewTicker(partitionsEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return 0, err
		case <-tick.C: // an error is not ours: the archive tells about a cluster that is away
			if now, err := n.consumer.Partitions(ctx); err == nil && now > have {
				return now, nil
			}
		}
	}
}

func (n *centralNode) current() (a *process.Archive, partitions int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.archive, n.partitions
}

func (n *centralNode) stats() process.Stats {
	a, _ := n.current()
	return a.Stats()
}

// lag is how many messages wait in Kafka.
func lag(s process.Stats) int64 {
	var sum int64
	for _, p := range s.Partitions {
		sum += p.Lag()
	}
	return sum
}

func (n *centralNode) close() error {
	if n.client != nil {
		n.client.Close()
	}
	if n.dir != nil {
		return n.dir.close()
	}
	return nil
}

// measure adds central's figures to a registry of its own.
func (n *centralNode) measure() error {
	n.metrics = obs.NewMetrics(nil)
	var errs []error
	counter := func(what, unit, help string, read func(process.Stats) int64) {
		errs = append(errs, n.metrics.Counter("process", what, unit, help, nil, func() float64 { return float64(read(n.stats())) }))
	}
	gauge := func(what, unit, help string, read func(process.Stats) float64) {
		errs = append(errs, n.metrics.Gauge("process", what, unit, help, nil, func() float64 { return read(n.stats()) }))
	}
	type stats = process.Stats
	counter("messages", "", "Messages taken in.", func(s stats) int64 { return s.Messages })
	counter("scans", "", "Scans accepted.", func(s stats) int64 { return s.Scans })
	counter("records", "", "Device records and agent events accepted.", func(s stats) int64 { return s.Records })
	counter("values", "", "Values in accepted scans.", func(s stats) int64 { return s.Values })
	counter("duplicates", "", "Messages seen before.", func(s stats) int64 { return s.Duplicates })
	counter("duplicates_unchecked", "", "Messages seen before whose content could not be compared.", func(s stats) int64 { return s.Unchecked })
	counter("conflicts", "", "Messages with the name of another and other content.", func(s stats) int64 { return s.Conflicts })
	counter("generations", "", "Topics found to be another than before.", func(s stats) int64 { return s.Generations })
	counter("gaps", "", "Runs of messages that Kafka had lost.", func(s stats) int64 { return s.Gaps })
	counter("flushes", "", "Flushes committed.", func(s stats) int64 { return s.Flush.Count })
	counter("flush_failures", "", "Tries of a flush that failed and were repeated.", func(s stats) int64 { return s.Flush.Failures })
	counter("rows", "", "Rows of telemetry committed.", func(s stats) int64 { return s.Flush.Rows })
	counter("files", "", "Files committed.", func(s stats) int64 { return s.Flush.Files })
	counter("written", "bytes", "Bytes of committed files.", func(s stats) int64 { return s.Flush.Bytes })
	gauge("lag", "messages", "Messages that wait in Kafka.", func(s stats) float64 { return float64(lag(s)) })
	gauge("twins", "", "Devices read by two agents at once.", func(s stats) float64 { return float64(len(s.Twins)) })
	gauge("staged", "bytes", "Bytes on local disk that are not committed.", func(stats) float64 { return float64(n.opened.Staged().Bytes) })
	gauge("section", "bytes", "Memory of the section that fills.", func(s stats) float64 { return float64(s.Section.Bytes) })
	gauge("commit_age", "seconds", "Time since the last commit.", func(s stats) float64 {
		if s.Flush.LastAt.IsZero() {
			return 0
		}
		return time.Since(s.Flush.LastAt).Seconds()
	})
	dead := []string{"decode", "clock", "conflict", "unknown_arm", "identity"}
	for _, reason := range dead {
		errs = append(errs, n.metrics.Counter("process", "dead_letters", "", "Messages that could not become rows.",
			map[string]string{"reason": reason}, func() float64 { return float64(n.stats().DeadLetters[reason]) }))
	}
	return errors.Join(errs...)
}

// sourceAdapter gives the archive its log.
type sourceAdapter struct{ c *ingest.Consumer }

var _ process.Source = sourceAdapter{}

func (a sourceAdapter) Fetch(ctx context.Context, partition int, offset int64) (process.Fetched, error) {
	f, err := a.c.Fetch(ctx, partition, offset)
	if err != nil {
		return process.Fetched{}, err
	}
	out := process.Fetched{Next: f.Next, HighWatermark: f.HighWatermark, Messages: slices.Grow([]process.Message(nil), len(f.Messages))}
	for _, m := range f.Messages {
		out.Messages = append(out.Messages, process.Message{Offset: m.Offset, TimeUS: m.Time.UnixMicro(), Key: m.Key, Value: m.Value})
	}
	return out, nil
}

func (a sourceAdapter) Bounds(ctx context.Context, partition int) (start, end int64, err error) {
	return a.c.Offsets(ctx, partition)
}

// lakeAdapter gives the archive its tables.
type lakeAdapter struct{ l *tables.Lake }

var (
	_ process.Lake      = lakeAdapter{}
	_ process.Ledger    = (*tables.Lake)(nil)
	_ process.RowLookup = (*tables.Lake)(nil)
)

func (a lakeAdapter) Positions(ctx context.Context, topic string, t bess.Table) (map[int]bess.Position, error) {
	return a.l.Positions(ctx, topic, t)
}

func (a lakeAdapter) Stage(ctx context.Context, f *bess.Flush, t bess.Table) (process.Staged, error) {
	s, err := a.l.Stage(ctx, f, t)
	if err != nil {
		return nil, err // not a nil *Staged in an interface
	}
	return s, nil
}
