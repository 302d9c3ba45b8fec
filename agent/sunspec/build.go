package sunspec

import (
	"fmt"
	"strconv"
	"strings"

	"bessd/bess"
	"bessd/bess/maps"
)

// Root says how the configuration names the unit.
type Root struct {
	ID   string
	Kind bess.Kind // KindUnknown = as the models and the id tell
}

// Build lays the models of a chain out below the root. Which device the root is, follows from the models: a bank where
// there is an 802, 803 or 713, a rack where there are only 804 and 805 of one rack, else a PCS or meter; Root.Kind, or a
// root whose last part begins with the kind's name, decides where several fit. What is not the root lies below it.
// Models that bessd does not map are skipped. The second result lists oddities for the log.
func Build(c *Chain, root Root, facts map[uint16]*maps.Model, rules map[uint16]maps.ModelRules) (*maps.Layout, []string) {
	b := &builder{chain: c, facts: facts, rules: rules, root: root.ID, index: map[string]int{},
		layout: &maps.Layout{Map: fmt.Sprintf("sunspec@%d", maps.SunSpecVersion)}}
	b.survey(root.Kind)
	b.device(b.root, b.rootKind, "") // the root comes first, also when no model describes it
	for i := range c.Models {
		b.model(i)
	}
	b.sortPoints()
	return b.layout, b.warnings
}

type builder struct {
	chain    *Chain
	facts    map[uint16]*maps.Model
	rules    map[uint16]maps.ModelRules
	layout   *maps.Layout
	index    map[string]int // path -> device
	warnings []string

	root                          string
	rootKind                      bess.Kind
	rackWidth, modWidth, cellWord int
	first                         map[uint16]int // model id -> index of its first instance
	racks                         map[int]int    // index of an 804 in the chain -> rack number
	modules                       map[int][2]int // index of an 805 -> rack and module number
	meters                        int            // met so far
}

func (b *builder) warnf(format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf(format, args...))
}

// survey numbers racks and modules and decides what the root is.
func (b *builder) survey(kind bess.Kind) {
	b.first, b.racks, b.modules = map[uint16]int{}, map[int]int{}, map[int][2]int{}
	maxRack, maxModule, maxCell := 0, 0, 0
	usedRack, usedModule := map[int]bool{}, map[[2]int]bool{}
	lastRack := 0
	for i, m := range b.chain.Models {
		if _, seen := b.first[m.ID]; !seen {
			b.first[m.ID] = i
		}
		switch m.ID {
		case 803:
			maxRack = max(maxRack, m.Count)
		case 804:
			rack := m.Rack
			for rack <= 0 || usedRack[rack] {
				if rack > 0 {
					b.warnf("model 804 at %d: rack index %d is there twice; counted on", m.Addr, rack)
				}
				rack = lastRack + 1
				for usedRack[rack] {
					rack++
				}
			}
			usedRack[rack], b.racks[i], lastRack = true, rack, rack
			maxRack, maxModule = max(maxRack, rack), max(maxModule, m.Count)
		case 805:
			rack := m.Rack
			if rack <= 0 {
				rack = max(lastRack, 1)
			}
			key := [2]int{rack, m.Module}
			for key[1] <= 0 || usedModule[key] {
				key[1]++
			}
			usedModule[key], b.modules[i] = true, key
			maxRack, maxModule, maxCell = max(maxRack, rack), max(maxModule, key[1]), max(maxCell, m.Count)
			usedRack[rack] = true
		}
	}
	b.rackWidth, b.modWidth, b.cellWord = width(maxRack, 2), width(maxModule, 2), width(maxCell, 3)
	b.rootKind = b.decide(kind, len(usedRack))
}

func width(n, least int) int { return max(least, len(strconv.Itoa(n))) }

func (b *builder) has(ids ...uint16) bool {
	for _, id := range ids {
		if _, ok := b.first[id]; ok {
			return true
		}
	}
	return false
}

func (b *builder) decide(kind bess.Kind, racks int) bess.Kind {
	bank := b.has(802, 803, 713, 124) || racks > 1
	rack := !bank && b.has(804, 805)
	pcs := b.has(101, 102, 103, 111, 112, 113, 120, 122, 123, 160, 701, 702, 714)
	meter := b.has(201, 202, 203, 204, 211, 212, 213, 214)
	if kind == bess.KindUnknown {
		kind = KindOf(b.root)
	}
	switch {
	case kind == bess.Module && rack:
		return bess.Module
	case kind != bess.KindUnknown && (kind == bess.Bank && bank || kind == bess.Rack && rack || kind == bess.PCS && pcs || kind == bess.Meter && meter):
		return kind
	case kind == bess.SiteController:
		return kind
	case b.has(802, 803) || racks > 1:
		return bess.Bank
	case rack:
		return bess.Rack
	case pcs:
		return bess.PCS // also with 713 or 124: the battery lies behind the inverter
	case bank:
		return bess.Bank
	case meter:
		return bess.Meter
	case kind != bess.KindUnknown:
		return kind
	}
	return bess.Bank
}

// KindOf guesses a kind from the last part of a device path: "bank1" is a bank, "meter_poi" a meter.
func KindOf(id string) bess.Kind {
	word := strings.TrimRight(id[strings.LastIndexByte(id, '/')+1:], "0123456789")
	if k, ok := bess.ParseKind(word); ok {
		return k
	}
	word, _, _ = strings.Cut(word, "_")
	k, _ := bess.ParseKind(word)
	return k
}

// device finds or adds a device and the parents that it needs.
func (b *builder) device(path string, kind bess.Kind, parent string) *maps.Device {
	i, ok := b.index[path]
	if !ok {
		i = len(b.layout.Devices)
		b.index[path] = i
		b.layout.Devices = append(b.layout.Devices, maps.Device{Path: path, Kind: kind, Parent: parent})
	}
	return &b.layout.Devices[i]
}

// below gives the device of a kind that is the root, or lies right below it.
func (b *builder) below(kind bess.Kind, word string) *maps.Device {
	if b.rootKind == kind {
		return b.device(b.root, kind, "")
	}
	return b.device(b.root+"/"+word, kind, b.root)
}

func (b *builder) bank() *maps.Device { return b.below(bess.Bank, "bank1") }

func (b *builder) rack(n int) *maps.Device {
	if b.rootKind == bess.Rack {
		return b.device(b.root, bess.Rack, "")
	}
	parent := b.root
	if b.rootKind == bess.PCS || b.rootKind == bess.Meter {
		parent = b.bank().Path
	}
	return b.device(fmt.Sprintf("%s/rack%0*d", parent, b.rackWidth, n), bess.Rack, parent)
}

func (b *builder) module(rack, n int) *maps.Device {
	if b.rootKind == bess.Module {
		return b.device(b.root, bess.Module, "")
	}
	parent := b.rack(rack).Path
	return b.device(fmt.Sprintf("%s/module%0*d", parent, b.modWidth, n), bess.Module, parent)
}

// model adds the fields and points of one model.
func (b *builder) model(i int) {
	m := &b.chain.Models[i]
	f, r := b.facts[m.ID], b.rules[m.ID]
	if f == nil || len(r.Rules) == 0 {
		return
	}
	many := r.Place == maps.AtRack || r.Place == maps.AtModule || r.Place == maps.AtMeter
	if b.first[m.ID] != i && !many {
		b.warnf("model %d at %d: only the first of its kind is read", m.ID, m.Addr)
		return
	}
	var path string
	switch r.Place {
	case maps.AtRoot:
		path = b.root
	case maps.AtBank:
		path = b.bank().Path
	case maps.AtRack:
		path = b.rack(b.racks[i]).Path
	case maps.AtModule:
		path = b.module(b.modules[i][0], b.modules[i][1]).Path
	case maps.AtPCS:
		path = b.below(bess.PCS, "pcs1").Path
	case maps.AtMeter:
		b.meters++
		path = b.root
		if b.rootKind != bess.Meter || b.meters > 1 {
			path = b.device(fmt.Sprintf("%s/meter%d", b.root, b.meters), bess.Meter, b.root).Path
		}
	}
	b.fields(path, i, m.Addr, false)
	if g := f.Group; g != nil {
		if r.Place == maps.AtModule { // 805: the group is the module's lists
			b.lists(path, i)
		} else {
			for n := range m.Count {
				b.fields(b.member(path, r.GroupPlace, b.racks[i], n+1), i, m.Addr+f.Fixed+uint16(n)*g.Len, true)
			}
		}
	}
	b.points(i)
}

// member is the device that instance n of a repeating group describes.
func (b *builder) member(path string, place maps.Place, rack, n int) string {
	switch place {
	case maps.AtRack:
		return b.rack(n).Path
	case maps.AtModule:
		return b.module(rack, n).Path
	case maps.AtDC:
		return b.device(fmt.Sprintf("%s/dc%d", path, n), bess.DC, path).Path
	}
	return path
}
