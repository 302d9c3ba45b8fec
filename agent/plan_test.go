package agent

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"bessd/bess"
	"bessd/bess/maps"
)

// TestCut draws register layouts and demands of the blocks what the planner promises.
func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 125).Draw(t, "limit")
		var pts []maps.Point
		for run := range rapid.IntRange(1, 4).Draw(t, "runs") {
			addr := run * 2000
			tier := maps.Tier(rapid.IntRange(0, int(maps.NumTiers)-1).Draw(t, "tier"))
			fn := uint8(rapid.IntRange(3, 4).Draw(t, "fn"))
			for range rapid.IntRange(0, 40).Draw(t, "points") {
				addr += rapid.SampledFrom([]int{0, 0, 0, 0, 1, 5, 30}).Draw(t, "hole")
				p := maps.Point{Fn: fn, Addr: uint16(addr), Len: uint16(rapid.SampledFrom([]int{1, 1, 2, 4, 16}).Draw(t, "len")), Tier: tier, Run: run,
					Gap: uint16(rapid.SampledFrom([]int{0, 0, 4}).Draw(t, "gap")), Want: rapid.Bool().Draw(t, "want")}
				addr += int(p.Len)
				pts = append(pts, p)
			}
		}
		blocks := cut(rapid.Permutation(pts).Draw(t, "order"), limit)

		registers := map[[2]int]*maps.Point{} // fn, address -> its point
		for i := range pts {
			for k := range pts[i].Len {
				registers[[2]int{int(pts[i].Fn), int(pts[i].Addr + k)}] = &pts[i]
			}
		}
		for _, p := range pts {
			if !p.Want || int(p.Len) > limit {
				continue
			}
			b, _, ok := where(blocks, p.Fn, p.Addr, p.Len)
			if !ok {
				t.Fatalf("point %d+%d is in no block", p.Addr, p.Len)
			}
			if blocks[b].tier != p.Tier || blocks[b].run != p.Run {
				t.Fatalf("point %d is read with another tier or run", p.Addr)
			}
		}
		for i, b := range blocks {
			if b.n < 1 || b.n > limit {
				t.Fatalf("block of %d registers, limit %d", b.n, limit)
			}
			for _, edge := range []int{int(b.addr), int(b.addr) + b.n - 1} {
				p := registers[[2]int{int(b.fn), edge}]
				if p == nil || !p.Want {
					t.Fatalf("block %d+%d begins or ends with registers that nobody needs", b.addr, b.n)
				}
				if int(p.Addr) < int(b.addr) || int(p.Addr)+int(p.Len) > int(b.addr)+b.n {
					t.Fatalf("block %d+%d cuts point %d+%d", b.addr, b.n, p.Addr, p.Len)
				}
			}
			hole := 0
			for a := int(b.addr); a < int(b.addr)+b.n; a++ {
				p := registers[[2]int{int(b.fn), a}]
				if p == nil {
					hole++
					continue
				}
				if hole > 0 && hole > int(p.Gap) {
					t.Fatalf("block %d+%d reads over %d unknown registers before %d", b.addr, b.n, hole, a)
				}
				hole = 0
				if p.Run != b.run {
					t.Fatalf("block %d covers two runs", b.addr)
				}
			}
			for _, o := range blocks[:i] {
				if o.fn == b.fn && int(o.addr) < int(b.addr)+b.n && int(b.addr) < int(o.addr)+o.n {
					t.Fatalf("blocks %d+%d and %d+%d overlap", o.addr, o.n, b.addr, b.n)
				}
			}
		}
	})
}

func TestFitPeriod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := rapid.SampledFrom([]time.Duration{time.Millisecond, 40 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond, time.Second,
			7500 * time.Millisecond, 12 * time.Second, time.Minute, 3 * time.Minute}).Draw(t, "every")
		want := time.Duration(rapid.IntRange(1, int(2*time.Hour)).Draw(t, "want"))
		p := fitPeriod(every, want)
		if !bess.ValidPeriod(p) || p%every != 0 || p < want {
			t.Fatalf("%s for every %s and wanted %s", p, every, want)
		}
	})
}

func TestSlots(t *testing.T) {
	for _, c := range []struct{ t, want int64 }{{0, 0}, {999_999, 0}, {1_000_000, 1}, {-1, -1}, {-1_000_000, -1}} {
		if got := slotOf(c.t, time.Second); got != c.want {
			t.Errorf("slot of %d: %d, want %d", c.t, got, c.want)
		}
	}
}

func TestClockFollowsTheWall(t *testing.T) {
	c := newClock()
	if step := c.follow(time.Now(), time.Now().UnixMicro()); step != 0 || c.steps.Load() != 0 {
		t.Errorf("a step of %d without one", step)
	}
	before := c.now()
	if step := c.follow(time.Now(), time.Now().Add(-time.Hour).UnixMicro()); step > -3_599_000_000 || c.steps.Load() != 1 {
		t.Errorf("step %d", step)
	}
	if now := c.now(); now > before-3_599_000_000 {
		t.Errorf("the clock did not follow: %d after %d", now, before)
	}
}
