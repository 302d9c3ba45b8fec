package delta

import (
	"encoding/json"
	"fmt"
	"slices"

	"bessd/bess/columns"
)

type structType struct {
	Type   string  `json:"type"`
	Fields []field `json:"fields"`
}

type field struct {
	Name     string          `json:"name"`
	Type     json.RawMessage `json:"type"`
	Nullable bool            `json:"nullable"`
	Metadata json.RawMessage `json:"metadata"`
}

// typeNames are the forms of our types in a schema string. Timestamps and
// identity columns are declared nullable as all others are: the file decides,
// and a reader of an older file needs no second rule.
func typeName(t columns.Type) string {
	switch t {
	case columns.Timestamp:
		return `"timestamp"`
	case columns.Int64:
		return `"long"`
	case columns.Double:
		return `"double"`
	case columns.String:
		return `"string"`
	case columns.Binary:
		return `"binary"`
	case columns.Bool:
		return `"boolean"`
	case columns.FloatList:
		return `{"type":"array","elementType":"float","containsNull":true}`
	case columns.StringList:
		return `{"type":"array","elementType":"string","containsNull":true}`
	case columns.BoolList:
		return `{"type":"array","elementType":"boolean","containsNull":true}`
	case columns.DoubleMap:
		return `{"type":"map","keyType":"string","valueType":"double","valueContainsNull":true}`
	}
	return ""
}

// typeOf is the inverse of typeName; Invalid for types that we never write.
func typeOf(raw json.RawMessage) columns.Type {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		switch name {
		case "timestamp":
			return columns.Timestamp
		case "long":
			return columns.Int64
		case "double":
			return columns.Double
		case "string":
			return columns.String
		case "binary":
			return columns.Binary
		case "boolean":
			return columns.Bool
		}
		return columns.Invalid
	}
	var nested struct {
		Type        string          `json:"type"`
		ElementType json.RawMessage `json:"elementType"`
		KeyType     json.RawMessage `json:"keyType"`
		ValueType   json.RawMessage `json:"valueType"`
	}
	if json.Unmarshal(raw, &nested) != nil {
		return columns.Invalid
	}
	switch {
	case nested.Type == "array" && string(nested.ElementType) == `"float"`:
		return columns.FloatList
	case nested.Type == "array" && string(nested.ElementType) == `"string"`:
		return columns.StringList
	case nested.Type == "array" && string(nested.ElementType) == `"boolean"`:
		return columns.BoolList
	case nested.Type == "map" && string(nested.KeyType) == `"string"` && string(nested.ValueType) == `"double"`:
		return columns.DoubleMap
	}
	return columns.Invalid
}

func fieldOf(c columns.Column) (field, error) {
	meta := []byte("{}")
	if c.Comment != "" {
		var err error
		if meta, err = json.Marshal(map[string]string{"comment": c.Comment}); err != nil {
			return field{}, err
		}
	}
	return field{Name: c.Name, Type: json.RawMessage(typeName(c.Type)), Nullable: true, Metadata: meta}, nil
}

// schemaString makes the schema of a new table. The partition column, if any,
// comes last and is a date.
func schemaString(s columns.Schema, partition string) (string, error) {
	st := structType{Type: "struct"}
	for _, c := range s {
		f, err := fieldOf(c)
		if err != nil {
			return "", err
		}
		st.Fields = append(st.Fields, f)
	}
	if partition != "" {
		st.Fields = append(st.Fields, field{Name: partition, Type: json.RawMessage(`"date"`), Nullable: true, Metadata: json.RawMessage("{}")})
	}
	b, err := json.Marshal(st)
	return string(b), err
}

// widen returns the schema string with the columns of add that it lacks put in
// (before the partition column), and whether it changed. What is there already
// is kept byte by byte in meaning, also fields of types unknown to us.
func widen(schema string, add columns.Schema, partition []string) (string, bool, error) {
	var st structType
	if err := json.Unmarshal([]byte(schema), &st); err != nil {
		return "", false, fmt.Errorf("reading the schema: %w", err)
	}
	end := len(st.Fields)
	for end > 0 && slices.Contains(partition, st.Fields[end-1].Name) {
		end--
	}
	changed := false
	for _, c := range add {
		i := slices.IndexFunc(st.Fields, func(f field) bool { return f.Name == c.Name })
		if i >= 0 {
			if have := typeOf(st.Fields[i].Type); have != c.Type {
				return "", false, fmt.Errorf("column %q has type %s in the table and %v here; a column's type cannot change, use a new name", c.Name, st.Fields[i].Type, c.Type)
			}
			continue
		}
		f, err := fieldOf(c)
		if err != nil {
			return "", false, err
		}
		st.Fields = slices.Insert(st.Fields, end, f)
		end++
		changed = true
	}
	if !changed {
		return schema, false, nil
	}
	b, err := json.Marshal(st)
	return string(b), true, err
}

// parseSchema returns the columns whose types we know, without the partition
// columns, and the names of the others.
func parseSchema(schema string, partition []string) (columns.Schema, []string, error) {
	var st structType
	if err := json.Unmarshal([]byte(schema), &st); err != nil {
		return nil, nil, fmt.Errorf("reading the schema: %w", err)
	}
	var out columns.Schema
	var foreign []string
	for _, f := range st.Fields {
		if slices.Contains(partition, f.Name) {
			continue
		}
		t := typeOf(f.Type)
		if t == columns.Invalid {
			foreign = append(foreign, f.Name)
			continue
		}
		var meta struct {
			Comment string `json:"comment"`
		}
		_ = json.Unmarshal(f.Metadata, &meta) // free-form for other writers
		out = append(out, columns.Column{Name: f.Name, Type: t, Nullable: f.Nullable, Comment: meta.Comment})
	}
	return out, foreign, nil
}
