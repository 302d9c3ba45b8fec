package columns

import (
	"fmt"
	"regexp"
)

// Type is the type of a column. The zero value is no type.
type Type uint8

// The types that a table can have. Each has exactly one form in Parquet and in
// the schema of the commit log; docs/format/parquet.md has the list.
const (
	Invalid    Type = iota
	Timestamp       // microseconds since 1970-01-01 UTC, in Vector.Int64
	Int64           // Vector.Int64
	Double          // Vector.Double, never NaN or infinite by agreement
	String          // UTF-8, in Vector.String
	Binary          // any bytes, in Vector.String
	Bool            // Vector.Bool
	FloatList       // Vector.Float through Vector.Ends
	StringList      // Vector.String through Vector.Ends
	BoolList        // Vector.Bool through Vector.Ends
	DoubleMap       // string keys in Vector.String, values in Vector.Double, through Vector.Ends
)

// String returns the type's name as used in error texts.
func (t Type) String() string {
	names := [...]string{"invalid", "timestamp", "int64", "double", "string", "binary", "bool", "list<float>", "list<string>", "list<bool>", "map<string,double>"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Nested reports whether a cell holds any number of elements (lists and maps).
func (t Type) Nested() bool {
	switch t {
	case FloatList, StringList, BoolList, DoubleMap:
		return true
	}
	return false
}

// Column describes one column of a table.
type Column struct {
	Name string // letters, digits and underscores, beginning with a letter or underscore
	Type Type
	// Nullable says that a cell may be null. A column added to an existing table must be nullable.
	Nullable bool
	// Comment is for people (unit and meaning); it is kept in the table's schema.
	Comment string
}

// Schema is the list of a table's columns, in the order in which readers see
// them. The partition column is not part of it: it is in the path, not in the
// file.
type Schema []Column

var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,126}$`)

// Index returns the position of the named column, or -1.
func (s Schema) Index(name string) int {
	for i := range s {
		if s[i].Name == name {
			return i
		}
	}
	return -1
}

// Validate reports the first column that no table can have: a bad name, an
// unknown type, or a name used twice.
func (s Schema) Validate() error {
	seen := make(map[string]bool, len(s))
	for _, c := range s {
		switch {
		case !columnName.MatchString(c.Name):
			return fmt.Errorf("column %q: a name has letters, digits and underscores and begins with no digit", c.Name)
		case c.Type == Invalid || c.Type > DoubleMap:
			return fmt.Errorf("column %q has %v as its type", c.Name, c.Type)
		case seen[c.Name]:
			return fmt.Errorf("column %q appears twice", c.Name)
		}
		seen[c.Name] = true
	}
	if len(s) == 0 {
		return fmt.Errorf("a schema needs at least one column")
	}
	return nil
}
