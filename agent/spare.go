package agent

import (
	"context"
	"errors"
	"reflect"
	"time"

	"bessd/agent/modbus"
	"bessd/agent/sunspec"
	"bessd/bess/maps"
)

// margin is what is left free before a tick when a slice is begun.
const margin = time.Millisecond

// spare does one thing in the free time before the next tick: a slice of a slow tier, the one whose slot ends first, else
// a step of a discovery. It reports false when there is nothing to do that fits.
func (e *endpoint) spare(ctx context.Context, now, next int64) bool {
	for _, u := range e.units {
		e.save(u, false)
	}
	if !e.connected {
		return false
	}
	free := time.Duration(next-now) * time.Microsecond
	var best *unit
	var tier maps.Tier
	var deadline int64
	for _, u := range e.units {
		if u.tick == 0 || u.down && now < u.retryAt {
			continue
		}
		for t := maps.Slow; t < maps.NumTiers; t++ {
			end := (u.slot[t] + 1) * u.period[t].Microseconds()
			if e.fits(u, t, free) && (best == nil || end < deadline) {
				best, tier, deadline = u, t, end
			}
		}
	}
	if best != nil {
		e.slice(ctx, best, tier)
		return true
	}
	for _, u := range e.units {
		if e.surveyDue(u, now) && min(u.surveyCost, u.cfg.Every/2)+margin <= free {
			e.step(ctx, u)
			return true
		}
	}
	return false
}

// fits tells whether the next block of a tier may be read now: it will be done before the next tick, and it does not
// complete a device whose row of this tick is gone.
func (e *endpoint) fits(u *unit, t maps.Tier, free time.Duration) bool {
	if u.slot[t] < 0 || u.done[t] >= len(u.own[t]) {
		return false
	}
	b := u.own[t][u.done[t]]
	if u.cost[b]+margin > free {
		return false
	}
	for _, user := range u.users[b] {
		d, dt := user.dev, &user.dev.tiers[user.tier]
		if d.open || dt.done || d.emitted != u.tick {
			continue
		}
		last := true
		for _, other := range dt.blocks {
			last = last && (other == b || u.readAt[other] != 0 && slotOf(u.readAt[other], u.period[user.tier]) == u.slot[user.tier])
		}
		if last {
			return false
		}
	}
	return true
}

// slice reads the next block of a slow tier and delivers what it completes.
func (e *endpoint) slice(ctx context.Context, u *unit, t maps.Tier) {
	b := u.own[t][u.done[t]]
	if !e.readBlock(ctx, u, b) {
		u.readAt[b] = 0 // to be read again when the unit is back within the slot
		return
	}
	u.done[t]++
	e.complete(u)
	e.settle(ctx, u)
}

// surveyDue tells whether a discovery of the unit has something to do.
func (e *endpoint) surveyDue(u *unit, now int64) bool {
	switch {
	case u.static != nil || u.down && now < u.retryAt:
		return false
	case u.survey != nil:
		return true
	}
	return u.surveyAt > 0 && now >= u.surveyAt
}

// step runs one request of a discovery.
func (e *endpoint) step(ctx context.Context, u *unit) {
	if u.survey == nil {
		u.survey, u.surveyAt = startSurvey(e.agent.facts), 0
	}
	s := u.survey
	if s.ask == nil {
		e.surveyed(ctx, u)
		return
	}
	regs, took, err := e.request(ctx, u, uint8(modbus.Holding), s.ask.addr, s.ask.n)
	if ex := modbus.AsException(err); err == nil || ex != nil && !ex.TargetDown() {
		u.surveyCost = smooth(u.surveyCost, took)
		if !u.known {
			u.answered()
		}
	} else {
		u.fail(e.agent.clock.now(), took, e.share(), err)
	}
	if s.answer(regs, err); s.ask == nil {
		e.surveyed(ctx, u)
	}
}

// surveyed takes the result of a discovery over.
func (e *endpoint) surveyed(ctx context.Context, u *unit) {
	s, now := u.survey, e.agent.clock.now()
	s.stop()
	u.survey = nil
	switch {
	case errors.Is(s.err, sunspec.ErrNoSunSpec):
		u.fail(now, 0, e.share(), s.err)
		u.surveyAt = now + e.agent.cfg.ProbeMax.Microseconds()
		return
	case s.err != nil:
		u.surveyAt = now + 1
		if u.known {
			u.surveyAt = now + e.agent.cfg.ProbeMax.Microseconds()
		}
		return
	}
	u.surveyAt = now + e.agent.cfg.RecordEvery.Microseconds()
	if u.known && sameChain(u.chain, s.chain) {
		return
	}
	for _, w := range s.chain.Warnings {
		u.log.Warn("SunSpec discovery", "warning", w)
	}
	e.closeRows(ctx, u)
	before := u.state()
	u.chain = s.chain
	layout, warnings := sunspec.Build(u.chain, u.sunspecRoot(), e.agent.facts, e.agent.rules)
	for _, w := range warnings {
		u.log.Warn("SunSpec layout", "warning", w)
	}
	u.adopt(layout, e.cfg.MaxRegisters, e.agent)
	u.recall(&before)
	u.log.Info("SunSpec models found", "models", len(u.chain.Models), "devices", len(u.devices), "requests", len(u.blocks))
}

func sameChain(a, b *sunspec.Chain) bool {
	return a != nil && b != nil && a.Base == b.Base && reflect.DeepEqual(a.Models, b.Models)
}
