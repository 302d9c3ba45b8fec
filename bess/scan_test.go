package bess

import (
	"math"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestScanClone(t *testing.T) {
	p := plan(t, Plan{Columns: []Column{{NumSocPct, 1, 0}}, Texts: []Column{{NumCellVoltageMinAt, 0, 0}},
		Lists: []Column{{NumCellVoltagesV, 3, 0}, {NumCellTemperaturesC, 1, 0}, {NumCellsBalancing, 0, 0}}, Extra: []ExtraColumn{{"m.x", 0, 0}}})
	s := &Scan{Site: "alfa"}
	s.Reset(p)
	s.Values[0], s.Extra[0], s.Texts[0] = 5, 6, "cell001"
	s.Lists[0], s.Lists[1] = []int32{1, AbsentElement, 3}, []int32{}
	s.Rejected = append(s.Rejected, Rejection{1, ReasonComm})
	if n := s.PresentValues(); n != 5 {
		t.Errorf("%d values, want 5", n)
	}
	same := gocmp.Comparer(func(a, b *Plan) bool { return a == b })
	c := s.Clone()
	if diff := gocmp.Diff(s, c, same); diff != "" {
		t.Error(diff)
	}
	if c.Lists[1] == nil || c.Lists[2] != nil {
		t.Errorf("an empty list and an absent one are not the same: %v", c.Lists)
	}
	s.Lists[0][0] = 99
	s.Reset(p)
	if c.Values[0] != 5 || c.Extra[0] != 6 || c.Texts[0] != "cell001" || c.Lists[0][0] != 1 || len(c.Rejected) != 1 {
		t.Errorf("the clone changed with the original: %+v", c)
	}
	if s.PresentValues() != 0 || len(s.Rejected) != 0 {
		t.Errorf("not empty after Reset: %+v", s)
	}
}

func TestScaledRefuses(t *testing.T) {
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e19, -1e19, 1e10 * 1e9} {
		if v, ok := Scaled(x, 9); ok || v != Absent {
			t.Errorf("Scaled(%v) = %d, %v", x, v, ok)
		}
	}
	for _, c := range []struct {
		x    float64
		d    int8
		want int64
	}{{0.25, 1, 3}, {-0.25, 1, -3}, {3.3, 3, 3300}, {1.005, 0, 1}} {
		if v, ok := Scaled(c.x, c.d); !ok || v != c.want {
			t.Errorf("Scaled(%v, %d) = %d, want %d", c.x, c.d, v, c.want)
		}
	}
	if Float(33, 1) != 3.3 || Float(7, 0) != 7 {
		t.Error("Float is not the nearest double")
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		check func(string) error
		ok    []string
		bad   []string
	}{
		{CheckSite, []string{"a", "alfa-2", strings.Repeat("a", 32)}, []string{"", "-a", "Alfa", "a_b", strings.Repeat("a", 33), "a\n"}},
		{CheckDevice, []string{"bank1", "bank1/rack07/module12", "a/b/c/d/e"},
			[]string{"", "/bank1", "bank1/", "Bank1", "1bank", "a/b/c/d/e/f", "bank 1", "bank1/07", strings.Repeat("a", 97), "bank1\n"}},
	} {
		for _, s := range c.ok {
			if err := c.check(s); err != nil {
				t.Error(err)
			}
		}
		for _, s := range c.bad {
			if c.check(s) == nil {
				t.Errorf("%q was accepted", s)
			}
		}
	}
}

// An epoch is larger than every epoch before it, whatever the clock does, and stays below 2^53.
func TestNewEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored := int64(0)
		for range 5 {
			now := rapid.Int64Range(0, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).Unix()).Draw(t, "now")
			e := NewEpoch(stored, now, rapid.Uint32().Draw(t, "random"))
			if e <= stored || e>>20 < now || e >= 1<<53 {
				t.Fatalf("epoch %d after %d at %d", e, stored, now)
			}
			stored = e
		}
	})
}

func TestFlagNames(t *testing.T) {
	if got := Flags(0).Names(); got != nil {
		t.Errorf("got %v", got)
	}
	if got := strings.Join((ClockUnset | ClockStepped | Retrospective).Names(), " "); got != "clock_unset clock_stepped retrospective" {
		t.Errorf("got %s", got)
	}
}
