package storetest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"bessd/bess/columns"
)

// Figures are what scripts/judge/tablesum.py says about a table: the form in
// which a reader that is not ours is compared with what was written.
type Figures struct {
	Rows    int64                    `json:"rows"`
	Columns map[string]ColumnFigures `json:"columns"`
}

// ColumnFigures are those of one column. Hash does not depend on the order of
// the rows and tells a null list from an empty one. Sum is exact and rounded
// once, as Python's math.fsum gives it.
type ColumnFigures struct {
	Nulls        int64   `json:"nulls"`
	Hash         string  `json:"hash"`
	Sum          float64 `json:"sum"`
	Min          float64 `json:"min"`
	Max          float64 `json:"max"`
	Elements     int64   `json:"elements"`
	ElementNulls int64   `json:"element_nulls"`
	Entries      int64   `json:"entries"`
	EntryNulls   int64   `json:"entry_nulls"`
}

// Summary gathers the figures of rows. The zero value is ready.
type Summary struct {
	rows int64
	cols map[string]*column
}

type column struct {
	ColumnFigures
	hash    uint64
	sum     *big.Float
	numbers bool
}

// Add counts one cell, in the form that columns.Vector.Cell gives, of the named
// column. Rows are counted apart, by AddRows.
func (s *Summary) Add(name string, cell any) {
	if s.cols == nil {
		s.cols = map[string]*column{}
	}
	c := s.cols[name]
	if c == nil {
		c = &column{sum: new(big.Float).SetPrec(2200)} // holds any sum of doubles exactly
		s.cols[name] = c
	}
	digest := sha256.Sum256([]byte(canonical(cell)))
	c.hash += binary.BigEndian.Uint64(digest[:8])
	switch x := cell.(type) {
	case nil:
		c.Nulls++
	case int64:
		c.number(float64(x), new(big.Float).SetInt64(x))
	case float64:
		c.number(x, big.NewFloat(x))
	case []float32:
		c.Elements += int64(len(x))
	case []string:
		c.Elements += int64(len(x))
	case []bool:
		c.Elements += int64(len(x))
	case []*float32:
		c.Elements += int64(len(x))
		for _, p := range x {
			if p == nil {
				c.ElementNulls++
			}
		}
	case []*bool:
		c.Elements += int64(len(x))
		for _, p := range x {
			if p == nil {
				c.ElementNulls++
			}
		}
	case map[string]float64:
		c.Entries += int64(len(x))
	}
}

func (c *column) number(x float64, exact *big.Float) {
	if !c.numbers || x < c.Min {
		c.Min = x
	}
	if !c.numbers || x > c.Max {
		c.Max = x
	}
	c.numbers = true
	c.sum.Add(c.sum, exact)
}

// AddRows counts n rows.
func (s *Summary) AddRows(n int) { s.rows += int64(n) }

// AddSource counts all rows of src, with the partition's value for the
// partition column if there is one.
func (s *Summary) AddSource(schema columns.Schema, src columns.Source, partitionColumn, partition string) error {
	n := src.Rows()
	s.AddRows(n)
	for i, c := range schema {
		var v columns.Vector
		v.Reset(c.Type)
		if err := src.Column(i, 0, n, &v); err != nil {
			return err
		}
		for row := range n {
			cell := v.Cell(row)
			if text, ok := cell.(string); ok && c.Type == columns.Binary {
				cell = []byte(text)
			}
			s.Add(c.Name, cell)
		}
	}
	if partitionColumn != "" {
		for range n {
			s.Add(partitionColumn, partition)
		}
	}
	return nil
}

// AddMissing counts n nulls of a column that the rows so far do not have.
func (s *Summary) AddMissing(name string, n int) {
	for range n {
		s.Add(name, nil)
	}
}

// Figures returns what was counted.
func (s *Summary) Figures() Figures {
	out := Figures{Rows: s.rows, Columns: map[string]ColumnFigures{}}
	for name, c := range s.cols {
		f := c.ColumnFigures
		f.Hash = fmt.Sprintf("%016x", c.hash)
		f.Sum, _ = c.sum.Float64()
		out.Columns[name] = f
	}
	return out
}

// canonical spells a cell as tablesum.py does.
func canonical(cell any) string {
	switch x := cell.(type) {
	case nil:
		return "~"
	case bool:
		if x {
			return "t"
		}
		return "f"
	case float64:
		return pythonHex(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case []byte:
		return "x" + hex.EncodeToString(x)
	case string:
		return `"` + x + `"`
	case []float32:
		return elementsOf(x, func(f float32) string { return pythonHex(float64(f)) })
	case []*float32:
		return elementsOf(x, func(f *float32) string {
			if f == nil {
				return "~"
			}
			return pythonHex(float64(*f))
		})
	case []string:
		return elementsOf(x, func(s string) string { return canonical(s) })
	case []bool:
		return elementsOf(x, func(b bool) string { return canonical(b) })
	case []*bool:
		return elementsOf(x, func(b *bool) string {
			if b == nil {
				return "~"
			}
			return canonical(*b)
		})
	case map[string]float64:
		if len(x) == 0 {
			return "[]"
		}
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, k+"="+pythonHex(x[k]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprint(cell)
}

func elementsOf[T any](x []T, f func(T) string) string {
	parts := make([]string, len(x))
	for i := range x {
		parts[i] = f(x[i])
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// pythonHex spells a float as Python's float.hex does: all 13 digits, but for
// zero, and no leading zero in the exponent.
func pythonHex(x float64) string {
	if x == 0 {
		return "0x0.0p+0"
	}
	s := strconv.FormatFloat(x, 'x', 13, 64)
	i := strings.IndexByte(s, 'p')
	exp, err := strconv.Atoi(s[i+1:])
	if err != nil {
		return s
	}
	return fmt.Sprintf("%sp%+d", s[:i], exp)
}
