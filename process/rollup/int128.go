package rollup

import (
	"math/big"
	"math/bits"
)

// int128 is a two's complement integer: wide enough for any sum of scaled values times a period.
type int128 struct {
	hi int64
	lo uint64
}

func (a int128) add(b int128) int128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(uint64(a.hi), uint64(b.hi), carry)
	return int128{int64(hi), lo}
}

func from64(v int64) int128 { return int128{v >> 63, uint64(v)} }

// product is v * m.
func product(v int64, m uint64) int128 {
	if v >= 0 {
		hi, lo := bits.Mul64(uint64(v), m)
		return int128{int64(hi), lo}
	}
	hi, lo := bits.Mul64(-uint64(v), m)
	return int128{int64(hi), lo}.neg()
}

func (a int128) neg() int128 {
	lo, borrow := bits.Sub64(0, a.lo, 0)
	hi, _ := bits.Sub64(0, uint64(a.hi), borrow)
	return int128{int64(hi), lo}
}

// times multiplies by a small positive number.
func (a int128) times(m uint64) int128 {
	if a.hi < 0 {
		return a.neg().times(m).neg()
	}
	hi, lo := bits.Mul64(a.lo, m)
	return int128{int64(uint64(a.hi)*m + hi), lo}
}

// exactInts is the range in which every integer is a double.
const exactInts = 1 << 53

// float is the double nearest to a / 10^k, k at most 22.
func (a int128) float(k int) float64 {
	if v := int64(a.lo); a.hi == v>>63 && v >= -exactInts && v <= exactInts {
		return float64(v) / pow10[k] // both exact, so the division rounds once
	}
	v := new(big.Int).SetInt64(a.hi)
	v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(a.lo))
	f, _ := new(big.Rat).SetFrac(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(k)), nil)).Float64()
	return f
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}
