package agent

import (
	"cmp"
	"slices"

	"bessd/bess/maps"
)

// block is one request of a read plan.
type block struct {
	fn     uint8
	addr   uint16
	n      int
	tier   maps.Tier
	run    int
	checks []check
}

// check says which value a register of the block must hold.
type check struct {
	offset int
	value  uint16
}

// cut plans the requests that read every wanted point: few, none longer than limit registers, none that cuts a point,
// covers points of two runs, or reads over more unknown registers than a point allows. Points in no order; the result is
// by tier, then address. A wanted point longer than limit is left out: no request can read it.
func cut(points []maps.Point, limit int) []block {
	pts := slices.Clone(points)
	slices.SortStableFunc(pts, func(a, b maps.Point) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Fn, b.Fn), cmp.Compare(a.Run, b.Run), cmp.Compare(a.Addr, b.Addr))
	})
	var blocks []block
	for i := 0; i < len(pts); {
		if first := &pts[i]; !first.Want || int(first.Len) > limit {
			i++
			continue
		}
		b, next := grow(pts, i, limit)
		blocks = append(blocks, b)
		i = next
	}
	return blocks
}

// grow makes the longest block that begins with point i; next is the first point that it does not cover.
func grow(pts []maps.Point, i, limit int) (b block, next int) {
	first := &pts[i]
	start, end := int(first.Addr), int(first.Addr)+int(first.Len) // end of the last wanted point
	reach := end                                                  // end of the last point, wanted or not
	next = i + 1
	last := i
	for j := i + 1; j < len(pts); j++ {
		p := &pts[j]
		stop := int(p.Addr) + int(p.Len)
		if p.Tier != first.Tier || p.Fn != first.Fn || p.Run != first.Run || int(p.Addr) > reach+int(p.Gap) || max(stop, reach)-start > limit {
			break
		}
		reach = max(reach, stop)
		if p.Want {
			end, next, last = reach, j+1, j
		}
	}
	b = block{fn: first.Fn, addr: first.Addr, n: end - start, tier: first.Tier, run: first.Run}
	for j := i; j <= last; j++ {
		if pts[j].Check {
			b.checks = append(b.checks, check{int(pts[j].Addr) - start, pts[j].Value})
		}
	}
	return b, next
}

// where finds the block that covers registers; of several the one that is read most often.
func where(blocks []block, fn uint8, addr uint16, n uint16) (index, offset int, ok bool) {
	for i := range blocks { // by tier: the first hit is read most often
		b := &blocks[i]
		if b.fn == fn && addr >= b.addr && int(addr)+int(n) <= int(b.addr)+b.n {
			return i, int(addr - b.addr), true
		}
	}
	return 0, 0, false
}
