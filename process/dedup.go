package process

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"bessd/bess"
)

// streamKey names a sequence: the scans of a device within an epoch, or (device "") the records of a site within one.
type streamKey struct {
	site, device string
	epoch        int64
}

type siteEpoch struct {
	site  string
	epoch int64
}

func (k streamKey) agent() siteEpoch { return siteEpoch{k.site, k.epoch} }

// verdict says what to do with a message whose name is known or not.
type verdict uint8

const (
	fresh verdict = iota
	duplicate
	conflict
	unchecked // a duplicate by name whose payload could not be compared from memory
)

// stream is what is remembered of one sequence.
type stream struct {
	seqs    bess.SeqSet
	recent  []seqHash // ring of the last payloads
	next    int       // place in the ring once it is full
	used    int64     // unix seconds, central's clock
	pending int       // sections that are not committed and hold something of it
}

type seqHash struct {
	seq  int64
	hash uint64
}

// add accepts a number or says that it is known, comparing payloads as far as they are remembered.
func (s *stream) add(seq int64, hash uint64, window int) verdict {
	if s.seqs.Add(seq) {
		e := seqHash{seq, hash}
		if len(s.recent) < window {
			s.recent = append(s.recent, e)
		} else if window > 0 {
			s.recent[s.next] = e
			s.next = (s.next + 1) % window
		}
		return fresh
	}
	for i := range s.recent {
		if s.recent[i].seq == seq {
			if s.recent[i].hash == hash {
				return duplicate
			}
			return conflict
		}
	}
	return unchecked
}

// dedup remembers what the ledger holds and what was accepted since. A sequence that was idle for long, or had to make
// room, leaves memory and comes back from the ledger when it is named again; that changes nothing but the time it takes.
type dedup struct {
	ledger  Ledger
	idle    time.Duration
	window  int
	room    int64 // bytes
	streams map[streamKey]*stream
	twins   *twins
	letters *letters
	// complete holds the agents' runs of which every stream that exists is in memory.
	complete map[siteEpoch]struct{}
	// horizon: what began later (unix seconds) by more than clockSkew never left memory.
	horizon int64
}

// clockSkew is how far an agent's clock may be off central's without costing more than a look-up.
const clockSkew = 24 * time.Hour

const skewS = int64(clockSkew / time.Second)

// restS is how long a stream must have been idle to make room for others: those at work would come back at once.
const restS = 600

// begun is when the agent's run began by the agent's clock, unix seconds.
func begun(epoch int64) int64 { return epoch >> 20 }

// bytes is about what a stream costs, with its key and map entry.
func (s *stream) bytes() int64 {
	return 300 + 16*int64(len(s.seqs.Ranges())+cap(s.recent))
}

func newDedup(cfg Config, l Ledger, tw *twins) *dedup {
	return &dedup{ledger: l, idle: cfg.Idle, window: cfg.Window, room: cfg.MemoryBytes, twins: tw,
		streams: map[streamKey]*stream{}, letters: newLetters(), complete: map[siteEpoch]struct{}{}}
}

// load rebuilds the memory from the ledger, day by day into the past until it is idle for long or the room is used up;
// each row goes to fn too.
func (d *dedup) load(ctx context.Context, now time.Time, fn func(*bess.LedgerRow)) error {
	const step = 24 * time.Hour
	ahead := map[siteEpoch]struct{}{}
	from, to := now, time.Time{} // the first step has no end: another central's clock may be ahead
	for now.Sub(from) < d.idle && d.size() < d.room {
		from = from.Add(-min(step, d.idle-now.Sub(from)))
		q := bess.LedgerQuery{FromUS: from.UnixMicro()}
		if !to.IsZero() {
			q.ToUS = to.UnixMicro()
		}
		err := d.ledger.Rows(ctx, q, func(r *bess.LedgerRow) error {
			fn(r)
			d.letters.load(r)
			if k, ok := d.take(r); ok && (r.CommitTS/1e6 < begun(k.epoch)-skewS || begun(k.epoch) > now.Unix()+skewS) {
				ahead[k.agent()] = struct{}{}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading the ledger: %w", err)
		}
		to = from
	}
	d.horizon = from.Unix()
	return d.loadOlder(ctx, now, to, ahead)
}

// loadOlder completes the runs that were active since the horizon and began before. The runs in ahead began at an unknown
// time: their agents' clocks were ahead.
func (d *dedup) loadOlder(ctx context.Context, now, since time.Time, ahead map[siteEpoch]struct{}) error {
	older := map[siteEpoch]struct{}{}
	oldest := since.Unix()
	for k := range d.streams {
		if _, ok := ahead[k.agent()]; !ok && !d.surelyNew(k.epoch, now) {
			older[k.agent()] = struct{}{}
			oldest = min(oldest, begun(k.epoch))
		}
	}
	if len(older) > 0 { // one pass over the time since the oldest
		from := time.Unix(max(oldest, 0), 0).Add(-clockSkew)
		err := d.ledger.Rows(ctx, bess.LedgerQuery{FromUS: max(from.UnixMicro(), 0), ToUS: since.UnixMicro()}, func(r *bess.LedgerRow) error {
			if _, ok := older[siteEpoch{r.Site, r.Epoch}]; ok {
				d.take(r)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading the ledger of older runs: %w", err)
		}
	}
	for a := range older {
		d.complete[a] = struct{}{}
	}
	for a := range ahead {
		if err := d.find(ctx, a, since.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// find takes everything that the ledger has of a run and was committed before toUS (0 = no end) into memory.
func (d *dedup) find(ctx context.Context, a siteEpoch, toUS int64) error {
	// Rows of streams that are in memory only add what is there already.
	err := d.ledger.Rows(ctx, bess.LedgerQuery{Site: a.site, Epoch: a.epoch, ToUS: toUS}, func(r *bess.LedgerRow) error {
		d.take(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the ledger of site %s, epoch %d: %w", a.site, a.epoch, err)
	}
	d.complete[a] = struct{}{}
	return nil
}

// take adds a ledger row to the memory.
func (d *dedup) take(r *bess.LedgerRow) (streamKey, bool) {
	if r.Stream != bess.StreamScan && r.Stream != bess.StreamRecord {
		return streamKey{}, false
	}
	k := streamKey{r.Site, r.Device, r.Epoch}
	s := d.streams[k]
	if s == nil {
		s = &stream{}
		d.streams[k] = s
	}
	for _, a := range r.Ranges {
		s.seqs.AddRange(a)
	}
	s.used = max(s.used, r.CommitTS/1e6)
	if r.Stream == bess.StreamScan && len(r.Ranges) > 0 {
		d.twins.extend(k, r.FirstTS, r.LastTS)
	}
	return k, true
}

// surelyNew tells that everything the ledger has of an epoch is in memory because it began late enough. An epoch that
// lies in the future says nothing: the agent's clock is, or was once, ahead, and how long ago it began is unknown.
func (d *dedup) surelyNew(epoch int64, now time.Time) bool {
	return begun(epoch) >= d.horizon+skewS && begun(epoch) <= now.Unix()+skewS
}

// stream finds the memory of a sequence, from the ledger if it has left. An error is the ledger's: try again.
func (d *dedup) stream(ctx context.Context, k streamKey, now time.Time) (*stream, error) {
	if s := d.streams[k]; s != nil {
		s.used = now.Unix()
		return s, nil
	}
	if _, ok := d.complete[k.agent()]; !ok && !d.surelyNew(k.epoch, now) {
		if err := d.find(ctx, k.agent(), 0); err != nil {
			return nil, err
		}
	}
	s := d.streams[k]
	if s == nil {
		s = &stream{}
		d.streams[k] = s
	}
	s.used = now.Unix()
	return s, nil
}

func (d *dedup) size() (n int64) {
	for _, s := range d.streams {
		n += s.bytes()
	}
	return n
}

// evict forgets what is committed and was idle for long, and what was idle longest while the rest takes more than its
// room; then to three quarters, so that it need not be done each time.
func (d *dedup) evict(now time.Time) {
	limit := now.Add(-d.idle).Unix()
	var resting []streamKey
	size := int64(0)
	before := len(d.streams)
	for k, s := range d.streams {
		switch {
		case s.pending > 0:
			size += s.bytes()
		case s.used < limit:
			d.forget(k)
		default:
			size += s.bytes()
			if s.used < now.Unix()-restS {
				resting = append(resting, k)
			}
		}
	}
	d.horizon = max(d.horizon, limit)
	if size > d.room {
		slices.SortFunc(resting, func(a, b streamKey) int { return cmp.Compare(d.streams[a].used, d.streams[b].used) })
		for _, k := range resting {
			if size <= d.room*3/4 {
				break
			}
			size -= d.streams[k].bytes()
			d.forget(k)
		}
	}
	if len(d.streams) < before {
		d.twins.evict(d.streams)
	}
}

// forget makes the ledger be asked when the sequence is named again.
func (d *dedup) forget(k streamKey) {
	delete(d.streams, k)
	delete(d.complete, k.agent())
	d.horizon = max(d.horizon, begun(k.epoch)-skewS+1)
}
