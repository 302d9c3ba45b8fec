package agent

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"bessd/bess"
	"bessd/bess/wire"
)

// emit hands a device's open row to the sink, with a device record before it when that has news.
func (e *endpoint) emit(ctx context.Context, u *unit, d *device) {
	a := e.agent
	s := &e.scan
	if err := d.fill(s); err != nil {
		d.open = false
		u.log.Error("no plan for device", "device", d.id.path, "err", err)
		return
	}
	s.Site, s.Epoch, s.Seq = a.cfg.Site, a.epoch, d.id.seq.Load()+1
	if steps := a.clock.steps.Load(); steps != d.steps {
		d.steps = steps
		s.Flags |= bess.ClockStepped
	}
	if cause, ok := d.news(a.clock.now()); ok {
		e.announce(ctx, u, d, cause)
	}
	err := a.put(ctx, Record{Kind: KindScan, Device: s.Device, Epoch: s.Epoch, Seq: s.Seq, TickUS: s.TS, Data: wire.AppendScan(nil, s)})
	d.id.seq.Store(s.Seq) // after Put: a heartbeat never names a seq that comes behind it
	if err != nil {
		a.lose(bess.DroppedRange{Device: s.Device, Epoch: s.Epoch, FirstSeq: s.Seq, LastSeq: s.Seq, Reason: "not_taken"}, err)
		return
	}
	a.scans.Add(1)
	a.values.Add(int64(s.PresentValues()))
	if s.Quality == bess.Bad {
		a.bad.Add(1)
	}
}

// announce sends a device record.
func (e *endpoint) announce(ctx context.Context, u *unit, d *device, cause string) {
	a := e.agent
	r := bess.DeviceRecord{
		Site: a.cfg.Site, Device: d.id.path, Kind: d.kind, Epoch: a.epoch, Rec: a.rec.Add(1), TS: a.clock.now(), Cause: cause,
		Parent: d.parent, Endpoint: e.cfg.Address, UnitID: int64(u.cfg.Unit), Plan: d.plan, NotImplemented: d.notImplemented(),
		Identity: d.ident, Nameplate: d.nameplate,
	}
	if r.Parent == "" && (d.kind == bess.Rack || d.kind == bess.Module || d.kind == bess.DC) { // others may have a place before them
		if i := strings.LastIndexByte(d.id.path, '/'); i > 0 {
			r.Parent = d.id.path[:i]
		}
	}
	err := a.put(ctx, Record{Kind: KindDevice, Device: r.Device, Epoch: r.Epoch, Seq: r.Rec, TickUS: r.TS, Data: wire.AppendDevice(nil, &r)})
	if err != nil {
		a.lost.Add(1)
		d.told.at = 0 // tell it again with the next row
	}
}

// repeat sends device records that are due again.
func (e *endpoint) repeat(ctx context.Context, now int64) {
	if now < e.repeatAt {
		return
	}
	e.repeatAt = now + time.Second.Microseconds()
	for _, u := range e.units {
		for _, d := range u.devices {
			if d.told.at > 0 && now-d.told.at >= e.agent.cfg.RecordEvery.Microseconds() {
				d.telling(now)
				e.announce(ctx, u, d, "hourly")
			}
		}
	}
}

// saveEvery bounds how often what is known of a unit is written.
const saveEvery = 5_000_000 // microseconds

// save keeps what is known of the unit when it changed.
func (e *endpoint) save(u *unit, force bool) {
	now := e.agent.clock.now()
	if !u.known || !force && now-u.savedAt < saveEvery {
		return
	}
	u.savedAt = now
	b := u.marshal()
	if b == nil || bytes.Equal(b, u.saved) {
		return
	}
	if err := e.agent.opt.State.Put(u.key(), b); err != nil {
		u.log.Error("keeping what is known of the unit", "err", err)
		return
	}
	u.saved = b
}

// event sends an agent event; the caller sets what is special about it.
func (a *Agent) event(ctx context.Context, ev bess.AgentEvent) error {
	ev.Site, ev.Epoch, ev.Rec, ev.TS, ev.Version, ev.Host = a.cfg.Site, a.epoch, a.rec.Add(1), a.clock.now(), a.opt.Version, a.opt.Host
	if a.opt.Spool != nil {
		st := a.opt.Spool()
		ev.SpoolRecords, ev.SpoolBytes = st.Records, st.Bytes
	}
	err := a.put(ctx, Record{Kind: KindEvent, Epoch: ev.Epoch, Seq: ev.Rec, TickUS: ev.TS, Data: wire.AppendEvent(nil, &ev)})
	if err != nil {
		a.lost.Add(1)
	}
	return err
}

func (a *Agent) heartbeat(ctx context.Context) error {
	return a.event(ctx, bess.AgentEvent{Kind: bess.EventHeartbeat, LastSeq: a.lastSeqs()})
}

func (a *Agent) lastSeqs() []bess.DeviceSeq {
	a.mu.Lock()
	defer a.mu.Unlock()
	seqs := make([]bess.DeviceSeq, 0, len(a.devices))
	for path, id := range a.devices {
		if n := id.seq.Load(); n > 0 {
			seqs = append(seqs, bess.DeviceSeq{Device: path, Seq: n})
		}
	}
	slices.SortFunc(seqs, func(x, y bess.DeviceSeq) int { return strings.Compare(x.Device, y.Device) })
	return seqs
}

// reportDropped sends what was given up since the last report; what cannot be sent is kept for the next.
func (a *Agent) reportDropped(ctx context.Context) {
	a.mu.Lock()
	ranges := a.dropped
	a.dropped = nil
	a.mu.Unlock()
	if len(ranges) == 0 {
		return
	}
	if err := a.event(ctx, bess.AgentEvent{Kind: bess.EventDropped, Dropped: ranges}); err != nil {
		a.Dropped(ranges...)
	}
}

// lose notes a scan that the sink refused.
func (a *Agent) lose(r bess.DroppedRange, err error) {
	if a.lost.Add(1)%1000 == 1 {
		a.log.Error("a scan could not be taken; it will be reported as dropped", "device", r.Device, "seq", r.FirstSeq, "err", err)
	}
	a.Dropped(r)
}
