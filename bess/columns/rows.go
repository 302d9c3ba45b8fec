package columns

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Rows is a Source that is filled row by row: for the small tables, and for
// tests. It is not for the hot path.
type Rows struct {
	schema Schema
	cols   []Vector
	rows   int
}

var _ Source = (*Rows)(nil)

// NewRows returns an empty set of rows with schema s.
func NewRows(s Schema) *Rows {
	r := &Rows{schema: s, cols: make([]Vector, len(s))}
	for i := range s {
		r.cols[i].Reset(s[i].Type)
	}
	return r
}

// Schema returns the schema given to NewRows.
func (r *Rows) Schema() Schema { return r.schema }

// Rows returns the number of rows appended.
func (r *Rows) Rows() int { return r.rows }

// Append appends one row, one cell per column of the schema in its order: nil
// for null, else time.Time or int64 (µs) for Timestamp, int64 or int for
// Int64, float64 for Double, string for String, string or []byte for Binary,
// bool for Bool, []float32 or []*float32 for FloatList, []string for
// StringList, []bool or []*bool for BoolList, map[string]float64 for
// DoubleMap. On error nothing was appended.
func (r *Rows) Append(cells ...any) error {
	if len(cells) != len(r.schema) {
		return fmt.Errorf("appending a row of %d cells to %d columns", len(cells), len(r.schema))
	}
	for i, c := range cells { // all or nothing: look before touching any column
		if !fits(r.schema[i], c) {
			return fmt.Errorf("appending a row: column %q is %v (nullable %t) and cannot take %T", r.schema[i].Name, r.schema[i].Type, r.schema[i].Nullable, c)
		}
	}
	for i, c := range cells {
		r.cols[i].append(c)
	}
	r.rows++
	return nil
}

// Column implements Source.
func (r *Rows) Column(col, from, to int, v *Vector) error {
	if col < 0 || col >= len(r.cols) || from < 0 || to > r.rows || from > to {
		return fmt.Errorf("rows [%d, %d) of column %d asked of %d rows and %d columns", from, to, col, r.rows, len(r.cols))
	}
	v.AppendFrom(&r.cols[col], from, to)
	return nil
}

// AppendFrom appends copies of the cells [from, to) of src, which has v's type.
func (v *Vector) AppendFrom(src *Vector, from, to int) {
	if src.nulls == src.rows {
		v.AppendNulls(to - from)
		return
	}
	for i := from; i < to; i++ {
		if src.Null(i) {
			v.AppendNull()
			continue
		}
		switch src.typ {
		case Timestamp, Int64:
			v.AppendInt64(src.Int64[i])
		case Double:
			v.AppendDouble(src.Double[i])
		case String, Binary:
			v.AppendString(src.String[i])
		case Bool:
			v.AppendBool(src.Bool[i])
		case FloatList:
			a, b := src.Elems(i)
			v.AppendFloats(src.Float[a:b], src.elemNull(a, b))
		case StringList:
			a, b := src.Elems(i)
			v.AppendStrings(src.String[a:b])
		case BoolList:
			a, b := src.Elems(i)
			v.AppendBools(src.Bool[a:b], src.elemNull(a, b))
		case DoubleMap:
			a, b := src.Elems(i)
			v.AppendMap(src.String[a:b], src.Double[a:b])
		}
	}
}

func (v *Vector) elemNull(from, to int) []bool {
	if len(v.ElemNull) == 0 {
		return nil
	}
	return v.ElemNull[from:to]
}

// Cell returns the cell of row i in the forms that Rows.Append takes (a
// Timestamp as int64 µs, null elements as nil pointers), or nil for null.
func (v *Vector) Cell(i int) any {
	if v.Null(i) {
		return nil
	}
	switch v.typ {
	case Timestamp, Int64:
		return v.Int64[i]
	case Double:
		return v.Double[i]
	case String, Binary:
		return v.String[i]
	case Bool:
		return v.Bool[i]
	}
	a, b := v.Elems(i)
	switch v.typ {
	case FloatList:
		return elems(v.Float[a:b], v.elemNull(a, b))
	case StringList:
		return append([]string{}, v.String[a:b]...) // an empty list is not nil
	case BoolList:
		return elems(v.Bool[a:b], v.elemNull(a, b))
	case DoubleMap:
		m := make(map[string]float64, b-a)
		for j := a; j < b; j++ {
			m[v.String[j]] = v.Double[j]
		}
		return m
	}
	return nil
}

// elems returns x as it is, or as pointers when one of them is null.
func elems[T any](x []T, null []bool) any {
	x = append([]T{}, x...) // v is reused, what we hand out is not
	if !slices.Contains(null, true) {
		return x
	}
	out := make([]*T, len(x))
	for i := range x {
		if !null[i] {
			out[i] = &x[i]
		}
	}
	return out
}

func fits(c Column, cell any) bool {
	ok := false
	switch cell.(type) {
	case nil:
		return c.Nullable
	case time.Time:
		ok = c.Type == Timestamp
	case int64:
		ok = c.Type == Timestamp || c.Type == Int64
	case int:
		ok = c.Type == Int64
	case float64:
		ok = c.Type == Double
	case string:
		ok = c.Type == String || c.Type == Binary
	case []byte:
		ok = c.Type == Binary
	case bool:
		ok = c.Type == Bool
	case []float32, []*float32:
		ok = c.Type == FloatList
	case []string:
		ok = c.Type == StringList
	case []bool, []*bool:
		ok = c.Type == BoolList
	case map[string]float64:
		ok = c.Type == DoubleMap
	}
	return ok
}

func (v *Vector) append(cell any) {
	switch x := cell.(type) {
	case nil:
		v.AppendNull()
	case time.Time:
		v.AppendInt64(x.UnixMicro())
	case int64:
		v.AppendInt64(x)
	case int:
		v.AppendInt64(int64(x))
	case float64:
		v.AppendDouble(x)
	case string:
		v.AppendString(x)
	case []byte:
		v.AppendString(string(x))
	case bool:
		v.AppendBool(x)
	case []float32:
		v.AppendFloats(x, nil)
	case []*float32:
		values, null := deref(x)
		v.AppendFloats(values, null)
	case []string:
		v.AppendStrings(x)
	case []bool:
		v.AppendBools(x, nil)
	case []*bool:
		values, null := deref(x)
		v.AppendBools(values, null)
	case map[string]float64:
		keys := slices.Sorted(maps.Keys(x))
		values := make([]float64, len(keys))
		for i, k := range keys {
			values[i] = x[k]
		}
		v.AppendMap(keys, values)
	}
}

func deref[T any](x []*T) ([]T, []bool) {
	values, null := make([]T, len(x)), make([]bool, len(x))
	for i, p := range x {
		if p == nil {
			null[i] = true
			continue
		}
		values[i] = *p
	}
	return values, null
}
