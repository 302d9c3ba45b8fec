package wire

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"bessd/bess"
)

// AppendScan appends the envelope of a scan to dst: the value of one Kafka message. The scan's slices must have the
// lengths of its plan. It is safe for concurrent use and allocates only to grow dst.
func AppendScan(dst []byte, s *bess.Scan) []byte {
	dst, env := open(dst, envScan)
	dst = header(dst, s.Site, s.Device, s.Kind, s.Epoch, s.Seq, s.TS)
	dst = appendSchema(dst, s.Plan)
	dst = varint(dst, scanUS, uint64(s.ScanUS))
	dst = varint(dst, scanQuality, uint64(s.Quality-bess.Good)) // 0 = good: quality is an exception
	dst = varint(dst, scanFlags, uint64(s.Flags))
	dst = appendAbsent(dst, s)

	dst, at := open(dst, scanValues)
	for _, part := range [2][]int64{s.Values, s.Extra} {
		for _, v := range part {
			if v != bess.Absent {
				dst = appendVarint(dst, protowire.EncodeZigZag(v))
			}
		}
	}
	dst = closeOrDrop(dst, at, scanValues)
	for _, t := range s.Texts {
		if t != "" {
			dst = always(dst, scanTexts, t, maxName)
		}
	}
	for _, l := range s.Lists {
		if l != nil {
			dst = appendList(dst, l)
		}
	}
	if len(s.Rejected) > 0 {
		dst, at = open(dst, scanRejected)
		for _, r := range s.Rejected {
			dst = appendVarint(dst, uint64(r.Slot)<<4|uint64(r.Reason&15))
		}
		dst = finish(dst, at)
	}
	return finish(dst, env)
}

// AppendDevice appends the envelope of a device record to dst. Safe for concurrent use.
func AppendDevice(dst []byte, r *bess.DeviceRecord) []byte {
	dst, env := open(dst, envDevice)
	dst = header(dst, r.Site, r.Device, r.Kind, r.Epoch, r.Rec, r.TS)
	if r.Plan != nil {
		dst = appendSchema(dst, r.Plan)
	}
	dst = text(dst, devCause, r.Cause)
	dst = text(dst, devParent, r.Parent)
	dst = text(dst, devEndpoint, r.Endpoint)
	dst = varint(dst, devUnitID, uint64(r.UnitID))
	for _, n := range r.NotImplemented {
		dst = always(dst, devNotImplemented, n, maxName)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Identity)) {
		var at int
		dst, at = open(dst, devIdentity)
		dst = name(dst, mapKey, k)
		dst = text(dst, mapValue, r.Identity[k])
		dst = finish(dst, at)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Nameplate)) {
		var at int
		dst, at = open(dst, devNameplate)
		dst = name(dst, mapKey, k)
		dst = protowire.AppendTag(dst, mapValue, protowire.Fixed64Type)
		dst = protowire.AppendFixed64(dst, math.Float64bits(r.Nameplate[k]))
		dst = finish(dst, at)
	}
	return finish(dst, env)
}

// AppendEvent appends the envelope of an agent event to dst. Safe for concurrent use.
func AppendEvent(dst []byte, e *bess.AgentEvent) []byte {
	dst, env := open(dst, envEvent)
	dst = header(dst, e.Site, "", bess.Kind(e.Kind), e.Epoch, e.Rec, e.TS)
	dst = varint(dst, evPrevEpoch, uint64(e.PrevEpoch))
	dst = text(dst, evVersion, e.Version)
	dst = text(dst, evHost, e.Host)
	dst = varint(dst, evSpoolRecords, uint64(e.SpoolRecords))
	dst = varint(dst, evSpoolBytes, uint64(e.SpoolBytes))
	for _, l := range e.LastSeq {
		var at int
		dst, at = open(dst, evLastSeq)
		dst = text(dst, seqDevice, l.Device)
		dst = varint(dst, seqSeq, uint64(l.Seq))
		dst = finish(dst, at)
	}
	dst = varint(dst, evClockStep, protowire.EncodeZigZag(e.ClockStepUS))
	for _, d := range e.Dropped {
		var at int
		dst, at = open(dst, evDropped)
		dst = text(dst, dropDevice, d.Device)
		dst = varint(dst, dropEpoch, uint64(d.Epoch))
		dst = varint(dst, dropFirst, uint64(d.FirstSeq))
		dst = varint(dst, dropLast, uint64(d.LastSeq))
		dst = name(dst, dropReason, d.Reason)
		dst = finish(dst, at)
	}
	dst = text(dst, evNote, e.Note)
	return finish(dst, env)
}

func header(dst []byte, site, device string, kind bess.Kind, epoch, seq, ts int64) []byte {
	dst = text(dst, fSite, site)
	dst = text(dst, fDevice, device)
	dst = varint(dst, fKind, uint64(kind))
	dst = varint(dst, fEpoch, uint64(epoch))
	dst = varint(dst, fSeq, uint64(seq))
	return varint(dst, fTS, uint64(ts))
}

func appendSchema(dst []byte, p *bess.Plan) []byte {
	dst, schema := open(dst, fSchema)
	dst = text(dst, schemaMap, p.Map)
	if len(p.Periods) > 0 {
		var at int
		dst, at = open(dst, schemaPeriods)
		for _, d := range p.Periods {
			dst = appendVarint(dst, uint64(d.Microseconds()))
		}
		dst = finish(dst, at)
	}
	dst = appendColumns(dst, schemaColumns, p.Columns)
	dst = appendColumns(dst, schemaTexts, p.Texts)
	dst = appendColumns(dst, schemaLists, p.Lists)
	for _, e := range p.Extra {
		var at int
		dst, at = open(dst, schemaExtra)
		dst = text(dst, extraName, e.Name)
		dst = varint(dst, extraDecimals, uint64(e.Decimals))
		dst = finish(dst, at)
	}
	return finish(appendTiers(dst, p), schema)
}

// appendColumns writes each column as one number: the step from the column before, and the decimals in the low 4 bits.
// Most columns take one byte.
func appendColumns(dst []byte, num protowire.Number, cols []bess.Column) []byte {
	if len(cols) == 0 {
		return dst
	}
	dst, at := open(dst, num)
	last := bess.Num(0)
	for _, c := range cols {
		dst = appendVarint(dst, uint64(c.Num-last)<<4|uint64(c.Decimals))
		last = c.Num
	}
	return finish(dst, at)
}

// appendTiers writes the tiers of all slots as runs: length << 6 | tier; nothing when all slots are of tier 0.
func appendTiers(dst []byte, p *bess.Plan) []byte {
	dst, at := open(dst, schemaTiers)
	run, tier := uint64(0), uint8(0)
	plain := true
	put := func(t uint8) {
		if t != tier && run > 0 {
			dst = appendVarint(dst, run<<6|uint64(tier))
			run = 0
		}
		tier = t
		plain = plain && t == 0
		run++
	}
	for _, part := range [3][]bess.Column{p.Columns, p.Texts, p.Lists} {
		for i := range part {
			put(part[i].Tier)
		}
	}
	for i := range p.Extra {
		put(p.Extra[i].Tier)
	}
	if plain {
		return drop(dst, at, schemaTiers)
	}
	return finish(appendVarint(dst, run<<6|uint64(tier)), at)
}

// appendAbsent writes a bit per slot, set where nothing is present; trailing zero bytes are left out, and the field when
// all is there.
func appendAbsent(dst []byte, s *bess.Scan) []byte {
	dst, at := open(dst, scanAbsent)
	slot := 0
	miss := func() {
		for len(dst)-at <= slot>>3 {
			dst = append(dst, 0)
		}
		dst[at+slot>>3] |= 1 << (slot & 7)
	}
	for _, v := range s.Values {
		if v == bess.Absent {
			miss()
		}
		slot++
	}
	for _, t := range s.Texts {
		if t == "" {
			miss()
		}
		slot++
	}
	for _, l := range s.Lists {
		if l == nil {
			miss()
		}
		slot++
	}
	for _, v := range s.Extra {
		if v == bess.Absent {
			miss()
		}
		slot++
	}
	return closeOrDrop(dst, at, scanAbsent)
}

// appendList writes the differences between present neighbours, and a bit per absent element where there are any.
func appendList(dst []byte, l []int32) []byte {
	dst, list := open(dst, scanLists)
	dst, at := open(dst, listDeltas)
	last := int64(0)
	absent := false
	for _, e := range l {
		if e == bess.AbsentElement {
			absent = true
			continue
		}
		dst = appendVarint(dst, protowire.EncodeZigZag(int64(e)-last))
		last = int64(e)
	}
	dst = closeOrDrop(dst, at, listDeltas)
	if absent {
		dst, at = open(dst, listAbsent)
		for i, e := range l {
			if e == bess.AbsentElement {
				for len(dst)-at <= i>>3 {
					dst = append(dst, 0)
				}
				dst[at+i>>3] |= 1 << (i & 7)
			}
		}
		dst = finish(dst, at)
	}
	return finish(dst, list)
}

// open begins a length-delimited field: the tag and one byte for the length. at is where its content begins.
func open(dst []byte, num protowire.Number) (grown []byte, at int) {
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	dst = append(dst, 0)
	return dst, len(dst)
}

// finish writes the length of the field opened at `at`; content moves up when the length needs more than one byte.
func finish(dst []byte, at int) []byte {
	n := len(dst) - at
	if n < 0x80 {
		dst[at-1] = byte(n)
		return dst
	}
	more := (bits.Len(uint(n))+6)/7 - 1
	dst = append(dst, make([]byte, more)...)
	copy(dst[at+more:], dst[at:at+n])
	protowire.AppendVarint(dst[:at-1], uint64(n))
	return dst
}

// drop takes back a field that was opened.
func drop(dst []byte, at int, num protowire.Number) []byte {
	return dst[:at-1-protowire.SizeTag(num)]
}

// closeOrDrop finishes a field, or takes it back when it is empty.
func closeOrDrop(dst []byte, at int, num protowire.Number) []byte {
	if len(dst) == at {
		return drop(dst, at, num)
	}
	return finish(dst, at)
}

func appendVarint(dst []byte, v uint64) []byte {
	if v < 0x80 {
		return append(dst, byte(v))
	}
	return protowire.AppendVarint(dst, v)
}

// varint writes a number; zero is the default and takes nothing.
func varint(dst []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), v)
}

// text writes a string of up to maxText bytes; an empty one is the default and takes nothing.
func text(dst []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return always(dst, num, s, maxText)
}

// name writes a string of up to maxName bytes; an empty one is the default and takes nothing.
func name(dst []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return always(dst, num, s, maxName)
}

// always writes a string, also an empty one. Bytes that are no UTF-8, as devices send them, become U+FFFD: protobuf
// strings must be UTF-8. What is longer than a reader takes of this field is cut: a long text must not cost the message.
func always(dst []byte, num protowire.Number, s string, limit int) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) > limit {
		n := limit
		for !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), s)
}
