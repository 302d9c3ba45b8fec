package sunspec

import (
	"errors"
	"fmt"

	"bessd/agent/modbus"
	"bessd/bess/maps"
)

// Chain is what Discover found: enough to lay the unit out without reading it again.
type Chain struct {
	Base     uint16   `json:"base"`
	Models   []Model  `json:"models"`
	Warnings []string `json:"-"` // oddities that were survived, for the log
}

// Model is one model of a chain. A model id may come more than once.
type Model struct {
	ID   uint16 `json:"id"`
	Addr uint16 `json:"addr"` // of the ID register
	L    uint16 `json:"l"`    // registers behind L
	// Count is how many instances of the repeating group fit into L.
	Count int `json:"count,omitempty"`
	// Rack and Module are the indexes that an 804 or 805 tells, 0 = not told.
	Rack   int `json:"rack,omitempty"`
	Module int `json:"module,omitempty"`
}

// ErrNoSunSpec says that the unit answers but has no SunSpec marker.
var ErrNoSunSpec = errors.New("no SunSpec marker at 40000, 0 or 50000; name a register map of this device instead of sunspec")

// Bounds of a chain; a device beyond them is broken.
const (
	maxModels = 1000
	lastAddr  = 0xFFFF
)

// Reader reads n holding registers. An error that is a modbus.Exception says no; any other ends the discovery.
type Reader func(addr uint16, n int) ([]uint16, error)

// Discover walks the unit's chain of models. It is bounded: at most three markers, 1000 models and 65536 registers.
func Discover(read Reader, facts map[uint16]*maps.Model) (*Chain, error) {
	base, err := findBase(read)
	if err != nil {
		return nil, err
	}
	c := &Chain{Base: base}
	for addr := int(base) + 2; ; {
		if len(c.Models) == maxModels {
			c.warnf("more than %d models; the rest is ignored", maxModels)
			return c, nil
		}
		if addr > lastAddr {
			c.warnf("no end of the chain below 65536")
			return c, nil
		}
		// ID and L are read apart: some devices have no register behind the end marker.
		id, ok, err := one(read, uint16(addr))
		if err != nil {
			return nil, fmt.Errorf("reading the model id at %d: %w", addr, err)
		}
		if !ok {
			c.warnf("no register at %d where the next model or the end should be", addr)
			return c, nil
		}
		if id == 0xFFFF {
			return c, nil
		}
		var l uint16
		if addr < lastAddr {
			if l, ok, err = one(read, uint16(addr+1)); err != nil {
				return nil, fmt.Errorf("reading the length of model %d at %d: %w", id, addr+1, err)
			}
		}
		switch next := addr + 2 + int(l); {
		case !ok || l == 0 || id == 0:
			c.warnf("model %d at %d has no length; the chain ends there", id, addr)
			return c, nil
		case next > lastAddr+1:
			c.warnf("model %d at %d with %d registers reaches beyond 65535; the chain ends there", id, addr, l)
			return c, nil
		default:
			m := Model{ID: id, Addr: uint16(addr), L: l}
			if f := facts[id]; f != nil {
				if err := c.inspect(read, f, &m); err != nil {
					return nil, err
				}
			}
			c.Models = append(c.Models, m)
			addr = next
		}
	}
}

func (c *Chain) warnf(format string, args ...any) {
	if len(c.Warnings) < 20 {
		c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
	}
}

func findBase(read Reader) (uint16, error) {
	for _, base := range []uint16{40000, 0, 50000} {
		regs, err := read(base, 2)
		switch {
		case err == nil && len(regs) == 2 && regs[0] == 0x5375 && regs[1] == 0x6E53: // "SunS"
			return base, nil
		case err != nil && modbus.AsException(err) == nil:
			return 0, fmt.Errorf("looking for SunSpec at %d: %w", base, err)
		case err != nil && modbus.AsException(err).TargetDown():
			return 0, fmt.Errorf("looking for SunSpec at %d: %w", base, err)
		}
	}
	return 0, ErrNoSunSpec
}

// one reads a register; ok is false when the device says that there is none.
func one(read Reader, addr uint16) (v uint16, ok bool, err error) {
	regs, err := read(addr, 1)
	if e := modbus.AsException(err); e != nil && !e.Busy() && !e.TargetDown() {
		return 0, false, nil
	}
	if err != nil || len(regs) != 1 {
		return 0, false, errors.Join(err, lengthError(regs, 1, err))
	}
	return regs[0], true, nil
}

func lengthError(regs []uint16, want int, err error) error {
	if err == nil && len(regs) != want {
		return fmt.Errorf("%d registers instead of %d", len(regs), want)
	}
	return nil
}

// inspect reads counts and indexes of a model.
func (c *Chain) inspect(read Reader, f *maps.Model, m *Model) error {
	size := m.L + 2
	if g := f.Group; g != nil && size > f.Fixed {
		m.Count = int((size - f.Fixed) / g.Len)
	}
	var names []string
	if f.Group != nil && f.Group.Count != "0" {
		names = append(names, f.Group.Count)
	}
	switch m.ID {
	case 804:
		names = append(names, "Idx")
	case 805:
		names = append(names, "StrIdx", "ModIdx")
	}
	for _, name := range names {
		p := maps.Find(f.Points, name)
		if p == nil || p.Offset+p.Len > size {
			continue
		}
		v, ok, err := one(read, m.Addr+p.Offset)
		if err != nil {
			return fmt.Errorf("reading %s of model %d at %d: %w", name, m.ID, m.Addr, err)
		}
		if !ok || v == 0xFFFF {
			continue
		}
		switch name {
		case "Idx", "StrIdx":
			m.Rack = int(v)
		case "ModIdx":
			m.Module = int(v)
		default:
			if int(v) != m.Count {
				c.warnf("model %d at %d: %s is %d, its length has room for %d; the length counts", m.ID, m.Addr, name, v, m.Count)
			}
		}
	}
	return nil
}
