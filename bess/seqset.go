package bess

import "slices"

// SeqSet is a set of sequence numbers kept as sorted, disjoint, non-adjacent closed intervals: the memory of what was
// already accepted. A device's scans mostly arrive in order, so a set of millions is one interval. The zero value is
// empty and ready. Not safe for concurrent use.
type SeqSet struct {
	r []SeqRange
}

// Add puts seq into the set; added is false when it was there.
func (s *SeqSet) Add(seq int64) (added bool) {
	n := len(s.r)
	if n > 0 {
		last := &s.r[n-1]
		if seq > last.Last { // the common case: the next one in order
			if seq-1 == last.Last {
				last.Last = seq
			} else {
				s.r = append(s.r, SeqRange{seq, seq})
			}
			return true
		}
	}
	if s.Contains(seq) {
		return false
	}
	s.AddRange(SeqRange{seq, seq})
	return true
}

// AddRange puts a closed interval into the set; an interval that ends before it begins adds nothing.
func (s *SeqSet) AddRange(a SeqRange) {
	if a.Last < a.First {
		return
	}
	// [i, j) are the intervals that overlap a or touch it. Written with > so that the ends of int64 do not overflow.
	i := s.search(a.First)
	if i > 0 && s.r[i-1].Last == a.First-1 {
		i--
	}
	j := i
	for j < len(s.r) && (s.r[j].First <= a.Last || s.r[j].First-1 == a.Last) {
		a.First = min(a.First, s.r[j].First)
		a.Last = max(a.Last, s.r[j].Last)
		j++
	}
	s.r = slices.Replace(s.r, i, j, a)
}

// search gives the index of the first interval that ends at or after seq.
func (s *SeqSet) search(seq int64) int {
	i, j := 0, len(s.r)
	for i < j {
		h := int(uint(i+j) >> 1)
		if s.r[h].Last < seq {
			i = h + 1
		} else {
			j = h
		}
	}
	return i
}

// Contains reports whether seq is in the set.
func (s *SeqSet) Contains(seq int64) bool {
	i := s.search(seq)
	return i < len(s.r) && s.r[i].First <= seq
}

// Merge adds every number of o.
func (s *SeqSet) Merge(o *SeqSet) {
	for _, a := range slices.Clone(o.r) { // o may be s
		s.AddRange(a)
	}
}

// Ranges lists the intervals in ascending order. The slice is the set's own: read only, valid until the next change.
func (s *SeqSet) Ranges() []SeqRange { return s.r }

// Len counts the numbers in the set.
func (s *SeqSet) Len() int64 {
	var n int64
	for _, a := range s.r {
		n += a.Last - a.First + 1
	}
	return n
}

// Clone gives an independent copy.
func (s *SeqSet) Clone() *SeqSet { return &SeqSet{r: slices.Clone(s.r)} }

// Reset empties the set and keeps its memory.
func (s *SeqSet) Reset() { s.r = s.r[:0] }
