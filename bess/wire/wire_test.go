package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"bessd/bess"
)

// comparePlans compares plans by what they say and by their name.
var comparePlans = cmp.Comparer(func(a, b *bess.Plan) bool {
	if a == nil || b == nil {
		return a == b
	}
	type bare struct {
		Map                   string
		Columns, Texts, Lists []bess.Column
		Extra                 []bess.ExtraColumn
	}
	return a.ID() == b.ID() && cmp.Equal(bare{a.Map, a.Columns, a.Texts, a.Lists, a.Extra}, bare{b.Map, b.Columns, b.Texts, b.Lists, b.Extra}, equateEmpty)
})

// equateEmpty treats nil and empty slices of numbers and rejections alike; lists of elements are compared strictly, since
// nil means absent there.
var equateEmpty = cmp.FilterValues(func(a, b any) bool { return emptySlice(a) && emptySlice(b) }, cmp.Comparer(func(a, b any) bool { return true }))

func emptySlice(v any) bool {
	switch v := v.(type) {
	case []int64:
		return len(v) == 0
	case []string:
		return len(v) == 0
	case [][]int32:
		return len(v) == 0
	case []bess.Rejection:
		return len(v) == 0
	case []bess.Column:
		return len(v) == 0
	case []bess.ExtraColumn:
		return len(v) == 0
	}
	return false
}

func diff(a, b any) string { return cmp.Diff(a, b, comparePlans, equateEmpty) }

func TestScanRoundTrip(t *testing.T) {
	d := NewDecoder() // one for all: what it keeps of one message must not show in the next
	rapid.Check(t, func(t *rapid.T) {
		s := drawScan(t, drawPlan(t))
		prefix := []byte("kept")
		b := AppendScan(prefix, s)
		if !bytes.HasPrefix(b, prefix) {
			t.Fatal("the bytes before were changed")
		}
		env, err := d.Decode(b[len(prefix):])
		if err != nil {
			t.Fatal(err)
		}
		if env.Arm != ArmScan {
			t.Fatalf("arm %d", env.Arm)
		}
		if diff := diff(s, env.Scan); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestRecordRoundTrip(t *testing.T) {
	d := NewDecoder()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[ -~é]{0,40}`)
		path := rapid.StringMatching(`[a-z]{1,9}(/[a-z][0-9]{0,5}){0,3}`)
		num := rapid.Int64()
		r := &bess.DeviceRecord{Site: "alfa", Device: path.Draw(t, "device"), Kind: bess.Kind(rapid.IntRange(0, 12).Draw(t, "kind")),
			Epoch: num.Draw(t, "epoch"), Rec: num.Draw(t, "rec"), TS: num.Draw(t, "ts"), Cause: word.Draw(t, "cause"), Parent: word.Draw(t, "parent"),
			Endpoint: word.Draw(t, "endpoint"), UnitID: num.Draw(t, "unit"), NotImplemented: rapid.SliceOf(word).Draw(t, "not"),
			Identity:  rapid.MapOf(word, word).Draw(t, "identity"),
			Nameplate: rapid.MapOf(word, rapid.Float64()).Draw(t, "nameplate")}
		if rapid.Bool().Draw(t, "with plan") {
			r.Plan = drawPlan(t)
		}
		env, err := d.Decode(AppendDevice(nil, r))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Identity) == 0 {
			r.Identity = nil
		}
		if len(r.Nameplate) == 0 {
			r.Nameplate = nil
		}
		if diff := diff(r, env.Device); diff != "" {
			t.Fatal(diff)
		}

		e := &bess.AgentEvent{Site: "b-2", Epoch: num.Draw(t, "epoch"), Rec: num.Draw(t, "rec"), TS: num.Draw(t, "ts"),
			Kind: bess.EventKind(rapid.IntRange(0, 5).Draw(t, "kind")), PrevEpoch: num.Draw(t, "prev"), Version: word.Draw(t, "version"), Host: word.Draw(t, "host"),
			SpoolRecords: num.Draw(t, "records"), SpoolBytes: num.Draw(t, "bytes"), ClockStepUS: num.Draw(t, "step"), Note: word.Draw(t, "note")}
		for range rapid.IntRange(0, 5).Draw(t, "devices") {
			e.LastSeq = append(e.LastSeq, bess.DeviceSeq{Device: path.Draw(t, "device"), Seq: num.Draw(t, "seq")})
			e.Dropped = append(e.Dropped, bess.DroppedRange{Device: path.Draw(t, "device"), Epoch: num.Draw(t, "epoch"), FirstSeq: num.Draw(t, "first"),
				LastSeq: num.Draw(t, "last"), Reason: word.Draw(t, "reason")})
		}
		env, err = d.Decode(AppendEvent(nil, e))
		if err != nil {
			t.Fatal(err)
		}
		if diff := diff(e, env.Event); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A text that a device sent in another character set must not make the message unreadable.
func TestInvalidUTF8(t *testing.T) {
	r := &bess.DeviceRecord{Site: "alfa", Device: "bank1", Identity: map[string]string{"model": "B\xe9ta"}}
	env, err := NewDecoder().Decode(AppendDevice(nil, r))
	if err != nil {
		t.Fatal(err)
	}
	if got := env.Device.Identity["model"]; got != "B\uFFFDta" {
		t.Errorf("got %q", got)
	}
}

// What a device sends never costs the message: each text is cut to what the reader takes of it.
func TestLongTexts(t *testing.T) {
	p, err := bess.NewPlan(bess.Plan{Map: "a@1", Periods: []time.Duration{time.Second}, Texts: []bess.Column{{Num: bess.NumCellVoltageMinAt}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &bess.Scan{Site: "alfa", Device: "bank1"}
	s.Reset(p)
	s.Texts[0] = strings.Repeat("é", maxName)
	env, err := NewDecoder().Decode(AppendScan(nil, s))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("é", maxName/2); env.Scan.Texts[0] != want {
		t.Errorf("%d bytes, want %d", len(env.Scan.Texts[0]), len(want))
	}
	long := strings.Repeat("x", maxName+1)
	r := &bess.DeviceRecord{Site: "alfa", Device: "bank1", NotImplemented: []string{long},
		Identity: map[string]string{long: strings.Repeat("y", maxText+1)}, Nameplate: map[string]float64{long: 1}}
	if env, err = NewDecoder().Decode(AppendDevice(nil, r)); err != nil {
		t.Fatal(err)
	}
	if d := env.Device; d.NotImplemented[0] != long[1:] || d.Nameplate[long[1:]] != 1 || len(d.Identity[long[1:]]) != maxText {
		t.Errorf("%+v", d)
	}
	e := &bess.AgentEvent{Site: "alfa", Dropped: []bess.DroppedRange{{Device: "bank1", Reason: long}}}
	if env, err = NewDecoder().Decode(AppendEvent(nil, e)); err != nil {
		t.Fatal(err)
	}
	if env.Event.Dropped[0].Reason != long[1:] {
		t.Errorf("%+v", env.Event)
	}
}

// One device with an impossible path does not cost the heartbeat of all others.
func TestLastSeqOfABadPath(t *testing.T) {
	e := &bess.AgentEvent{Site: "alfa", Kind: bess.EventHeartbeat, LastSeq: []bess.DeviceSeq{{Device: "bank1", Seq: 1}, {Device: "a/b/c/d/e/f", Seq: 2},
		{Device: "", Seq: 3}, {Device: strings.Repeat("x", maxName+1), Seq: 4}, {Device: "bank2", Seq: 5}}}
	env, err := NewDecoder().Decode(AppendEvent(nil, e))
	if err != nil {
		t.Fatal(err)
	}
	if diff := diff([]bess.DeviceSeq{{Device: "bank1", Seq: 1}, {Device: "bank2", Seq: 5}}, env.Event.LastSeq); diff != "" {
		t.Error(diff)
	}
	p, err := bess.NewPlan(bess.Plan{Map: "a@1", Periods: []time.Duration{time.Second}, Columns: []bess.Column{{Num: bess.NumVoltageV}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &bess.Scan{Site: "alfa", Device: "a/b/c/d/e/f"}
	s.Reset(p)
	if _, err := NewDecoder().Decode(AppendScan(nil, s)); !errors.Is(err, ErrIdentity) {
		t.Errorf("a scan of such a device: %v", err)
	}
}

// A note as long as an error can get does not cost the event; it is cut between two characters.
func TestLongNote(t *testing.T) {
	e := &bess.AgentEvent{Site: "alfa", Kind: bess.EventStop, Note: strings.Repeat("é", maxText)}
	env, err := NewDecoder().Decode(AppendEvent(nil, e))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("é", maxText/2); env.Event.Note != want {
		t.Errorf("%d bytes, want %d", len(env.Event.Note), len(want))
	}
}

// A newer agent may send vocabulary numbers, reasons, qualities and fields that this build does not know. The message
// stays readable, and the plan keeps the agent's name.
func TestNewerAgent(t *testing.T) {
	plan := must(bess.NewPlan(bess.Plan{Map: "next@9", Periods: bankPlan().Periods,
		Columns: []bess.Column{{Num: bess.NumSocPct, Decimals: 1}, {Num: 9999, Decimals: 2}}}))
	s := &bess.Scan{Site: "alfa", Device: "bank1", Quality: bess.Good}
	s.Reset(plan)
	s.Values[0], s.Values[1] = 512, 1234
	s.Rejected = []bess.Rejection{{Slot: 1, Reason: 9}}
	b := AppendScan(nil, s)
	inner, n := protowire.ConsumeBytes(b[1:])
	if n < 0 {
		t.Fatal("no inner message")
	}
	inner = bytes.Clone(inner)
	inner = protowire.AppendVarint(protowire.AppendTag(inner, 77, protowire.VarintType), 5)
	inner = protowire.AppendString(protowire.AppendTag(inner, 78, protowire.BytesType), "new")
	inner = protowire.AppendFixed32(protowire.AppendTag(inner, 79, protowire.Fixed32Type), 1)
	inner = protowire.AppendVarint(protowire.AppendTag(inner, scanQuality, protowire.VarintType), 9)
	b = protowire.AppendBytes(protowire.AppendTag(nil, envScan, protowire.BytesType), inner)
	b = protowire.AppendString(protowire.AppendTag(b, 99, protowire.BytesType), "trace")

	env, err := NewDecoder().Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if env.Scan.Plan.ID() != plan.ID() || env.Scan.Plan.SlotName(1) != "num9999" || env.Scan.Values[1] != 1234 {
		t.Errorf("got plan %s, %s = %d", env.Scan.Plan.ID(), env.Scan.Plan.SlotName(1), env.Scan.Values[1])
	}
	if env.Scan.Quality != bess.QualityUnknown || env.Scan.Rejected[0].Reason.String() != "unknown" {
		t.Errorf("got quality %s, reason %s", env.Scan.Quality, env.Scan.Rejected[0].Reason)
	}
}

func TestUnknownArm(t *testing.T) {
	d := NewDecoder()
	raw := protowire.AppendBytes(protowire.AppendTag(nil, envRaw, protowire.BytesType), []byte{1, 2})
	env, err := d.Decode(raw)
	if !errors.Is(err, ErrUnknownArm) || env.Arm != ArmRaw {
		t.Errorf("raw: arm %d, %v", env.Arm, err)
	}
	next := protowire.AppendBytes(protowire.AppendTag(nil, 12, protowire.BytesType), []byte{1, 2})
	if _, err := d.Decode(next); !errors.Is(err, ErrUnknownArm) {
		t.Errorf("arm 12: %v", err)
	}
}

// build makes an envelope of one arm from the appended parts.
func build(arm protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, arm, protowire.BytesType), bytes.Join(parts, nil))
}

func str(num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
}

func num(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func packed(n protowire.Number, vs ...uint64) []byte {
	var b []byte
	for _, v := range vs {
		b = protowire.AppendVarint(b, v)
	}
	return str(n, string(b))
}

func TestRefusals(t *testing.T) {
	id := append(str(fSite, "alfa"), str(fDevice, "bank1")...)
	period := packed(schemaPeriods, 1_000_000)
	soc := packed(schemaColumns, 1<<4|1)
	schema := func(parts ...[]byte) []byte { return str(fSchema, string(bytes.Join(parts, nil))) }
	one := schema(period, soc)
	cells := schema(period, packed(schemaLists, 111<<4|3))
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"nothing", "empty envelope", nil},
		{"text", "decoding message", []byte("{\"soc\": 5}")},
		{"too long", "at most", make([]byte, MaxMessage+1)},
		{"two arms", "second arm", append(build(envScan, id, one, packed(scanValues, 2)), build(envScan)...)},
		{"arm is a number", "wire type", num(envScan, 5)},
		{"cut", "unexpected EOF", build(envScan, id, one, packed(scanValues, 2))[:20]},
		{"group", "wire type", []byte{0x0b, 0x0c}},
		{"no schema", "without schema", build(envScan, id)},
		{"no site", "site is missing", build(envScan, str(fDevice, "bank1"), one, packed(scanValues, 2))},
		{"bad site", "invalid site", build(envScan, str(fSite, "Alfa"), str(fDevice, "bank1"), one, packed(scanValues, 2))},
		{"bad device", "invalid site or device", build(envScan, str(fSite, "alfa"), str(fDevice, "bank 1"), one, packed(scanValues, 2))},
		{"too few values", "values", build(envScan, id, one)},
		{"too many values", "more values", build(envScan, id, one, packed(scanValues, 2, 2))},
		{"value cut", "values", build(envScan, id, one, str(scanValues, "\x80"))},
		{"values not packed", "wire type", build(envScan, id, one, num(scanValues, 2))},
		{"absent beyond the plan", "beyond", build(envScan, id, one, str(scanAbsent, "\x02"), packed(scanValues, 2))},
		{"absent too long", "beyond", build(envScan, id, one, str(scanAbsent, "\x01\x00"))},
		{"text too many", "texts", build(envScan, id, one, packed(scanValues, 2), str(scanTexts, "x"))},
		{"list missing", "lists", build(envScan, id, cells)},
		{"list too wide", "32 bits", build(envScan, id, cells, str(scanLists, string(packed(listDeltas, 1<<40))))},
		{"list sums too wide", "32 bits", build(envScan, id, cells, str(scanLists, string(packed(listDeltas, math.MaxUint32-1, 4))))},
		{"list too long", "elements", build(envScan, id, cells, str(scanLists, string(packed(listDeltas, make([]uint64, MaxListElements+1)...))))},
		{"list of absences", "elements", build(envScan, id, cells, str(scanLists, string(str(listAbsent, strings.Repeat("\xff", MaxListElements/8+1)))))},
		{"rejected beyond the plan", "rejected", build(envScan, id, one, packed(scanValues, 2), packed(scanRejected, 1<<4|1))},
		{"rejected too many", "rejected", build(envScan, id, one, packed(scanValues, 2), packed(scanRejected, 1, 1))},
		{"schema twice", "twice", build(envScan, id, one, one, packed(scanValues, 2))},
		{"columns twice", "twice", build(envScan, id, schema(period, soc, soc))},
		{"column order", "ascending", build(envScan, id, schema(period, packed(schemaColumns, 1<<4, 0)))},
		{"column of a list", "type", build(envScan, id, schema(period, packed(schemaColumns, 111<<4)))},
		{"column number", "vocabulary number", build(envScan, id, schema(period, packed(schemaColumns, 1<<20)))},
		{"column decimals", "decimals", build(envScan, id, schema(period, packed(schemaColumns, 1<<4|15)))},
		{"no period", "tier", build(envScan, id, schema(soc))},
		{"period", "period", build(envScan, id, schema(packed(schemaPeriods, 7_000_001), soc))},
		{"periods", "periods", build(envScan, id, schema(packed(schemaPeriods, make([]uint64, 65)...), soc))},
		{"tiers", "tiers", build(envScan, id, schema(period, soc, packed(schemaTiers, 2<<6)))},
		{"huge tier run", "tiers", build(envScan, id, schema(period, soc, packed(schemaTiers, math.MaxUint64)))},
		{"many columns", "slots", build(envScan, id, schema(period, packed(schemaColumns, repeat(MaxSlots+1, 16)...)))},
		{"many extras", "slots", build(envScan, id, schema(period, bytes.Repeat(str(schemaExtra, ""), MaxSlots+1)))},
		{"extra name", "extra", build(envScan, id, schema(period, str(schemaExtra, "")))},
		{"kind", "kind", build(envScan, id, num(fKind, 256), one, packed(scanValues, 2))},
		{"text bytes", "UTF-8", build(envEvent, str(fSite, "alfa"), str(evNote, "\xff"))},
		{"nameplate", "wire type", build(envDevice, id, str(devNameplate, string(num(mapValue, 5))))},
		{"many entries", "fields", build(envDevice, id, bytes.Repeat(str(devNotImplemented, ""), maxEntries+1))},
	} {
		t.Run(c.name, func(t *testing.T) {
			env, err := NewDecoder().Decode(c.b)
			var de *DecodeError
			if !errors.As(err, &de) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, error %v, want one with %q", env, err, c.want)
			}
			if env != (Envelope{}) {
				t.Errorf("an envelope beside the error: %+v", env)
			}
			if strings.Contains(c.name, "site") != errors.Is(err, ErrIdentity) && !strings.Contains(c.name, "device") {
				t.Errorf("ErrIdentity in %v", err)
			}
		})
	}
}

func repeat(n int, v uint64) []uint64 {
	s := make([]uint64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// A flood of ever new schema blocks and names must not fill the memory.
func TestMemoryIsBounded(t *testing.T) {
	d := NewDecoder()
	period := packed(schemaPeriods, 1_000_000)
	for i := range 3 * maxPlans {
		name := strings.Repeat("x", 150) + string(binary.BigEndian.AppendUint32(nil, uint32(i)&0x7f7f7f7f))
		schema := str(fSchema, string(append(str(schemaMap, name), period...)))
		if _, err := d.Decode(build(envScan, str(fSite, "alfa"), str(fDevice, "bank1"), schema)); err != nil {
			t.Fatal(err)
		}
		if len(d.plans) > maxPlans || d.planBytes > maxPlanBytes {
			t.Fatalf("%d plans of %d bytes after %d messages", len(d.plans), d.planBytes, i+1)
		}
	}
	in := interner{}
	for i := range 3 * maxInternSize / maxName {
		f := field{num: 1, typ: protowire.BytesType, b: []byte(strings.Repeat("y", maxName-4) + string(binary.BigEndian.AppendUint32(nil, uint32(i)&0x7f7f7f7f)))}
		if _, err := in.get(&f, &f, "text"); err != nil {
			t.Fatal(err)
		}
		if in.size > maxInternSize {
			t.Fatalf("%d bytes kept", in.size)
		}
	}
}

// What a warm decoder and encoder do for a scan of a known device costs no allocation.
func TestAllocations(t *testing.T) {
	d := NewDecoder()
	for _, s := range []*bess.Scan{bankScan(bankPlan(), 3, 1), moduleScan(modulePlan(), 3, 1)} {
		buf := AppendScan(nil, s)
		run := func() {
			buf = AppendScan(buf[:0], s)
			if _, err := d.Decode(buf); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n > 0 {
			t.Errorf("%s: %v allocations a scan", s.Device, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range fixtures() {
		f.Add(b.bytes)
	}
	f.Add([]byte{})
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		env, err := NewDecoder().Decode(b)
		if err != nil {
			return
		}
		// What was understood must survive being written and read again.
		var again []byte
		switch env.Arm {
		case ArmScan:
			again = AppendScan(nil, env.Scan)
		case ArmDevice:
			again = AppendDevice(nil, env.Device)
		case ArmEvent:
			again = AppendEvent(nil, env.Event)
		}
		if len(again) > MaxMessage {
			return
		}
		env2, err := NewDecoder().Decode(again)
		if err != nil {
			t.Fatalf("reading what was written: %v", err)
		}
		var third []byte
		switch env2.Arm {
		case ArmScan:
			third = AppendScan(nil, env2.Scan)
		case ArmDevice:
			third = AppendDevice(nil, env2.Device)
		case ArmEvent:
			third = AppendEvent(nil, env2.Event)
		}
		if !bytes.Equal(again, third) { // bytes, because a NaN of a nameplate equals nothing
			t.Fatalf("not the same:\n%x\n%x", again, third)
		}
	})
}
