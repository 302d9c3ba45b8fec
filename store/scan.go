package store

import (
	"context"
	"fmt"
	"io"

	"bessd/bess/columns"
	"bessd/store/delta"
	"bessd/store/parquetv1"
)

// Scan chooses rows of a table.
type Scan struct {
	// Columns are those to read; a row's vectors come in this order. The
	// partition column is not among them: see Batch.Partition.
	Columns []string
	// Where are conditions that a row must meet, all of them. They also spare
	// files whose statistics exclude them.
	Where []Equal
	// Keep, if set, spares the files for which it returns false.
	Keep func(f delta.File, stats delta.Stats) bool
	// Snapshot, if set, is read instead of the table as it is now.
	Snapshot *delta.Snapshot
}

// Equal is the condition that a column has a value: an int64 for Timestamp (µs) and
// Int64, a string for String.
type Equal struct {
	Column string
	Value  any
}

// Batch are rows of one file.
type Batch struct {
	File delta.File
	// Vectors has the chosen columns, each with all rows of a row group.
	Vectors []columns.Vector
	// Rows are the indices in the vectors of the rows that meet Where, ascending.
	Rows []int
}

// Scan calls fn for each row group that has rows that meet s, file by file in
// the order of their paths. Files are fetched ahead of that, many at the same
// time; fn is called by the caller's goroutine, and nothing is fetched any more
// when Scan has returned. What the batch holds is fn's until it returns. A file
// that has been vacuumed since the snapshot is an error that wraps
// fs.ErrNotExist.
func (t *Table) Scan(ctx context.Context, s Scan, fn func(Batch) error) error {
	snap := s.Snapshot
	if snap == nil {
		var err error
		if snap, err = t.Snapshot(ctx); err != nil {
			return err
		}
	}
	schema, err := snap.Schema()
	if err != nil {
		return fmt.Errorf("scanning table %s: %w", t.spec.Name, err)
	}
	var want columns.Schema
	column := func(name string) (int, error) {
		if i := want.Index(name); i >= 0 {
			return i, nil
		}
		i := schema.Index(name)
		if i < 0 {
			return 0, fmt.Errorf("scanning table %s: it has no column %q", t.spec.Name, name)
		}
		want = append(want, schema[i])
		return len(want) - 1, nil
	}
	for _, name := range s.Columns {
		n := len(want)
		if i, err := column(name); err != nil {
			return err
		} else if i < n {
			return fmt.Errorf("scanning table %s: column %q is asked for twice", t.spec.Name, name)
		}
	}
	where := make([]int, len(s.Where))
	for k, e := range s.Where {
		if where[k], err = column(e.Column); err != nil {
			return err
		}
		if !e.fits(want[where[k]].Type) {
			return fmt.Errorf("scanning table %s: column %q is %v and cannot equal a %T", t.spec.Name, e.Column, want[where[k]].Type, e.Value)
		}
	}
	var files []delta.File
	for _, f := range snap.Files() {
		if s.keeps(f, want, where) {
			files = append(files, f)
		}
	}
	rows := []int{}
	return t.openAll(ctx, files, func(f delta.File, r io.ReaderAt) error {
		err := parquetv1.Read(r, f.Size, want, func(n int, vecs []columns.Vector) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			rows = rows[:0]
			for i := range n {
				if s.meets(i, vecs, where) {
					rows = append(rows, i)
				}
			}
			if len(rows) == 0 {
				return nil
			}
			return fn(Batch{File: f, Vectors: vecs[:len(s.Columns)], Rows: rows})
		})
		if err != nil {
			return fmt.Errorf("scanning %s of table %s: %w", f.Path, t.spec.Name, err)
		}
		return nil
	})
}

func (s *Scan) keeps(f delta.File, want columns.Schema, where []int) bool {
	if s.Keep == nil && len(s.Where) == 0 {
		return true
	}
	stats := f.Stats()
	if s.Keep != nil && !s.Keep(f, stats) {
		return false
	}
	for k, e := range s.Where {
		switch v := e.Value.(type) {
		case int64:
			if want[where[k]].Type == columns.Timestamp && !stats.MayHoldTime(e.Column, v, v) {
				return false
			}
			if want[where[k]].Type == columns.Int64 && !stats.MayHoldInt(e.Column, v, v) {
				return false
			}
		case string:
			if !stats.MayHoldString(e.Column, v) {
				return false
			}
		}
	}
	return true
}

func (e Equal) fits(t columns.Type) bool {
	switch e.Value.(type) {
	case int64:
		return t == columns.Timestamp || t == columns.Int64
	case string:
		return t == columns.String
	}
	return false
}

func (s *Scan) meets(row int, vecs []columns.Vector, where []int) bool {
	for k, e := range s.Where {
		v := &vecs[where[k]]
		if v.Null(row) {
			return false
		}
		switch x := e.Value.(type) {
		case int64:
			if v.Int64[row] != x {
				return false
			}
		case string:
			if v.String[row] != x {
				return false
			}
		}
	}
	return true
}
