package process

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"bessd/bess"
	"bessd/bess/wire"
	"bessd/internal/backoff"
)

// Archive writes partitions of one topic into the lake, every scan once.
type Archive struct {
	cfg    Config
	log    *slog.Logger
	src    Source
	lake   Lake
	ledger Ledger
	lookup RowLookup
	stats  *counters
	twins  *twins
}

// New gives an Archive. lookup may be nil: repeated scans beyond the window of payload hashes then count as unchecked.
func New(cfg Config, src Source, lake Lake, ledger Ledger, lookup RowLookup, log *slog.Logger) (*Archive, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("archive configuration: %w", err)
	}
	log = log.With("component", "archive")
	return &Archive{cfg: cfg, log: log, src: src, lake: lake, ledger: ledger, lookup: lookup, stats: newCounters(), twins: newTwins(log)}, nil
}

// Stats tells what the archive did and is doing. Safe for concurrent use.
func (a *Archive) Stats() Stats {
	s := a.stats.snapshot()
	s.Twins = a.twins.list()
	return s
}

// Run archives until ctx ends; then it commits what it has taken in, within the grace period, and returns nil. What it
// could not commit is read again by the next start. Troubles of the source and the lake are waited out. An error means
// that another process commits for one of the partitions: nothing is lost, and a new Run finds out where to go on.
func (a *Archive) Run(ctx context.Context) error {
	for {
		readers, in, gaps, err := a.recover(ctx)
		if errors.Is(err, errReplaced) {
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		return a.serve(ctx, readers, in, gaps)
	}
}

// serve reads and flushes until ctx ends or a flush meets an error that waiting does not cure.
func (a *Archive) serve(ctx context.Context, readers []*reader, in *intake, gaps []bess.OffsetRange) error {
	// What is begun is finished: flushes live on for the grace period.
	flushCtx, stopFlush := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFlush()
	defer context.AfterFunc(ctx, func() {
		t := time.AfterFunc(a.cfg.Grace, stopFlush)
		context.AfterFunc(flushCtx, func() { t.Stop() })
	})()
	readCtx, stopReaders := context.WithCancel(ctx)

	batches := make(chan batch)
	work := make(chan *section, 1) // one at a time: the loop hands over only when the one before is done
	done := make(chan error, 1)
	var wg sync.WaitGroup
	for _, r := range readers {
		wg.Go(func() { a.read(readCtx, r, batches) })
	}
	wg.Go(func() {
		for s := range work {
			done <- a.flush(flushCtx, s, nil)
		}
	})
	defer wg.Wait()
	defer close(work)
	defer stopReaders()

	f := &filler{a: a, in: in, cur: newSection(), gaps: gaps, timer: time.NewTimer(time.Hour)}
	defer f.timer.Stop()
	var flushing *section
	finish := func(err error) error {
		if err != nil {
			return err
		}
		flushing.settle()
		flushing.reset()
		f.spare, flushing = flushing, nil
		in.dedup.evict(time.Now())
		return nil
	}
	for {
		switch {
		case ctx.Err() != nil:
			stopReaders()
			return a.stop(f, flushing, work, done, finish)
		case f.waiting && flushing == nil:
			flushing = f.hand()
			work <- flushing
			continue
		case !f.waiting && f.more():
			if err := f.take(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			continue
		}
		f.report()
		next := batches
		if f.waiting { // back-pressure: the readers stop at the batch that they hold
			next = nil
		}
		select {
		case f.rest = <-next:
		case <-f.timer.C:
			f.waiting = f.waiting || !f.cur.empty()
		case err := <-done:
			if err := finish(err); err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
}

// stop commits what is there, as far as the grace period allows.
func (a *Archive) stop(f *filler, flushing *section, work chan<- *section, done <-chan error, finish func(error) error) error {
	if flushing != nil {
		if err := finish(<-done); err != nil {
			return a.unfinished(err)
		}
	}
	if f.cur.empty() {
		return nil
	}
	a.stats.handOver(int64(f.cur.scans.Values()))
	work <- f.cur
	return a.unfinished(<-done)
}

// unfinished is what remains of an error at a stop: running out of time loses nothing.
func (a *Archive) unfinished(err error) error {
	if errors.Is(err, context.Canceled) {
		a.log.Warn("stopped before everything was committed; the next start reads it again", "err", err)
		return nil
	}
	return err
}

// read is the life of one reader: it fetches ahead by one batch and waits out troubles.
func (a *Archive) read(ctx context.Context, r *reader, out chan<- batch) {
	for {
		var b batch
		err := a.retry(ctx, fmt.Sprintf("reading partition %d of %s", r.partition, a.cfg.Topic), func(ctx context.Context) (err error) {
			b, err = r.fetch(ctx)
			return err
		})
		if err != nil {
			return // only the end of ctx ends retry
		}
		if !b.reset {
			high := b.fetched.HighWatermark
			a.stats.partition(r.partition, func(p *PartitionStats) { p.High = high })
			if len(b.fetched.Messages) == 0 {
				continue
			}
		}
		select {
		case out <- b:
		case <-ctx.Done():
			return
		}
	}
}

// retry repeats f until it succeeds, ctx ends or f fails in a way that waiting does not cure. The first failure is
// logged, then one a minute, then the recovery.
func (a *Archive) retry(ctx context.Context, what string, f func(context.Context) error) error {
	wait := backoff.New(backoff.Config{Max: 5 * time.Second})
	var began, logged time.Time
	for {
		err := f(ctx)
		if err == nil {
			if n := wait.Failures(); n > 0 {
				a.log.Info("it works again", "what", what, "tries", n+1, "after", time.Since(began).Round(time.Millisecond))
			}
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w (last failure: %w)", what, ctx.Err(), err)
		}
		if fenced(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
		now := time.Now()
		if began.IsZero() {
			began = now
		}
		if now.Sub(logged) >= logEvery {
			logged = now
			a.log.Warn("trying again", "what", what, "tries", wait.Failures()+1, "err", err)
		}
		if err := wait.Wait(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// fenced tells that somebody else commits for one of our partitions.
func fenced(err error) bool {
	var f interface{ Fenced() bool }
	return errors.As(err, &f) && f.Fenced()
}

func (a *Archive) newIntake(d *dedup) *intake {
	return &intake{
		log: a.log, dec: wire.NewDecoder(), dedup: d, lookup: a.lookup, budget: budget{share: a.cfg.LookupShare},
		derivers: map[*bess.Plan]*bess.Deriver{}, seed: maphash.MakeSeed(), logged: map[string]time.Time{}, stats: a.stats,
	}
}
