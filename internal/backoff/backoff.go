package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Config says how long to wait between attempts.
type Config struct {
	// Min is the wait after the first failure; default 100 ms.
	Min time.Duration
	// Max bounds every wait; default 10 s. It is also how late a recovery can be noticed.
	Max time.Duration
}

// Backoff is the state of one retry loop. It is not safe for concurrent use.
type Backoff struct {
	cfg  Config
	next time.Duration
	n    int
}

// New returns a Backoff at its start. Zero fields of cfg take their defaults;
// a Max below Min is raised to Min.
func New(cfg Config) *Backoff {
	if cfg.Min <= 0 {
		cfg.Min = 100 * time.Millisecond
	}
	if cfg.Max <= 0 {
		cfg.Max = 10 * time.Second
	}
	cfg.Max = max(cfg.Max, cfg.Min)
	return &Backoff{cfg: cfg, next: cfg.Min}
}

// Next returns how long to wait before the next attempt, between half and all
// of the current step, and moves to the next step.
func (b *Backoff) Next() time.Duration {
	step := b.next
	b.n++
	b.next = min(2*b.next, b.cfg.Max)
	half := step / 2
	return half + rand.N(step-half+1)
}

// Reset returns to the first step; call it after a success.
func (b *Backoff) Reset() {
	b.next = b.cfg.Min
	b.n = 0
}

// Failures is the number of waits since the last Reset.
func (b *Backoff) Failures() int { return b.n }

// Wait sleeps for Next. It returns early with the context's error when ctx ends.
func (b *Backoff) Wait(ctx context.Context) error {
	return Sleep(ctx, b.Next())
}

// Sleep waits for d, or returns the context's error as soon as ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
