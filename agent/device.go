package agent

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"bessd/bess"
	bessmaps "bessd/bess/maps"
)

// identity is what outlives a new layout of a device within one run of the agent.
type identity struct {
	path  string
	seq   atomic.Int64             // last seq that the sink has taken or refused
	given [bessmaps.NumTiers]int64 // last slot in which the tier was delivered; owned by the endpoint's goroutine
}

// device is one device that a unit feeds. It is owned by the endpoint's goroutine.
type device struct {
	id     *identity
	kind   bess.Kind
	parent string

	fields []field
	values []value
	tiers  [bessmaps.NumTiers]deviceTier
	base   bessmaps.Tier // the fastest tier that it has

	// What the device implements: fields that had a value once. It only grows, so that plans settle.
	seen     []bool
	decimals []int8

	periods []time.Duration
	planOf  [bessmaps.NumTiers]uint8 // tier -> index into periods
	columns []column                 // candidates, by column
	mapName string

	plan  *bess.Plan
	slots []int // plan slot -> field
	dirty bool  // plan must be made anew

	ident     map[string]string
	nameplate map[string]float64
	told      told

	// The row that is being made.
	open    bool
	tick    int64 // its ts
	emitted int64 // ts of the last row
	lastUS  int64 // when its last answer came

	beat   int64 // last heartbeat value
	beatAt int64 // ts when it changed
	beats  bool  // it has changed once: a constant never does

	steps int64 // clock steps that the rows know of
}

// deviceTier is the part of a device that is kept at one period.
type deviceTier struct {
	used   bool
	fields []int
	blocks []int
	done   bool // within the unit's current slot
}

// column is a column, extra point or identity entry with the fields that can fill it, nearest first.
type column struct {
	num    bess.Num
	extra  string
	ident  string
	fields []int
}

// told is the device record as last sent.
type told struct {
	plan      string
	ident     map[string]string
	nameplate map[string]float64
	at        int64 // microseconds, 0 = never
}

// newDevice compiles a layout's device; period gives the period of each tier.
func newDevice(id *identity, d bessmaps.Device, mapName string, blocks []block, period [bessmaps.NumTiers]time.Duration) *device {
	dev := &device{id: id, kind: d.Kind, parent: d.Parent, mapName: mapName, dirty: true, ident: map[string]string{}, nameplate: map[string]float64{}}
	for _, f := range d.Fields {
		c, ok := compile(f, blocks)
		if !ok {
			continue // a point that no request can read
		}
		for _, b := range c.blocks { // not kept faster than it is read
			c.Tier = max(c.Tier, blocks[b].tier)
		}
		dev.fields = append(dev.fields, c)
	}
	n := len(dev.fields)
	dev.values, dev.seen, dev.decimals = make([]value, n), make([]bool, n), make([]int8, n)
	for i := range dev.fields {
		t := &dev.tiers[dev.fields[i].Tier]
		t.used = true
		t.fields = append(t.fields, i)
		for _, b := range dev.fields[i].blocks {
			if !slices.Contains(t.blocks, b) {
				t.blocks = append(t.blocks, b)
			}
		}
	}
	dev.base = bessmaps.NumTiers
	for t := range dev.tiers {
		if dev.tiers[t].used {
			dev.base = min(dev.base, bessmaps.Tier(t))
			dev.planOf[t] = uint8(len(dev.periods))
			dev.periods = append(dev.periods, period[t])
		}
	}
	if n == 0 {
		dev.periods = []time.Duration{period[bessmaps.Fast]}
	}
	dev.group()
	return dev
}

// group collects the candidates of each column, in the order of a plan's slots.
func (d *device) group() {
	type key struct {
		num          bess.Num
		extra, ident string
	}
	at := map[key]int{}
	for i := range d.fields {
		f := &d.fields[i]
		k := key{f.Column, f.Extra, f.Ident}
		j, ok := at[k]
		if !ok {
			j = len(d.columns)
			at[k] = j
			d.columns = append(d.columns, column{num: f.Column, extra: f.Extra, ident: f.Ident})
		}
		d.columns[j].fields = append(d.columns[j].fields, i)
	}
	for _, c := range d.columns {
		slices.SortStableFunc(c.fields, func(a, b int) int { return cmp.Compare(d.fields[a].Rank, d.fields[b].Rank) })
	}
	slices.SortFunc(d.columns, func(a, b column) int {
		return cmp.Or(cmp.Compare(part(a), part(b)), cmp.Compare(a.num, b.num), cmp.Compare(a.extra, b.extra), cmp.Compare(a.ident, b.ident))
	})
}

// part is where a column stands in a plan: columns, texts, lists, extra; identity is none of them.
func part(c column) int {
	if p := bess.PointByNum(c.num); p != nil {
		switch p.Type {
		case bess.Text:
			return 1
		case bess.Floats, bess.Bools:
			return 2
		}
		return 0
	}
	if c.extra != "" {
		return 3
	}
	return 4
}

// chosen is the nearest field of a column that the device implements, -1 if there is none.
func (d *device) chosen(c *column) int {
	for _, i := range c.fields {
		if d.seen[i] {
			return i
		}
	}
	return -1
}

// replan makes the plan of what the device implements.
func (d *device) replan() error {
	p := bess.Plan{Map: d.mapName, Periods: d.periods}
	d.slots = d.slots[:0]
	for k := range d.columns {
		c := &d.columns[k]
		i := d.chosen(c)
		if i < 0 || c.ident != "" {
			continue
		}
		tier, dec := d.planOf[d.fields[i].Tier], d.decimals[i]
		switch part(*c) {
		case 0:
			p.Columns = append(p.Columns, bess.Column{Num: c.num, Decimals: dec, Tier: tier})
		case 1:
			p.Texts = append(p.Texts, bess.Column{Num: c.num, Tier: tier})
		case 2:
			p.Lists = append(p.Lists, bess.Column{Num: c.num, Decimals: dec, Tier: tier})
		case 3:
			p.Extra = append(p.Extra, bess.ExtraColumn{Name: c.extra, Decimals: dec, Tier: tier})
		}
		d.slots = append(d.slots, i)
	}
	plan, err := bess.NewPlan(p)
	if err != nil {
		return err
	}
	d.plan, d.dirty = plan, false
	return nil
}

// finish decodes the fields of a tier into the row of tick.
func (d *device) finish(t bessmaps.Tier, img image, tick, lastUS int64) {
	d.tiers[t].done = true
	d.id.given[t] = slotOf(tick, d.periods[d.planOf[t]])
	if !d.open {
		d.open, d.tick, d.lastUS = true, tick, tick
	}
	d.lastUS = max(d.lastUS, lastUS)
	for _, i := range d.tiers[t].fields {
		f, v := &d.fields[i], &d.values[i]
		v.due = true
		f.decode(img, v)
		if v.out != present {
			continue
		}
		if r := f.resolution(v); !d.seen[i] || r > d.decimals[i] {
			d.dirty = d.dirty || f.Ident == ""
			d.decimals[i] = max(r, d.decimals[i])
			d.seen[i] = true
		}
	}
	if t == bessmaps.Nameplate {
		d.describe()
	}
}

// describe takes identity and nameplate over from the values.
func (d *device) describe() {
	for k := range d.columns {
		c := &d.columns[k]
		i := d.chosen(c)
		if i < 0 || !d.values[i].due || d.values[i].out != present {
			continue
		}
		v := &d.values[i]
		if c.ident != "" {
			d.ident[c.ident] = v.text
		} else if p := d.fields[i].point; p != nil && p.Class == bess.Nameplate {
			if m, ok := scaled(v.m, v.exp, d.decimals[i]); ok && bess.CheckRange(p, m, d.decimals[i]) == bess.ReasonUnknown {
				d.nameplate[p.Name] = bess.Float(m, d.decimals[i])
			}
		}
	}
}

// notImplemented names the columns that the map knows and the device never had a value for.
func (d *device) notImplemented() []string {
	var names []string
	for k := range d.columns {
		c := &d.columns[k]
		if d.chosen(c) >= 0 || c.ident != "" {
			continue
		}
		if p := bess.PointByNum(c.num); p != nil {
			names = append(names, p.Name)
		} else {
			names = append(names, c.extra)
		}
	}
	slices.Sort(names)
	return names
}

// fill makes the scan of the open row and closes it. The scan's slices stay valid until the next finish.
func (d *device) fill(s *bess.Scan) error {
	if d.dirty || d.plan == nil {
		if err := d.replan(); err != nil {
			return err
		}
	}
	s.Reset(d.plan)
	s.Device, s.Kind, s.TS, s.ScanUS, s.Flags = d.id.path, d.kind, d.tick, max(0, d.lastUS-d.tick), 0
	answered := false
	for slot, i := range d.slots {
		v := &d.values[i]
		if !v.due {
			continue
		}
		answered = answered || v.out != unread
		if reason := d.put(s, slot, i, v); reason != bess.ReasonUnknown {
			s.Rejected = append(s.Rejected, bess.Rejection{Slot: uint16(slot), Reason: reason})
		}
	}
	for i := range d.values { // fields without a slot: identity, and what has no value yet
		answered = answered || d.values[i].due && d.values[i].out != unread
		d.values[i].due = false
	}
	switch {
	case !answered:
		s.Reset(d.plan)
		s.Quality = bess.Bad
	case d.frozen(s):
		s.Quality = bess.Stale
	case len(s.Rejected) > 0:
		s.Quality = bess.Partial
	default:
		s.Quality = bess.Good
	}
	d.open, d.emitted = false, d.tick
	return nil
}

// put stores one value; the reason tells why it is missing.
func (d *device) put(s *bess.Scan, slot, i int, v *value) bess.Reason {
	switch v.out {
	case unread:
		return bess.ReasonComm
	case null:
		return bess.ReasonSentinel
	case refused:
		return bess.ReasonRange
	case vague:
		return bess.ReasonUnknown
	}
	f, p := &d.fields[i], d.plan
	nc, nt, nl := len(p.Columns), len(p.Texts), len(p.Lists)
	switch {
	case slot < nc:
		m, ok := scaled(v.m, v.exp, p.Columns[slot].Decimals)
		if !ok || bess.CheckRange(f.point, m, p.Columns[slot].Decimals) != bess.ReasonUnknown {
			return bess.ReasonRange
		}
		s.Values[slot] = m
	case slot < nc+nt:
		s.Texts[slot-nc] = v.text
	case slot < nc+nt+nl:
		k := slot - nc - nt
		bad := v.bad
		for j, e := range v.list {
			if e == bess.AbsentElement {
				continue
			}
			m, ok := scaled(int64(e), v.exp, p.Lists[k].Decimals)
			if !ok || m > 1<<31-1 || m <= -1<<31 || bess.CheckElement(f.point, int32(m), p.Lists[k].Decimals) != bess.ReasonUnknown {
				bad, m = true, bess.AbsentElement
			}
			v.list[j] = int32(m)
		}
		s.Lists[k] = v.list
		if bad {
			return bess.ReasonRange
		}
	default:
		k := slot - nc - nt - nl
		m, ok := scaled(v.m, v.exp, p.Extra[k].Decimals)
		if !ok {
			return bess.ReasonRange
		}
		s.Extra[k] = m
	}
	return bess.ReasonUnknown
}

// frozenAfter is how long a life counter may stand still.
const frozenAfter = 5 * time.Second

// frozen tells whether the device's life counter stands still. A counter that never moved says nothing.
func (d *device) frozen(s *bess.Scan) bool {
	k := bess.Find(d.plan.Columns, bess.NumHeartbeat)
	if k < 0 || s.Values[k] == bess.Absent {
		return false
	}
	if v := s.Values[k]; d.beatAt == 0 || v != d.beat {
		d.beats = d.beats || d.beatAt != 0
		d.beat, d.beatAt = v, s.TS
		return false
	}
	return d.beats && s.TS-d.beatAt > frozenAfter.Microseconds()
}

// news tells whether the device record says something new, and remembers it as told.
func (d *device) news(now int64) (cause string, ok bool) {
	switch {
	case d.told.at == 0:
		cause = "start"
	case d.told.plan != d.plan.ID() || !maps.Equal(d.told.ident, d.ident) || !maps.Equal(d.told.nameplate, d.nameplate):
		cause = "change"
	default:
		return "", false
	}
	d.telling(now)
	return cause, true
}

func (d *device) telling(now int64) {
	d.told = told{plan: d.plan.ID(), ident: maps.Clone(d.ident), nameplate: maps.Clone(d.nameplate), at: now}
}
