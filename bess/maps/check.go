package maps

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bessd/bess"
	"bessd/internal/yamlx"
)

// checker looks for what is wrong with a map beyond its form.
type checker struct {
	doc      *yamlx.Document
	file     *mapFile
	problems yamlx.Problems
	values   int // points with repeats and lists unfolded
}

func (c *checker) bad(path, format string, args ...any) {
	c.problems.Add(c.doc.Problem(path, format, args...))
}

// oneOf tells about a word that is none of the known ones.
func (c *checker) oneOf(path, what, word string, known []string) bool {
	if slices.Contains(known, word) {
		return true
	}
	if near := yamlx.Nearest(word, known); near != "" {
		c.bad(path, "%q is no %s; did you mean %s?", word, what, near)
	} else if len(known) <= 14 {
		c.bad(path, "%q is no %s; known: %s", word, what, strings.Join(known, ", "))
	} else {
		c.bad(path, "%q is no %s", word, what)
	}
	return false
}

const snakePattern = `^[a-z][a-z0-9_]*$`

// maxMapDevices bounds what repeats may unfold to.
const (
	maxMapDevices = 5000
	maxMapValues  = 65536
)

func (c *checker) all() {
	f := c.file
	snake := regexp.MustCompile(snakePattern)
	if !snake.MatchString(f.ID) {
		c.bad("id", "%q; want a-z, 0-9 and _, beginning with a letter", f.ID)
	}
	if f.Version < 1 {
		c.bad("version", "%d; want 1 or more, and count on with every change", f.Version)
	}
	c.kind("kind", f.Kind)
	c.orders("", f.Function, f.WordOrder)
	for k, p := range f.Periods {
		path := "periods." + k
		if t, ok := ParseTier(k); !ok || t == Fast {
			c.oneOf(path, "slower tier", k, []string{"slow", "cells", "nameplate"})
		} else if !bess.ValidPeriod(p) {
			c.bad(path, "%s; want a period that divides a minute, or whole minutes", p)
		}
	}
	kind, _ := bess.ParseKind(f.Kind)
	devices := 1
	c.points("points", f.Points, kind, 0, 1)
	c.repeats("repeats", f.Repeats, 0, 1, &devices)
	if devices > maxMapDevices {
		c.bad("repeats", "%d devices; want %d at most", devices, maxMapDevices)
	}
	if c.values > maxMapValues {
		c.bad("points", "%d values; want %d at most", c.values, maxMapValues)
	}
	if len(f.Points)+len(f.Repeats) == 0 {
		c.bad("points", "no points")
	}
}

func (c *checker) kind(path, kind string) {
	if _, ok := bess.ParseKind(kind); !ok {
		var names []string
		for k := bess.SiteController; k <= bess.Aux; k++ {
			names = append(names, k.String())
		}
		c.oneOf(path, "kind of device", kind, names)
	}
}

func (c *checker) orders(path, function, words string) {
	if function != "" {
		c.oneOf(join(path, "function"), "function", function, []string{"holding", "input"})
	}
	if words != "" {
		c.oneOf(join(path, "word_order"), "word order", words, []string{"high_first", "low_first"})
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// repeats checks templates; reach is the highest address offset of the enclosing ones.
func (c *checker) repeats(path string, rs []repeatFile, reach, factor int, devices *int) {
	for i := range rs {
		r, p := &rs[i], fmt.Sprintf("%s[%d]", path, i)
		if !regexp.MustCompile(snakePattern).MatchString(r.Word) {
			c.bad(p+".word", "%q; want a word of a-z and _", r.Word)
		}
		c.kind(p+".kind", r.Kind)
		if r.Count < 1 || r.Count > maxMapDevices {
			c.bad(p+".count", "%d; want 1 to %d", r.Count, maxMapDevices)
			continue
		}
		if *devices = min(*devices+factor*r.Count, 1<<30); *devices > maxMapDevices {
			return
		}
		kind, _ := bess.ParseKind(r.Kind)
		end := reach + (r.Count-1)*int(r.Stride)
		c.points(p+".points", r.Points, kind, end, factor*r.Count)
		c.repeats(p+".repeats", r.Repeats, end, factor*r.Count, devices)
	}
}

func (c *checker) points(path string, points []pointFile, kind bess.Kind, reach, factor int) {
	targets := map[string]string{}
	claim := func(path, target string) {
		if first, dup := targets[target]; dup {
			c.bad(path, "%s is filled by %s already", target, first)
		}
		targets[target] = path
	}
	alarms := 0
	for i := range points {
		p, at := &points[i], fmt.Sprintf("%s[%d]", path, i)
		c.values = min(c.values+factor*min(max(1, p.Count), maxMapValues+1), 1<<30)
		if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`).MatchString(p.Name) {
			c.bad(at+".name", "%q; want letters, digits and _", p.Name)
		}
		c.orders(at, p.Function, p.WordOrder)
		t, isBits, ok := typeByName(p.Type)
		if !ok {
			c.oneOf(at+".type", "type", p.Type, typeNames())
			continue
		}
		size := int(t.Registers())
		if t == Text {
			if size = int(p.Length); size < 1 || size > 125 {
				c.bad(at+".length", "%d registers; want 1 to 125", size)
			}
		} else if p.Length != 0 {
			c.bad(at+".length", "only a string has one")
		}
		last := int(p.Address) + reach + size
		if p.Count > 0 {
			last += (p.Count - 1) * max(int(p.Stride), size)
		}
		if last > 1<<16 {
			c.bad(at+".address", "reaches beyond register 65535")
		}
		if p.Count < 0 || p.Count > 65536 {
			c.bad(at+".count", "%d; want 1 to 65536", p.Count)
		}
		if p.Bits > 63 || int(p.Shift)+int(p.Bits) > 16*size {
			c.bad(at+".bits", "bits %d to %d do not fit into %d registers", p.Shift, int(p.Shift)+int(p.Bits)-1, size)
		}
		if p.Sign != 0 && p.Sign != 1 && p.Sign != -1 {
			c.bad(at+".sign", "%d; want 1 or -1", p.Sign)
		}
		if p.Scale.set && p.Scale.M == 0 {
			c.bad(at+".scale", "0 makes every value 0")
		}
		if p.Tier != "" {
			c.oneOf(at+".tier", "tier", p.Tier, tierNames[:])
		}
		c.target(at, p, kind, t, isBits, claim)
		if len(p.Alarms) > 0 {
			if alarms++; alarms > 8 {
				c.bad(at+".alarms", "more than 8 points with alarms on one device")
			}
			c.alarms(at+".alarms", p.Alarms, 16*size)
		}
		for k := range p.States {
			c.state(fmt.Sprintf("%s.states[%d]", at, k), &p.States[k], kind, 16*size, claim)
		}
	}
	if _, both := targets["alarm_bits"]; both && alarms > 0 {
		c.bad(targets["alarm_bits"], "alarm_bits is filled by alarms of other points already")
	}
}

// target checks where a point goes.
func (c *checker) target(at string, p *pointFile, kind bess.Kind, t Type, isBits bool, claim func(path, target string)) {
	n := 0
	for _, set := range []bool{p.Column != "", p.Extra, p.Inventory != ""} {
		if set {
			n++
		}
	}
	if n > 1 || n == 0 && len(p.States)+len(p.Alarms) == 0 {
		c.bad(at, "point %s: want one of column, extra: true, inventory; states and alarms may stand beside it", p.Name)
		return
	}
	switch {
	case p.Inventory != "":
		if c.oneOf(at+".inventory", "inventory field", p.Inventory, inventoryFields()) {
			claim(at+".inventory", p.Inventory)
		}
	case p.Extra:
		if t == Text {
			c.bad(at+".extra", "extra points are numbers")
		}
		claim(at+".extra", "extra."+p.Name)
	case p.Column != "":
		pt := c.column(at+".column", p.Column, kind)
		if pt == nil {
			return
		}
		claim(at+".column", p.Column)
		switch {
		case t == Text:
			c.bad(at+".column", "a string can go to inventory only")
		case pt.Type == bess.Enum && len(p.Enum) == 0:
			c.bad(at, "column %s needs enum: {raw value: state}", p.Column)
		case pt.Type == bess.Bits && !isBits:
			c.bad(at+".type", "column %s needs bits16 or bits32", p.Column)
		case pt.Type == bess.Text && p.Path == "":
			c.bad(at, "column %s needs path: rack, module or cell", p.Column)
		case (pt.Type == bess.Floats || pt.Type == bess.Bools) && p.Count < 1:
			c.bad(at, "column %s needs count", p.Column)
		}
		if pt.Type == bess.Enum {
			c.members(at+".enum", p.Enum, pt.Enum)
		}
		if p.Path != "" {
			c.oneOf(at+".path", "word of a path", p.Path, []string{"rack", "module", "cell"})
		}
	}
}

func inventoryFields() []string {
	return []string{"manufacturer", "model", "options", "firmware_version", "serial_number", "battery_type", "warranty_end_date", "port_type", "port_name", "role"}
}

func (c *checker) column(path, name string, kind bess.Kind) *bess.Point {
	pt := bess.PointByName(name)
	if pt == nil {
		var names []string
		for _, p := range bess.Points() {
			names = append(names, p.Name)
		}
		c.oneOf(path, "column of the vocabulary", name, names)
		return nil
	}
	if kind != bess.KindUnknown && !pt.Kinds.Has(kind) {
		c.bad(path, "a %s has no column %s", kind, name)
	}
	return pt
}

func (c *checker) members(path string, table map[int64]string, enum string) {
	var names []string
	for _, m := range bess.EnumByName(enum).Members {
		names = append(names, m.Name)
	}
	for raw, name := range table {
		c.oneOf(fmt.Sprintf("%s.%d", path, raw), "member of "+enum, name, names)
	}
}

func (c *checker) state(path string, s *stateFile, kind bess.Kind, width int, claim func(path, target string)) {
	pt := c.column(path+".column", s.Column, kind)
	if pt == nil {
		return
	}
	if pt.Type != bess.Enum {
		c.bad(path+".column", "%s is no state", s.Column)
		return
	}
	claim(path+".column", s.Column)
	var names []string
	for _, m := range bess.EnumByName(pt.Enum).Members {
		names = append(names, m.Name)
	}
	if s.Else != "" {
		c.oneOf(path+".else", "member of "+pt.Enum, s.Else, names)
	}
	for i, w := range s.When {
		at := fmt.Sprintf("%s.when[%d]", path, i)
		c.oneOf(at+".is", "member of "+pt.Enum, w.Is, names)
		if (w.Bit == nil) == (w.Value == nil) {
			c.bad(at, "want one of bit and value")
		} else if w.Bit != nil && int(*w.Bit) >= width {
			c.bad(at+".bit", "%d; the point has bits 0 to %d", *w.Bit, width-1)
		}
	}
}

func (c *checker) alarms(path string, table map[string]anyOne, width int) {
	var names []string
	for _, a := range bess.AlarmBits() {
		names = append(names, a.Name)
	}
	for k, alarms := range table {
		at := path + "." + k
		switch b, err := strconv.Atoi(k); {
		case err == nil && (b < 0 || b >= width):
			c.bad(at, "bit %d; the point has bits 0 to %d", b, width-1)
		case err == nil, k == "any", k == "other":
		default:
			if _, err := strconv.ParseUint(strings.TrimPrefix(k, "="), 0, 64); err != nil || !strings.HasPrefix(k, "=") {
				c.bad(at, "want the number of a bit, =value, any or other")
			}
		}
		for _, a := range alarms {
			c.oneOf(at, "alarm", a, names)
		}
	}
}
