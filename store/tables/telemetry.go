package tables

import (
	"fmt"
	"sort"

	"bessd/bess"
	"bessd/bess/columns"
)

// telemetryColumn is a column of telemetry together with how a run fills it.
type telemetryColumn struct {
	columns.Column
	// fill appends the rows [from, to) of a run.
	fill func(v *columns.Vector, r bess.Run, from, to int)
}

// telemetryColumns are the key columns, then the whole vocabulary in order of its numbers, then extra. Those that readers
// prune by come first: some writers keep statistics of the first 32 columns only.
func telemetryColumns() []telemetryColumn {
	col := func(name string, t columns.Type, nullable bool, comment string, fill func(*columns.Vector, bess.Run, int, int)) telemetryColumn {
		return telemetryColumn{columns.Column{Name: name, Type: t, Nullable: nullable, Comment: comment}, fill}
	}
	ints := func(get func(bess.Run) bess.Ints) func(*columns.Vector, bess.Run, int, int) {
		return func(v *columns.Vector, r bess.Run, from, to int) {
			c := get(r)
			for i := from; i < to; i++ {
				v.AppendInt64(c.At(i))
			}
		}
	}
	text := func(get func(bess.Run) string) func(*columns.Vector, bess.Run, int, int) {
		return func(v *columns.Vector, r bess.Run, from, to int) {
			s := get(r)
			for range to - from {
				v.AppendString(s)
			}
		}
	}
	out := []telemetryColumn{
		col("ts", columns.Timestamp, false, "the aligned poll tick, UTC", ints(bess.Run.TS)),
		col("epoch", columns.Int64, false, "one run of the agent; with seq it names a scan for ever", ints(bess.Run.Epoch)),
		col("seq", columns.Int64, false, "counts the device's scans within the epoch, failed ones included", ints(bess.Run.Seq)),
		col("site", columns.String, false, "site id", text(bess.Run.Site)),
		col("device", columns.String, false, "device path inside the site", text(bess.Run.Device)),
		col("kind", columns.String, false, "kind of device", text(func(r bess.Run) string { return r.Kind().String() })),
		col("quality", columns.String, false, "good, partial, stale or bad", func(v *columns.Vector, r bess.Run, from, to int) {
			for i := from; i < to; i++ {
				v.AppendString(r.Quality(i).String())
			}
		}),
		col("scan_ms", columns.Double, false, "ms; from the tick to the scan's last answer", func(v *columns.Vector, r bess.Run, from, to int) {
			c := r.ScanUS()
			for i := from; i < to; i++ {
				v.AppendDouble(bess.Float(c.At(i), c.Decimals))
			}
		}),
		col("late_s", columns.Int64, false, "s; floor of Kafka record time - ts, 0 when live", ints(bess.Run.LateS)),
		col("plan", columns.String, false, "the devices table has the period of each column for a plan", text(func(r bess.Run) string { return r.Plan().ID() })),
		col("flags", columns.StringList, true, "clock_unset, clock_stepped, retrospective", fillFlags),
		col("rejected", columns.StringList, true, "column:reason of values that were expected and are missing", fillRejected),
	}
	for _, p := range bess.Points() {
		out = append(out, telemetryColumn{vocabularyColumn(&p), fillPoint(p)})
	}
	return append(out, col("extra", columns.DoubleMap, true, "vendor points without a column, key <map>.<point>", fillExtra))
}

func vocabularyColumn(p *bess.Point) columns.Column {
	types := map[bess.Type]columns.Type{
		bess.Double: columns.Double, bess.Int64: columns.Int64, bess.Bits: columns.Int64, bess.Enum: columns.String, bess.Text: columns.String,
		bess.Floats: columns.FloatList, bess.Bools: columns.BoolList,
	}
	comment := p.Unit
	if p.Derived {
		comment += "; derived from the same scan where the device has no such point"
	}
	return columns.Column{Name: p.Name, Type: types[p.Type], Nullable: true, Comment: comment}
}

func fillFlags(v *columns.Vector, r bess.Run, from, to int) {
	for i := from; i < to; i++ {
		if f := r.Flags(i); f == 0 {
			v.AppendNull()
		} else {
			v.AppendStrings(f.Names())
		}
	}
}

func fillRejected(v *columns.Vector, r bess.Run, from, to int) {
	for i := from; i < to; i++ {
		rej := r.Rejected(i)
		if len(rej) == 0 {
			v.AppendNull()
			continue
		}
		names := make([]string, len(rej))
		for k, x := range rej {
			names[k] = r.Plan().SlotName(int(x.Slot)) + ":" + x.Reason.String()
		}
		v.AppendStrings(names)
	}
}

// fillPoint chooses once how a vocabulary column is filled.
func fillPoint(p bess.Point) func(v *columns.Vector, r bess.Run, from, to int) {
	num := p.Num
	switch p.Type {
	case bess.Text:
		return func(v *columns.Vector, r bess.Run, from, to int) {
			c, ok := r.Text(num)
			if !ok {
				v.AppendNulls(to - from)
				return
			}
			for i := from; i < to; i++ {
				if s := c.At(i); s != "" {
					v.AppendString(s)
				} else {
					v.AppendNull()
				}
			}
		}
	case bess.Floats:
		return func(v *columns.Vector, r bess.Run, from, to int) { fillFloats(v, r, num, from, to) }
	case bess.Bools:
		return func(v *columns.Vector, r bess.Run, from, to int) { fillBools(v, r, num, from, to) }
	}
	var put func(v *columns.Vector, x int64, dec int8)
	switch p.Type {
	case bess.Double:
		put = func(v *columns.Vector, x int64, dec int8) { v.AppendDouble(bess.Float(x, dec)) }
	case bess.Enum:
		enum := bess.EnumByName(p.Enum)
		put = func(v *columns.Vector, x int64, _ int8) { v.AppendString(enum.MemberName(x)) }
	default:
		put = func(v *columns.Vector, x int64, _ int8) { v.AppendInt64(x) }
	}
	return func(v *columns.Vector, r bess.Run, from, to int) {
		c, ok := r.Column(num)
		if !ok {
			v.AppendNulls(to - from)
			return
		}
		for i := from; i < to; i++ {
			if x := c.At(i); x != bess.Absent {
				put(v, x, c.Decimals)
			} else {
				v.AppendNull()
			}
		}
	}
}

func fillFloats(v *columns.Vector, r bess.Run, num bess.Num, from, to int) {
	c, ok := r.List(num)
	if !ok {
		v.AppendNulls(to - from)
		return
	}
	var x []float32
	var null []bool
	for i := from; i < to; i++ {
		l := c.At(i)
		if l == nil {
			v.AppendNull()
			continue
		}
		x, null = x[:0], null[:0]
		for _, e := range l {
			null = append(null, e == bess.AbsentElement)
			if e == bess.AbsentElement {
				e = 0
			}
			x = append(x, float32(bess.Float(int64(e), c.Decimals)))
		}
		v.AppendFloats(x, null)
	}
}

func fillBools(v *columns.Vector, r bess.Run, num bess.Num, from, to int) {
	c, ok := r.List(num)
	if !ok {
		v.AppendNulls(to - from)
		return
	}
	var x, null []bool
	for i := from; i < to; i++ {
		l := c.At(i)
		if l == nil {
			v.AppendNull()
			continue
		}
		x, null = x[:0], null[:0]
		for _, e := range l {
			x, null = append(x, e != 0 && e != bess.AbsentElement), append(null, e == bess.AbsentElement)
		}
		v.AppendBools(x, null)
	}
}

func fillExtra(v *columns.Vector, r bess.Run, from, to int) {
	extra := r.Extra()
	if len(extra) == 0 {
		v.AppendNulls(to - from)
		return
	}
	var keys []string
	var values []float64
	for i := from; i < to; i++ {
		keys, values = keys[:0], values[:0]
		for _, e := range extra {
			if x := e.At(i); x != bess.Absent {
				keys, values = append(keys, e.Name), append(values, bess.Float(x, e.Decimals))
			}
		}
		if len(keys) == 0 {
			v.AppendNull()
		} else {
			v.AppendMap(keys, values)
		}
	}
}

// daySource gives the rows of one day of a section.
type daySource struct {
	cols []telemetryColumn
	runs []bess.Run
	ends []int // of the runs, in rows of the day
}

func newDaySource(cols []telemetryColumn, d *bess.Day) *daySource {
	s := &daySource{cols: cols, runs: d.Runs()}
	n := 0
	for _, r := range s.runs {
		n += r.Len()
		s.ends = append(s.ends, n)
	}
	return s
}

// Rows implements columns.Source.
func (s *daySource) Rows() int {
	if len(s.ends) == 0 {
		return 0
	}
	return s.ends[len(s.ends)-1]
}

// Column implements columns.Source.
func (s *daySource) Column(col, from, to int, v *columns.Vector) error {
	if col < 0 || col >= len(s.cols) || from < 0 || from > to || to > s.Rows() {
		return fmt.Errorf("rows [%d, %d) of column %d asked of %d rows and %d columns", from, to, col, s.Rows(), len(s.cols))
	}
	fill := s.cols[col].fill
	for k := sort.SearchInts(s.ends, from+1); from < to; k++ {
		start := s.ends[k] - s.runs[k].Len()
		end := min(to, s.ends[k])
		fill(v, s.runs[k], from-start, end-start)
		from = end
	}
	return nil
}

func telemetrySchema(cols []telemetryColumn) columns.Schema {
	out := make(columns.Schema, len(cols))
	for i := range cols {
		out[i] = cols[i].Column
	}
	return out
}

// telemetryDays gives a source per date of the section.
func telemetryDays(cols []telemetryColumn, s *bess.Section) []dated {
	var out []dated
	for _, d := range s.Days() {
		out = append(out, dated{d.Date(), newDaySource(cols, d)})
	}
	return out
}
