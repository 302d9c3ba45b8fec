package parquetv1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"bessd/bess/columns"
	"bessd/store/delta"
)

// Options of a file. The zero value means the defaults.
type Options struct {
	// RowGroupRows and RowGroupBytes cut row groups: after so many rows
	// (default 1 Mi) or so many bytes before the last compression (default
	// 256 MiB). Memory while writing is about one row group, encoded.
	RowGroupRows  int
	RowGroupBytes int64
	// PageRows cuts pages (default 64 Ki rows; lists are also cut at 4 MiB).
	PageRows int
	// DictionaryBytes is the size from which a column's dictionary is given up
	// (default 512 KiB: 64 Ki doubles).
	DictionaryBytes int64
	// Engine is written into the footer, as "bessd/1.2".
	Engine string
}

func (o Options) withDefaults() Options {
	if o.RowGroupRows <= 0 {
		o.RowGroupRows = 1 << 20
	}
	if o.RowGroupBytes <= 0 {
		o.RowGroupBytes = 256 << 20
	}
	if o.PageRows <= 0 {
		o.PageRows = 64 << 10
	}
	if o.DictionaryBytes <= 0 {
		o.DictionaryBytes = 512 << 10
	}
	return o
}

// Info says what was written.
type Info struct {
	Size      int64 // bytes, exact
	Rows      int64
	RowGroups int
	Columns   []delta.ColumnStats // one per column of the schema
}

const (
	chunkRows = 64 << 10 // rows asked from the source at a time
	batchRows = 1024     // values handed to the library at a time: 24 kB, stays in the L1 cache
)

// Write writes all rows of src as one Parquet file. The same source gives the
// same bytes. src is asked for each column of s in ranges of at most 64 Ki
// rows, in ascending order.
func Write(w io.Writer, s columns.Schema, src columns.Source, opt Options) (info Info, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("writing parquet: the library gave up: %v", p)
		}
	}()
	if err := s.Validate(); err != nil {
		return Info{}, fmt.Errorf("writing parquet: %w", err)
	}
	opt = opt.withDefaults()
	f := &fileWriter{schema: s, opt: opt, batch: make([]parquet.Value, batchRows), nulls: make([]parquet.Value, batchRows)}
	buffered := bufio.NewWriterSize(w, 1<<20)
	counted := &counter{w: buffered}
	if err := f.open(counted, src); err != nil {
		return Info{}, err
	}
	if err := f.write(src); err != nil {
		return Info{}, err
	}
	if err := f.w.Close(); err != nil {
		return Info{}, fmt.Errorf("writing parquet: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return Info{}, fmt.Errorf("writing parquet: %w", err)
	}
	return Info{Size: counted.n, Rows: int64(src.Rows()), RowGroups: f.groups, Columns: f.stats}, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

type fileWriter struct {
	schema  columns.Schema
	opt     Options
	w       *parquet.GenericWriter[any]
	leaves  [][]leaf // per column
	stats   []delta.ColumnStats
	groups  int
	flushed int64 // bytes in finished row groups

	vec   columns.Vector
	batch []parquet.Value // being filled
	nulls []parquet.Value // all null, never changed
}

// pageBytes is the size of a column's page buffer, which parquet-go reserves at once for every column with a dictionary: no
// more than the rows can fill. 256 bytes per row leave room for the levels and indexes of a module's list of cells.
func pageBytes(rows int) int { return min(4<<20, max(16<<10, 256*rows)) }

// open builds the file's schema. An Int64 column's encoding is chosen by its
// first rows.
func (f *fileWriter) open(w io.Writer, src columns.Source) error {
	group := parquet.Group{}
	for i, c := range f.schema {
		ints := parquet.Encoded(parquet.Leaf(parquet.Int64Type), &parquet.DeltaBinaryPacked)
		if c.Type == columns.Int64 {
			n := min(src.Rows(), chunkRows)
			if err := f.fetch(src, i, 0, n); err != nil {
				return err
			}
			if fewDistinct(f.vec.Int64) {
				ints = parquet.Encoded(parquet.Leaf(parquet.Int64Type), &parquet.RLEDictionary)
			}
		}
		n, err := node(c, ints)
		if err != nil {
			return err
		}
		group[c.Name] = n
	}
	schema := parquet.NewSchema("bessd", group)
	options := []parquet.WriterOption{
		schema,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}),
		parquet.DataPageVersion(1),
		parquet.DataPageStatistics(false), // in the page index already
		parquet.PageBufferSize(pageBytes(src.Rows())),
		parquet.DictionaryMaxBytes(f.opt.DictionaryBytes),
		parquet.WriteBufferSize(0), // buffered by us, and counted
	}
	if f.opt.Engine != "" {
		options = append(options, parquet.CreatedBy(f.opt.Engine, "", ""))
	}
	f.w = parquet.NewGenericWriter[any](w, options...)
	f.stats = make([]delta.ColumnStats, len(f.schema))
	f.leaves = make([][]leaf, len(f.schema))
	for i, c := range f.schema {
		for j, path := range paths(c) {
			found, ok := schema.Lookup(path...)
			if !ok {
				return fmt.Errorf("column %q has no leaf %v", c.Name, path)
			}
			l := levels(c, j)
			l.w = f.w.ColumnWriters()[found.ColumnIndex]
			f.leaves[i] = append(f.leaves[i], l)
		}
	}
	return nil
}

// fewDistinct reports whether the values fit a dictionary of 256 entries.
func fewDistinct(x []int64) bool {
	seen := make(map[int64]struct{}, 257)
	for i, v := range x {
		if i > 0 && v == x[i-1] {
			continue
		}
		if seen[v] = struct{}{}; len(seen) > 256 {
			return false
		}
	}
	return true
}

// fetch gets rows [from, to) of column i into f.vec.
func (f *fileWriter) fetch(src columns.Source, i, from, to int) error {
	c := f.schema[i]
	f.vec.Reset(c.Type)
	if err := src.Column(i, from, to, &f.vec); err != nil {
		return fmt.Errorf("reading rows [%d, %d) of column %q: %w", from, to, c.Name, err)
	}
	err := f.vec.Check()
	switch {
	case err != nil:
	case f.vec.Rows() != to-from:
		err = fmt.Errorf("got %d", f.vec.Rows())
	case f.vec.Type() != c.Type:
		err = fmt.Errorf("got %v cells, want %v", f.vec.Type(), c.Type)
	case f.vec.Nulls() > 0 && !c.Nullable:
		err = errors.New("got nulls in a required column")
	}
	if err != nil {
		return fmt.Errorf("rows [%d, %d) of column %q: %w", from, to, c.Name, err)
	}
	return nil
}

func (f *fileWriter) write(src columns.Source) error {
	rows := src.Rows()
	groupStart, pageStart := 0, 0
	for from := 0; from < rows; {
		to := min(from+chunkRows, rows, groupStart+f.opt.RowGroupRows, pageStart+f.opt.PageRows)
		for i := range f.schema {
			if err := f.fetch(src, i, from, to); err != nil {
				return err
			}
			gather(&f.stats[i], &f.vec)
			if err := f.column(i); err != nil {
				return fmt.Errorf("writing column %q: %w", f.schema[i].Name, err)
			}
			if to == pageStart+f.opt.PageRows {
				for _, l := range f.leaves[i] {
					if err := l.w.Flush(); err != nil {
						return fmt.Errorf("writing column %q: %w", f.schema[i].Name, err)
					}
				}
			}
		}
		if to == pageStart+f.opt.PageRows {
			pageStart = to
		}
		from = to
		if from == groupStart+f.opt.RowGroupRows || from == rows || f.encoded() >= f.opt.RowGroupBytes {
			if err := f.w.Flush(); err != nil {
				return fmt.Errorf("writing a row group: %w", err)
			}
			f.groups++
			f.flushed = f.w.Size()
			groupStart, pageStart = from, from
		}
	}
	return nil
}

// encoded estimates the bytes of the open row group.
func (f *fileWriter) encoded() int64 { return f.w.Size() - f.flushed }

// put hands over n filled values of the batch.
func put(l leaf, values []parquet.Value) error {
	_, err := l.w.WriteRowValues(values)
	return err
}

// column writes f.vec to the leaves of column i.
func (f *fileWriter) column(i int) error {
	v := &f.vec
	ls := f.leaves[i]
	if v.Nulls() == v.Rows() {
		for _, l := range ls {
			for n := v.Rows(); n > 0; n -= batchRows {
				if err := put(l, f.nulls[:min(n, batchRows)]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	switch v.Type() {
	case columns.Timestamp, columns.Int64:
		return scalars(f, ls[0], v.Int64, parquet.Int64Value)
	case columns.Double:
		return scalars(f, ls[0], v.Double, parquet.DoubleValue)
	case columns.Bool:
		return scalars(f, ls[0], v.Bool, parquet.BooleanValue)
	case columns.String, columns.Binary:
		return scalars(f, ls[0], v.String, stringValue)
	case columns.FloatList:
		return elements(f, ls[0], v.Float, parquet.FloatValue, v.ElemNull)
	case columns.StringList:
		return elements(f, ls[0], v.String, stringValue, v.ElemNull)
	case columns.BoolList:
		return elements(f, ls[0], v.Bool, parquet.BooleanValue, v.ElemNull)
	case columns.DoubleMap:
		if err := elements(f, ls[0], v.String, stringValue, nil); err != nil {
			return err
		}
		return elements(f, ls[1], v.Double, parquet.DoubleValue, v.ElemNull)
	}
	return fmt.Errorf("no form for %v", v.Type())
}

// stringValue wraps a string without a copy: the library copies what it keeps
// and writes to none of it.
func stringValue(s string) parquet.Value {
	return parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func scalars[T any](f *fileWriter, l leaf, x []T, value func(T) parquet.Value) error {
	v := &f.vec
	some := v.Nulls() > 0
	for from := 0; from < len(x); from += batchRows {
		part := x[from:min(from+batchRows, len(x))]
		batch := f.batch[:len(part)]
		for i, c := range part {
			if some && v.Null(from+i) {
				batch[i] = parquet.Value{}
				continue
			}
			batch[i] = value(c)
			batch[i].SetDefinitionLevel(int(l.present))
		}
		if err := put(l, batch); err != nil {
			return err
		}
	}
	return nil
}

// elements writes the rows of a nested column; a batch ends with a row.
func elements[T any](f *fileWriter, l leaf, x []T, value func(T) parquet.Value, null []bool) error {
	v := &f.vec
	batch := f.batch[:0]
	for row := range v.Rows() {
		from, to := v.Elems(row)
		if len(batch)+max(to-from, 1) > batchRows && len(batch) > 0 {
			if err := put(l, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		if from == to {
			e := parquet.Value{}
			if !v.Null(row) {
				e.SetDefinitionLevel(int(l.empty))
			}
			batch = append(batch, e)
			continue
		}
		for i := from; i < to; i++ {
			var e parquet.Value
			if len(null) > 0 && null[i] {
				e.SetDefinitionLevel(int(l.null))
			} else {
				e = value(x[i])
				e.SetDefinitionLevel(int(l.present))
			}
			if i > from {
				e.SetRepetitionLevel(1)
			}
			batch = append(batch, e)
		}
	}
	f.batch = batch[:cap(batch)] // a very long row made it grow
	if len(batch) == 0 {
		return nil
	}
	return put(l, batch)
}

// gather adds a vector to its column's statistics.
func gather(s *delta.ColumnStats, v *columns.Vector) {
	s.Nulls += int64(v.Nulls())
	if v.Nulls() == v.Rows() {
		return
	}
	switch v.Type() {
	case columns.Timestamp, columns.Int64:
		s.HasBounds = bounds(v, v.Int64, &s.MinInt, &s.MaxInt, s.HasBounds)
	case columns.Double:
		s.HasBounds = bounds(v, v.Double, &s.MinDouble, &s.MaxDouble, s.HasBounds)
	case columns.String:
		s.HasBounds = bounds(v, v.String, &s.MinString, &s.MaxString, s.HasBounds)
	}
}

// bounds widens lo and hi by the cells that are not null. A NaN stays in both
// for good, and its column gets no bounds in the log.
func bounds[T int64 | float64 | string](v *columns.Vector, x []T, lo, hi *T, have bool) bool {
	a, b := *lo, *hi
	some := v.Nulls() > 0
	for i, c := range x {
		if some && v.Null(i) {
			continue
		}
		if !have {
			a, b, have = c, c, true
			continue
		}
		if c != c {
			a, b = c, c
		}
		if c < a {
			a = c
		}
		if c > b {
			b = c
		}
	}
	*lo, *hi = a, b
	return have
}
