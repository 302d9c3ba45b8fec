package bess

import (
	"fmt"
	"math"
	"regexp"
)

// Absent is the scaled integer that stands for "no value". Sentinels of devices become Absent, never a number.
const Absent = math.MinInt64

// AbsentElement is Absent for an element of a list.
const AbsentElement = math.MinInt32

// Quality tells what a whole scan is worth.
type Quality uint8

// Qualities. QualityUnknown is never written.
const (
	QualityUnknown Quality = iota
	Good                   // every point that was due is there or not implemented
	Partial                // some points are missing, named in Rejected
	Stale                  // heartbeat or values frozen
	Bad                    // the device did not answer: no values
)

var qualityNames = [...]string{"unknown", "good", "partial", "stale", "bad"}

// String gives the name as it stands in tables.
func (q Quality) String() string {
	if int(q) < len(qualityNames) {
		return qualityNames[q]
	}
	return "unknown"
}

// Reason says why an expected value is missing.
type Reason uint8

// Reasons of a rejection.
const (
	ReasonUnknown  Reason = iota
	ReasonComm            // the block was not answered in time
	ReasonRange           // outside the vocabulary's range
	ReasonSentinel        // the device said "not available" for a point that it implements
	ReasonRate            // a counter stepped further than physics allows
)

var reasonNames = [...]string{"unknown", "comm", "range", "sentinel", "rate"}

// String gives the name as it stands in tables.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// Flags mark what was special about a scan.
type Flags uint8

// Flags of a scan.
const (
	ClockUnset    Flags = 1 << iota // taken before the gateway knew the time; ts corrected later
	ClockStepped                    // the wall clock stepped since the scan before
	Retrospective                   // delivered after the fact by another way than live polling
)

// Names lists the flags as they stand in tables; nil when none is set.
func (f Flags) Names() []string {
	var n []string
	if f&ClockUnset != 0 {
		n = append(n, "clock_unset")
	}
	if f&ClockStepped != 0 {
		n = append(n, "clock_stepped")
	}
	if f&Retrospective != 0 {
		n = append(n, "retrospective")
	}
	return n
}

// Rejection names a slot whose expected value is missing, and why.
type Rejection struct {
	Slot   uint16
	Reason Reason
}

// Scan is what was read from one device at one tick. (Site, Device, Epoch, Seq) names it for ever.
//
// Values[i] belongs to Plan.Columns[i], and so on; each slice has exactly the plan's length. A Scan is owned by one
// goroutine; decoders refill it, so whoever keeps one beyond the next decode calls Clone.
type Scan struct {
	Site    string
	Device  string
	Kind    Kind
	TS      int64 // the aligned tick, microseconds since 1970 UTC
	ScanUS  int64 // microseconds from the tick to the last answer
	Epoch   int64
	Seq     int64
	Quality Quality
	Flags   Flags

	Plan     *Plan
	Values   []int64   // scaled by 10^Decimals, or Absent
	Texts    []string  // "" = absent
	Lists    [][]int32 // nil = absent; elements scaled, or AbsentElement
	Extra    []int64   // as Values
	Rejected []Rejection
}

// Reset makes the scan fit plan with every value absent, keeping its memory. Identity fields are left alone.
func (s *Scan) Reset(plan *Plan) {
	s.Plan = plan
	s.Values = fill(s.Values, len(plan.Columns))
	s.Extra = fill(s.Extra, len(plan.Extra))
	s.Texts = resize(s.Texts, len(plan.Texts))
	for i := range s.Texts {
		s.Texts[i] = ""
	}
	s.Lists = resize(s.Lists, len(plan.Lists))
	for i := range s.Lists {
		s.Lists[i] = nil
	}
	s.Rejected = s.Rejected[:0]
}

func fill(v []int64, n int) []int64 {
	v = resize(v, n)
	for i := range v {
		v[i] = Absent
	}
	return v
}

func resize[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

// Clone gives a deep copy; the plan is shared.
func (s *Scan) Clone() *Scan {
	c := *s
	c.Values = append([]int64(nil), s.Values...)
	c.Texts = append([]string(nil), s.Texts...)
	c.Extra = append([]int64(nil), s.Extra...)
	c.Rejected = append([]Rejection(nil), s.Rejected...)
	c.Lists = make([][]int32, len(s.Lists))
	for i, l := range s.Lists {
		if l != nil {
			c.Lists[i] = append([]int32{}, l...)
		}
	}
	return &c
}

// PresentValues counts the values that the scan carries, list elements included: the unit of every figure of cost.
func (s *Scan) PresentValues() int {
	n := 0
	for _, v := range s.Values {
		if v != Absent {
			n++
		}
	}
	for _, v := range s.Extra {
		if v != Absent {
			n++
		}
	}
	for _, t := range s.Texts {
		if t != "" {
			n++
		}
	}
	for _, l := range s.Lists {
		for _, e := range l {
			if e != AbsentElement {
				n++
			}
		}
	}
	return n
}

// pow10 holds 10^0 to 10^MaxDecimals.
var pow10 = [MaxDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// Float gives the double of a scaled integer: the correctly rounded v / 10^decimals. v must not be Absent.
func Float(v int64, decimals int8) float64 {
	if decimals <= 0 {
		return float64(v)
	}
	return float64(v) / pow10[decimals]
}

// Scaled rounds x to decimals, half away from zero. ok is false for NaN, infinities and what does not fit.
func Scaled(x float64, decimals int8) (v int64, ok bool) {
	if decimals > 0 {
		x *= pow10[decimals]
	}
	x = math.Round(x)
	if !(x > -9.2e18 && x < 9.2e18) {
		return Absent, false
	}
	return int64(x), true
}

var (
	sitePattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	devicePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*){0,4}$`)
)

// MaxDeviceLen is the longest device path in bytes.
const MaxDeviceLen = 96

// CheckSite tells what is wrong with a site id, nil if nothing.
func CheckSite(s string) error {
	if !sitePattern.MatchString(s) {
		return fmt.Errorf("site %q: want 1 to 32 of a-z, 0-9 and -, not beginning with -", s)
	}
	return nil
}

// CheckDevice tells what is wrong with a device path, nil if nothing.
func CheckDevice(d string) error {
	if len(d) > MaxDeviceLen || !devicePattern.MatchString(d) {
		return fmt.Errorf("device %q: want up to 5 parts of a-z, 0-9 and _ joined by /, each beginning with a letter, %d bytes at most", d, MaxDeviceLen)
	}
	return nil
}

// NewEpoch gives the epoch of an agent start: (max((stored>>20)+1, unix seconds) << 20) | 20 random bits. It is larger
// than stored, and unique even when the gateway's disk was lost or copied.
func NewEpoch(stored, unixSeconds int64, random uint32) int64 {
	return max((stored>>20)+1, unixSeconds)<<20 | int64(random&(1<<20-1))
}
