package parquetv1

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"bessd/bess/columns"
	"bessd/store/parquetfile"
)

// maxGroupRows bounds what a damaged footer can make us believe about a row group.
const maxGroupRows = 1 << 26

// Read reads the named columns of a Parquet file, ours or another writer's,
// and calls fn once per row group with one vector per name. A column that the
// file lacks is all null. types says what each column is in the table; a file
// whose column cannot be read as that is refused. The vectors, and the strings
// in them, are fn's only until it returns (strings.Clone what is kept).
//
// A damaged file gives an error, never a panic.
func Read(r io.ReaderAt, size int64, want columns.Schema, fn func(rows int, cols []columns.Vector) error) (err error) {
	inside := false
	defer func() {
		if p := recover(); p != nil {
			if inside {
				panic(p) // fn's own, not the library's
			}
			err = fmt.Errorf("reading parquet: the file is damaged or the library gave up: %v", p)
		}
	}()
	f, err := parquetfile.Open(r, size)
	if err != nil {
		return fmt.Errorf("reading parquet: %w", err)
	}
	vecs := make([]columns.Vector, len(want))
	for g, group := range f.RowGroups() {
		rows := group.NumRows()
		if rows < 0 || rows > maxGroupRows {
			return fmt.Errorf("reading parquet: row group %d claims %d rows", g, rows)
		}
		for i, c := range want {
			vecs[i].Reset(c.Type)
			col := f.Root().Column(c.Name)
			if col == nil {
				vecs[i].SetNull(int(rows))
				continue
			}
			if err := readColumn(group, col, c.Type, int(rows), &vecs[i]); err != nil {
				return fmt.Errorf("reading parquet: row group %d, column %q: %w", g, c.Name, err)
			}
		}
		inside = true
		if err := fn(int(rows), vecs); err != nil {
			return err
		}
		inside = false
	}
	return nil
}

// leafReader turns the values of one leaf into cells or elements.
type leafReader struct {
	col     *parquet.Column
	chunk   parquet.ColumnChunk
	present int // definition level of a value
	outer   int // definition level of a cell that is not null (an empty list has it)
}

// leafOf finds the single leaf below col, or the named one of a map.
func leafOf(group parquet.RowGroup, col *parquet.Column, leaf *parquet.Column) (leafReader, error) {
	chunks := group.ColumnChunks()
	if leaf.Index() < 0 || leaf.Index() >= len(chunks) {
		return leafReader{}, errors.New("the leaf has no column chunk")
	}
	return leafReader{col: leaf, chunk: chunks[leaf.Index()], present: leaf.MaxDefinitionLevel(), outer: col.MaxDefinitionLevel()}, nil
}

func readColumn(group parquet.RowGroup, col *parquet.Column, t columns.Type, rows int, v *columns.Vector) error {
	switch t {
	case columns.FloatList, columns.StringList, columns.BoolList:
		leaf := col
		for !leaf.Leaf() {
			if len(leaf.Columns()) != 1 {
				return fmt.Errorf("is not a list: %v", col)
			}
			leaf = leaf.Columns()[0]
		}
		if leaf.MaxRepetitionLevel() != 1 {
			return fmt.Errorf("is not a list: %v", col)
		}
		l, err := leafOf(group, col, leaf)
		if err != nil {
			return err
		}
		return l.list(t, rows, v)
	case columns.DoubleMap:
		if len(col.Columns()) != 1 || len(col.Columns()[0].Columns()) != 2 || !col.Columns()[0].Repeated() {
			return fmt.Errorf("is not a map: %v", col)
		}
		kv := col.Columns()[0]
		key, value := kv.Column("key"), kv.Column("value")
		if key == nil || value == nil || !key.Leaf() || !value.Leaf() {
			return fmt.Errorf("is not a map of simple values: %v", col)
		}
		k, err := leafOf(group, col, key)
		if err != nil {
			return err
		}
		x, err := leafOf(group, col, value)
		if err != nil {
			return err
		}
		var keys, values columns.Vector
		keys.Reset(columns.StringList)
		values.Reset(columns.DoubleMap)
		if err := k.list(columns.StringList, rows, &keys); err != nil {
			return err
		}
		if err := x.list(columns.DoubleMap, rows, &values); err != nil {
			return err
		}
		return zip(v, &keys, &values, rows)
	}
	if !col.Leaf() || col.MaxRepetitionLevel() != 0 {
		return fmt.Errorf("is nested, not %v: %v", t, col)
	}
	l, err := leafOf(group, col, col)
	if err != nil {
		return err
	}
	return l.scalar(t, rows, v)
}

// zip makes a map vector of its keys and its values, which were read apart.
func zip(v, keys, values *columns.Vector, rows int) error {
	for i := range rows {
		if keys.Null(i) != values.Null(i) {
			return errors.New("keys and values of a map disagree")
		}
		if keys.Null(i) {
			v.AppendNull()
			continue
		}
		a, b := keys.Elems(i)
		c, d := values.Elems(i)
		if b-a != d-c {
			return errors.New("keys and values of a map disagree")
		}
		v.AppendMap(keys.String[a:b], values.Double[c:d])
	}
	return nil
}

// each calls fn for every value of the leaf's chunk.
func (l leafReader) each(fn func(parquet.Value) error) error {
	pages := l.chunk.Pages()
	defer pages.Close()
	buf := make([]parquet.Value, 1024)
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		values := page.Values()
		for idle := 0; ; {
			n, err := values.ReadValues(buf)
			for _, v := range buf[:n] {
				if err := fn(v); err != nil {
					parquet.Release(page)
					return err
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				parquet.Release(page)
				return err
			}
			if n == 0 {
				if idle++; idle > 10 {
					parquet.Release(page)
					return io.ErrNoProgress
				}
			}
		}
		parquet.Release(page)
	}
}

var errRows = errors.New("the column's values do not match the number of rows")

func (l leafReader) scalar(t columns.Type, rows int, v *columns.Vector) error {
	add, err := l.appender(t, v)
	if err != nil {
		return err
	}
	err = l.each(func(x parquet.Value) error {
		if v.Rows() == rows {
			return errRows
		}
		if x.IsNull() || x.DefinitionLevel() < l.present {
			v.AppendNull()
			return nil
		}
		return add(x)
	})
	if err == nil && v.Rows() != rows {
		err = errRows
	}
	return err
}

// appender returns what appends one value that is not null.
func (l leafReader) appender(t columns.Type, v *columns.Vector) (func(parquet.Value) error, error) {
	kind := l.col.Type().Kind()
	scale, err := l.toMicro()
	if err != nil && t == columns.Timestamp {
		return nil, err
	}
	switch {
	case t == columns.Timestamp && kind == parquet.Int64:
		return func(x parquet.Value) error { v.AppendInt64(scale(x.Int64())); return nil }, nil
	case t == columns.Int64 && kind == parquet.Int64:
		return func(x parquet.Value) error { v.AppendInt64(x.Int64()); return nil }, nil
	case t == columns.Int64 && kind == parquet.Int32:
		return func(x parquet.Value) error { v.AppendInt64(int64(x.Int32())); return nil }, nil
	case t == columns.Double && kind == parquet.Double:
		return func(x parquet.Value) error { v.AppendDouble(x.Double()); return nil }, nil
	case t == columns.Double && kind == parquet.Float:
		return func(x parquet.Value) error { v.AppendDouble(float64(x.Float())); return nil }, nil
	case t == columns.Bool && kind == parquet.Boolean:
		return func(x parquet.Value) error { v.AppendBool(x.Boolean()); return nil }, nil
	case (t == columns.String || t == columns.Binary) && kind == parquet.ByteArray:
		return func(x parquet.Value) error { v.AppendString(intern(v, x.ByteArray())); return nil }, nil
	}
	return nil, fmt.Errorf("is stored as %v, which is no %v", l.col.Type(), t)
}

// intern copies the bytes to a string, or takes the string of the cell before
// when it is the same: our strings come in long runs.
func intern(v *columns.Vector, b []byte) string {
	if n := len(v.String); n > 0 && v.String[n-1] == string(b) {
		return v.String[n-1]
	}
	return string(b)
}

// toMicro returns the conversion of a timestamp column to microseconds.
func (l leafReader) toMicro() (func(int64) int64, error) {
	lt := l.col.Type().LogicalType()
	if lt == nil {
		return nil, errors.New("is not marked as a timestamp")
	}
	ts, ok := lt.Value.(*format.TimestampType)
	if !ok {
		return nil, fmt.Errorf("is not a timestamp: %v", lt)
	}
	switch s := strings.ToUpper(ts.Unit.String()); {
	case strings.HasPrefix(s, "MILLI"):
		return func(x int64) int64 { return x * 1000 }, nil
	case strings.HasPrefix(s, "NANO"):
		return func(x int64) int64 { return x / 1000 }, nil
	default:
		return func(x int64) int64 { return x }, nil
	}
}

// list reads the cells of a nested column's leaf. For DoubleMap it reads the
// values only.
func (l leafReader) list(t columns.Type, rows int, v *columns.Vector) error {
	kind := l.col.Type().Kind()
	want := map[columns.Type]parquet.Kind{columns.FloatList: parquet.Float, columns.StringList: parquet.ByteArray, columns.BoolList: parquet.Boolean, columns.DoubleMap: parquet.Double}[t]
	if kind != want && !(t == columns.FloatList && kind == parquet.Double) {
		return fmt.Errorf("has elements stored as %v, which make no %v", l.col.Type(), t)
	}
	var (
		floats  []float32
		texts   []string
		bools   []bool
		doubles []float64
		null    []bool
		open    bool // a row has begun
		isNull  bool
	)
	flush := func() error {
		if !open {
			return nil
		}
		if v.Rows() == rows {
			return errRows
		}
		switch {
		case isNull:
			v.AppendNull()
		case t == columns.FloatList:
			v.AppendFloats(floats, null)
		case t == columns.StringList:
			v.AppendStrings(texts)
		case t == columns.BoolList:
			v.AppendBools(bools, null)
		case t == columns.DoubleMap:
			v.AppendMap(texts, doubles)
		}
		floats, texts, bools, doubles, null = floats[:0], texts[:0], bools[:0], doubles[:0], null[:0]
		return nil
	}
	err := l.each(func(x parquet.Value) error {
		if x.RepetitionLevel() == 0 {
			if err := flush(); err != nil {
				return err
			}
			open, isNull = true, false
			switch d := x.DefinitionLevel(); {
			case d < l.outer:
				isNull = true
				return nil
			case d == l.outer:
				return nil // empty
			}
		} else if !open || isNull {
			return errRows
		}
		elemNull := x.DefinitionLevel() < l.present
		null = append(null, elemNull)
		switch t {
		case columns.FloatList:
			if kind == parquet.Double {
				floats = append(floats, float32(x.Double()))
			} else {
				floats = append(floats, x.Float())
			}
		case columns.StringList:
			if elemNull {
				texts = append(texts, "")
			} else {
				texts = append(texts, intern(v, x.ByteArray()))
			}
		case columns.BoolList:
			bools = append(bools, x.Boolean())
		case columns.DoubleMap:
			texts = append(texts, "")
			doubles = append(doubles, x.Double())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	if v.Rows() != rows {
		return errRows
	}
	return nil
}
