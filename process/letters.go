package process

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"bessd/bess"
)

// maxLetters bounds the dead letters that are remembered, and those that one flush writes to the ledger.
const maxLetters = 1 << 16

// letters remembers dead letters of all partitions by a hash, with the generation in which each was kept first: when a
// topic is read again from its start, they are not kept again. The last maxLetters are known.
type letters struct {
	known map[int64]int64
	ring  []int64
	next  int
}

func newLetters() *letters { return &letters{known: map[int64]int64{}} }

// letterID names a message of a partition by its time and value. ok is false for one without a time: it has no name.
func letterID(partition int, m *Message) (id int64, ok bool) {
	h := sha256.New()
	var n [16]byte
	binary.BigEndian.PutUint64(n[:], uint64(partition))
	binary.BigEndian.PutUint64(n[8:], uint64(m.TimeUS))
	h.Write(n[:])
	h.Write(m.Value)
	return int64(binary.BigEndian.Uint64(h.Sum(nil)) >> 1), m.TimeUS > 0
}

// repeats tells that the letter was kept in an earlier generation; else it is remembered. Within one generation each
// message counts.
func (l *letters) repeats(id, generation int64) bool {
	first, ok := l.known[id]
	if !ok {
		if len(l.ring) < maxLetters {
			l.ring = append(l.ring, id)
		} else {
			delete(l.known, l.ring[l.next])
			l.ring[l.next] = id
			l.next = (l.next + 1) % maxLetters
		}
		l.known[id] = generation
	}
	return ok && first < generation
}

// load takes over what a row of the ledger says of dead letters. Rows come in no order within a day and the last day
// comes first, so what does not fit is older.
func (l *letters) load(r *bess.LedgerRow) {
	if r.Stream != bess.StreamLetter {
		return
	}
	for _, a := range r.Ranges {
		first, ok := l.known[a.First]
		switch {
		case ok:
			l.known[a.First] = min(first, r.Generation)
		case len(l.ring) < maxLetters:
			l.repeats(a.First, r.Generation)
		}
	}
}

// letterRanges gives hashes in the form of the ledger: ascending, each once.
func letterRanges(ids []int64) []bess.SeqRange {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	out := make([]bess.SeqRange, len(ids))
	for i, id := range ids {
		out[i] = bess.SeqRange{First: id, Last: id}
	}
	return out
}
