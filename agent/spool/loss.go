package spool

import (
	"cmp"
	"slices"
)

// rangeSet gathers what a loss report names.
type rangeSet struct {
	runs map[deviceEpoch][]Range // of one device and epoch, in order of arrival
}

type deviceEpoch struct {
	device string
	epoch  uint64
}

// add takes one record in. Records of a device mostly come in order, so this
// mostly grows the last run.
func (s *rangeSet) add(m Meta) {
	if s.runs == nil {
		s.runs = make(map[deviceEpoch][]Range)
	}
	k := deviceEpoch{m.Device, m.Epoch}
	runs := s.runs[k]
	if n := len(runs); n > 0 && runs[n-1].Last+1 == m.Seq {
		runs[n-1].Last = m.Seq
		return
	}
	s.runs[k] = append(runs, Range{Device: m.Device, Epoch: m.Epoch, First: m.Seq, Last: m.Seq})
}

// sorted returns disjoint ranges by device, epoch and first.
func (s *rangeSet) sorted() []Range {
	var all []Range
	for _, runs := range s.runs {
		all = append(all, runs...)
	}
	slices.SortFunc(all, func(a, b Range) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.First, b.First))
	})
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 && out[n-1].Device == r.Device && out[n-1].Epoch == r.Epoch && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// NewLoss is a report on recs, with ranges of what they were.
func NewLoss(reason Reason, recs []Record) Loss {
	l := Loss{Reason: reason, Records: len(recs)}
	var ranges rangeSet
	for i := range recs {
		l.Bytes += int64(len(recs[i].Payload))
		ranges.add(recs[i].Meta)
	}
	l.Ranges = ranges.sorted()
	return l
}
