package agent

import (
	"encoding/binary"
	"testing"
	"time"

	"bessd/agent/sunspec"
	"bessd/bess"
	"bessd/bess/maps"
	"bessd/bess/wire"
)

// FuzzRegisters decodes arbitrary registers under the layout of every mapped SunSpec model and of a vendor map: no panic,
// nothing outside its column's range gets through, and what is encoded can be read.
func FuzzRegisters(f *testing.F) {
	models, err := maps.Models()
	if err != nil {
		f.Fatal(err)
	}
	rules := maps.SunSpecRules()
	c, addr := &sunspec.Chain{}, uint16(2)
	for _, id := range []uint16{1, 103, 113, 120, 122, 123, 124, 160, 203, 213, 701, 702, 713, 714, 715, 802, 803, 804, 805} {
		m := models[id]
		md := sunspec.Model{ID: id, Addr: addr, L: m.Fixed - 2}
		if m.Group != nil {
			md.Count, md.L = 2, m.Fixed-2+2*m.Group.Len
		}
		c.Models = append(c.Models, md)
		addr += md.L + 2
	}
	layout, _ := sunspec.Build(c, sunspec.Root{ID: "bank1"}, models, rules)
	vendor, err := maps.BuiltIn("pylontech_powercube_m2")
	if err != nil {
		f.Fatal(err)
	}
	second, err := vendor.Layout("bank2")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, uint8(0))
	f.Add([]byte{0xFF}, uint8(1))
	f.Add([]byte{0x80, 0x00}, uint8(0))
	f.Add([]byte{0x00, 0x01, 0xFF, 0xFE, 0x7F, 0xFF, 0x00, 0x00, 0x12}, uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, lost uint8) {
		for _, l := range []*maps.Layout{layout, second} {
			blocks := cut(l.Points, 125)
			img := make(image, len(blocks))
			k := 0
			for i, b := range blocks {
				if lost > 0 && i%8 == int(lost%8) {
					continue
				}
				img[i] = make([]uint16, b.n)
				for j := range img[i] {
					if len(data) > 1 {
						img[i][j] = binary.BigEndian.Uint16([]byte{data[k%len(data)], data[(k+1)%len(data)]})
						k += 2
					}
				}
			}
			period := [maps.NumTiers]time.Duration{time.Second, time.Second, 10 * time.Second, time.Minute}
			for _, d := range l.Devices {
				dev := newDevice(&identity{path: d.Path}, d, l.Map, blocks, period)
				for tier := range dev.tiers {
					if dev.tiers[tier].used {
						dev.finish(maps.Tier(tier), img, 1_000_000, 1_200_000)
					}
				}
				if !dev.open {
					continue
				}
				s := bess.Scan{Site: "alfa", Epoch: 1, Seq: 1}
				if err := dev.fill(&s); err != nil {
					t.Fatal(err)
				}
				for i, col := range s.Plan.Columns {
					if r := bess.CheckRange(bess.PointByNum(col.Num), s.Values[i], col.Decimals); r != bess.ReasonUnknown {
						t.Fatalf("%s: %s is %d with %d decimals", d.Path, bess.PointByNum(col.Num).Name, s.Values[i], col.Decimals)
					}
				}
				env, err := wire.NewDecoder().Decode(wire.AppendScan(nil, &s))
				if err != nil || env.Scan == nil || env.Scan.Quality != s.Quality || env.Scan.PresentValues() != s.PresentValues() {
					t.Fatalf("%s: %v", d.Path, err)
				}
			}
		}
	})
}
