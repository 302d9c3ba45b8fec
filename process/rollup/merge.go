package rollup

import (
	"cmp"
	"slices"
	"strings"

	"bessd/bess"
)

// Merge adds part b to part a; both are of the same site, device, epoch, point and minute. It commutes exactly. Only the
// sums of doubles (Sum, WeightS, Pos, Neg, Seconds) may depend on the grouping of more than two parts, in the last bit;
// everything else is associative exactly.
func Merge(a, b bess.RollupPart) bess.RollupPart {
	if a.N == 0 {
		return b
	}
	if b.N == 0 {
		return a
	}
	m := a
	m.Kind = max(a.Kind, b.Kind)
	m.Has = a.Has | b.Has
	m.N = a.N + b.N
	m.WeightS = a.WeightS + b.WeightS
	if b.FirstTS < a.FirstTS || b.FirstTS == a.FirstTS && b.First < a.First {
		m.FirstTS, m.First = b.FirstTS, b.First
	}
	if b.LastTS > a.LastTS || b.LastTS == a.LastTS && b.Last > a.Last {
		m.LastTS, m.Last = b.LastTS, b.Last
	}
	switch {
	case a.Has&bess.HasSum == 0:
		m.Sum, m.Min, m.Max, m.AtMin, m.AtMax = b.Sum, b.Min, b.Max, b.AtMin, b.AtMax
	case b.Has&bess.HasSum != 0:
		m.Sum = a.Sum + b.Sum
		switch {
		case b.Min < a.Min:
			m.Min, m.AtMin = b.Min, b.AtMin
		case b.Min == a.Min:
			m.AtMin = lowerText(a.AtMin, b.AtMin)
		}
		switch {
		case b.Max > a.Max:
			m.Max, m.AtMax = b.Max, b.AtMax
		case b.Max == a.Max:
			m.AtMax = lowerText(a.AtMax, b.AtMax)
		}
	}
	m.Pos, m.Neg = a.Pos+b.Pos, a.Neg+b.Neg
	m.BitOr = a.BitOr | b.BitOr
	m.States = mergeStates(a.States, b.States)
	return m
}

func mergeStates(a, b []bess.StateSeconds) []bess.StateSeconds {
	if len(a) == 0 {
		return b
	}
	out := slices.Clone(a)
	for _, s := range b {
		i, ok := slices.BinarySearchFunc(out, s.State, func(x bess.StateSeconds, name string) int { return strings.Compare(x.State, name) })
		if ok {
			out[i].Seconds += s.Seconds
		} else {
			out = slices.Insert(out, i, s)
		}
	}
	return out
}

// MergeAll merges the parts that belong together and sorts the result by site, device, point, minute and epoch. Parts
// are added in a fixed order, so any order of the input gives the same bits.
func MergeAll(parts []bess.RollupPart) []bess.RollupPart {
	sorted := slices.Clone(parts)
	slices.SortFunc(sorted, func(a, b bess.RollupPart) int { return cmp.Or(compareKeys(a, b), compareFigures(a, b)) })
	var out []bess.RollupPart
	for _, p := range sorted {
		if n := len(out); n > 0 && compareKeys(out[n-1], p) == 0 {
			out[n-1] = Merge(out[n-1], p)
		} else {
			out = append(out, p)
		}
	}
	return out
}

func compareKeys(a, b bess.RollupPart) int {
	return cmp.Or(strings.Compare(a.Site, b.Site), strings.Compare(a.Device, b.Device), strings.Compare(a.Point, b.Point),
		cmp.Compare(a.MinuteTS, b.MinuteTS), cmp.Compare(a.Epoch, b.Epoch))
}

func compareFigures(a, b bess.RollupPart) int {
	return cmp.Or(cmp.Compare(a.FirstTS, b.FirstTS), cmp.Compare(a.LastTS, b.LastTS), cmp.Compare(a.N, b.N),
		cmp.Compare(a.Sum, b.Sum), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last), cmp.Compare(a.Pos, b.Pos), cmp.Compare(a.Neg, b.Neg))
}
