package agent

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestBusyHeartIsNoClockStep holds up the goroutine that watches the wall clock, as a spool on slow flash does: a ticker
// hands over the time at which it should have fired, and the clock must not take the delay for a step.
func TestBusyHeartIsNoClockStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func() SpoolStats { time.Sleep(700 * time.Millisecond); return SpoolStats{} }
		sink := &inbox{}
		a := &Agent{cfg: Config{Site: "alfa", HeartbeatEvery: time.Second}, opt: Options{Sink: sink, Spool: slow},
			log: slog.New(slog.DiscardHandler), clock: newClock(), devices: map[string]*identity{}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		a.beat(ctx, t.Context())
		if n := a.clock.steps.Load(); n != 0 {
			t.Errorf("%d steps of a clock that nobody touched", n)
		}
		if d := a.clock.now() - time.Now().UnixMicro(); d != 0 {
			t.Errorf("the clock is off by %d us", d)
		}
	})
}
