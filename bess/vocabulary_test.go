package bess

import (
	"regexp"
	"testing"
)

// The vocabulary's own rules: what the rest of the program takes for granted.
func TestVocabularyIsSound(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	seen := map[string]bool{}
	for i, p := range Points() {
		if p.Num != Num(i+1) || PointByNum(p.Num).Name != p.Name || PointByName(p.Name).Num != p.Num {
			t.Errorf("%s: number %d at place %d", p.Name, p.Num, i)
		}
		if !name.MatchString(p.Name) || seen[p.Name] {
			t.Errorf("%q: not a new column name", p.Name)
		}
		seen[p.Name] = true
		if p.Type == TypeUnknown || p.Class == ClassUnknown || p.Kinds == 0 || p.Kinds.Has(KindUnknown) {
			t.Errorf("%s: type, class or kinds are missing", p.Name)
		}
		if p.Decimals < 0 || p.Decimals > MaxDecimals || p.Type != Double && p.Type != Floats && p.Decimals != 0 {
			t.Errorf("%s: %d decimals", p.Name, p.Decimals)
		}
		if p.HasRange && !(p.Min < p.Max) || p.Type == Double && !p.HasRange {
			t.Errorf("%s: range %v to %v", p.Name, p.Min, p.Max)
		}
		if p.HasRange {
			for _, x := range []float64{p.Min, p.Max} {
				if v, ok := Scaled(x, p.Decimals); !ok || CheckRange(&p, v, p.Decimals) != ReasonUnknown {
					t.Errorf("%s: %v does not fit at %d decimals", p.Name, x, p.Decimals)
				}
			}
		}
		if p.Type == Enum && EnumByName(p.Enum) == nil || p.Type != Enum && p.Enum != "" {
			t.Errorf("%s: enum %q", p.Name, p.Enum)
		}
		if (p.Class == Counter) != (p.Rollup&RollIncrease != 0) || p.Type == Text && p.Rollup&(RollMean|RollIntegral) != 0 {
			t.Errorf("%s: rollup %b of class %d", p.Name, p.Rollup, p.Class)
		}
	}
	if PointByNum(0) != nil || PointByNum(Num(len(Points())+1)) != nil || PointByName("nothing") != nil {
		t.Error("points that do not exist")
	}
}

func TestEnumsAreSound(t *testing.T) {
	for _, e := range Enums() {
		names, codes := map[string]bool{}, map[int64]bool{}
		for _, m := range e.Members {
			if names[m.Name] || codes[m.Code] {
				t.Errorf("%s: %s or its code stands twice", e.Name, m.Name)
			}
			names[m.Name], codes[m.Code] = true, true
			if code, ok := e.Code(m.Name); !ok || e.MemberName(code) != m.Name {
				t.Errorf("%s: %s is not found by its name and code", e.Name, m.Name)
			}
		}
		if e.MemberName(9999) != "unknown" {
			t.Errorf("%s: code 9999 is %s", e.Name, e.MemberName(9999))
		}
	}
	for i, b := range AlarmBits() {
		if int(b.Bit) != i || b.Bit > 62 || b.Name == "" {
			t.Errorf("alarm bit %d at place %d: %+v", b.Bit, i, b)
		}
	}
}

func TestKinds(t *testing.T) {
	for k := SiteController; k <= Aux; k++ {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("%s came back as %s", k, got)
		}
	}
	if _, ok := ParseKind("unknown"); ok {
		t.Error("unknown is a kind")
	}
	if Kind(77).String() != "kind77" || KindSet(1<<15).Has(Kind(77)) {
		t.Error("a newer agent's kind")
	}
}
