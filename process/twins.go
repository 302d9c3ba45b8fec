package process

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Twin names two runs of an agent that reported one site at the same time: a gateway that was cloned, or one device
// polled by two agents. Both are stored.
type Twin struct {
	Site            string
	EpochA, EpochB  int64
	Device          string // where it was seen first
	Devices         int    // how many devices of the site are concerned
	Since, LastSeen time.Time
}

// maxTwins bounds what is remembered for people; a clone that nobody stops makes a new pair at each restart.
const maxTwins = 256

// epochsPerDevice bounds how many runs of a device are compared with a new scan.
const epochsPerDevice = 8

type tickRange struct {
	epoch       int64
	first, last int64 // microseconds
}

type deviceName struct{ site, device string }

type twinPair struct {
	site string
	a, b int64
}

// twins finds epochs of one device whose ticks overlap. A restart makes epochs that follow each other, also when the
// scans of the first arrive late; only two agents at work make them overlap.
type twins struct {
	log     *slog.Logger
	devices map[deviceName][]tickRange

	mu    sync.Mutex // guards pairs: the only part that others read
	pairs map[twinPair]*Twin
	seen  map[twinPair]map[string]struct{}
}

func newTwins(log *slog.Logger) *twins {
	return &twins{log: log, devices: map[deviceName][]tickRange{}, pairs: map[twinPair]*Twin{}, seen: map[twinPair]map[string]struct{}{}}
}

// extend takes in ticks of an epoch without judging them, for rebuilding the memory.
func (t *twins) extend(k streamKey, first, last int64) *tickRange {
	name := deviceName{k.site, k.device}
	rs := t.devices[name]
	for i := range rs {
		if rs[i].epoch == k.epoch {
			rs[i].first, rs[i].last = min(rs[i].first, first), max(rs[i].last, last)
			return &rs[i]
		}
	}
	if len(rs) == epochsPerDevice { // forget the run that ended first
		old := 0
		for i := range rs {
			if rs[i].last < rs[old].last {
				old = i
			}
		}
		rs = slices.Delete(rs, old, old+1)
	}
	rs = append(rs, tickRange{k.epoch, first, last})
	t.devices[name] = rs
	return &rs[len(rs)-1]
}

// see takes in an accepted scan and reports a pair of runs that overlap.
func (t *twins) see(k streamKey, ts int64, now time.Time) {
	r := t.extend(k, ts, ts)
	rs := t.devices[deviceName{k.site, k.device}]
	if len(rs) == 1 {
		return
	}
	for i := range rs {
		o := &rs[i]
		if o.epoch == r.epoch || o.last <= r.first || o.first >= r.last { // one shared tick is a quick restart
			continue
		}
		t.note(twinPair{k.site, min(o.epoch, r.epoch), max(o.epoch, r.epoch)}, k.device, now)
	}
}

func (t *twins) note(p twinPair, device string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tw := t.pairs[p]
	if tw == nil {
		if len(t.pairs) >= maxTwins {
			return
		}
		tw = &Twin{Site: p.site, EpochA: p.a, EpochB: p.b, Device: device, Since: now}
		t.pairs[p], t.seen[p] = tw, map[string]struct{}{}
		t.log.Error("two agents report the same devices at the same time; both are stored, stop one of them", "site", p.site, "device", device, "epoch_a", p.a, "epoch_b", p.b)
	}
	tw.LastSeen = now
	if _, ok := t.seen[p][device]; !ok {
		t.seen[p][device] = struct{}{}
		tw.Devices++
	}
}

// evict forgets devices of which no stream is in memory any more.
func (t *twins) evict(streams map[streamKey]*stream) {
	live := map[deviceName]struct{}{}
	for k := range streams {
		live[deviceName{k.site, k.device}] = struct{}{}
	}
	for name := range t.devices {
		if _, ok := live[name]; !ok {
			delete(t.devices, name)
		}
	}
}

// list gives a copy, oldest first.
func (t *twins) list() []Twin {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Twin, 0, len(t.pairs))
	for _, tw := range t.pairs {
		out = append(out, *tw)
	}
	slices.SortFunc(out, func(a, b Twin) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Site, b.Site), cmp.Compare(a.EpochA, b.EpochA), cmp.Compare(a.EpochB, b.EpochB))
	})
	return out
}
