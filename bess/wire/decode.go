package wire

import (
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"bessd/bess"
)

// Decoder turns messages into envelopes. It remembers plans by the bytes of their schema block and names by theirs, so
// that scans of known devices decode without allocating. What it remembers is bounded: hostile input costs time, not
// memory. Not safe for concurrent use.
type Decoder struct {
	plans     map[string]*bess.Plan
	planBytes int
	sites     interner
	devices   interner
	texts     interner

	scan  bess.Scan
	elems []int32
	parts scanParts
}

// Bounds of what a decoder remembers. When one is reached that memory is emptied and fills again.
const (
	maxPlans      = 4096
	maxPlanBytes  = 4 << 20 // of schema blocks; a plan in memory is about eight times its block
	maxInterned   = 1 << 16
	maxInternSize = 4 << 20
)

// NewDecoder gives a decoder that knows nothing yet.
func NewDecoder() *Decoder {
	return &Decoder{
		plans:   map[string]*bess.Plan{},
		sites:   interner{check: bess.CheckSite},
		devices: interner{check: bess.CheckDevice},
	}
}

// Decode reads one message. The envelope's scan is lent: it is valid until the next Decode, its plan and its texts stay
// valid. Errors are *DecodeError, with ErrIdentity in the chain where only the names are wrong, or wrap ErrUnknownArm.
// b is not kept.
func (d *Decoder) Decode(b []byte) (Envelope, error) {
	if len(b) > MaxMessage {
		return Envelope{}, &DecodeError{What: fmt.Sprintf("%d bytes, want %d at most", len(b), MaxMessage)}
	}
	r := reader{b: b}
	var f, arm field
	other := protowire.Number(0)
	for {
		ok, err := r.next(&f)
		if err != nil {
			return Envelope{}, err
		}
		if !ok {
			break
		}
		if f.num > envRaw {
			other = f.num
			continue
		}
		if arm.num != 0 {
			return Envelope{}, f.bad("envelope", "a second arm")
		}
		if err := f.want(protowire.BytesType, "envelope"); err != nil {
			return Envelope{}, err
		}
		arm = f
	}
	switch arm.num {
	case envScan:
		if err := d.decodeScan(&arm); err != nil {
			return Envelope{}, err
		}
		return Envelope{Arm: ArmScan, Scan: &d.scan}, nil
	case envDevice:
		rec, err := d.decodeDevice(&arm)
		if err != nil {
			return Envelope{}, err
		}
		return Envelope{Arm: ArmDevice, Device: rec}, nil
	case envEvent:
		ev, err := d.decodeEvent(&arm)
		if err != nil {
			return Envelope{}, err
		}
		return Envelope{Arm: ArmEvent, Event: ev}, nil
	case envRaw:
		return Envelope{Arm: ArmRaw}, fmt.Errorf("envelope of raw registers: %w", ErrUnknownArm)
	}
	if other != 0 {
		return Envelope{}, fmt.Errorf("envelope with field %d: %w", other, ErrUnknownArm)
	}
	return Envelope{}, &DecodeError{What: "an empty envelope"}
}

// head is what all arms begin with.
type head struct {
	site, device, schema field
	kind                 uint8
	epoch, seq, ts       int64
}

// take reads a field of the head; false when it is none.
func (h *head) take(f *field) (bool, error) {
	var err error
	switch f.num {
	case fSite:
		err = f.bytes(&h.site, "site")
	case fDevice:
		err = f.bytes(&h.device, "device")
	case fKind:
		h.kind, err = f.small("kind")
	case fEpoch:
		err = f.number(&h.epoch, "epoch")
	case fSeq:
		err = f.number(&h.seq, "seq")
	case fTS:
		err = f.number(&h.ts, "ts_us")
	case fSchema:
		err = f.bytes(&h.schema, "schema")
	default:
		return false, nil
	}
	return true, err
}

// scanParts are the fields of a scan whose meaning depends on the schema block, which may come after them.
type scanParts struct {
	absent, values, rejected field
	texts, lists             []field
}

func (d *Decoder) decodeScan(arm *field) error {
	r := arm.sub()
	s, p := &d.scan, &d.parts
	p.absent, p.values, p.rejected, p.texts, p.lists = field{}, field{}, field{}, p.texts[:0], p.lists[:0]
	s.ScanUS, s.Quality, s.Flags = 0, bess.Good, 0
	var h head
	var f field
	for {
		ok, err := r.next(&f)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if known, err := h.take(&f); err != nil {
			return err
		} else if known {
			continue
		}
		switch f.num {
		case scanUS:
			err = f.number(&s.ScanUS, "scan_us")
		case scanQuality:
			if err = f.want(protowire.VarintType, "quality"); err == nil {
				s.Quality = bess.QualityUnknown // a newer agent's quality
				if f.u <= uint64(bess.Bad-bess.Good) {
					s.Quality = bess.Good + bess.Quality(f.u)
				}
			}
		case scanFlags:
			if err = f.want(protowire.VarintType, "flags"); err == nil {
				s.Flags = bess.Flags(f.u) // newer flags beyond 8 bits are not kept
			}
		case scanAbsent:
			err = f.bytes(&p.absent, "absent")
		case scanValues:
			err = f.bytes(&p.values, "values")
		case scanRejected:
			err = f.bytes(&p.rejected, "rejected")
		case scanTexts:
			p.texts, err = keep(p.texts, &f, "texts")
		case scanLists:
			p.lists, err = keep(p.lists, &f, "lists")
		}
		if err != nil {
			return err
		}
	}
	if h.schema.num == 0 {
		return &DecodeError{Offset: arm.at, What: "a scan without schema block"}
	}
	plan, err := d.plan(&h.schema)
	if err != nil {
		return err
	}
	s.Reset(plan)
	s.Kind, s.Epoch, s.Seq, s.TS = bess.Kind(h.kind), h.epoch, h.seq, h.ts
	if err := d.fill(arm, s, p); err != nil {
		return err
	}
	if s.Site, err = d.sites.get(&h.site, arm, "site"); err != nil {
		return err
	}
	s.Device, err = d.devices.get(&h.device, arm, "device")
	return err
}

// keep collects a field that may stand once per slot.
func keep(list []field, f *field, what string) ([]field, error) {
	if err := f.want(protowire.BytesType, what); err != nil {
		return list, err
	}
	if len(list) >= MaxSlots {
		return list, f.bad(what, "more than %d", MaxSlots)
	}
	return append(list, *f), nil
}

// bitmap is a bit per slot or element; what lies beyond its bytes is not set.
type bitmap []byte

func (m bitmap) has(i int) bool { return i>>3 < len(m) && m[i>>3]>>(i&7)&1 != 0 }

func (m bitmap) count() (n int) {
	for _, c := range m {
		n += bits.OnesCount8(c)
	}
	return n
}

// check refuses bits at n and beyond.
func (m bitmap) check(n int, f *field, what string) error {
	if len(m) > (n+7)/8 || len(m) == (n+7)/8 && n&7 != 0 && m[len(m)-1]>>(n&7) != 0 {
		return f.bad(what, "a bit beyond the %d that there are", n)
	}
	return nil
}

// fill puts what is present into the slots of the scan.
func (d *Decoder) fill(arm *field, s *bess.Scan, p *scanParts) error {
	absent := bitmap(p.absent.b)
	if err := absent.check(s.Plan.Slots(), &p.absent, "absent"); err != nil {
		return err
	}
	values := varints{b: p.values.b}
	slot := 0
	if !readValues(s.Values, &values, absent, slot) {
		return p.values.at0(arm).bad("values", "ended early or not a number")
	}
	slot += len(s.Values)
	used := 0
	for i := range s.Texts {
		if !absent.has(slot + i) {
			if used == len(p.texts) {
				return arm.bad("texts", "fewer than are present")
			}
			t, err := d.texts.get(&p.texts[used], arm, "text")
			if err != nil {
				return err
			}
			s.Texts[i] = t
			used++
		}
	}
	if used < len(p.texts) {
		return arm.bad("texts", "more than are present")
	}
	slot += len(s.Texts)
	d.elems = d.elems[:0]
	used = 0
	for i := range s.Lists {
		if !absent.has(slot + i) {
			if used == len(p.lists) {
				return arm.bad("lists", "fewer than are present")
			}
			l, err := d.list(&p.lists[used])
			if err != nil {
				return err
			}
			s.Lists[i] = l
			used++
		}
	}
	slot += len(s.Lists)
	if !readValues(s.Extra, &values, absent, slot) {
		return p.values.at0(arm).bad("values", "ended early or not a number")
	}
	if values.more() || used < len(p.lists) {
		return arm.bad("scan", "more values or lists than are present")
	}
	rejected := varints{b: p.rejected.b}
	for rejected.more() {
		u, ok := rejected.next()
		if !ok || u>>4 >= uint64(s.Plan.Slots()) || len(s.Rejected) >= s.Plan.Slots() {
			return p.rejected.bad("rejected", "not a slot of the plan, or more than it has")
		}
		s.Rejected = append(s.Rejected, bess.Rejection{Slot: uint16(u >> 4), Reason: bess.Reason(u & 15)})
	}
	return nil
}

// at0 gives the field, or the arm where the field is missing: for the offset of an error.
func (f *field) at0(arm *field) *field {
	if f.num == 0 {
		return arm
	}
	return f
}

func readValues(to []int64, values *varints, absent bitmap, slot int) bool {
	for i := range to {
		if len(absent) > 0 && absent.has(slot+i) {
			continue
		}
		u, ok := values.next()
		if !ok {
			return false
		}
		to[i] = protowire.DecodeZigZag(u)
	}
	return true
}

// list decodes one list into the decoder's element memory.
func (d *Decoder) list(f *field) ([]int32, error) {
	r := f.sub()
	var deltas, missing, g field
	for {
		ok, err := r.next(&g)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		switch g.num {
		case listDeltas:
			err = g.bytes(&deltas, "list")
		case listAbsent:
			err = g.bytes(&missing, "absent elements")
		}
		if err != nil {
			return nil, err
		}
	}
	present := 0
	for _, c := range deltas.b {
		if c < 0x80 {
			present++
		}
	}
	absent := bitmap(missing.b)
	n := present + absent.count()
	if n > MaxListElements || len(d.elems)+n > maxAllElements {
		return nil, f.bad("list", "%d elements, want %d at most and %d in all lists", n, MaxListElements, maxAllElements)
	}
	if err := absent.check(n, &missing, "absent elements"); err != nil {
		return nil, err
	}
	start := len(d.elems)
	numbers := varints{b: deltas.b}
	last := int64(0)
	for i := range n {
		if len(absent) > 0 && absent.has(i) {
			d.elems = append(d.elems, bess.AbsentElement)
			continue
		}
		u, ok := numbers.next()
		step := protowire.DecodeZigZag(u)
		if !ok || step > math.MaxUint32 || step < -math.MaxUint32 {
			return nil, f.bad("list", "element %d is not a number of 32 bits", i)
		}
		last += step
		if last <= bess.AbsentElement || last > math.MaxInt32 {
			return nil, f.bad("list", "element %d is not a number of 32 bits", i)
		}
		d.elems = append(d.elems, int32(last))
	}
	if numbers.more() {
		return nil, f.bad("list", "not a number")
	}
	if n == 0 {
		return []int32{}, nil // present and empty, not absent; does not allocate
	}
	return d.elems[start:len(d.elems):len(d.elems)], nil
}

// interner keeps one string per name that was seen, so that a name costs no allocation when it comes again.
type interner struct {
	check func(string) error // nil = any UTF-8 of up to maxName bytes
	m     map[string]string
	size  int
}

func (in *interner) get(f, arm *field, what string) (string, error) {
	if s, ok := in.m[string(f.b)]; ok {
		return s, nil
	}
	if f.num == 0 {
		return "", &DecodeError{Offset: arm.at, What: what + " is missing", Err: ErrIdentity}
	}
	s, err := f.text(maxName, what)
	if err != nil {
		return "", err
	}
	if in.check != nil {
		if err := in.check(s); err != nil {
			return "", &DecodeError{Offset: f.at, What: err.Error(), Err: ErrIdentity}
		}
	}
	if in.m == nil || len(in.m) >= maxInterned || in.size+len(s) > maxInternSize {
		in.m, in.size = map[string]string{}, 0
	}
	in.m[s] = s
	in.size += len(s)
	return s, nil
}

// text reads a string of up to limit bytes.
func (f *field) text(limit int, what string) (string, error) {
	if err := f.want(protowire.BytesType, what); err != nil {
		return "", err
	}
	if len(f.b) > limit {
		return "", f.bad(what, "%d bytes, want %d at most", len(f.b), limit)
	}
	if !utf8.Valid(f.b) {
		return "", f.bad(what, "not UTF-8")
	}
	return string(f.b), nil
}
