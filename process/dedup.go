package process

import (
	"context"
	"fmt"
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

// dedup remembers what the ledger holds and what was accepted since. A sequence that was idle for long leaves memory
// and comes back from the ledger when it is named again; that changes nothing but the time it takes.
type dedup struct {
	ledger  Ledger
	idle    time.Duration
	window  int
	streams map[streamKey]*stream
	twins   *twins
	// complete holds the agents' runs of which every stream that exists is in memory.
	complete map[siteEpoch]struct{}
	// horizon: what began later (unix seconds, by its epoch) never left memory.
	horizon int64
}

// clockSkew is how far an agent's clock may be off central's without costing more than a look-up.
const clockSkew = 24 * time.Hour

// begun is when the agent's run began by the agent's clock, unix seconds.
func begun(epoch int64) int64 { return epoch >> 20 }

// loadDedup rebuilds the memory from the ledger; each row goes to fn too.
func loadDedup(ctx context.Context, l Ledger, idle time.Duration, window int, tw *twins, now time.Time, fn func(*bess.LedgerRow)) (*dedup, error) {
	d := &dedup{ledger: l, idle: idle, window: window, twins: tw, streams: map[streamKey]*stream{}, complete: map[siteEpoch]struct{}{}}
	since := now.Add(-idle)
	d.horizon = since.Unix()
	older := map[siteEpoch]struct{}{}
	oldest := since.Unix()
	err := l.Rows(ctx, bess.LedgerQuery{FromUS: since.UnixMicro()}, func(r *bess.LedgerRow) error {
		fn(r)
		if k, ok := d.take(r); ok && !d.surelyNew(k.epoch) {
			older[k.agent()] = struct{}{}
			oldest = min(oldest, begun(k.epoch))
		}
		return nil
	})
	if err == nil && len(older) > 0 {
		// Runs that were active lately and began before: one pass over the time since the oldest of them.
		from := time.Unix(max(oldest, 0), 0).Add(-clockSkew)
		err = l.Rows(ctx, bess.LedgerQuery{FromUS: max(from.UnixMicro(), 0), ToUS: since.UnixMicro()}, func(r *bess.LedgerRow) error {
			if _, ok := older[siteEpoch{r.Site, r.Epoch}]; ok {
				d.take(r)
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	for a := range older {
		d.complete[a] = struct{}{}
	}
	return d, nil
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

// surelyNew tells that everything the ledger has of an epoch is in memory because it began late enough.
func (d *dedup) surelyNew(epoch int64) bool {
	return begun(epoch) >= d.horizon+int64(clockSkew/time.Second)
}

// stream finds the memory of a sequence, from the ledger if it has left. An error is the ledger's: try again.
func (d *dedup) stream(ctx context.Context, k streamKey, now time.Time) (*stream, error) {
	if s := d.streams[k]; s != nil {
		s.used = now.Unix()
		return s, nil
	}
	if _, ok := d.complete[k.agent()]; !ok && !d.surelyNew(k.epoch) {
		// Rows of streams that are in memory only add what is there already.
		err := d.ledger.Rows(ctx, bess.LedgerQuery{Site: k.site, Epoch: k.epoch}, func(r *bess.LedgerRow) error {
			d.take(r)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading the ledger of site %s, epoch %d: %w", k.site, k.epoch, err)
		}
		d.complete[k.agent()] = struct{}{}
	}
	s := d.streams[k]
	if s == nil {
		s = &stream{}
		d.streams[k] = s
	}
	s.used = now.Unix()
	return s, nil
}

// evict forgets what was idle for long and is committed.
func (d *dedup) evict(now time.Time) {
	limit := now.Add(-d.idle).Unix()
	for k, s := range d.streams {
		if s.used < limit && s.pending == 0 {
			delete(d.streams, k)
			delete(d.complete, k.agent())
		}
	}
	d.horizon = max(d.horizon, limit)
	d.twins.evict(d.streams)
}
