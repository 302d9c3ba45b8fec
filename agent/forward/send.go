package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"bessd/agent/spool"
	"bessd/internal/backoff"
)

// batch is what one Send carries, from whichever lane.
type batch struct {
	partitions int // at least 1, as many as the topic has or fewer
	recs       []Record
	// settle ends the batch: its first done records are acknowledged or refused.
	settle func(done int) error
}

// sendLoop sends until sendCtx ends, or until ctx has ended and memory is empty.
func (f *Forwarder) sendLoop(ctx, sendCtx context.Context) {
	retry := backoff.New(backoff.Config{Min: f.cfg.RetryMin, Max: f.cfg.RetryMax})
	for sendCtx.Err() == nil {
		b, err := f.next(ctx, sendCtx)
		if err == nil && len(b.recs) == 0 {
			return // stopping, and nothing in memory is left
		}
		if err == nil {
			err = f.send(sendCtx, b)
		}
		if err == nil {
			retry.Reset()
			continue
		}
		if retry.Wait(sendCtx) != nil {
			return
		}
	}
}

// next waits for something to send and chooses the lane: the spool while it has
// a backlog, which is older than anything in memory, else the queue. While
// stopping it returns nothing when the queue is empty, or when there is a
// backlog: then the queue belongs behind it, into the spool.
func (f *Forwarder) next(ctx, sendCtx context.Context) (batch, error) {
	for {
		stopping := ctx.Err() != nil
		b, err := f.fromSpool(sendCtx)
		spoolFails := errors.Is(err, errSpool)
		switch {
		case spoolFails: // no reason to hold back what is in memory
		case err != nil:
			return b, err
		case len(b.recs) > 0 && stopping:
			return batch{}, nil
		case len(b.recs) > 0:
			return b, nil
		}
		n, bytes, first := f.queue.waiting()
		wait := f.cfg.Linger - time.Since(first)
		switch {
		case n > 0 && (wait <= 0 || bytes >= int64(f.batchBytes) || stopping):
			b, err := f.fromQueue(sendCtx)
			if err != nil || len(b.recs) > 0 {
				return b, err
			}
			continue // the syncer was faster
		case stopping:
			return batch{}, nil
		case n == 0 && spoolFails:
			wait = time.Second
		case n == 0:
			wait = time.Hour
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-f.queue.arrived:
		case <-ctx.Done():
		case <-sendCtx.Done():
			timer.Stop()
			return batch{}, sendCtx.Err()
		}
		timer.Stop()
	}
}

// errSpool marks the errors of reading the spool.
var errSpool = errors.New("reading the spool")

// fromSpool is the backlog's oldest batch, empty when there is no backlog.
func (f *Forwarder) fromSpool(ctx context.Context) (batch, error) {
	f.mu.Lock()
	backlog := f.backlog
	f.backlog = false // set again by whoever appends from here on
	f.mu.Unlock()
	if !backlog {
		return batch{}, nil
	}
	sb, err := f.spool.Read(0, f.batchBytes)
	if err != nil || len(sb.Records) > 0 {
		f.mu.Lock()
		f.backlog = true
		f.mu.Unlock()
	}
	if err != nil {
		f.spoolState(err)
		return batch{}, fmt.Errorf("%w: %w", errSpool, err)
	}
	if len(sb.Records) == 0 {
		return batch{}, nil
	}
	now, err := f.partitions(ctx)
	if err != nil {
		return batch{}, err
	}
	count := sb.Partitions
	if count == 0 || count > now { // unknown then, or the topic was made anew with fewer
		count = now
	}
	return batch{partitions: count, recs: sb.Records, settle: func(done int) error {
		positions := make([]spool.Position, done)
		for i := range positions {
			positions[i] = sb.Records[i].Position
		}
		return f.ack(positions)
	}}, nil
}

// fromQueue is the oldest batch in memory.
func (f *Forwarder) fromQueue(ctx context.Context) (batch, error) {
	partitions, err := f.partitions(ctx)
	if err != nil {
		return batch{}, err
	}
	entries, count := f.queue.take(f.batchBytes, partitions)
	b := batch{partitions: count, settle: func(done int) error {
		return f.ack(f.queue.settle(entries, done))
	}}
	for _, e := range entries {
		b.recs = append(b.recs, e.rec)
	}
	return b, nil
}

// partitions asks for the topic's partition count and remembers it for the spool.
func (f *Forwarder) partitions(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.SendTimeout)
	defer cancel()
	n, err := f.producer.Partitions(ctx)
	if err == nil && n < 1 {
		err = errors.New("the topic has no partitions")
	}
	if err != nil {
		f.count(func(s *Stats) { s.Retries++ })
		f.linkState(err)
		return 0, err
	}
	f.mu.Lock()
	f.lastCount = n
	f.mu.Unlock()
	return n, nil
}

// send sends b once and settles what it can.
func (f *Forwarder) send(ctx context.Context, b batch) error {
	payloads := make([][]byte, len(b.recs))
	for i := range b.recs {
		payloads[i] = b.recs[i].Payload
	}
	sendCtx, cancel := context.WithTimeout(ctx, f.cfg.SendTimeout)
	sent, err := f.producer.Send(sendCtx, b.partitions, payloads)
	cancel()
	if err == nil && sent.Done < len(payloads) {
		err = fmt.Errorf("only %d of %d messages were settled", sent.Done, len(payloads))
	}
	f.count(func(s *Stats) {
		s.Sends++
		s.Acked += int64(sent.Done - len(sent.Rejected))
		if err != nil {
			s.Retries++
		}
	})
	f.adapt(err)
	f.linkState(err)
	var refused []Record
	for _, i := range sent.Rejected {
		refused = append(refused, b.recs[i])
	}
	f.lose(Refused, refused, sent.Reason)
	if serr := b.settle(sent.Done); serr != nil {
		f.spoolState(serr)
		return errors.Join(err, serr)
	}
	return err
}

// minBatchBytes is what a batch shrinks to on a bad link.
const minBatchBytes = 8 << 10

// adapt halves the batch when a link is so slow that a whole one does not get
// through in time, and lets it grow again with success.
func (f *Forwarder) adapt(err error) {
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case ok && timeout.Timeout():
		f.batchBytes = max(f.batchBytes/2, min(minBatchBytes, f.cfg.BatchBytes))
	case err == nil && f.batchBytes < f.cfg.BatchBytes:
		f.batchBytes = min(f.batchBytes+f.batchBytes/4, f.cfg.BatchBytes)
	}
}
