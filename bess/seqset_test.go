package bess

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSeqSetAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s SeqSet
		m := map[int64]bool{}
		check := func() {
			t.Helper()
			r := s.Ranges()
			n := int64(0)
			for i, a := range r {
				if a.First > a.Last || i > 0 && r[i-1].Last >= a.First-1 {
					t.Fatalf("not sorted, disjoint and joined: %v", r)
				}
				n += a.Last - a.First + 1
			}
			if n != int64(len(m)) || s.Len() != n {
				t.Fatalf("%d numbers, Len %d, want %d", n, s.Len(), len(m))
			}
			for v := int64(-2); v < 70; v++ {
				if s.Contains(v) != m[v] {
					t.Fatalf("Contains(%d) = %v, want %v in %v", v, s.Contains(v), m[v], r)
				}
			}
		}
		seq := rapid.Int64Range(0, 60)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				v := seq.Draw(t, "seq")
				if s.Add(v) == m[v] {
					t.Fatalf("Add(%d) told the wrong thing", v)
				}
				m[v] = true
			},
			"range": func(t *rapid.T) {
				a := SeqRange{seq.Draw(t, "first"), seq.Draw(t, "last")}
				s.AddRange(a)
				for v := a.First; v <= a.Last; v++ {
					m[v] = true
				}
			},
			"merge": func(t *rapid.T) {
				var o SeqSet
				for _, v := range rapid.SliceOfN(seq, 0, 9).Draw(t, "other") {
					o.Add(v)
					m[v] = true
				}
				before := slices.Clone(o.Ranges())
				s.Merge(&o)
				if !slices.Equal(before, o.Ranges()) {
					t.Fatal("Merge changed its argument")
				}
			},
			"self": func(*rapid.T) { s.Merge(&s) },
			"":     func(*rapid.T) { check() },
		})
	})
}

func TestSeqSetEnds(t *testing.T) {
	var s SeqSet
	for _, v := range []int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1, 0} {
		if !s.Add(v) || s.Add(v) || !s.Contains(v) {
			t.Errorf("%d: not added once", v)
		}
	}
	want := []SeqRange{{math.MinInt64, math.MinInt64 + 1}, {0, 0}, {math.MaxInt64 - 1, math.MaxInt64}}
	if !slices.Equal(s.Ranges(), want) {
		t.Errorf("got %v, want %v", s.Ranges(), want)
	}
}

func TestSeqSetCloneIsIndependent(t *testing.T) {
	var s SeqSet
	s.AddRange(SeqRange{1, 5})
	c := s.Clone()
	c.Add(6)
	if s.Contains(6) || !c.Contains(6) {
		t.Errorf("got %v and %v", s.Ranges(), c.Ranges())
	}
}

func BenchmarkSeqSetAddInOrder(b *testing.B) {
	var s SeqSet
	for i := range b.N {
		s.Add(int64(i))
	}
}
