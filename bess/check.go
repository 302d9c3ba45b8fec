package bess

import (
	"math"
	"time"
)

// Resolution gives the decimals that a value of this register scale is kept with: as many as the scale needs, but not
// more than limit, the point's cap (see Point.Decimals). A scale of 0.1 needs 1, of 10 needs 0. Scales that no decimals
// express (1/3), zero and NaN (float registers) get the cap.
func Resolution(scale float64, limit int8) int8 {
	limit = min(max(limit, 0), MaxDecimals)
	scale = math.Abs(scale)
	if !(scale > 0 && scale < 1e15) {
		return limit
	}
	for d := int8(0); d < limit; d++ {
		x := scale * pow10[d]
		// float32 scales such as 0.1f must still count as one decimal, hence the wide tolerance.
		if r := math.Round(x); r >= 1 && math.Abs(x-r) <= 1e-6*r {
			return d
		}
	}
	return limit
}

// Rescale turns an integer scaled by 10^from into one scaled by 10^to, half away from zero. ok is false for Absent and
// for what does not fit.
func Rescale(v int64, from, to int8) (int64, bool) {
	if v == Absent {
		return Absent, false
	}
	for ; from < to; from++ {
		if v > math.MaxInt64/10 || v < -math.MaxInt64/10 {
			return Absent, false
		}
		v *= 10
	}
	if from == to {
		return v, true
	}
	return divRound(v, pow10i[min(from-to, MaxDecimals)]), true
}

// pow10i holds 10^0 to 10^MaxDecimals.
var pow10i = [MaxDecimals + 1]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// divRound is v / d rounded half away from zero; d is positive.
func divRound(v, d int64) int64 {
	q, r := v/d, v%d
	if r < 0 && -r >= d-(-r) {
		return q - 1
	}
	if r > 0 && r >= d-r {
		return q + 1
	}
	return q
}

// CheckRange tells whether a scaled value may stand in its column: ReasonUnknown when it may, ReasonRange when it lies
// outside the vocabulary's range (bit fields: when it is negative). p may be nil: nothing is known, nothing is refused.
func CheckRange(p *Point, v int64, decimals int8) Reason {
	if p == nil || v == Absent {
		return ReasonUnknown
	}
	if p.Type == Bits && v < 0 {
		return ReasonRange
	}
	if p.HasRange {
		if x := Float(v, decimals); x < p.Min || x > p.Max {
			return ReasonRange
		}
	}
	return ReasonUnknown
}

// CheckElement is CheckRange for an element of a list.
func CheckElement(p *Point, v int32, decimals int8) Reason {
	if v == AbsentElement {
		return ReasonUnknown
	}
	if p != nil && p.Type == Bools && v != 0 && v != 1 {
		return ReasonRange
	}
	return CheckRange(p, int64(v), decimals)
}

// CounterRate gives how fast an energy counter of a device can grow: the column's unit per second, with a margin of one
// half. ratedW is the largest power of the device either way. ok is false where no limit is known: the counter is not one
// of energy, or ratedW is not positive.
func CounterRate(p *Point, ratedW float64) (perSecond float64, ok bool) {
	if p == nil || p.Class != Counter || p.Unit != "W.h" || !(ratedW > 0) {
		return 0, false
	}
	return ratedW / 3600 * 1.5, true
}

// CheckRate tells whether a counter may have gone from prev to v within dt: ReasonRate when the step is larger than
// perSecond allows, ReasonUnknown otherwise. A step down is a reset, never refused. resolution is the register's own
// step in the column's unit (1000 for a kWh register of a Wh column): one such step is always allowed.
//
// After a refusal the caller keeps prev and its time, so that a counter that is updated rarely, or one whose first value
// was wrong, is accepted again once enough time has passed.
func CheckRate(prev, v int64, decimals int8, dt time.Duration, perSecond, resolution float64) Reason {
	if prev == Absent || v == Absent || v <= prev {
		return ReasonUnknown
	}
	if Float(v, decimals)-Float(prev, decimals) > perSecond*max(dt.Seconds(), 0)+resolution {
		return ReasonRate
	}
	return ReasonUnknown
}
