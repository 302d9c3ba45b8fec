package backoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNextGrowsWithinBounds(t *testing.T) {
	b := New(Config{Min: 100 * time.Millisecond, Max: time.Second})
	for i, step := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		step *= time.Millisecond
		if d := b.Next(); d < step/2 || d > step {
			t.Errorf("wait %d is %v, want between %v and %v", i, d, step/2, step)
		}
	}
	if b.Failures() != 6 {
		t.Errorf("failures %d, want 6", b.Failures())
	}
	b.Reset()
	if d := b.Next(); d > 100*time.Millisecond || b.Failures() != 1 {
		t.Errorf("after Reset the first wait is %v (failures %d)", d, b.Failures())
	}
}

func TestMaxBelowMinIsRaised(t *testing.T) {
	b := New(Config{Min: time.Second, Max: time.Millisecond})
	if d := b.Next(); d < time.Second/2 {
		t.Errorf("first wait %v ignores Min", d)
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := New(Config{Min: time.Hour, Max: time.Hour}).Wait(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Wait returned %v after %v", err, time.Since(start))
		}
		start = time.Now()
		if err := New(Config{Min: time.Minute}).Wait(t.Context()); err != nil || time.Since(start) < 30*time.Second {
			t.Errorf("Wait returned %v after %v", err, time.Since(start))
		}
	})
}
