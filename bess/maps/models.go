package maps

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed sunspec_models.tsv
var modelFacts string

// Model is the facts of one SunSpec model. Offsets count from the register that holds the ID.
type Model struct {
	ID     uint16
	Name   string
	Points []ModelPoint // the fixed part, with ID and L
	Fixed  uint16       // registers of the fixed part, ID and L included
	Group  *ModelGroup  // the repeating part, nil if there is none
}

// ModelGroup repeats behind the fixed part.
type ModelGroup struct {
	Name   string
	Count  string // name of the point that holds the count; "0" = as many as fit
	Len    uint16 // registers of one instance
	Points []ModelPoint
}

// ModelPoint is one point of a model. Offset counts from the start of the fixed part or of the group's instance.
type ModelPoint struct {
	Name      string
	Type      string // as SunSpec calls it
	Offset    uint16
	Len       uint16
	SF        string // name of the point that holds the scale factor, or a number; "" = none
	Unit      string
	Mandatory bool
	Symbols   []Name
}

// Models parses the embedded facts, by model id. The caller owns the result.
func Models() (map[uint16]*Model, error) {
	models := map[uint16]*Model{}
	var m *Model
	for i, line := range strings.Split(modelFacts, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		bad := fmt.Errorf("sunspec_models.tsv:%d: malformed", i+1)
		switch {
		case f[0] == "model" && len(f) == 3:
			id, err := strconv.ParseUint(f[1], 10, 16)
			if err != nil {
				return nil, bad
			}
			m = &Model{ID: uint16(id), Name: f[2]}
			models[m.ID] = m
		case f[0] == "group" && len(f) == 3 && m != nil && m.Group == nil:
			m.Group = &ModelGroup{Name: f[1], Count: f[2]}
		case f[0] == "" && len(f) >= 4 && m != nil:
			p, err := parsePoint(append(f, "", "", "", "")[1:8])
			if err != nil {
				return nil, fmt.Errorf("%w: %w", bad, err)
			}
			if g := m.Group; g != nil {
				p.Offset = g.Len
				g.Len += p.Len
				g.Points = append(g.Points, p)
			} else {
				p.Offset = m.Fixed
				m.Fixed += p.Len
				m.Points = append(m.Points, p)
			}
		default:
			return nil, bad
		}
	}
	return models, nil
}

func parsePoint(f []string) (ModelPoint, error) {
	p := ModelPoint{Name: f[0], Type: f[1], SF: f[3], Unit: f[4], Mandatory: f[5] == "M"}
	n, err := strconv.ParseUint(f[2], 10, 16)
	if err != nil || n == 0 {
		return p, fmt.Errorf("size %q", f[2])
	}
	p.Len = uint16(n)
	for _, s := range strings.Split(f[6], ",") {
		if code, name, ok := strings.Cut(s, "="); ok {
			c, err := strconv.ParseInt(code, 10, 64)
			if err != nil {
				return p, fmt.Errorf("symbol %q", s)
			}
			p.Symbols = append(p.Symbols, Name{c, name})
		}
	}
	return p, nil
}

// Find gives a point of the list by name, nil if there is none.
func Find(points []ModelPoint, name string) *ModelPoint {
	for i := range points {
		if points[i].Name == name {
			return &points[i]
		}
	}
	return nil
}

// Reg describes the point at its place; base is the address that Offset counts from. The sentinels are those of the
// SunSpec Information Model Specification, as pysunspec2's mb.py has them.
func (p *ModelPoint) Reg(base uint16) Reg {
	r := Reg{Fn: 3, Addr: base + p.Offset, Len: p.Len}
	switch p.Type {
	case "int16", "sunssf":
		r.Type, r.Nulls = I16, []uint64{0x8000}
	case "uint16", "enum16", "bitfield16", "count", "pad":
		r.Type, r.Nulls = U16, []uint64{0xFFFF}
	case "acc16":
		r.Type, r.ZeroNull = U16, true
	case "int32":
		r.Type, r.Nulls = I32, []uint64{0x8000_0000}
	case "uint32", "enum32", "bitfield32":
		r.Type, r.Nulls = U32, []uint64{0xFFFF_FFFF}
	case "acc32":
		r.Type, r.ZeroNull = U32, true
	case "ipaddr":
		r.Type, r.ZeroNull = U32, true
	case "int64":
		r.Type, r.Nulls = I64, []uint64{0x8000_0000_0000_0000}
	case "uint64", "bitfield64":
		r.Type, r.Nulls = U64, []uint64{0xFFFF_FFFF_FFFF_FFFF}
	case "acc64":
		r.Type, r.ZeroNull = U64, true
	case "float32":
		r.Type = F32
	case "float64":
		r.Type = F64
	case "string":
		r.Type = Text
	}
	return r
}
