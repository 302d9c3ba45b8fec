package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"bessd/agent/spool"
	"bessd/internal/backoff"
)

// Forwarder carries records to Kafka. Put and Stats are safe for concurrent
// use; Run is called once.
type Forwarder struct {
	cfg      Config
	producer Producer
	spool    Spool
	queue    *queue

	// Owned by the sending goroutine.
	batchBytes int

	mu    sync.Mutex
	stats Stats
	// lastCount is the topic's partition count as last seen, 0 before.
	lastCount int
	// backlog says that the spool may hold something to send.
	backlog bool
}

// New returns a forwarder; records are taken at once and move when Run runs.
// The caller closes p and s after Run has returned.
func New(cfg Config, p Producer, s Spool) *Forwarder {
	cfg = cfg.withDefaults()
	return &Forwarder{
		cfg: cfg, producer: p, spool: s, queue: newQueue(), batchBytes: cfg.BatchBytes,
		stats: Stats{LinkUp: true}, backlog: true,
	}
}

// Put takes a record over. It never blocks. When memory is full, which needs
// both Kafka and the disk to refuse, the oldest record goes and OnLoss hears of it.
func (f *Forwarder) Put(rec Record) error {
	rec.At, rec.Position = time.Now(), 0
	dropped, err := f.queue.put(rec, int64(f.cfg.QueueBytes))
	if err != nil {
		return err
	}
	f.count(func(s *Stats) { s.Taken++ })
	if len(dropped) > 0 {
		f.lose(QueueFull, dropped, errors.New("memory is full and the spool takes nothing"))
	}
	return nil
}

// Stats returns the figures for a heartbeat.
func (f *Forwarder) Stats() Stats {
	f.mu.Lock()
	out := f.stats
	f.mu.Unlock()
	out.Queued, out.QueuedBytes, out.Oldest = f.queue.stats()
	return out
}

func (f *Forwarder) count(fn func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(&f.stats)
}

// Run moves records until ctx ends. Then Put refuses, what is in memory is sent
// for at most Grace, and the rest goes to the spool. The error says how many
// records that failed for; they are lost and reported.
func (f *Forwarder) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	syncCtx, stopSync := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSync()
	wg.Go(func() { f.syncLoop(syncCtx) })

	// The sender outlives ctx by the grace: a batch under way is not cut.
	sendCtx, stopSend := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSend()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		f.sendLoop(ctx, sendCtx)
	}()

	<-ctx.Done()
	f.queue.close()
	grace := time.NewTimer(f.cfg.Grace)
	defer grace.Stop()
	select {
	case <-sent:
	case <-grace.C:
	}
	stopSend()
	<-sent
	stopSync()
	wg.Wait()
	return f.sweepUp()
}

// sweepUp moves what is left in memory to the spool, for good.
func (f *Forwarder) sweepUp() error {
	err := f.sync()
	if err == nil {
		return nil
	}
	recs := f.queue.drain()
	f.lose(QueueFull, recs, err)
	return fmt.Errorf("stopping with %d messages that neither Kafka nor the disk took: %w", len(recs), err)
}

// syncLoop writes to the spool what Kafka has not acknowledged in time.
func (f *Forwarder) syncLoop(ctx context.Context) {
	retry := backoff.New(backoff.Config{Min: f.cfg.Sync, Max: max(f.cfg.Sync, 5*time.Second)})
	timer := time.NewTimer(f.cfg.Sync)
	defer timer.Stop()
	for {
		wait := f.cfg.Sync
		if due, ok := f.queue.due(f.cfg.Sync); ok {
			wait = time.Until(due)
		}
		if wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-f.queue.urgent:
			case <-timer.C:
				continue // look again: it may be acknowledged by now
			}
		}
		if err := f.sync(); err != nil {
			if retry.Wait(ctx) != nil {
				return
			}
			continue
		}
		retry.Reset()
	}
}

// sync writes everything that is in memory only to the spool.
func (f *Forwarder) sync() error {
	runs := f.queue.unsynced()
	for i, run := range runs {
		if err := f.syncRun(run); err != nil {
			for _, rest := range runs[i+1:] {
				f.queue.synced(rest, 0)
			}
			f.spoolState(err)
			return err
		}
		f.spoolState(nil)
	}
	return nil
}

func (f *Forwarder) syncRun(run []*entry) error {
	recs := make([]spool.Record, len(run))
	for i, e := range run {
		recs[i] = e.rec
	}
	partitions := run[0].partitions
	if partitions == 0 {
		f.mu.Lock()
		partitions = f.lastCount
		f.mu.Unlock()
	}
	first, err := f.spool.Append(partitions, recs)
	if err != nil {
		f.queue.synced(run, 0)
		return err
	}
	f.mu.Lock()
	f.stats.Spooled += int64(len(run))
	f.stats.Syncs++
	f.backlog = true
	f.mu.Unlock()
	acks := f.queue.synced(run, first)
	poke(f.queue.arrived) // the sender may be asleep before an empty queue
	return f.ack(acks)
}

// ack tells the spool that single positions are settled, in runs.
func (f *Forwarder) ack(positions []spool.Position) error {
	for i := 0; i < len(positions); {
		j := i + 1
		for j < len(positions) && positions[j] == positions[j-1]+1 {
			j++
		}
		if err := f.spool.Ack(positions[i], positions[j-1]); err != nil {
			return err
		}
		i = j
	}
	return nil
}

func (f *Forwarder) lose(reason spool.Reason, recs []Record, err error) {
	if len(recs) == 0 {
		return
	}
	f.count(func(s *Stats) { s.Lost += int64(len(recs)) })
	loss := spool.NewLoss(reason, recs)
	loss.Err = err
	if f.cfg.OnLoss != nil {
		f.cfg.OnLoss(loss)
	}
}

// spoolState keeps the disk's trouble for Stats and logs when it changes.
func (f *Forwarder) spoolState(err error) {
	f.mu.Lock()
	before := f.stats.SpoolErr
	f.stats.SpoolErr = err
	f.mu.Unlock()
	switch {
	case before == nil && err != nil:
		f.cfg.Log.Error("the spool takes nothing; records stay in memory", "component", "forward", "err", err)
	case before != nil && err == nil:
		f.cfg.Log.Info("the spool works again", "component", "forward")
	}
}

// linkState keeps the link's trouble for Stats and logs when it changes.
func (f *Forwarder) linkState(err error) {
	f.mu.Lock()
	before := f.stats.LinkErr
	f.stats.LinkErr, f.stats.LinkUp = err, err == nil
	f.mu.Unlock()
	switch {
	case before == nil && err != nil:
		f.cfg.Log.Warn("Kafka does not take messages; they go to the spool", "component", "forward", "err", err)
	case before != nil && err == nil:
		f.cfg.Log.Info("Kafka takes messages again", "component", "forward")
	}
}
