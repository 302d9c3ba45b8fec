package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"bessd/agent/modbus"
	"bessd/bess"
	"bessd/bess/maps"
	"bessd/internal/backoff"
)

// endpoint owns one TCP connection and all units behind it. run is its only goroutine, beside one that dials.
type endpoint struct {
	cfg    Endpoint
	agent  *Agent
	log    *slog.Logger
	units  []*unit
	client *modbus.Client

	connected  bool
	dialing    chan error // not nil while a dial is under way
	dialAt     int64      // when to dial next
	worked     bool       // something was answered on this connection
	backoff    *backoff.Backoff
	quietAt    time.Time // no request before
	answeredAt time.Time
	stopped    func() bool

	steps    int64 // clock steps that the ticks know of
	repeatAt int64 // when to look for device records that are due again
	scan     bess.Scan

	requests, registers, connects atomic.Int64
}

// run polls until ctx ends; put bounds the handing over of rows and outlives ctx.
func (e *endpoint) run(ctx, put context.Context) {
	defer func() {
		if e.dialing != nil { // the library cannot be interrupted; it gives up after modbus.DialTimeout
			if <-e.dialing == nil {
				e.connected = true
			}
		}
		if e.connected {
			_ = e.client.Close()
		}
	}()
	now := e.agent.clock.now()
	for _, u := range e.units {
		u.next = tickAt(now, u.cfg.Every) + u.cfg.Every.Microseconds()
	}
	e.stopped = func() bool { return ctx.Err() != nil }
	for !e.stopped() {
		now := e.agent.clock.now()
		e.mind(now)
		e.repeat(put, now)
		u := e.nextUnit()
		if u.next <= now {
			e.startTick(put, u, now)
			continue
		}
		if e.spare(put, now, u.next) {
			continue
		}
		e.sleep(ctx, time.Duration(e.wakeAt(now, u.next)-now)*time.Microsecond)
	}
	for _, u := range e.units { // what was read is delivered; unfinished slow tiers were not due
		e.closeRows(put, u)
		e.save(u, true)
		if u.survey != nil {
			u.survey.stop()
		}
	}
}

func (e *endpoint) nextUnit() *unit {
	first := e.units[0]
	for _, u := range e.units[1:] {
		if u.next < first.next {
			first = u
		}
	}
	return first
}

// mind keeps the connection and the ticks in order.
func (e *endpoint) mind(now int64) {
	if s := e.agent.clock.steps.Load(); s != e.steps {
		e.steps = s
		for _, u := range e.units {
			u.next = tickAt(now, u.cfg.Every) + u.cfg.Every.Microseconds()
		}
	}
	if e.dialing != nil {
		select {
		case err := <-e.dialing:
			e.dialing = nil
			e.dialed(err, now)
		default:
		}
	}
	if !e.connected && e.dialing == nil && now >= e.dialAt {
		result := make(chan error, 1)
		e.dialing = result
		go func() { result <- e.client.Open() }() // waited for in dialed or at the end of run
	}
}

func (e *endpoint) dialed(err error, now int64) {
	if err != nil {
		if e.backoff.Failures() == 0 {
			e.log.Warn("endpoint cannot be reached", "err", err)
		}
		e.dialAt = now + e.backoff.Next().Microseconds()
		text := err.Error()
		for _, u := range e.units {
			u.up.Store(false)
			u.lastError.Store(&text)
		}
		return
	}
	e.connected, e.worked = true, false
	e.connects.Add(1)
	if e.cfg.PauseAfterConnect > 0 {
		e.quietAt = time.Now().Add(e.cfg.PauseAfterConnect)
	}
}

// lost notes that the connection is gone. A host that accepts and does not answer in time is alive: dial again at once.
func (e *endpoint) lost(err error, now int64) {
	e.connected = false
	if e.worked || modbus.IsTimeout(err) {
		e.dialAt = now
		return
	}
	e.dialAt = now + e.backoff.Next().Microseconds()
}

func (e *endpoint) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case err := <-e.dialing: // nil channel when there is no dial
		e.dialing = nil
		e.dialed(err, e.agent.clock.now())
	}
}

// wakeAt is when something else than the next tick has to be done.
func (e *endpoint) wakeAt(now, next int64) int64 {
	at := func(t int64) {
		if t > now { // what is due already did not fit into the time before the next tick
			next = min(next, t)
		}
	}
	if !e.connected && e.dialing == nil {
		at(max(e.dialAt, now+1))
	}
	for _, u := range e.units {
		if u.down {
			at(u.retryAt)
		}
		if u.survey == nil {
			at(u.surveyAt)
		}
	}
	return next
}

// request reads registers of a unit. Any error that is no exception has closed the connection.
func (e *endpoint) request(ctx context.Context, u *unit, fn uint8, addr uint16, n int) (regs []uint16, took time.Duration, err error) {
	if wait := time.Until(e.quietAt); wait > 0 { // asked for by the configuration, and short
		_ = backoff.Sleep(ctx, wait)
	}
	idle := time.Since(e.answeredAt)
	regs, took, err = e.ask(u, fn, addr, n)
	if err != nil && modbus.AsException(err) == nil && !modbus.IsTimeout(err) && e.worked && idle > idleLimit {
		// Some devices drop a connection that rests between two polls. That is no failure of the unit.
		if e.client.Open() == nil {
			e.connects.Add(1)
			regs, took, err = e.ask(u, fn, addr, n)
		}
	}
	if e.cfg.PauseBetweenRequests > 0 {
		e.quietAt = time.Now().Add(e.cfg.PauseBetweenRequests)
	}
	switch ex := modbus.AsException(err); {
	case err == nil:
		e.registers.Add(int64(n))
		e.worked = true
		e.backoff.Reset()
	case ex != nil:
		u.exceptions.Add(1)
		e.worked = e.worked || !ex.TargetDown()
		e.backoff.Reset()
	default:
		if modbus.IsTimeout(err) {
			u.timeouts.Add(1)
		} else {
			u.failures.Add(1)
		}
		e.lost(err, e.agent.clock.now())
	}
	return regs, took, err
}

// idleLimit is how long a connection must have rested for its loss to be put down to that.
const idleLimit = 200 * time.Millisecond

// ask sends one request.
func (e *endpoint) ask(u *unit, fn uint8, addr uint16, n int) (regs []uint16, took time.Duration, err error) {
	e.requests.Add(1)
	u.requests.Add(1)
	start := time.Now()
	regs, err = e.client.Read(uint8(u.cfg.Unit), modbus.Function(fn), addr, n)
	if err == nil || modbus.AsException(err) != nil {
		e.answeredAt = time.Now()
	}
	return regs, time.Since(start), err
}

// share is how many times the length of a failure a unit is left alone: none when it has the endpoint for itself, else
// so long that all units that do not answer cost a quarter of the time at most.
func (e *endpoint) share() int {
	if len(e.units) == 1 {
		return 0
	}
	down := 1
	for _, u := range e.units {
		if u.down {
			down++
		}
	}
	return 4 * down
}

// readBlock reads one block of the layout. alive is false when the unit is to be left alone for now.
func (e *endpoint) readBlock(ctx context.Context, u *unit, b int) (alive bool) {
	blk := &u.blocks[b]
	regs, took, err := e.request(ctx, u, blk.fn, blk.addr, blk.n)
	now := e.agent.clock.now()
	u.readAt[b], u.image[b] = u.tick, nil
	if err == nil || modbus.AsException(err) != nil {
		u.cost[b] = smooth(u.cost[b], took)
	} else {
		u.cost[b] = max(u.cost[b], took) // a slice that times out must not do so before every tick
	}
	var code uint8
	switch ex := modbus.AsException(err); {
	case err == nil:
	case ex != nil && !ex.TargetDown():
		code = ex.Code
		if u.refusal[b] != code {
			u.log.Warn("unit refuses registers; their points are absent", "err", err)
		}
		u.refusal[b] = code
		u.answered()
		u.lastUS = now
		return true
	default:
		u.fail(now, took, e.share(), err)
		return false
	}
	u.refusal[b] = 0
	u.answered()
	u.lastUS = now
	for _, c := range blk.checks {
		if regs[c.offset] != c.value {
			if !u.invalid[blk.run] {
				u.log.Warn("registers are not laid out as before; looking again", "addr", blk.addr, "found", regs[c.offset], "want", c.value)
			}
			u.invalid[blk.run], u.surveyAt = true, now
			e.forget(u, blk.run)
			return true
		}
	}
	if len(blk.checks) > 0 {
		delete(u.invalid, blk.run)
	}
	if !u.invalid[blk.run] {
		u.image[b] = regs
	}
	return true
}

// forget drops the registers of a run that is not what the layout says.
func (e *endpoint) forget(u *unit, run int) {
	for b := range u.blocks {
		if u.blocks[b].run == run {
			u.image[b] = nil
		}
	}
}

func smooth(old, now time.Duration) time.Duration {
	if old == 0 {
		return now
	}
	return old + (now-old)/4
}

// startTick begins the row of a tick: it closes what is open, reads the fast tier and delivers what is complete.
func (e *endpoint) startTick(ctx context.Context, u *unit, now int64) {
	every := u.cfg.Every.Microseconds()
	tick := tickAt(now, u.cfg.Every)
	if late := (tick - u.next) / every; late > 0 {
		u.missed.Add(late)
	}
	u.next = tick + every
	e.endSlots(ctx, u, tick)
	u.tick = tick

	for _, b := range u.own[maps.Fast] {
		u.image[b], u.readAt[b] = nil, tick
	}
	if e.connected && (!u.down || now >= u.retryAt) {
		for _, b := range u.own[maps.Fast] {
			if e.stopped() {
				return // a tick that was not read to its end yields no rows
			}
			if !e.readBlock(ctx, u, b) {
				break
			}
		}
	}
	for _, d := range u.devices {
		switch {
		case d.tiers[maps.Fast].used:
			d.finish(maps.Fast, u.image, tick, e.lastOf(u))
		case len(d.fields) == 0 && !u.known && (u.down || !e.connected):
			d.open, d.tick, d.lastUS = true, tick, tick // a placeholder: all that is known is that it does not answer
		}
	}
	if !u.down && e.connected {
		e.complete(u)
	}
	e.settle(ctx, u)
}

// lastOf is when the last answer came, seen from the current tick.
func (e *endpoint) lastOf(u *unit) int64 { return max(u.lastUS, u.tick) }

// endSlots gives up the slow tiers whose slot is over, closes the rows of the tick before and opens the new slots.
func (e *endpoint) endSlots(ctx context.Context, u *unit, tick int64) {
	var over [maps.NumTiers]bool
	for t := maps.Slow; t < maps.NumTiers; t++ {
		over[t] = slotOf(tick, u.period[t]) != u.slot[t]
		if over[t] && u.slot[t] >= 0 {
			e.abandon(u, t)
		}
	}
	e.closeRows(ctx, u)
	for t := maps.Slow; t < maps.NumTiers; t++ {
		if !over[t] {
			continue
		}
		u.slot[t], u.done[t] = slotOf(tick, u.period[t]), 0
		for _, d := range u.devices {
			d.tiers[t].done = d.id.given[t] == u.slot[t] // a layout that is gone may have filled the slot
		}
		for _, b := range u.own[t] {
			u.image[b], u.readAt[b] = nil, 0
		}
	}
}

// abandon finishes a tier with what was read of it; the rest is rejected.
func (e *endpoint) abandon(u *unit, t maps.Tier) {
	given := false
	for _, d := range u.devices {
		if !d.tiers[t].used || d.tiers[t].done {
			continue
		}
		if d.emitted == u.tick && !d.open {
			continue // its row said already that the unit does not answer
		}
		given = true
		d.finish(t, u.image, u.tick, e.lastOf(u))
	}
	if given && !u.down {
		u.abandoned.Add(1)
		for _, b := range u.own[t] {
			u.cost[b] /= 2 // one slow answer must not keep a tier out for ever
		}
	}
}

// complete finishes the tiers of devices whose blocks were all read within their slots.
func (e *endpoint) complete(u *unit) {
	for _, d := range u.devices {
		for t := maps.Slow; t < maps.NumTiers; t++ {
			if dt := &d.tiers[t]; dt.used && !dt.done && u.ready(dt, t) && (d.open || d.emitted != u.tick) {
				d.finish(t, u.image, u.tick, e.lastOf(u))
			}
		}
	}
}

// ready tells whether all blocks of a device's tier were read within the slot.
func (u *unit) ready(dt *deviceTier, t maps.Tier) bool {
	for _, b := range dt.blocks {
		if u.readAt[b] == 0 || slotOf(u.readAt[b], u.period[t]) != u.slot[t] {
			return false
		}
	}
	return true
}

// settle delivers the open rows that nothing more will be added to before the next tick.
func (e *endpoint) settle(ctx context.Context, u *unit) {
	now := e.agent.clock.now()
	next := u.next
	for _, o := range e.units { // units whose tick has come, too, are polled first; their next one counts
		at := o.next
		if at <= now {
			at += o.cfg.Every.Microseconds()
		}
		next = min(next, at)
	}
	free := time.Duration(next-now) * time.Microsecond
	for _, d := range u.devices {
		if d.open && !e.hold(u, d, free) {
			e.emit(ctx, u, d)
		}
	}
}

// hold tells whether a row has to wait for a slow tier: one that will be read before the next tick, or whose slot ends
// with this one.
func (e *endpoint) hold(u *unit, d *device, free time.Duration) bool {
	if u.down || !e.connected {
		return false
	}
	for t := maps.Slow; t < maps.NumTiers; t++ {
		dt := &d.tiers[t]
		if !dt.used || dt.done {
			continue
		}
		if slotOf(u.next, u.period[t]) != u.slot[t] {
			return true
		}
		// The blocks of a tier are read in order, so the last one that the device needs tells how long it takes.
		last := -1
		for _, b := range dt.blocks {
			if slotOf(u.readAt[b], u.period[t]) != u.slot[t] {
				last = max(last, b)
			}
		}
		var need time.Duration
		for _, b := range u.own[t][min(u.done[t], len(u.own[t])):] {
			if b <= last {
				need += max(u.cost[b], time.Millisecond)
			}
		}
		if need < free {
			return true
		}
	}
	return false
}

// closeRows delivers every open row.
func (e *endpoint) closeRows(ctx context.Context, u *unit) {
	for _, d := range u.devices {
		if d.open {
			e.emit(ctx, u, d)
		}
	}
}

// newEndpoint makes an endpoint with its units; nothing is connected yet.
func newEndpoint(a *Agent, cfg Endpoint) (*endpoint, error) {
	client, err := modbus.New(cfg.Address, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	e := &endpoint{cfg: cfg, agent: a, client: client, log: a.log.With("endpoint", cfg.Address),
		backoff: backoff.New(backoff.Config{Min: a.cfg.ReconnectMin, Max: a.cfg.ReconnectMax})}
	var errs []error
	for _, d := range cfg.Devices {
		u, err := a.newUnit(e, d)
		if err != nil {
			errs = append(errs, fmt.Errorf("device %s: %w", d.ID, err))
			continue
		}
		e.units = append(e.units, u)
	}
	return e, errors.Join(errs...)
}
