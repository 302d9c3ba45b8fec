package process

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bessd/bess"
	"bessd/process/rollup"
)

// section is what was accepted from runs of messages, one run per partition, until it is flushed.
type section struct {
	spans  map[int]*span
	scans  *bess.Section
	device []bess.DeviceRecord
	events []bess.AgentEvent
	dead   []bess.DeadLetter
	gaps   []bess.OffsetRange
	tally  map[tallyKey]*tally
	other  int64     // bytes beside the scans, roughly
	due    time.Time // when age asks for a flush
}

// span is the run of one partition's messages.
type span struct {
	bess.OffsetRange
	message         Message // the last one taken in, by value: a pointer would keep its whole batch
	any             bool    // message is set
	before          *mark   // of the message before the run, as far as it is known
	firstUS, lastUS int64   // record times, 0 = none
	letters         []int64 // names of the dead letters
}

// mark names the last message before the run's end, nil if none is known. It is asked for once a flush: hashing every
// message would cost more than decoding it.
func (sp *span) mark() *mark {
	if !sp.any {
		return sp.before
	}
	m := markOf(&sp.message)
	return &m
}

type tallyKey struct {
	streamKey
	partition int
}

// tally counts what one sequence had in this section; it becomes a ledger row.
type tally struct {
	stream          *stream
	seqs            bess.SeqSet
	firstTS, lastTS int64
	quality         [bess.Bad + 1]int64
	duplicates      int64
	conflicts       int64
}

func newSection() *section {
	return &section{spans: map[int]*span{}, scans: bess.NewSection(), tally: map[tallyKey]*tally{}}
}

// reset makes the section empty and keeps the memory of its scans.
func (s *section) reset() {
	s.scans.Reset()
	*s = section{spans: map[int]*span{}, scans: s.scans, tally: map[tallyKey]*tally{}}
}

// empty reports whether no message was taken in.
func (s *section) empty() bool { return len(s.spans) == 0 }

// bytes is the memory that the section takes, spare capacity not counted.
func (s *section) bytes() int64 { return s.scans.Bytes() + s.other }

// span finds the partition's run, beginning it at the given position.
func (s *section) span(partition int, at bess.Position) *span {
	sp := s.spans[partition]
	if sp == nil {
		sp = &span{OffsetRange: bess.OffsetRange{Partition: partition, Generation: at.Generation, From: at.Offset, To: at.Offset}}
		s.spans[partition] = sp
	}
	return sp
}

// tallyBytes is about what a tally costs with its map entries.
const tallyBytes = 300

// count finds the tally of a sequence. The stream stays in memory until the section is committed.
func (s *section) count(k streamKey, partition int, st *stream) *tally {
	tk := tallyKey{k, partition}
	t := s.tally[tk]
	if t == nil {
		t = &tally{stream: st}
		st.pending++
		s.tally[tk] = t
		s.other += tallyBytes
	}
	return t
}

// settle tells the streams that the section is committed.
func (s *section) settle() {
	for _, t := range s.tally {
		t.stream.pending--
	}
}

// flush gives the section's content in the form that the lake takes. cut is central's clock.
func (s *section) flush(topic string, cut time.Time) *bess.Flush {
	f := &bess.Flush{Topic: topic, Scans: s.scans, Devices: s.device, Events: s.events, DeadLetters: s.dead}
	for _, sp := range s.spans {
		f.Ranges = append(f.Ranges, sp.OffsetRange)
	}
	slices.SortFunc(f.Ranges, func(a, b bess.OffsetRange) int { return cmp.Compare(a.Partition, b.Partition) })
	f.Rollups = rollup.Of(s.scans)
	f.Ledger = s.ledger(cut.UnixMicro())
	return f
}

// ledger gives the ledger rows, sorted by stream, site, device, epoch and partition.
func (s *section) ledger(cutUS int64) []bess.LedgerRow {
	rows := make([]bess.LedgerRow, 0, len(s.tally)+len(s.spans)+len(s.gaps))
	for k, t := range s.tally {
		sp := s.spans[k.partition]
		r := bess.LedgerRow{
			Stream: bess.StreamScan, Site: k.site, Device: k.device, Epoch: k.epoch,
			Partition: k.partition, Generation: sp.Generation, FirstOffset: sp.From, NextOffset: sp.To,
			Ranges: slices.Clone(t.seqs.Ranges()), FirstTS: t.firstTS, LastTS: t.lastTS,
			Good: t.quality[bess.Good], Partial: t.quality[bess.Partial], Stale: t.quality[bess.Stale], Bad: t.quality[bess.Bad],
			Duplicates: t.duplicates, Conflicts: t.conflicts, CommitTS: cutUS,
		}
		if k.device == "" {
			r.Stream = bess.StreamRecord
		}
		rows = append(rows, r)
	}
	for _, sp := range s.spans {
		r := bess.LedgerRow{Stream: bess.StreamPosition, Partition: sp.Partition, Generation: sp.Generation, FirstOffset: sp.From, NextOffset: sp.To,
			FirstTS: sp.firstUS, LastTS: sp.lastUS, CommitTS: cutUS}
		if m := sp.mark(); m != nil {
			r.FingerprintOffset, r.Fingerprint = m.offset, m.sum
		}
		rows = append(rows, r)
		if len(sp.letters) > 0 {
			last := sp.letters[max(0, len(sp.letters)-maxLetters):]
			rows = append(rows, bess.LedgerRow{Stream: bess.StreamLetter, Partition: sp.Partition, Generation: sp.Generation, FirstOffset: sp.From, NextOffset: sp.To,
				Ranges: letterRanges(last), CommitTS: cutUS})
		}
	}
	for _, g := range s.gaps {
		rows = append(rows, bess.LedgerRow{Stream: bess.StreamGap, Partition: g.Partition, Generation: g.Generation, FirstOffset: g.From, NextOffset: g.To, CommitTS: cutUS})
	}
	slices.SortFunc(rows, func(a, b bess.LedgerRow) int {
		return cmp.Or(strings.Compare(a.Stream, b.Stream), strings.Compare(a.Site, b.Site), strings.Compare(a.Device, b.Device),
			cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.FirstOffset, b.FirstOffset))
	})
	return rows
}
