package spool

import (
	"encoding/binary"
	"sort"
)

// span is a closed interval of positions.
type span struct{ first, last Position }

// spans is a set of positions: sorted, disjoint, not touching.
type spans []span

// add returns the set with [first, last] in it.
func (s spans) add(first, last Position) spans {
	if last < first {
		return s
	}
	// i: the first span that [first, last] touches or precedes; j: the first behind it.
	i := sort.Search(len(s), func(i int) bool { return s[i].last+1 >= first })
	j := i
	for j < len(s) && s[j].first <= last+1 {
		first, last = min(first, s[j].first), max(last, s[j].last)
		j++
	}
	if i == j {
		s = append(s, span{})
		copy(s[i+1:], s[i:])
		s[i] = span{first, last}
		return s
	}
	s[i] = span{first, last}
	return append(s[:i+1], s[j:]...)
}

// after returns the first position at or after p that is not in the set.
func (s spans) after(p Position) Position {
	i := sort.Search(len(s), func(i int) bool { return s[i].last >= p })
	if i < len(s) && s[i].first <= p {
		return s[i].last + 1
	}
	return p
}

// count is how many positions of [first, last] are in the set.
func (s spans) count(first, last Position) (n int) {
	for _, x := range s {
		if lo, hi := max(first, x.first), min(last, x.last); lo <= hi {
			n += int(hi - lo + 1)
		}
	}
	return n
}

// prune drops what lies entirely below p.
func (s spans) prune(p Position) spans {
	i := sort.Search(len(s), func(i int) bool { return s[i].last >= p })
	return s[i:]
}

// end is one past the highest position in the set.
func (s spans) end() Position {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].last + 1
}

func (s spans) encode() []byte {
	var b []byte
	for _, x := range s {
		b = binary.AppendUvarint(b, uint64(x.first))
		b = binary.AppendUvarint(b, uint64(x.last-x.first))
	}
	return b
}

// decodeSpans reads what encode wrote; damage ends it early, which only means
// that some records are delivered twice.
func decodeSpans(b []byte) (s spans) {
	for len(b) > 0 {
		first, n := binary.Uvarint(b)
		if n <= 0 {
			break
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || first+length < first || first+length == 1<<64-1 {
			break
		}
		s = s.add(Position(first), Position(first+length))
		b = b[n+m:]
	}
	return s
}
