package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"bessd/internal/obs"
	"bessd/internal/run"
)

// onTheWay is the stage that stops once central has taken in everything that the agents have recorded. A central of its
// own does not wait: what stays in Kafka is there when it comes back. The demo's broker goes away with it, and who stops a
// demo wants to look at the tables. drainLimit bounds the wait.
const (
	onTheWay   = "messages on the way"
	drainLimit = 10 * time.Second
	drainEvery = 20 * time.Millisecond
)

// drainStage stops after the agents' devices, so that nothing new comes, and before their forwarders, which leave a
// backlog in the spool when they stop.
func (d *demo) drainStage(log *slog.Logger) run.Stage {
	return run.Stage{Name: onTheWay, Parts: []run.Part{{Name: onTheWay, Run: func(ctx context.Context) error {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(run.Draining(ctx), drainLimit)
		defer cancel()
		left, err := drain(ctx, d.waiting)
		d.left.Store(left)
		if left > 0 {
			log.Warn("the tables miss the last messages; they are kept for the next start", obs.Count, left, obs.Err, err)
		}
		return nil
	}}}}
}

// drain asks until nothing waits or ctx ends, and gives what was left, with the last error of asking.
func drain(ctx context.Context, waiting func(context.Context) (int64, error)) (left int64, err error) {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		n, werr := waiting(ctx)
		if werr == nil {
			if left, err = n, nil; left == 0 {
				return 0, nil
			}
		} else if ctx.Err() == nil {
			left, err = max(left, 1), werr // unknown is not nothing
		}
		select {
		case <-ctx.Done():
			return max(left, 1), err
		case <-tick.C:
		}
	}
}

// waiting counts the records that are in memory, in a spool, or in Kafka beyond what central has taken in. The log is
// asked for its end: central knows only the one of its last fetch.
func (d *demo) waiting(ctx context.Context) (int64, error) {
	var n int64
	for _, a := range d.agents { // in the order in which records move
		n += int64(a.forward.Stats().Queued)
		n += int64(a.spool.Stats().Records)
	}
	archive, partitions := d.central.current()
	for p := range partitions {
		_, end, err := d.central.consumer.Offsets(ctx, p)
		if err != nil {
			return 0, fmt.Errorf("asking for the end of the topic: %w", err)
		}
		n += max(0, end-archive.Stats().Partitions[p].Next.Offset)
	}
	return n, nil
}
