package rollup

import (
	"math/big"
	"math/bits"
)

// int128 is a two's complement integer: wide enough for any sum of 64-bit integers that fits a machine.
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

// term is a * times / 10^digits.
type term struct {
	a      int128
	times  uint64
	digits int // at most 22
}

// exactInts is the range in which every integer is a double.
const exactInts = 1 << 53

// float is the double nearest to t.
func (t term) float() float64 {
	if v := int64(t.a.lo); t.a.hi == v>>63 { // fits 64 bits
		hi, lo := bits.Mul64(magnitude(v), t.times)
		if hi == 0 && lo <= exactInts { // both sides of the division are exact, so it rounds once
			if v < 0 {
				return -float64(lo) / pow10[t.digits]
			}
			return float64(lo) / pow10[t.digits]
		}
	}
	f, _ := t.rat().Float64()
	return f
}

func (t term) rat() *big.Rat {
	v := new(big.Int).SetInt64(t.a.hi)
	v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(t.a.lo))
	v.Mul(v, new(big.Int).SetUint64(t.times))
	return new(big.Rat).SetFrac(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.digits)), nil))
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}
