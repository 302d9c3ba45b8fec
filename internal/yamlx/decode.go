package yamlx

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Options steer Decode.
type Options struct {
	// Env looks an environment variable up; nil means that ${NAME} is not expanded.
	Env func(name string) (string, bool)
	// Unknown may explain a key that the target does not have; "" leaves the usual message.
	Unknown func(path, key string) string
	// Expanded is told the path of each value that came from the environment; may be nil.
	Expanded func(path string)
}

// Keys lists the keys of a struct type, of which v is a value.
func Keys(v any) []string {
	var keys []string
	for _, f := range fieldsOf(reflect.TypeOf(v)) {
		keys = append(keys, f.key)
	}
	return keys
}

// Unmarshaler reads itself from a node; what is wrong it says through n.Errorf.
type Unmarshaler interface{ UnmarshalYAMLX(n Node) }

// Defaulter sets defaults before an element of a list or map is read.
type Defaulter interface{ SetDefaults() }

// Decode parses data and decodes it over out, a pointer to a struct that holds the defaults. The error is Problems. The
// Document is not nil when the syntax was fine, also beside an error.
func Decode(file string, data []byte, out any, opt Options) (*Document, error) {
	d, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	return d, d.Decode(out, opt)
}

// Decode decodes the document over out, a non-nil pointer. What could be read is in out also when there are Problems.
func (d *Document) Decode(out any, opt Options) error {
	v := reflect.ValueOf(out)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decoding %s: target %T is not a pointer", d.file, out)
	}
	dec := &decoder{doc: d, opt: opt}
	root := d.root
	if root == nil {
		root = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1, Column: 1}
	}
	dec.value(root, v.Elem(), "")
	return dec.problems.Err()
}

type decoder struct {
	doc      *Document
	opt      Options
	problems Problems
	depth    int
}

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	d.problems.Add(Problem{Pos{d.doc.file, n.Line, n.Column}, path, fmt.Sprintf(format, args...)})
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	posType      = reflect.TypeFor[Pos]()
)

// value decodes n into v, which is settable.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if d.depth++; d.depth > maxDepth {
		d.fail(n, path, "nested too deeply")
		d.depth--
		return
	}
	defer func() { d.depth-- }()
	n = follow(n)
	if v.Kind() == reflect.Pointer {
		if n.ShortTag() == "!!null" {
			v.SetZero()
			return
		}
		if v.IsNil() {
			v.Set(fresh(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path)
		return
	}
	if v.CanAddr() {
		if u, ok := v.Addr().Interface().(Unmarshaler); ok {
			u.UnmarshalYAMLX(Node{n, d, path})
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		if isScalarStruct(v) {
			d.scalar(n, v, path)
			return
		}
		d.structure(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Interface:
		if x := d.untyped(n, path); x != nil {
			v.Set(reflect.ValueOf(x))
		} else {
			v.SetZero()
		}
	default:
		d.scalar(n, v, path)
	}
}

func isScalarStruct(v reflect.Value) bool {
	if v.Type() == reflect.TypeFor[Secret]() {
		return true
	}
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

// fresh makes a pointer to a new value with its defaults set.
func fresh(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if df, ok := p.Interface().(Defaulter); ok {
		df.SetDefaults()
	}
	return p
}

// field is one key of a struct.
type field struct {
	key      string
	required bool
	index    []int
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("yaml")
		if f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct && f.Type != posType {
			for _, in := range fieldsOf(f.Type) {
				in.index = append([]int{i}, in.index...)
				out = append(out, in)
			}
			continue
		}
		key, opts, _ := strings.Cut(tag, ",")
		if key == "" || key == "-" || !f.IsExported() {
			continue
		}
		out = append(out, field{key, strings.Contains(opts, "required"), []int{i}})
	}
	return out
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	for i := range v.NumField() {
		if v.Type().Field(i).Type == posType && v.Field(i).CanSet() {
			v.Field(i).Set(reflect.ValueOf(Pos{d.doc.file, n.Line, n.Column}))
		}
	}
	fields := fieldsOf(v.Type())
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	if n.ShortTag() == "!!null" {
		n = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column}
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "is %s; want a map with the keys %s", describe(n), choices(keys))
		return
	}
	seen := map[string]bool{}
	d.pairs(n, path, func(k, val *yaml.Node) {
		i := slices.Index(keys, k.Value)
		if i < 0 {
			d.unknownKey(k, path, keys)
			return
		}
		seen[k.Value] = true
		d.value(val, v.FieldByIndex(fields[i].index), join(path, k.Value))
	})
	for _, f := range fields {
		if f.required && !seen[f.key] {
			d.fail(n, join(path, f.key), "missing")
		}
	}
}

func (d *decoder) unknownKey(k *yaml.Node, path string, keys []string) {
	if d.opt.Unknown != nil {
		if msg := d.opt.Unknown(path, k.Value); msg != "" {
			d.fail(k, join(path, k.Value), "%s", msg)
			return
		}
	}
	if near := Nearest(k.Value, keys); near != "" {
		d.fail(k, join(path, k.Value), "unknown key; did you mean %s?", near)
		return
	}
	d.fail(k, join(path, k.Value), "unknown key; known here: %s", choices(keys))
}

// pairs visits the pairs of a mapping and tells about keys that are no plain scalars or come twice.
func (d *decoder) pairs(n *yaml.Node, path string, visit func(k, v *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := follow(n.Content[i])
		switch line, dup := first[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			d.fail(k, path, "a key is %s; want a word", describe(k))
		case k.ShortTag() == "!!merge":
			d.fail(k, join(path, k.Value), "merge keys (<<) are not supported; write the keys out")
		case dup:
			d.fail(k, join(path, k.Value), "is there twice, first on line %d; remove one", line)
		default:
			first[k.Value] = k.Line
			visit(k, n.Content[i+1])
		}
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.ShortTag() == "!!null" {
		v.SetZero()
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, path, "is %s; want a list: [a, b] or lines that begin with -", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, c := range n.Content {
		e := fresh(v.Type().Elem()).Elem()
		d.value(c, e, fmt.Sprintf("%s[%d]", path, i))
		out = reflect.Append(out, e)
	}
	v.Set(out)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.ShortTag() == "!!null" {
		v.SetZero()
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "is %s; want a map: {a: 1, b: 2} or lines key: value", describe(n))
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	d.pairs(n, path, func(kn, vn *yaml.Node) {
		k := reflect.New(v.Type().Key()).Elem()
		if k.Kind() == reflect.String {
			k.SetString(kn.Value) // a key needs no quotes
		} else {
			d.scalar(kn, k, path)
		}
		e := fresh(v.Type().Elem()).Elem()
		d.value(vn, e, join(path, kn.Value))
		out.SetMapIndex(k, e)
	})
	v.Set(out)
}

// untyped gives map[string]any, []any, string, int64, float64, bool or nil.
func (d *decoder) untyped(n *yaml.Node, path string) any {
	switch n = follow(n); n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		d.value(n, reflect.ValueOf(&m).Elem(), path)
		return m
	case yaml.SequenceNode:
		var l []any
		d.value(n, reflect.ValueOf(&l).Elem(), path)
		return l
	}
	decodeAs := func(p any) any {
		v := reflect.ValueOf(p).Elem()
		d.scalar(n, v, path)
		return v.Interface()
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return decodeAs(new(bool))
	case "!!int":
		return decodeAs(new(int64))
	case "!!float":
		return decodeAs(new(float64))
	}
	return decodeAs(new(string))
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, path, "is %s; want %s", describe(n), wanted(v))
		return
	}
	tag, text := n.ShortTag(), n.Value
	if tag == "!!null" {
		d.fail(n, path, "has no value; want %s, or remove the key", wanted(v))
		return
	}
	expanded := false
	if d.opt.Env != nil && strings.Contains(text, "${") {
		s, err := Expand(text, d.opt.Env)
		if err != nil {
			d.fail(n, path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
			return
		}
		text, expanded = s, true
		if d.opt.Expanded != nil {
			d.opt.Expanded(path)
		}
	}
	err := setScalar(v, text, tag, expanded)
	if err == nil {
		return
	}
	msg := err.Error()
	if expanded { // what a variable holds may be secret
		msg = fmt.Sprintf("the value of %s does not fit; want %s", n.Value, wanted(v))
	}
	d.fail(n, path, "%s", msg)
}

// setScalar sets v from text. tag is the YAML type as written; an expanded text has none.
func setScalar(v reflect.Value, text, tag string, expanded bool) error {
	misfit := func() error { return fmt.Errorf("is %q; want %s", text, wanted(v)) }
	isText := expanded || tag == "!!str" || tag == "!!timestamp"
	if s, ok := v.Addr().Interface().(*Secret); ok {
		*s = NewSecret(text)
		return nil
	}
	if s, ok := v.Addr().Interface().(*Size); ok {
		size, err := ParseSize(text)
		*s = size
		return err
	}
	if v.Type() == durationType {
		dur, err := ParseDuration(text)
		v.SetInt(int64(dur))
		return err
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		if !isText {
			return fmt.Errorf("want text; put it in quotes: %q", text)
		}
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return misfit()
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 0, 64)
		if err != nil || leadingZero(text) || v.OverflowInt(i) {
			return misfit()
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, err := strconv.ParseUint(text, 0, 64)
		if err != nil || leadingZero(text) || v.OverflowUint(i) {
			return misfit()
		}
		v.SetUint(i)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return misfit()
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("the program cannot read a %s here", v.Type())
	}
	return nil
}

// leadingZero tells numbers such as 015 that some read as octal and others as decimal.
func leadingZero(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

func wanted(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return "a duration such as 250ms or 15m"
	case v.Type() == reflect.TypeFor[Size]():
		return "a size such as 64MiB"
	case v.Type() == reflect.TypeFor[Secret]():
		return "a secret text"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-v.Type().Bits()))
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "text"
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!str":
		return fmt.Sprintf("the text %q", n.Value)
	}
	return n.Value
}
