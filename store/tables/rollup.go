package tables

import (
	"fmt"

	"bessd/bess"
	"bessd/bess/columns"
)

type part = bess.RollupPart

func rollupLayout() layout[part] {
	has := func(bit bess.RollupHas, get func(*part) float64) func(*part) (float64, bool) {
		return func(p *part) (float64, bool) { return get(p), p.Has&bit != 0 }
	}
	return layout[part]{
		timeField("minute_ts", "start of the minute of ts, UTC", func(p *part) int64 { return p.MinuteTS }),
		intField("epoch", "one run of the agent", func(p *part) int64 { return p.Epoch }),
		textField("site", "site id", func(p *part) string { return p.Site }),
		textField("device", "device path inside the site", func(p *part) string { return p.Device }),
		textField("kind", "kind of device", func(p *part) string { return p.Kind.String() }),
		textField("point", "column of telemetry", func(p *part) string { return p.Point }),
		intField("n", "values", func(p *part) int64 { return p.N }),
		nullDouble("sum", "unit of the point", has(bess.HasSum, func(p *part) float64 { return p.Sum })),
		nullDouble("min", "unit of the point", has(bess.HasSum, func(p *part) float64 { return p.Min })),
		nullDouble("max", "unit of the point", has(bess.HasSum, func(p *part) float64 { return p.Max })),
		doubleField("first", "value at first_ts; code of a state", func(p *part) float64 { return p.First }),
		timeField("first_ts", "first tick, UTC", func(p *part) int64 { return p.FirstTS }),
		doubleField("last", "value at last_ts; code of a state", func(p *part) float64 { return p.Last }),
		timeField("last_ts", "last tick, UTC", func(p *part) int64 { return p.LastTS }),
		doubleField("weight_s", "s; sum of the column's period over the values", func(p *part) float64 { return p.WeightS }),
		nullDouble("pos", "unit of the point times s; positive values times period", has(bess.HasPosNeg, func(p *part) float64 { return p.Pos })),
		nullDouble("neg", "unit of the point times s; negative values times period", has(bess.HasPosNeg, func(p *part) float64 { return p.Neg })),
		doubleMap("states_s", "s per state, or per set bit", func(p *part) ([]string, []float64) {
			if len(p.States) == 0 {
				return nil, nil
			}
			keys, values := make([]string, len(p.States)), make([]float64, len(p.States))
			for i, s := range p.States {
				keys[i], values[i] = s.State, s.Seconds
			}
			return keys, values
		}),
		nullInt("bit_or", "bits that were set at any time", func(p *part) (int64, bool) { return p.BitOr, p.Has&bess.HasBitOr != 0 }),
		nullText("at_min", "where the lowest value sat, path below the device", func(p *part) string { return p.AtMin }),
		nullText("at_max", "where the highest value sat, path below the device", func(p *part) string { return p.AtMax }),
	}
}

// rollupDay is a source over the parts of a date.
type rollupDay struct {
	layout layout[part]
	day    bess.RollupDay
	made   *madeParts
}

// madeParts is a range of the parts of one date: all that is in memory of a flush's.
type madeParts struct {
	of       *rollupDay
	from, to int
	parts    []part
}

// Rows implements columns.Source.
func (s *rollupDay) Rows() int { return s.day.Rows() }

// Column implements columns.Source.
func (s *rollupDay) Column(col, from, to int, v *columns.Vector) error {
	if col < 0 || col >= len(s.layout) || from < 0 || from > to || to > s.Rows() {
		return fmt.Errorf("rows [%d, %d) of column %d asked of %d rows and %d columns", from, to, col, s.Rows(), len(s.layout))
	}
	m := s.made
	if m.of != s || from < m.from || to > m.to {
		m.parts = s.day.Append(m.parts[:0], from, to)
		m.of, m.from, m.to = s, from, from+len(m.parts)
		if m.to != to {
			return fmt.Errorf("%d rollup parts came of those from %d to %d", len(m.parts), from, to)
		}
	}
	put := s.layout[col].put
	for i := range to - from {
		put(v, &m.parts[from-m.from+i])
	}
	return nil
}

// rollupDays gives a source per date. They are for one goroutine, which goes through one after the other.
func rollupDays(l layout[part], days []bess.RollupDay) []dated {
	made := new(madeParts)
	var out []dated
	for _, d := range days {
		out = append(out, dated{d.Date(), &rollupDay{layout: l, day: d, made: made}})
	}
	return out
}
