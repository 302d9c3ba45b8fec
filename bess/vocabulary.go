package bess

import "strconv"

// Num is the frozen number of a vocabulary point. It names the column on the wire and is never used again for another.
type Num uint16

// Type says how a column is stored.
type Type uint8

// Column types. Enum and Bits are int64 in a Scan; Enum becomes lower-case text in tables.
const (
	TypeUnknown Type = iota
	Double           // scaled integer in a Scan, float64 in tables
	Int64            // int64
	Enum             // code of an EnumTable
	Bits             // non-negative int64, bit n has a meaning of its own
	Text             // a path below the row's device
	Floats           // list of scaled integers in a Scan, LIST<float> in tables
	Bools            // list of 0 and 1
)

// Class says what kind of quantity a column holds.
type Class uint8

// Classes of points. Counter never decreases in one device's life.
const (
	ClassUnknown Class = iota
	Gauge
	Counter
	Nameplate
	Setting
	State
	Bitfield
	List
)

// Rollup is the set of figures that make sense for a column over time.
type Rollup uint16

// Rollup figures as the vocabulary names them.
const (
	RollMean Rollup = 1 << iota
	RollMin
	RollMax
	RollLast
	RollIntegral
	RollIncrease
	RollTimeInState
	RollBitOr
	RollAtMin
	RollAtMax
)

// Kind is the kind of a device.
type Kind uint8

// Kinds of devices, see docs/format/vocabulary.md.
const (
	KindUnknown Kind = iota
	SiteController
	Bank
	Rack
	Module
	PCS
	DC
	Meter
	HVAC
	Env
	Aux
)

var kindNames = [...]string{"unknown", "site_controller", "bank", "rack", "module", "pcs", "dc", "meter", "hvac", "env", "aux"}

// String gives the kind's name as it stands in tables.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind" + strconv.Itoa(int(k))
}

// ParseKind is the inverse of Kind.String; ok is false for a name that is no kind.
func ParseKind(s string) (k Kind, ok bool) {
	for i, n := range kindNames {
		if n == s && i > 0 {
			return Kind(i), true
		}
	}
	return KindUnknown, false
}

// KindSet is a set of kinds, bit n = Kind n.
type KindSet uint16

// Has reports whether the set holds k.
func (s KindSet) Has(k Kind) bool { return s&(1<<k) != 0 }

// Point is one column of the vocabulary.
type Point struct {
	Num      Num
	Name     string // column name; its suffix is its unit
	Type     Type
	Class    Class
	Unit     string // UCUM code, or a {word} for things without one
	Decimals int8   // most decimals kept; 0 for integers
	HasRange bool   // Min and Max hold
	Min, Max float64
	Kinds    KindSet
	Rollup   Rollup
	Enum     string // name of the EnumTable, for Type Enum
	Derived  bool   // filled from the same scan where the device has no own value
	Wraps    bool   // a counter that may start again at 0
}

// EnumTable names the codes of an enum column. Codes are stable; new ones may be added.
type EnumTable struct {
	Name    string
	Members []EnumMember
}

// EnumMember is one code of an enum. Available counts for the availability figure, operating_state only.
type EnumMember struct {
	Code      int64
	Name      string
	Available bool
}

// MemberName gives the text of a code, "unknown" for one that the table does not know.
func (e *EnumTable) MemberName(code int64) string {
	for i := range e.Members {
		if e.Members[i].Code == code {
			return e.Members[i].Name
		}
	}
	return "unknown"
}

// Code gives the code of a member's name.
func (e *EnumTable) Code(name string) (int64, bool) {
	for i := range e.Members {
		if e.Members[i].Name == name {
			return e.Members[i].Code, true
		}
	}
	return 0, false
}

// AlarmBit is one bit of alarm_bits.
type AlarmBit struct {
	Bit      uint8
	Name     string
	Severity string // info, warning, alarm, critical
}

// Points lists the vocabulary in order of Num. The slice is shared: read only.
func Points() []Point { return vocabulary }

// Enums lists the enum tables. The slice is shared: read only.
func Enums() []EnumTable { return enums }

// AlarmBits lists the bits of alarm_bits. The slice is shared: read only.
func AlarmBits() []AlarmBit { return alarmBits }

// PointByNum finds a point by its number; nil when the vocabulary of this build does not know it.
func PointByNum(n Num) *Point {
	if n == 0 || int(n) > len(vocabulary) {
		return nil
	}
	return &vocabulary[n-1] // numbers are dense from 1; the generator refuses anything else
}

// PointByName finds a point by its column name, nil if there is none. It is linear: for loading, not for hot paths.
func PointByName(name string) *Point {
	for i := range vocabulary {
		if vocabulary[i].Name == name {
			return &vocabulary[i]
		}
	}
	return nil
}

// EnumByName finds an enum table, nil if there is none.
func EnumByName(name string) *EnumTable {
	for i := range enums {
		if enums[i].Name == name {
			return &enums[i]
		}
	}
	return nil
}

// VocabularyVersion names the set of points of this build.
const VocabularyVersion = 1
