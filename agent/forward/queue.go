package forward

import (
	"sync"
	"time"

	"bessd/agent/spool"
)

// entry is one record in memory. Its fields are guarded by the queue's mutex.
type entry struct {
	rec        Record
	size       int
	arrived    time.Time      // monotonic
	partitions int            // the count it was first sent with; 0 before
	inFlight   bool           // the sender has it
	syncing    bool           // the syncer is writing it
	pos        spool.Position // where the spool has it; 0 while it does not
	settled    bool           // acknowledged or refused
}

// queue holds entries in the order of Put. An entry leaves when it is settled
// and no longer being written, or when the spool has it and it is not being sent.
type queue struct {
	mu      sync.Mutex
	entries []*entry
	bytes   int64
	closed  bool

	arrived chan struct{} // capacity 1: something came in
	urgent  chan struct{} // capacity 1: sync now
}

func newQueue() *queue {
	return &queue{arrived: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put adds a record and returns those that had to go for it.
func (q *queue) put(rec Record, limit int64) (dropped []Record, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrStopped
	}
	e := &entry{rec: rec, size: rec.Size(), arrived: time.Now()}
	for i := 0; q.bytes+int64(e.size) > limit && i < len(q.entries); {
		if o := q.entries[i]; o.inFlight || o.syncing || o.settled {
			i++ // others are at work on it
			continue
		}
		dropped = append(dropped, q.entries[i].rec)
		q.remove(i)
	}
	q.entries = append(q.entries, e)
	q.bytes += int64(e.size)
	poke(q.arrived)
	if q.bytes > limit/2 {
		poke(q.urgent)
	}
	return dropped, nil
}

func (q *queue) remove(i int) {
	q.bytes -= int64(q.entries[i].size)
	q.entries = append(q.entries[:i], q.entries[i+1:]...)
}

// take marks the oldest entries as being sent: up to maxBytes, at least one,
// all tried before with one partition count, or not at all.
func (q *queue) take(maxBytes int, partitions int) (batch []*entry, count int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for _, e := range q.entries {
		if e.settled || e.pos != 0 || e.inFlight {
			continue
		}
		if len(batch) == 0 {
			if count = e.partitions; count == 0 {
				count = partitions
			}
		}
		size += e.size
		if len(batch) > 0 && (size > maxBytes || e.partitions != 0 && e.partitions != count) {
			break
		}
		e.inFlight, e.partitions = true, count
		batch = append(batch, e)
	}
	return batch, count
}

// settle ends the sending of batch: the first done entries are settled. It
// returns the positions that the spool may forget.
func (q *queue) settle(batch []*entry, done int) (acks []spool.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, e := range batch {
		e.inFlight = false
		if i < done {
			e.settled = true
			if e.pos != 0 {
				acks = append(acks, e.pos)
			}
		}
	}
	q.compact()
	return acks
}

// unsynced marks the entries that the spool should get now and returns them by
// partition count, in order.
func (q *queue) unsynced() (runs [][]*entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := -1
	for _, e := range q.entries {
		if e.settled || e.pos != 0 {
			continue
		}
		e.syncing = true
		if e.partitions != last || len(runs) == 0 {
			runs = append(runs, nil)
			last = e.partitions
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], e)
	}
	return runs
}

// synced ends the writing of run. first is its position, 0 when writing failed.
// It returns the positions that were settled meanwhile.
func (q *queue) synced(run []*entry, first spool.Position) (acks []spool.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, e := range run {
		e.syncing = false
		if first == 0 {
			continue
		}
		e.pos = first + spool.Position(i)
		if e.settled {
			acks = append(acks, e.pos)
		}
	}
	q.compact()
	return acks
}

// compact removes the entries that need no memory any more.
func (q *queue) compact() {
	kept := q.entries[:0]
	for _, e := range q.entries {
		if !e.inFlight && !e.syncing && (e.settled || e.pos != 0) {
			q.bytes -= int64(e.size)
			continue
		}
		kept = append(kept, e)
	}
	clear(q.entries[len(kept):])
	q.entries = kept
}

// due is when the oldest entry that the spool does not have must be synced;
// false when there is none.
func (q *queue) due(sync time.Duration) (time.Time, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if !e.settled && e.pos == 0 {
			return e.arrived.Add(sync), true
		}
	}
	return time.Time{}, false
}

// waiting is the number of entries to send, their size, and when the first arrived.
func (q *queue) waiting() (n int, bytes int64, first time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if e.settled || e.pos != 0 || e.inFlight {
			continue
		}
		if n == 0 {
			first = e.arrived
		}
		n++
		bytes += int64(e.size)
	}
	return n, bytes, first
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	poke(q.arrived)
}

// drain empties the queue when nobody works on it any more, and returns what
// is neither settled nor in the spool.
func (q *queue) drain() (recs []Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if !e.settled && e.pos == 0 {
			recs = append(recs, e.rec)
		}
	}
	q.entries, q.bytes = nil, 0
	return recs
}

func (q *queue) stats() (n int, bytes int64, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) > 0 {
		oldest = q.entries[0].rec.At
	}
	return len(q.entries), q.bytes, oldest
}
