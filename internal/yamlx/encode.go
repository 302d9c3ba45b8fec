package yamlx

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Encode writes v as YAML that Decode reads back, secrets masked. Fields come in the order of the struct; zero values
// with the tag option omitempty are left out. With comments, a field's `doc` tag stands above its key.
func Encode(v any, comments bool) ([]byte, error) {
	n, err := encodeNode(reflect.ValueOf(v), comments)
	if err != nil {
		return nil, err
	}
	return yaml.Dump(n)
}

func encodeNode(v reflect.Value, comments bool) (*yaml.Node, error) {
	if !v.IsValid() {
		return textNode("!!null", "null"), nil
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return textNode("!!str", FormatDuration(x)), nil
	case Size:
		return textNode("!!str", x.String()), nil
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		return textNode("!!str", string(b)), err
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return textNode("!!null", "null"), nil
		}
		return encodeNode(v.Elem(), comments)
	case reflect.String:
		return textNode("!!str", v.String()), nil
	case reflect.Bool:
		return textNode("!!bool", strconv.FormatBool(v.Bool())), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return textNode("!!int", strconv.FormatInt(v.Int(), 10)), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return textNode("!!int", strconv.FormatUint(v.Uint(), 10)), nil
	case reflect.Float32, reflect.Float64:
		return textNode("!!float", strconv.FormatFloat(v.Float(), 'g', -1, 64)), nil
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range v.Len() {
			e, err := encodeNode(v.Index(i), comments)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, e)
		}
		if scalars(n) {
			n.Style = yaml.FlowStyle
		}
		return n, nil
	case reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, k := range keys {
			e, err := encodeNode(v.MapIndex(k), comments)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, textNode("!!str", fmt.Sprint(k)), e)
		}
		return n, nil
	case reflect.Struct:
		return encodeStruct(v, comments)
	}
	return nil, fmt.Errorf("encoding YAML: no form for %s", v.Type())
}

func encodeStruct(v reflect.Value, comments bool) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, f := range fieldsOf(v.Type()) {
		sf, fv := v.Type().FieldByIndex(f.index), v.FieldByIndex(f.index)
		if strings.Contains(sf.Tag.Get("yaml"), "omitempty") && fv.IsZero() && !comments {
			continue
		}
		e, err := encodeNode(fv, comments)
		if err != nil {
			return nil, err
		}
		k := textNode("!!str", f.key)
		if doc := sf.Tag.Get("doc"); comments && doc != "" {
			k.HeadComment = "# " + doc
		}
		n.Content = append(n.Content, k, e)
	}
	return n, nil
}

func scalars(n *yaml.Node) bool {
	return !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Kind != yaml.ScalarNode })
}

func textNode(tag, value string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
	if tag == "!!str" && value == "" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
