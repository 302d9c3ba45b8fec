package delta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"bessd/bess/columns"
)

// ColumnStats are what a file knows about one column.
type ColumnStats struct {
	Nulls int64
	// HasBounds says that the bounds of the type are set: Int for Timestamp
	// (µs) and Int64, Double, String. They hold over the values that are not null.
	HasBounds            bool
	MinInt, MaxInt       int64
	MinDouble, MaxDouble float64
	MinString, MaxString string
}

// maxBoundBytes is the longest string kept as a bound. A longer one would have
// to be cut, and the upper one rounded up: leaving it out is always right.
const maxBoundBytes = 64

// EncodeStats makes the stats of an add action. cols belongs to s. Timestamps
// get milliseconds, the lower bound rounded down and the upper one up, so that
// no reader skips a file that holds the row: some add a millisecond, some do not.
func EncodeStats(rows int64, s columns.Schema, cols []ColumnStats) (string, error) {
	if len(cols) != len(s) {
		return "", fmt.Errorf("statistics of %d columns for a schema of %d", len(cols), len(s))
	}
	var minB, maxB, nulls bytes.Buffer
	put := func(b *bytes.Buffer, name, value string) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(name)) // names are plain, see columns.Schema.Validate
		b.WriteByte(':')
		b.WriteString(value)
	}
	for i, c := range cols {
		put(&nulls, s[i].Name, strconv.FormatInt(c.Nulls, 10))
		if !c.HasBounds || c.Nulls >= rows {
			continue
		}
		switch s[i].Type {
		case columns.Timestamp:
			put(&minB, s[i].Name, statTime(floorMilli(c.MinInt)))
			put(&maxB, s[i].Name, statTime(ceilMilli(c.MaxInt)))
		case columns.Int64:
			put(&minB, s[i].Name, strconv.FormatInt(c.MinInt, 10))
			put(&maxB, s[i].Name, strconv.FormatInt(c.MaxInt, 10))
		case columns.Double:
			if finite(c.MinDouble) && finite(c.MaxDouble) {
				put(&minB, s[i].Name, statDouble(c.MinDouble))
				put(&maxB, s[i].Name, statDouble(c.MaxDouble))
			}
		case columns.String:
			if len(c.MinString) <= maxBoundBytes && len(c.MaxString) <= maxBoundBytes && utf8.ValidString(c.MinString) && utf8.ValidString(c.MaxString) {
				lo, err := json.Marshal(c.MinString)
				if err != nil {
					return "", err
				}
				hi, err := json.Marshal(c.MaxString)
				if err != nil {
					return "", err
				}
				put(&minB, s[i].Name, string(lo))
				put(&maxB, s[i].Name, string(hi))
			}
		}
	}
	return fmt.Sprintf(`{"numRecords":%d,"minValues":{%s},"maxValues":{%s},"nullCount":{%s}}`, rows, &minB, &maxB, &nulls), nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func floorMilli(us int64) int64 {
	ms := us / 1000
	if us%1000 < 0 {
		ms--
	}
	return ms
}

func ceilMilli(us int64) int64 {
	ms := us / 1000
	if us%1000 > 0 {
		ms++
	}
	return ms
}

func statTime(ms int64) string {
	return `"` + time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") + `"`
}

func statDouble(x float64) string {
	b, _ := json.Marshal(x) // finite: cannot fail
	return string(b)
}

// Stats are the statistics of one file as the log has them, ours or another
// writer's. Absent ones mean "may hold anything".
type Stats struct {
	NumRecords int64 // -1 when unknown
	min, max   map[string]json.RawMessage
	nulls      map[string]json.RawMessage
}

// ParseStats reads the stats of an add action. Damaged ones count as absent.
func ParseStats(s string) Stats {
	var raw struct {
		NumRecords *int64                     `json:"numRecords"`
		Min        map[string]json.RawMessage `json:"minValues"`
		Max        map[string]json.RawMessage `json:"maxValues"`
		Nulls      map[string]json.RawMessage `json:"nullCount"`
	}
	if json.Unmarshal([]byte(s), &raw) != nil || raw.NumRecords == nil {
		return Stats{NumRecords: -1}
	}
	return Stats{NumRecords: *raw.NumRecords, min: raw.Min, max: raw.Max, nulls: raw.Nulls}
}

// Nulls returns how many cells of the column are null, if it is known.
func (s Stats) Nulls(column string) (int64, bool) {
	raw, ok := s.nulls[column]
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}

// MayHoldInt reports whether a row with lo <= column <= hi can be in the file.
func (s Stats) MayHoldInt(column string, lo, hi int64) bool {
	var a, b int64
	if raw, ok := s.min[column]; ok && json.Unmarshal(raw, &a) == nil && a > hi {
		return false
	}
	if raw, ok := s.max[column]; ok && json.Unmarshal(raw, &b) == nil && b < lo {
		return false
	}
	return true
}

// MayHoldString reports whether a row with that value can be in the file.
func (s Stats) MayHoldString(column, value string) bool {
	var a, b string
	// Another writer may have cut its bounds; only whole ones are trusted.
	if raw, ok := s.min[column]; ok && json.Unmarshal(raw, &a) == nil && a > value {
		return false
	}
	if raw, ok := s.max[column]; ok && json.Unmarshal(raw, &b) == nil && len(b) < 32 && b < value {
		return false
	}
	return true
}

// MayHoldTime reports whether a row with lo <= column <= hi (µs since 1970 UTC)
// can be in the file. A bound is taken to be up to a millisecond off.
func (s Stats) MayHoldTime(column string, lo, hi int64) bool {
	if t, ok := s.time(s.min, column); ok && t-1000 > hi {
		return false
	}
	if t, ok := s.time(s.max, column); ok && t+1000 < lo {
		return false
	}
	return true
}

// TimeRange returns the bounds of a timestamp column in µs; they may be a
// millisecond wider than the rows.
func (s Stats) TimeRange(column string) (lo, hi int64, ok bool) {
	lo, a := s.time(s.min, column)
	hi, b := s.time(s.max, column)
	return lo, hi, a && b
}

func (s Stats) time(m map[string]json.RawMessage, column string) (int64, bool) {
	var text string
	raw, ok := m[column]
	if !ok || json.Unmarshal(raw, &text) != nil {
		return 0, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}
