package maps

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"bessd/bess"
	"bessd/internal/yamlx"
)

//go:embed builtin/*.yaml
var builtIn embed.FS

// BuiltInNames lists the ids of the maps in the binary.
func BuiltInNames() []string {
	files, err := fs.Glob(builtIn, "builtin/*.yaml")
	if err != nil { // the pattern is a constant
		return nil
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(f, "builtin/"), ".yaml")
	}
	return files
}

// BuiltIn loads a map of the binary; nil without an error when there is none of that name.
func BuiltIn(name string) (*Map, error) {
	if !slices.Contains(BuiltInNames(), name) {
		return nil, nil
	}
	data, err := builtIn.ReadFile("builtin/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("built-in map %s: %w", name, err)
	}
	return Load("builtin/"+name+".yaml", data)
}

// Map is a checked register map. Its format is documented in docs/format/maps.md.
type Map struct {
	file mapFile
	doc  *yamlx.Document
}

// ID is the map's name, Version counts its changes; both are part of every plan.
func (m *Map) ID() string { return fmt.Sprintf("%s@%d", m.file.ID, m.file.Version) }

// Tested reports whether somebody has run the map against the hardware.
func (m *Map) Tested() bool { return m.file.Tested }

// Source says where the facts come from, and under which licence.
func (m *Map) Source() (source, licence string) { return m.file.Source, m.file.Licence }

// mapFile is the YAML form.
type mapFile struct {
	ID        string                   `yaml:"id,required"`
	Version   int                      `yaml:"version,required"`
	Title     string                   `yaml:"title"`
	Source    string                   `yaml:"source,required"`
	Licence   string                   `yaml:"licence,required"`
	Tested    bool                     `yaml:"tested"`
	Notes     []string                 `yaml:"notes"`
	Kind      string                   `yaml:"kind,required"`
	Function  string                   `yaml:"function"`
	WordOrder string                   `yaml:"word_order"`
	Gap       uint16                   `yaml:"gap"`
	Periods   map[string]time.Duration `yaml:"periods"`
	Points    []pointFile              `yaml:"points"`
	Repeats   []repeatFile             `yaml:"repeats"`
}

// repeatFile is a template of devices that lie stride registers apart.
type repeatFile struct {
	Word    string       `yaml:"word,required"`
	Kind    string       `yaml:"kind,required"`
	Count   int          `yaml:"count,required"`
	Stride  uint16       `yaml:"stride,required"`
	Points  []pointFile  `yaml:"points"`
	Repeats []repeatFile `yaml:"repeats"`
}

// pointFile is one register point. Where it goes: column, extra or inventory; and beside it states and alarms.
type pointFile struct {
	Name      string            `yaml:"name,required"`
	Address   uint16            `yaml:"address,required"`
	Type      string            `yaml:"type,required"`
	Length    uint16            `yaml:"length"`
	Function  string            `yaml:"function"`
	WordOrder string            `yaml:"word_order"`
	Scale     decimalText       `yaml:"scale"`
	Offset    decimalText       `yaml:"offset"`
	Sign      int               `yaml:"sign"`
	Magnitude bool              `yaml:"magnitude"`
	Null      []int64           `yaml:"null"`
	Shift     uint8             `yaml:"shift"`
	Bits      uint8             `yaml:"bits"`
	Tier      string            `yaml:"tier"`
	Column    string            `yaml:"column"`
	Extra     bool              `yaml:"extra"`
	Inventory string            `yaml:"inventory"`
	Enum      map[int64]string  `yaml:"enum"`
	States    []stateFile       `yaml:"states"`
	Alarms    map[string]anyOne `yaml:"alarms"`
	Path      string            `yaml:"path"` // word of the index, for *_at columns
	Count     int               `yaml:"count"`
	Stride    uint16            `yaml:"stride"`
}

// stateFile makes a state column of the point's bits: the first line whose bit is set gives the state.
type stateFile struct {
	Column string     `yaml:"column,required"`
	When   []whenFile `yaml:"when,required"`
	Else   string     `yaml:"else"`
}

type whenFile struct {
	Bit   *uint8 `yaml:"bit"`
	Value *int64 `yaml:"value"`
	Is    string `yaml:"is,required"`
}

// anyOne is one name, or a list of names.
type anyOne []string

// UnmarshalYAMLX reads a word or a list of words.
func (a *anyOne) UnmarshalYAMLX(n yamlx.Node) {
	if n.Kind() == yamlx.ListNode {
		var l []string
		n.Decode(&l)
		*a = l
		return
	}
	var s string
	n.Decode(&s)
	*a = anyOne{s}
}

// decimalText reads a decimal exactly: 0.1 is 1 x 10^-1.
type decimalText struct {
	Decimal
	set bool
}

// UnmarshalText reads digits with at most one point and an optional exponent.
func (d *decimalText) UnmarshalText(b []byte) error {
	s := string(b)
	mantissa, exp, hasExp := strings.Cut(strings.ToLower(s), "e")
	e := 0
	if hasExp {
		var err error
		if e, err = strconv.Atoi(exp); err != nil {
			return fmt.Errorf("%q is not a decimal number", s)
		}
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	frac = strings.TrimRight(frac, "0")
	m, err := strconv.ParseInt(whole+frac, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not a decimal number such as 0.1 or -40", s)
	}
	if e -= len(frac); frac == "" {
		for m != 0 && m%10 == 0 {
			m, e = m/10, e+1
		}
	}
	if e < -9 || e > 9 {
		return fmt.Errorf("%s is too small or too large; want 9 decimals at most", s)
	}
	d.M, d.E, d.set = m, int8(e), true
	return nil
}

// Load reads and checks a map; file names it in messages. The error lists all problems with file and line.
func Load(file string, data []byte) (*Map, error) {
	m := &Map{}
	doc, err := yamlx.Decode(file, data, &m.file, yamlx.Options{Unknown: unknownKey})
	if err != nil {
		return nil, err
	}
	m.doc = doc
	c := &checker{doc: doc, file: &m.file}
	c.all()
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// Layout lays the map out below a root device.
func (m *Map) Layout(root string) (*Layout, error) {
	l := &Layout{Map: m.ID()}
	for k, p := range m.file.Periods {
		if t, ok := ParseTier(k); ok {
			l.Periods[t] = p
		}
	}
	b := &expander{file: &m.file, layout: l, index: map[[3]uint16]int{}}
	kind, _ := bess.ParseKind(m.file.Kind)
	b.device(root, kind, "", m.file.Points, 0)
	b.repeats(root, m.file.Repeats, 0)
	for _, d := range l.Devices {
		if err := bess.CheckDevice(d.Path); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// unknownKey names the key for words that people try first.
func unknownKey(path, key string) string {
	meant := map[string]string{"map": "id", "name": "id", "model": "title", "license": "licence", "registers": "points", "devices": "repeats", "byte_order": "word_order"}
	switch last := path[strings.LastIndexByte(path, '.')+1:]; {
	case strings.HasPrefix(last, "points["):
		meant = map[string]string{"id": "name", "register": "address", "reg": "address", "addr": "address", "data_type": "type", "factor": "scale", "point": "column",
			"byte_order": "word_order"}
	case path != "":
		return ""
	}
	if m := meant[key]; m != "" {
		return "unknown key; did you mean " + m + "?"
	}
	return ""
}

// types of registers as maps write them.
func typeByName(s string) (t Type, bits, ok bool) {
	switch s {
	case "u16":
		return U16, false, true
	case "i16":
		return I16, false, true
	case "u32":
		return U32, false, true
	case "i32":
		return I32, false, true
	case "u64":
		return U64, false, true
	case "i64":
		return I64, false, true
	case "f32":
		return F32, false, true
	case "f64":
		return F64, false, true
	case "bits16":
		return U16, true, true
	case "bits32":
		return U32, true, true
	case "string":
		return Text, false, true
	}
	return 0, false, false
}

func typeNames() []string {
	return []string{"u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bits16", "bits32", "string"}
}
