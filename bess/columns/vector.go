package columns

import "fmt"

// Source is a run of rows that can be asked for column by column. The caller
// asks for ranges in ascending order, each column once per range; it may come
// back and ask again from row 0.
type Source interface {
	// Rows returns the number of rows. It does not change.
	Rows() int
	// Column fills v with the cells of rows [from, to) of column col of the
	// schema agreed with the caller. v comes in reset to the column's type and
	// keeps its capacity between calls, so appending costs nothing in the long
	// run; v must hold to-from rows on return. What is appended may be kept by
	// the caller only until its next call.
	Column(col, from, to int, v *Vector) error
}

// Vector holds the cells of one column for a run of rows, dense: a null cell
// of a scalar type takes a slot (of any value) in the value slice too.
//
// Fill it with the Append methods that fit its type; a wrong one leaves a
// Vector that Check refuses. SetNull is the cheap way to say that all cells of
// a range are null. A Vector is owned by one goroutine at a time.
type Vector struct {
	typ   Type
	rows  int
	nulls int

	valid []bool // nil while no cell, or every cell, is null

	// Int64 has the cells of Timestamp and Int64 columns.
	Int64 []int64
	// Double has the cells of Double columns, the map values of DoubleMap.
	Double []float64
	// String has the cells of String and Binary columns, the elements of StringList, the keys of DoubleMap.
	String []string
	// Bool has the cells of Bool columns and the elements of BoolList.
	Bool []bool
	// Float has the elements of FloatList.
	Float []float32
	// Ends has, for nested types, one entry per row: where its elements end in
	// the element slice. They begin where the row before ends; a null row has none.
	Ends []int32
	// ElemNull is nil, or says for each element of a nested type whether it is null.
	ElemNull []bool
}

// Reset empties v for a column of type t and keeps its capacity.
func (v *Vector) Reset(t Type) {
	v.typ, v.rows, v.nulls = t, 0, 0
	v.valid = v.valid[:0]
	v.Int64, v.Double, v.String, v.Bool, v.Float = v.Int64[:0], v.Double[:0], v.String[:0], v.Bool[:0], v.Float[:0]
	v.Ends = v.Ends[:0]
	v.ElemNull = v.ElemNull[:0]
}

// Type returns the type that Reset gave.
func (v *Vector) Type() Type { return v.typ }

// Rows returns the number of cells.
func (v *Vector) Rows() int { return v.rows }

// Nulls returns the number of null cells.
func (v *Vector) Nulls() int { return v.nulls }

// Null reports whether the cell of row i is null.
func (v *Vector) Null(i int) bool {
	if v.nulls == 0 {
		return false
	}
	return v.nulls == v.rows || !v.valid[i]
}

// Elems returns the range [from, to) of row i's elements in the element slices.
func (v *Vector) Elems(i int) (from, to int) {
	if v.nulls == v.rows {
		return 0, 0
	}
	if i > 0 {
		from = int(v.Ends[i-1])
	}
	return from, int(v.Ends[i])
}

// SetNull makes v hold n null cells at once, at no cost per row.
func (v *Vector) SetNull(n int) {
	t := v.typ
	v.Reset(t)
	v.rows, v.nulls = n, n
}

// materialize gives the all-null form its slots, before a value is appended.
func (v *Vector) materialize() {
	for range v.rows {
		v.valid = append(v.valid, false)
		v.zero()
	}
}

// zero appends the slot that a null cell takes.
func (v *Vector) zero() {
	switch v.typ {
	case Timestamp, Int64:
		v.Int64 = append(v.Int64, 0)
	case Double:
		v.Double = append(v.Double, 0)
	case String, Binary:
		v.String = append(v.String, "")
	case Bool:
		v.Bool = append(v.Bool, false)
	case FloatList:
		v.Ends = append(v.Ends, int32(len(v.Float)))
	case StringList, DoubleMap:
		v.Ends = append(v.Ends, int32(len(v.String)))
	case BoolList:
		v.Ends = append(v.Ends, int32(len(v.Bool)))
	}
}

// value counts one cell that is not null.
func (v *Vector) value() {
	if v.nulls > 0 {
		if v.nulls == v.rows {
			v.materialize()
		}
		v.valid = append(v.valid, true)
	}
	v.rows++
}

// AppendNull appends a null cell.
func (v *Vector) AppendNull() {
	if v.nulls == v.rows { // all null so far, or empty: stays implicit
		v.nulls++
		v.rows++
		return
	}
	if v.nulls == 0 {
		for range v.rows {
			v.valid = append(v.valid, true)
		}
	}
	v.valid = append(v.valid, false)
	v.zero()
	v.nulls++
	v.rows++
}

// AppendNulls appends n null cells.
func (v *Vector) AppendNulls(n int) {
	if v.nulls == v.rows {
		v.nulls += n
		v.rows += n
		return
	}
	for range n {
		v.AppendNull()
	}
}

// AppendInt64 appends a cell of a Timestamp (µs) or Int64 column.
func (v *Vector) AppendInt64(x int64) {
	v.value()
	v.Int64 = append(v.Int64, x)
}

// AppendDouble appends a cell of a Double column.
func (v *Vector) AppendDouble(x float64) {
	v.value()
	v.Double = append(v.Double, x)
}

// AppendString appends a cell of a String or Binary column.
func (v *Vector) AppendString(x string) {
	v.value()
	v.String = append(v.String, x)
}

// AppendBool appends a cell of a Bool column.
func (v *Vector) AppendBool(x bool) {
	v.value()
	v.Bool = append(v.Bool, x)
}

// AppendFloats appends a cell of a FloatList column. null is nil or says which
// elements are null. Both are copied.
func (v *Vector) AppendFloats(x []float32, null []bool) {
	v.value()
	v.elemNulls(len(v.Float), len(x), null)
	v.Float = append(v.Float, x...)
	v.Ends = append(v.Ends, int32(len(v.Float)))
}

// AppendStrings appends a cell of a StringList column. The slice is copied, the strings are not.
func (v *Vector) AppendStrings(x []string) {
	v.value()
	v.elemNulls(len(v.String), len(x), nil)
	v.String = append(v.String, x...)
	v.Ends = append(v.Ends, int32(len(v.String)))
}

// AppendBools appends a cell of a BoolList column. null is nil or says which
// elements are null. Both are copied.
func (v *Vector) AppendBools(x []bool, null []bool) {
	v.value()
	v.elemNulls(len(v.Bool), len(x), null)
	v.Bool = append(v.Bool, x...)
	v.Ends = append(v.Ends, int32(len(v.Bool)))
}

// AppendMap appends a cell of a DoubleMap column: values[i] belongs to keys[i],
// keys are unique. Both are copied.
func (v *Vector) AppendMap(keys []string, values []float64) {
	v.value()
	v.elemNulls(len(v.String), len(keys), nil)
	v.String = append(v.String, keys...)
	v.Double = append(v.Double, values...)
	v.Ends = append(v.Ends, int32(len(v.String)))
}

// elemNulls keeps ElemNull in step: it comes into being with the first null element.
func (v *Vector) elemNulls(have, n int, null []bool) {
	any := false
	for _, x := range null {
		any = any || x
	}
	if !any {
		if len(v.ElemNull) > 0 {
			v.ElemNull = append(v.ElemNull, make([]bool, n)...)
		}
		return
	}
	for len(v.ElemNull) < have {
		v.ElemNull = append(v.ElemNull, false)
	}
	v.ElemNull = append(v.ElemNull, null...)
}

// Check reports whether v is consistent: as many slots as rows, element ends
// that ascend, and as many elements as the last end says.
func (v *Vector) Check() error {
	if v.nulls == v.rows {
		return nil
	}
	if v.nulls > 0 && len(v.valid) != v.rows {
		return fmt.Errorf("a vector of %d rows has %d validity marks", v.rows, len(v.valid))
	}
	slots, elems, nested := 0, 0, v.typ.Nested()
	switch v.typ {
	case Timestamp, Int64:
		slots = len(v.Int64)
	case Double:
		slots = len(v.Double)
	case String, Binary:
		slots = len(v.String)
	case Bool:
		slots = len(v.Bool)
	case FloatList:
		elems = len(v.Float)
	case StringList:
		elems = len(v.String)
	case BoolList:
		elems = len(v.Bool)
	case DoubleMap:
		elems = len(v.String)
		if len(v.Double) != elems {
			return fmt.Errorf("a map vector has %d keys and %d values", elems, len(v.Double))
		}
	default:
		return fmt.Errorf("a vector of type %v", v.typ)
	}
	if !nested {
		if slots != v.rows {
			return fmt.Errorf("a %v vector of %d rows has %d slots", v.typ, v.rows, slots)
		}
		return nil
	}
	if len(v.Ends) != v.rows {
		return fmt.Errorf("a %v vector of %d rows has %d ends", v.typ, v.rows, len(v.Ends))
	}
	last := int32(0)
	for i, e := range v.Ends {
		if e < last || (e > last && v.Null(i)) {
			return fmt.Errorf("a %v vector's row %d ends at element %d after %d", v.typ, i, e, last)
		}
		last = e
	}
	if int(last) != elems {
		return fmt.Errorf("a %v vector has %d elements but its last row ends at %d", v.typ, elems, last)
	}
	if len(v.ElemNull) != 0 && len(v.ElemNull) != elems {
		return fmt.Errorf("a %v vector has %d elements and %d element marks", v.typ, elems, len(v.ElemNull))
	}
	return nil
}
