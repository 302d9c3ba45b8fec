package agent

import (
	"math"
	"math/bits"

	"bessd/bess/maps"
)

// scaled brings a value to the decimals of its column.
func scaled(m int64, exp, decimals int8) (int64, bool) {
	d := int(exp) + int(decimals)
	if d < 0 {
		if d < -18 {
			return 0, true
		}
		p := pow10(-d)
		q, r := m/p, m%p
		if r >= p-r && r > 0 {
			q++
		} else if -r >= p+r && r < 0 {
			q--
		}
		return q, true
	}
	if d > 18 {
		return 0, m == 0
	}
	return mulInt(m, pow10(d))
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// mulInt multiplies; ok is false when the product does not fit.
func mulInt(a, b int64) (int64, bool) {
	if b == 1 {
		return a, true
	}
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if neg {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// addDecimal adds a fixed decimal to m x 10^exp, exactly.
func addDecimal(m int64, exp int8, o maps.Decimal) (int64, int8, bool) {
	om := o.M
	var ok bool
	switch {
	case o.E > exp:
		om, ok = scaled(om, o.E, -exp)
	case exp > o.E:
		m, ok = scaled(m, exp, -o.E)
		exp = o.E
	default:
		ok = true
	}
	if !ok || om > 0 && m > math.MaxInt64-om || om < 0 && m < math.MinInt64+1-om {
		return 0, 0, false
	}
	return m + om, exp, true
}
