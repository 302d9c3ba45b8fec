package tables

import (
	"fmt"
	"slices"
	"time"

	"bessd/bess/columns"
)

// field is a column of a table together with how a row fills it.
type field[T any] struct {
	columns.Column
	put func(v *columns.Vector, r *T)
}

// layout is a table's columns over rows of type T.
type layout[T any] []field[T]

func (l layout[T]) schema() columns.Schema {
	out := make(columns.Schema, len(l))
	for i := range l {
		out[i] = l[i].Column
	}
	return out
}

// list is a source over a slice of rows.
type list[T any] struct {
	layout layout[T]
	rows   []*T
}

// Rows implements columns.Source.
func (l list[T]) Rows() int { return len(l.rows) }

// Column implements columns.Source.
func (l list[T]) Column(col, from, to int, v *columns.Vector) error {
	if col < 0 || col >= len(l.layout) || from < 0 || from > to || to > len(l.rows) {
		return fmt.Errorf("rows [%d, %d) of column %d asked of %d rows and %d columns", from, to, col, len(l.rows), len(l.layout))
	}
	put := l.layout[col].put
	for _, r := range l.rows[from:to] {
		put(v, r)
	}
	return nil
}

// dated is a source with the date of its partition.
type dated struct {
	date string
	src  columns.Source
}

// byDate divides rows by the UTC date that at gives, in ascending order. The order within a date stays.
func byDate[T any](rows []T, l layout[T], at func(*T) int64) []dated {
	days := map[string][]*T{}
	for i := range rows {
		d := date(at(&rows[i]))
		days[d] = append(days[d], &rows[i])
	}
	var out []dated
	for d, rs := range days {
		out = append(out, dated{d, list[T]{l, rs}})
	}
	slices.SortFunc(out, func(a, b dated) int {
		if a.date < b.date {
			return -1
		}
		return 1
	})
	return out
}

// date is the partition of a time in microseconds. What is no date that all readers know, such as a time that was never
// set, goes to the first one.
func date(us int64) string {
	const first, last = 0, 253402300799_999999 // 1970-01-01 to 9999-12-31
	if us < first || us > last {
		us = 0
	}
	return time.UnixMicro(us).UTC().Format(time.DateOnly)
}

// The constructors of fields. Those whose names begin with null, and lists and maps, give columns that may be null.

func timeField[T any](name, comment string, get func(*T) int64) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.Timestamp, Comment: comment}, func(v *columns.Vector, r *T) { v.AppendInt64(get(r)) }}
}

// nullTime is a time of which 0 and less mean that there is none.
func nullTime[T any](name, comment string, get func(*T) int64) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.Timestamp, Nullable: true, Comment: comment}, func(v *columns.Vector, r *T) {
		if us := get(r); us > 0 {
			v.AppendInt64(us)
		} else {
			v.AppendNull()
		}
	}}
}

func intField[T any](name, comment string, get func(*T) int64) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.Int64, Comment: comment}, func(v *columns.Vector, r *T) { v.AppendInt64(get(r)) }}
}

func nullInt[T any](name, comment string, get func(*T) (int64, bool)) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.Int64, Nullable: true, Comment: comment}, func(v *columns.Vector, r *T) {
		if x, ok := get(r); ok {
			v.AppendInt64(x)
		} else {
			v.AppendNull()
		}
	}}
}

func doubleField[T any](name, comment string, get func(*T) float64) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.Double, Comment: comment}, func(v *columns.Vector, r *T) { v.AppendDouble(get(r)) }}
}

func nullDouble[T any](name, comment string, get func(*T) (float64, bool)) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.Double, Nullable: true, Comment: comment}, func(v *columns.Vector, r *T) {
		if x, ok := get(r); ok {
			v.AppendDouble(x)
		} else {
			v.AppendNull()
		}
	}}
}

func textField[T any](name, comment string, get func(*T) string) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.String, Comment: comment}, func(v *columns.Vector, r *T) { v.AppendString(get(r)) }}
}

// nullText is a text of which "" means that there is none.
func nullText[T any](name, comment string, get func(*T) string) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.String, Nullable: true, Comment: comment}, func(v *columns.Vector, r *T) {
		if s := get(r); s != "" {
			v.AppendString(s)
		} else {
			v.AppendNull()
		}
	}}
}

// textList is a list of which an empty one means that there is none.
func textList[T any](name, comment string, get func(*T) []string) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.StringList, Nullable: true, Comment: comment}, func(v *columns.Vector, r *T) {
		if s := get(r); len(s) > 0 {
			v.AppendStrings(s)
		} else {
			v.AppendNull()
		}
	}}
}

// doubleMap is a map of which an empty one means that there is none. Keys are unique.
func doubleMap[T any](name, comment string, get func(*T) ([]string, []float64)) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.DoubleMap, Nullable: true, Comment: comment}, func(v *columns.Vector, r *T) {
		if k, x := get(r); len(k) > 0 {
			v.AppendMap(k, x)
		} else {
			v.AppendNull()
		}
	}}
}

func binaryField[T any](name, comment string, get func(*T) []byte) field[T] {
	return field[T]{columns.Column{Name: name, Type: columns.Binary, Comment: comment}, func(v *columns.Vector, r *T) { v.AppendString(string(get(r))) }}
}
