package sim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// point is one value of a model: where it sits and how it is coded.
type point struct {
	offset, size int
	code         byte   // as in modelFacts
	scale        string // name of its scale factor, in the fixed block
}

// model is a SunSpec model ready for writing.
type model struct {
	id                   uint16
	fixed, group         map[string]point
	fixedSize, groupSize int
	fixedBlank           []uint16 // every point at its not-implemented value
	groupBlank           []uint16
}

// models parses the facts; they are a constant of the program, so a mistake in them
// shows in the first test.
func models() map[uint16]*model {
	out := map[uint16]*model{}
	for _, f := range facts() {
		m := &model{id: f.id}
		m.fixed, m.fixedBlank = parsePoints(f.fixed)
		m.group, m.groupBlank = parsePoints(f.group)
		m.fixedSize, m.groupSize = len(m.fixedBlank), len(m.groupBlank)
		out[f.id] = m
	}
	return out
}

// parsePoints reads "name:type/scale ..." and gives also the not-implemented values.
func parsePoints(text string) (map[string]point, []uint16) {
	points, blank := map[string]point{}, []uint16(nil)
	for _, field := range strings.Fields(text) {
		name, rest, _ := strings.Cut(field, ":")
		code, scale, _ := strings.Cut(rest, "/")
		p := point{offset: len(blank), size: 1, code: code[0], scale: scale}
		switch p.code {
		case 'u':
			blank = append(blank, 0xFFFF)
		case 'i', 'p':
			blank = append(blank, 0x8000)
		case 'U':
			blank = append(blank, 0xFFFF, 0xFFFF)
		case 'a':
			blank = append(blank, 0, 0)
		case 'Q':
			blank = append(blank, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF)
		case 's':
			n, _ := strconv.Atoi(code[1:])
			blank = append(blank, make([]uint16, n)...)
		}
		p.size = len(blank) - p.offset
		points[name] = p
	}
	return points, blank
}

// size is the number of registers of an instance with n repeats, ID and L included.
func (m *model) size(n int) int { return m.fixedSize + n*m.groupSize }

// blank appends an instance with n repeats in which nothing is implemented yet.
func (m *model) blank(regs []uint16, n int) []uint16 {
	start := len(regs)
	regs = append(regs, m.fixedBlank...)
	for range n {
		regs = append(regs, m.groupBlank...)
	}
	regs[start], regs[start+1] = m.id, uint16(m.size(n)-2)
	return regs
}

// writer writes points of one instance; fixed is the instance's fixed block, where the
// scale factors are, regs the block that is written (fixed or one repeat).
type writer struct {
	points      map[string]point
	scales      map[string]point
	regs, fixed []uint16
	all         []uint16
	model       *model
}

func (m *model) writer(regs []uint16) writer {
	return writer{points: m.fixed, scales: m.fixed, regs: regs, fixed: regs, all: regs, model: m}
}

// repeat returns the writer of the i-th repeat, from 0.
func (w writer) repeat(i int) writer {
	m := w.model
	w.points, w.regs = m.group, w.all[m.fixedSize+i*m.groupSize:]
	return w
}

func (w writer) point(name string) point {
	p, ok := w.points[name]
	if !ok { // a slip in this package, never input
		panic(fmt.Sprintf("sim: model %d has no point %s", w.model.id, name))
	}
	return p
}

// set writes an unscaled value.
func (w writer) set(name string, v uint64) {
	p := w.point(name)
	for i := range p.size {
		w.regs[p.offset+i] = uint16(v >> (16 * (p.size - 1 - i)))
	}
}

// scale sets a scale factor, which num then uses.
func (w writer) scale(exponent int, names ...string) {
	for _, name := range names {
		w.set(name, uint64(uint16(int16(exponent))))
	}
}

// num writes a value in its unit through its scale factor, cut to the type's range so
// that it never becomes a not-implemented value.
func (w writer) num(name string, v float64) {
	p := w.point(name)
	if p.scale != "" {
		v /= pow10(int(int16(w.fixed[w.scales[p.scale].offset])))
	}
	v = math.Round(v)
	switch p.code {
	case 'i':
		v = min(max(v, -32767), 32767)
	case 'u':
		v = min(max(v, 0), 65534)
	case 'U':
		v = min(max(v, 0), math.MaxUint32-1)
	case 'a':
		v = math.Mod(max(v, 0), 1<<32) // accumulators roll over
	case 'Q':
		v = min(max(v, 0), 1<<62)
	}
	w.set(name, uint64(int64(v)))
}

// text writes a string, filled with zeros and cut to its place.
func (w writer) text(name, s string) {
	p := w.point(name)
	for i := range p.size {
		w.regs[p.offset+i] = 0
	}
	for i := range min(len(s), 2*p.size) {
		w.regs[p.offset+i/2] |= uint16(s[i]) << (8 * (1 - i%2))
	}
}

func pow10(e int) float64 {
	if e < 0 {
		return 1 / math.Pow10(-e)
	}
	return math.Pow10(e)
}

// fit is the finest scale factor, not below finest, at which a magnitude still fits a
// limit of raw counts.
func fit(magnitude, limit float64, finest int) int {
	for finest < 10 && magnitude/pow10(finest) > limit {
		finest++
	}
	return finest
}
