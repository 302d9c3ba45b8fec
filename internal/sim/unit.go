package sim

import (
	"fmt"
	"sync"
	"sync/atomic"

	"bessd/internal/sim/plant"
)

// Role is what a unit is.
type Role string

// The roles of units.
const (
	RoleBank  Role = "bank"
	RoleRack  Role = "rack"
	RolePCS   Role = "pcs"
	RoleMeter Role = "meter"
)

// Unit is one Modbus unit id of an endpoint.
type Unit struct {
	ID     uint8
	Device string // path in the site: bank1, bank1/rack03, pcs1, meter1
	Role   Role
	Map    string // sunspec or pylontech_powercube_m2
	Base   int    // address of the SunSpec mark, 0 for other maps
	Models []int  // SunSpec model ids in order, the end left out
}

// segment is a range of registers from a base address.
type segment struct {
	base uint16
	regs []uint16
}

// image is the registers of a unit at one refresh. It never changes.
type image struct {
	seq  uint64 // refresh it belongs to
	hb   uint16
	segs []segment
}

// read returns the registers; false when any of them is not served. The slice belongs
// to the image.
func (im *image) read(addr, count uint16) ([]uint16, bool) {
	for _, s := range im.segs {
		off := int(addr) - int(s.base)
		if off >= 0 && off+int(count) <= len(s.regs) {
			return s.regs[off : off+int(count)], true
		}
	}
	return nil, false
}

// unit is a Unit with its registers.
type unit struct {
	Unit
	parts []part                // SunSpec
	build func(*view) []segment // other maps
	now   atomic.Pointer[image]
	fixed []uint16 // SunSpec registers with everything that never changes

	mu   sync.Mutex
	kept []*image // ring of older images, by sequence
}

const sunSpecMark = 0x53756E53 // "SunS"

// size is the number of registers of a SunSpec unit, mark and end included.
func (u *unit) size() int {
	n := 4
	for _, p := range u.parts {
		n += p.model.size(p.repeats)
	}
	return n
}

// prepare lays the SunSpec registers out once.
func (u *unit) prepare(site *plant.Site) {
	if u.build != nil {
		return
	}
	u.fixed = append(make([]uint16, 0, u.size()), sunSpecMark>>16, sunSpecMark&0xFFFF)
	for _, p := range u.parts {
		start := len(u.fixed)
		u.fixed = p.model.blank(u.fixed, p.repeats)
		p.once(p.model.writer(u.fixed[start:]), site)
	}
	u.fixed = append(u.fixed, 0xFFFF, 0)
}

// refresh builds the registers of a view and swaps them in.
func (u *unit) refresh(seq uint64, v *view, keep int) {
	im := &image{seq: seq, hb: v.hb}
	if u.build != nil {
		im.segs = u.build(v)
	} else {
		regs := append([]uint16(nil), u.fixed...)
		at := 2
		for _, p := range u.parts {
			if p.fill != nil {
				p.fill(p.model.writer(regs[at:]), v)
			}
			at += p.model.size(p.repeats)
		}
		im.segs = []segment{{uint16(u.Base), regs}}
	}
	u.now.Store(im)
	if keep > 0 {
		u.mu.Lock()
		if u.kept == nil {
			u.kept = make([]*image, keep+1)
		}
		u.kept[seq%uint64(keep+1)] = im
		u.mu.Unlock()
	}
}

// at returns the image of a refresh, nil when it is no longer kept.
func (u *unit) at(seq uint64) *image {
	if im := u.now.Load(); im != nil && im.seq == seq {
		return im
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.kept) > 0 {
		if im := u.kept[seq%uint64(len(u.kept))]; im != nil && im.seq == seq {
			return im
		}
	}
	return nil
}

// layOut says which endpoints and units a site has; addresses come with listening.
func layOut(c SiteConfig) ([][]*unit, error) {
	m := models()
	var out [][]*unit
	var group []*unit
	var tooBig error
	add := func(device string, role Role, mapName string, product string, parts ...part) *unit {
		id := len(group) + 1
		u := &unit{Unit: Unit{ID: uint8(id), Device: device, Role: role, Map: mapName}}
		if mapName == MapSunSpec {
			u.Base = c.Base
			serial := "SIM-" + c.ID + "-" + device
			u.parts = append([]part{commonPart(m[1], product, serial, u.ID)}, parts...)
			for _, p := range u.parts {
				u.Models = append(u.Models, int(p.model.id))
			}
			if u.Base+u.size() > 65536 && tooBig == nil {
				tooBig = fmt.Errorf("layout %q: %s needs %d registers from base %d, which is beyond 65536: choose layout %s or %s, or base 0",
					c.Layout, device, u.size(), u.Base, LayoutUnitPerRack, LayoutModulesApart)
			}
		}
		group = append(group, u)
		return u
	}
	next := func() {
		if c.Endpoints == EndpointPerDevice && len(group) > 0 {
			out, group = append(out, group), nil
		}
	}
	size := fmt.Sprintf("%dx%dx%d %s", c.Racks, c.ModulesPerRack, c.CellsPerModule, c.Chemistry)
	for b := range c.Banks {
		device := fmt.Sprintf("bank%d", b+1)
		serial := "SIM-" + c.ID + "-B" + fmt.Sprint(b+1)
		if c.Map == MapPylontech {
			add(device, RoleBank, c.Map, "").build = pylontechSegments(b)
			next()
			continue
		}
		bankParts := []part{storagePart(m[713], b), batteryPart(m[802], b), bankPart(m[803], b, c.Racks)}
		var rackParts, moduleParts [][]part
		for r := range c.Racks {
			rackParts = append(rackParts, []part{rackPart(m[804], b, r, c.ModulesPerRack)})
			var mods []part
			for k := range c.ModulesPerRack {
				mods = append(mods, modulePart(m[805], serial, b, r, k, c.CellsPerModule))
			}
			moduleParts = append(moduleParts, mods)
		}
		for r := range c.Racks {
			if c.Layout != LayoutUnitPerRack {
				bankParts = append(bankParts, rackParts[r]...)
			}
			if c.Layout == LayoutSingle {
				bankParts = append(bankParts, moduleParts[r]...)
			}
		}
		add(device, RoleBank, c.Map, "Bank "+size, bankParts...)
		if c.Layout != LayoutSingle {
			for r := range c.Racks {
				parts := moduleParts[r]
				if c.Layout == LayoutUnitPerRack {
					parts = append(append([]part(nil), rackParts[r]...), parts...)
				}
				add(fmt.Sprintf("%s/rack%02d", device, r+1), RoleRack, c.Map, "Rack "+size, parts...)
			}
		}
		next()
	}
	for p := range c.PCS {
		add(fmt.Sprintf("pcs%d", p+1), RolePCS, MapSunSpec, "PCS", acPart(m[701], p), dcPart(m[714], p))
		next()
	}
	if c.Meter {
		add("meter1", RoleMeter, MapSunSpec, "Meter", meterPart(m[203]))
		next()
	}
	if len(group) > 0 {
		out = append(out, group)
	}
	for _, g := range out {
		if len(g) > 247 {
			return nil, fmt.Errorf("layout %q: %d units on one endpoint, Modbus has 247: choose endpoints %s", c.Layout, len(g), EndpointPerDevice)
		}
	}
	return out, tooBig
}

func hasDevice(endpoints [][]*unit, device string) bool {
	for _, g := range endpoints {
		for _, u := range g {
			if u.Device == device {
				return true
			}
		}
	}
	return false
}
