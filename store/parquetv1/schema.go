package parquetv1

import (
	"fmt"

	"github.com/parquet-go/parquet-go"

	"bessd/bess/columns"
)

// leaf is one physical column of the file being written.
type leaf struct {
	w *parquet.ColumnWriter
	// Definition levels: of a null cell always 0.
	present byte // of a value (of an element that is not null, for nested types)
	empty   byte // of an empty list or map
	null    byte // of a null element
}

// node returns the Parquet form of a column. ints says how an Int64 column is
// encoded: a dictionary pays for few distinct values, else deltas do.
func node(c columns.Column, ints parquet.Node) (parquet.Node, error) {
	var n parquet.Node
	switch c.Type {
	case columns.Timestamp:
		n = parquet.Encoded(parquet.Timestamp(parquet.Microsecond), &parquet.DeltaBinaryPacked)
	case columns.Int64:
		n = ints
	case columns.Double:
		n = parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.RLEDictionary)
	case columns.String:
		n = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	case columns.Binary:
		n = parquet.Encoded(parquet.Leaf(parquet.ByteArrayType), &parquet.Plain)
	case columns.Bool:
		n = parquet.Encoded(parquet.Leaf(parquet.BooleanType), &parquet.Plain)
	case columns.FloatList:
		n = parquet.List(parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.FloatType), &parquet.RLEDictionary)))
	case columns.StringList:
		n = parquet.List(parquet.Optional(parquet.Encoded(parquet.String(), &parquet.RLEDictionary)))
	case columns.BoolList:
		n = parquet.List(parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.BooleanType), &parquet.Plain)))
	case columns.DoubleMap:
		n = parquet.Map(
			parquet.Encoded(parquet.String(), &parquet.RLEDictionary),
			parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.RLEDictionary)))
	default:
		return nil, fmt.Errorf("column %q has %v as its type", c.Name, c.Type)
	}
	if c.Nullable {
		n = parquet.Optional(n)
	}
	return n, nil
}

// paths returns the leaves of a column within the file's schema.
func paths(c columns.Column) [][]string {
	switch c.Type {
	case columns.FloatList, columns.StringList, columns.BoolList:
		return [][]string{{c.Name, "list", "element"}}
	case columns.DoubleMap:
		return [][]string{{c.Name, "key_value", "key"}, {c.Name, "key_value", "value"}}
	}
	return [][]string{{c.Name}}
}

// levels fills in what leaf i of a column writes for nulls and empties.
func levels(c columns.Column, i int) leaf {
	outer := byte(0)
	if c.Nullable {
		outer = 1
	}
	switch {
	case !c.Type.Nested():
		return leaf{present: outer}
	case c.Type == columns.DoubleMap && i == 0: // keys are required
		return leaf{present: outer + 1, empty: outer}
	default:
		return leaf{present: outer + 2, empty: outer, null: outer + 1}
	}
}
