package agent

import (
	"sync/atomic"
	"time"
)

// clock is the agent's time in microseconds UTC: the wall clock at its start carried on by the monotonic clock, so that
// a tick never depends on what somebody does to the wall clock between two looks at it. Safe for concurrent use.
type clock struct {
	start time.Time // with its monotonic reading
	base  atomic.Int64
	steps atomic.Int64 // how often the wall clock stepped
}

// stepLimit is the difference from which on the wall clock has stepped; smaller ones are followed slowly.
const stepLimit = 500 * time.Millisecond

func newClock() *clock {
	c := &clock{start: time.Now()}
	c.base.Store(c.start.UnixMicro())
	return c
}

func (c *clock) now() int64 { return c.at(time.Now()) }

// at is the clock's time at a moment, which needs its monotonic reading.
func (c *clock) at(t time.Time) int64 { return c.base.Load() + t.Sub(c.start).Microseconds() }

// follow compares with the wall clock, which read wallUS at the moment now, and returns how far it stepped, 0 for no
// step. Both must be of the same moment: whatever lies between them would be taken for a step.
func (c *clock) follow(now time.Time, wallUS int64) (stepUS int64) {
	d := wallUS - c.at(now)
	if d > stepLimit.Microseconds() || d < -stepLimit.Microseconds() {
		c.base.Add(d)
		c.steps.Add(1)
		return d
	}
	c.base.Add(d / 8)
	return 0
}

// tickAt is the last tick of a period at or before t.
func tickAt(t int64, period time.Duration) int64 { return slotOf(t, period) * period.Microseconds() }

// slotOf is the number k of the slot [kP, (k+1)P) that holds t.
func slotOf(t int64, period time.Duration) int64 {
	p := period.Microseconds()
	k := t / p
	if t%p < 0 {
		k--
	}
	return k
}
