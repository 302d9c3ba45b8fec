package bess

import (
	"strings"
	"testing"
	"time"
)

func TestNewPlanRefuses(t *testing.T) {
	second := []time.Duration{time.Second}
	many := make([]ExtraColumn, MaxSlots+1)
	for i := range many {
		many[i].Name = strings.Repeat("x", i+1)
	}
	for _, c := range []struct {
		name, want string
		p          Plan
	}{
		{"period", "period", Plan{Periods: []time.Duration{7 * time.Second}}},
		{"tiny period", "period", Plan{Periods: []time.Duration{time.Microsecond}}},
		{"odd minutes", "period", Plan{Periods: []time.Duration{90 * time.Second}}},
		{"part of a microsecond", "period", Plan{Periods: []time.Duration{1171875 * time.Nanosecond}}},
		{"order", "ascending", Plan{Periods: second, Columns: []Column{{NumVoltageV, 0, 0}, {NumSocPct, 0, 0}}}},
		{"twice", "ascending", Plan{Periods: second, Columns: []Column{{NumSocPct, 0, 0}, {NumSocPct, 0, 0}}}},
		{"text as number", "type", Plan{Periods: second, Columns: []Column{{NumCellVoltageMinAt, 0, 0}}}},
		{"number as list", "type", Plan{Periods: second, Lists: []Column{{NumSocPct, 0, 0}}}},
		{"list as text", "type", Plan{Periods: second, Texts: []Column{{NumCellVoltagesV, 0, 0}}}},
		{"tier", "tier", Plan{Periods: second, Columns: []Column{{NumSocPct, 0, 1}}}},
		{"decimals", "decimals", Plan{Periods: second, Columns: []Column{{NumSocPct, 10, 0}}}},
		{"negative decimals", "decimals", Plan{Periods: second, Columns: []Column{{NumSocPct, -1, 0}}}},
		{"extra without name", "extra", Plan{Periods: second, Extra: []ExtraColumn{{"", 0, 0}}}},
		{"extra order", "extra", Plan{Periods: second, Extra: []ExtraColumn{{"b", 0, 0}, {"a", 0, 0}}}},
		{"extra tier", "tier", Plan{Periods: second, Extra: []ExtraColumn{{"b", 0, 7}}}},
		{"extra decimals", "decimals", Plan{Periods: second, Extra: []ExtraColumn{{"b", 11, 0}}}},
		{"slots", "at most", Plan{Periods: second, Extra: many}},
	} {
		if _, err := NewPlan(c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// The plan's name must change with everything that changes the meaning of a row, and with nothing else.
func TestPlanID(t *testing.T) {
	base := func() Plan {
		return Plan{Map: "m@1", Periods: []time.Duration{time.Second, time.Minute}, Columns: []Column{{NumSocPct, 1, 0}},
			Texts: []Column{{NumCellVoltageMinAt, 0, 0}}, Lists: []Column{{NumCellVoltagesV, 3, 1}}, Extra: []ExtraColumn{{"m.x", 0, 0}}}
	}
	seen := map[string]string{plan(t, base()).ID(): "base"}
	if a, b := plan(t, base()).ID(), plan(t, base()).ID(); a != b {
		t.Error("the same plan has two names")
	}
	// Frozen: stored tables name plans by it.
	if got := plan(t, base()).ID(); got != "20667f54d7b0b28a" {
		t.Errorf("the plan's name is %s now", got)
	}
	for name, change := range map[string]func(*Plan){
		"map":      func(p *Plan) { p.Map = "m@2" },
		"period":   func(p *Plan) { p.Periods[1] = time.Hour },
		"num":      func(p *Plan) { p.Columns[0].Num = NumSohPct },
		"decimals": func(p *Plan) { p.Columns[0].Decimals = 2 },
		"tier":     func(p *Plan) { p.Columns[0].Tier = 1 },
		"text":     func(p *Plan) { p.Texts = nil },
		"list":     func(p *Plan) { p.Lists[0].Tier = 0 },
		"extra":    func(p *Plan) { p.Extra[0].Name = "m.y" },
	} {
		p := base()
		change(&p)
		id := plan(t, p).ID()
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same name", name, other)
		}
		seen[id] = name
	}
}

func TestPlanSlots(t *testing.T) {
	p := plan(t, Plan{Columns: []Column{{NumSocPct, 1, 1}, {9999, 0, 0}}, Texts: []Column{{NumCellVoltageMinAt, 0, 1}},
		Lists: []Column{{NumCellVoltagesV, 3, 0}}, Extra: []ExtraColumn{{"m.x", 0, 1}}})
	for i, want := range []struct {
		name string
		tier uint8
	}{{"soc_pct", 1}, {"num9999", 0}, {"cell_voltage_min_at", 1}, {"cell_voltages_v", 0}, {"m.x", 1}} {
		if p.SlotName(i) != want.name || p.SlotTier(i) != want.tier {
			t.Errorf("slot %d: %s of tier %d, want %+v", i, p.SlotName(i), p.SlotTier(i), want)
		}
	}
	if p.Slots() != 5 || p.SlotName(5) != "slot5" {
		t.Errorf("%d slots, slot 5 is %s", p.Slots(), p.SlotName(5))
	}
}
