package process

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"time"

	"bessd/bess"
	"bessd/bess/wire"
)

// Reasons of dead letters.
const (
	reasonDecode     = "decode"
	reasonUnknownArm = "unknown_arm"
	reasonIdentity   = "identity"
	reasonClock      = "clock"
	reasonConflict   = "conflict"
)

// earliestUS is 2000-01-01: a tick before it comes from a clock that was never set.
const earliestUS = 946684800 * 1e6

// latestUS is 2200-01-01: beyond it no clock is believed, whatever the record time says.
const latestUS = 7258118400 * 1e6

// logEvery is how often a failure that goes on is logged again.
const logEvery = time.Minute

// futureUS is how far a tick may lie after its record time.
const futureUS = 24 * 3600 * 1e6

// maxDerivers bounds the remembered derivers; a decoder remembers fewer plans.
const maxDerivers = 8192

// intake turns messages into rows of a section. It is owned by one goroutine.
type intake struct {
	log      *slog.Logger
	dec      *wire.Decoder
	dedup    *dedup
	lookup   RowLookup // may be nil
	budget   budget    // of the lookups
	derivers map[*bess.Plan]*bess.Deriver
	derived  bess.Scan
	seed     maphash.Seed
	logged   map[string]time.Time // by reason of dead letters
	stats    *counters
}

// add takes in the next message of a partition. A message never makes it fail; the ledger may, when a sequence has to be
// looked up: then nothing has changed and the same call may be repeated.
func (in *intake) add(ctx context.Context, s *section, sp *span, m *Message, now time.Time) error {
	e, err := in.dec.Decode(m.Value)
	if err != nil {
		reason := reasonDecode
		switch {
		case errors.Is(err, wire.ErrUnknownArm):
			reason = reasonUnknownArm
		case errors.Is(err, wire.ErrIdentity):
			reason = reasonIdentity
		}
		in.bury(s, sp, m, bess.DeadLetter{Reason: reason, Detail: err.Error()}, now)
		return nil
	}
	switch e.Arm {
	case wire.ArmScan:
		return in.scan(ctx, s, sp, m, e.Scan, now)
	case wire.ArmDevice:
		return in.device(ctx, s, sp, m, e.Device, now)
	case wire.ArmEvent:
		return in.event(ctx, s, sp, m, e.Event, now)
	}
	in.bury(s, sp, m, bess.DeadLetter{Reason: reasonUnknownArm, Detail: fmt.Sprintf("arm %d", e.Arm)}, now)
	return nil
}

func (in *intake) scan(ctx context.Context, s *section, sp *span, m *Message, sc *bess.Scan, now time.Time) error {
	if why := clockProblem(sc.TS, m.TimeUS); why != "" {
		in.bury(s, sp, m, bess.DeadLetter{Reason: reasonClock, Detail: why, Site: sc.Site, Device: sc.Device}, now)
		return nil
	}
	k := streamKey{sc.Site, sc.Device, sc.Epoch}
	st, err := in.dedup.stream(ctx, k, now)
	if err != nil {
		return err
	}
	t := s.count(k, sp.Partition, st)
	v := st.add(sc.Seq, in.hash(m), in.dedup.window)
	if v == unchecked {
		v = in.compareStored(ctx, sc)
	}
	if v != fresh {
		in.again(s, sp, m, t, v, k, sc.Device, sc.Seq, now)
		return nil
	}
	t.seqs.Add(sc.Seq)
	if t.firstTS == 0 || sc.TS < t.firstTS {
		t.firstTS = sc.TS
	}
	t.lastTS = max(t.lastTS, sc.TS)
	if int(sc.Quality) < len(t.quality) {
		t.quality[sc.Quality]++
	}
	in.dedup.twins.see(k, sc.TS, now)
	s.scans.Append(in.derive(sc), lateS(sc.TS, m.TimeUS))
	in.stats.scans.Add(1)
	return nil
}

// again deals with a message whose name is known.
func (in *intake) again(s *section, sp *span, m *Message, t *tally, v verdict, k streamKey, device string, number int64, now time.Time) {
	if v == conflict {
		t.conflicts++
		in.stats.conflicts.Add(1)
		in.bury(s, sp, m, bess.DeadLetter{Reason: reasonConflict, Site: k.site, Device: device,
			Detail: fmt.Sprintf("epoch %d, number %d: known with another payload, the first is kept", k.epoch, number)}, now)
		return
	}
	if v == unchecked {
		in.stats.unchecked.Add(1)
	}
	t.duplicates++
	in.stats.duplicates.Add(1)
}

// lookupLimit is how long one comparison with the lake may take.
const lookupLimit = 2 * time.Second

// compareStored asks the lake about a duplicate whose payload is no longer remembered, as long as the budget allows it:
// the lake may be slow, and nothing else is taken in meanwhile.
func (in *intake) compareStored(ctx context.Context, sc *bess.Scan) verdict {
	began := time.Now()
	if in.lookup == nil || !in.budget.ready(began) {
		return unchecked
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	same, err := in.lookup.Matches(ctx, sc)
	in.budget.spend(time.Since(began))
	switch {
	case err != nil:
		in.log.Debug("a repeated scan could not be compared with the stored one", "site", sc.Site, "device", sc.Device, "seq", sc.Seq, "err", err)
		return unchecked
	case same:
		return duplicate
	}
	return conflict
}

func (in *intake) device(ctx context.Context, s *section, sp *span, m *Message, r *bess.DeviceRecord, now time.Time) error {
	ok, err := in.record(ctx, s, sp, m, r.Site, r.Device, r.Epoch, r.Rec, r.TS, now)
	if ok {
		s.device = append(s.device, *r)
	}
	return err
}

func (in *intake) event(ctx context.Context, s *section, sp *span, m *Message, e *bess.AgentEvent, now time.Time) error {
	ok, err := in.record(ctx, s, sp, m, e.Site, "", e.Epoch, e.Rec, e.TS, now)
	if ok {
		s.events = append(s.events, *e)
	}
	return err
}

// record checks and deduplicates a device record or an agent event, which share one sequence per site and epoch.
func (in *intake) record(ctx context.Context, s *section, sp *span, m *Message, site, device string, epoch, rec, ts int64, now time.Time) (ok bool, err error) {
	if why := clockProblem(ts, m.TimeUS); why != "" {
		in.bury(s, sp, m, bess.DeadLetter{Reason: reasonClock, Detail: why, Site: site, Device: device}, now)
		return false, nil
	}
	k := streamKey{site, "", epoch}
	st, err := in.dedup.stream(ctx, k, now)
	if err != nil {
		return false, err
	}
	t := s.count(k, sp.Partition, st)
	if v := st.add(rec, in.hash(m), in.dedup.window); v != fresh {
		in.again(s, sp, m, t, v, k, device, rec, now)
		return false, nil
	}
	t.seqs.Add(rec)
	s.other += int64(len(m.Value)) * 4 // decoded, with maps and headers
	in.stats.records.Add(1)
	return true, nil
}

// derive adds the derived columns. The result is lent until the next call.
func (in *intake) derive(sc *bess.Scan) *bess.Scan {
	d := in.derivers[sc.Plan]
	if d == nil {
		var err error
		if d, err = bess.NewDeriver(sc.Plan); err != nil {
			// A plan that cannot grow (too many columns) is stored as it came.
			in.log.Warn("nothing is derived for a plan", "plan", sc.Plan.ID(), "err", err)
			return sc
		}
		if len(in.derivers) >= maxDerivers {
			clear(in.derivers)
		}
		in.derivers[sc.Plan] = d
	}
	if d.Plan() == sc.Plan {
		return sc
	}
	d.Apply(sc, &in.derived)
	return &in.derived
}

// bury keeps a message that became no row, unless it was kept in an earlier generation of its topic.
func (in *intake) bury(s *section, sp *span, m *Message, d bess.DeadLetter, now time.Time) {
	if id, ok := letterID(sp.Partition, m); ok {
		if in.dedup.letters.repeats(id, sp.Generation) {
			in.stats.duplicates.Add(1)
			return
		}
		sp.letters = append(sp.letters, id)
	}
	d.Partition, d.Generation, d.Offset = sp.Partition, sp.Generation, m.Offset
	d.RecordTime = m.TimeUS
	d.Payload = append([]byte(nil), m.Value...)
	s.dead = append(s.dead, d)
	s.other += int64(len(m.Value)) + 200
	n := in.stats.bury(d.Reason)
	if now.Sub(in.logged[d.Reason]) < logEvery {
		return
	}
	in.logged[d.Reason] = now
	in.log.Error("a message became no row, it is kept in dead_letters", "reason", d.Reason, "so_far", n, "partition", sp.Partition, "offset", m.Offset,
		"site", d.Site, "device", d.Device, "detail", d.Detail)
}

func (in *intake) hash(m *Message) uint64 { return maphash.Bytes(in.seed, m.Value) }

// clockProblem says what is wrong with a tick, "" if nothing. A record without a time is judged by its tick alone.
func clockProblem(ts, recordUS int64) string {
	if ts < earliestUS {
		return "ts " + stamp(ts) + " is before 2000-01-01"
	}
	if ts >= latestUS {
		return "ts " + stamp(ts) + " is after 2200-01-01"
	}
	if recordUS >= earliestUS && ts-recordUS > futureUS {
		return "ts " + stamp(ts) + " is more than a day after the record time " + stamp(recordUS)
	}
	return ""
}

func stamp(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }

// lateS is the floor of record time - ts in seconds: 0 for a scan that came within a second, or without a record time.
func lateS(ts, recordUS int64) int64 {
	if recordUS <= ts {
		return 0
	}
	return (recordUS - ts) / 1e6
}

// budget lets something take a share of the time, and lookupLimit at once. What took longer than there was is paid back
// by waiting.
type budget struct {
	share float64
	left  time.Duration
	at    time.Time
}

func (b *budget) ready(now time.Time) bool {
	if b.at.IsZero() {
		b.left = lookupLimit
	} else {
		b.left = min(lookupLimit, b.left+time.Duration(float64(now.Sub(b.at))*b.share))
	}
	b.at = now
	return b.share > 0 && b.left > 0
}

func (b *budget) spend(d time.Duration) { b.left -= d }
