package maps

import (
	"time"

	"bessd/bess"
)

// Tier says how often a group of points is read, or kept.
type Tier uint8

// Tiers, fastest first.
const (
	Fast      Tier = iota // the device's `every`
	Slow                  // racks and module sums
	Cells                 // single cells
	Nameplate             // what hardly changes: ratings, settings, identity
	NumTiers
)

var tierNames = [NumTiers]string{"fast", "slow", "cells", "nameplate"}

// String gives the name as configurations write it.
func (t Tier) String() string { return tierNames[t] }

// ParseTier is the inverse of Tier.String.
func ParseTier(s string) (Tier, bool) {
	for i, n := range tierNames {
		if n == s {
			return Tier(i), true
		}
	}
	return 0, false
}

// Layout is what one Modbus unit offers. It is immutable once built.
type Layout struct {
	Map     string                  // id and version, for example "sunspec@1"
	Periods [NumTiers]time.Duration // wanted period of each tier; 0 = the agent's own; Fast is always the agent's
	Points  []Point                 // every register point that exists, in no order
	Devices []Device                // parents before children
}

// Point is a run of registers that hold one value.
type Point struct {
	Fn   uint8 // Modbus function, 3 or 4
	Addr uint16
	Len  uint16
	Tier Tier // how often it is read
	// Run groups points that one request may cover: it never covers points of two runs. A run is read in one tier.
	Run int
	// Gap is how many unknown registers before this point a request may read over.
	Gap uint16
	// Want is false for points that nobody needs: they are read over but never cut, and not read at an end.
	Want bool
	// Check says that the point must hold Value, else the whole run is something else than the layout says.
	Check bool
	Value uint16
}

// Device is one device that the unit feeds.
type Device struct {
	Path   string
	Kind   bess.Kind
	Parent string // path, "" for none
	Fields []Field
}

// Op says how a field makes its value from its registers.
type Op uint8

// Operations of fields.
const (
	Number   Op = iota // Regs[0] x 10^Regs[1] (if SF), scaled; for Double and Int64 columns, extra points
	Choice             // the first Case that holds gives the code: Enum columns, and identity by Names
	Union              // the values of all Cases that hold, or-ed: Bits columns
	Path               // Regs[i] are indexes from 1, Words[i] their words: Text columns
	Array              // Count elements of Regs[0], Stride registers apart: Floats columns
	Flags              // as Array: bit 0 of each, for Bools columns
	Identity           // Regs[0] is text or a number shown as text
	Date               // Regs[0] is days since 2000-01-01
)

// Field fills one column, extra point or identity entry of a device. Of several fields for one column the one with the
// lowest Rank wins among those that the device implements.
type Field struct {
	Column bess.Num // 0 for extra points and identity
	Extra  string   // "<map>.<point>"
	Ident  string   // key of DeviceRecord.Identity
	Rank   uint8
	Tier   Tier // how often it is kept; not faster than its registers are read
	Op     Op
	Regs   []Reg

	SF        bool    // Regs[1] is a scale factor
	Scale     Decimal // the zero value means 1
	Offset    Decimal
	Magnitude bool // the absolute value counts
	Cases     []Case
	Else      int64    // Choice: code when no case holds, None = the value is rejected
	Names     []Name   // Choice for identity: texts of codes
	Words     []string // Path: "rack%02d"
	Count     int      // Array, Flags
	Stride    uint16
}

// None is the Else of a Choice without one.
const None = -1

// Name gives a code a text.
type Name struct {
	Code int64
	Text string
}

// Decimal is M x 10^E.
type Decimal struct {
	M int64
	E int8
}

// Type is how registers hold a value.
type Type uint8

// Types of registers. Texts are two bytes a register, high byte first, ended by NUL or blanks.
const (
	TypeUnknown Type = iota
	U16
	I16
	U32
	I32
	U64
	I64
	F32
	F64
	Text
)

// Registers is the size of a type, 0 for Text, whose size is the point's.
func (t Type) Registers() uint16 {
	switch t {
	case U16, I16:
		return 1
	case U32, I32, F32:
		return 2
	case U64, I64, F64:
		return 4
	}
	return 0
}

// Reg is one value in the registers.
type Reg struct {
	Fn       uint8
	Addr     uint16
	Len      uint16 // registers
	Type     Type
	LowFirst bool // the low word stands first
	// Nulls are raw values (as unsigned) that mean "no value"; NaN always does.
	Nulls []uint64
	// ZeroNull says that 0 means either "no value" or zero and nobody can tell (SunSpec accumulators, indexes).
	ZeroNull bool
	// Shift and Bits cut a part out of the raw value; Bits 0 takes all.
	Shift, Bits uint8
	// Add is added to an index before it is used (vendors that count from 0).
	Add int16
}

// CondOp is a test.
type CondOp uint8

// Tests of a condition. A register without a value fails every test but IsNull.
const (
	Equals  CondOp = iota // raw = Arg
	AnyBit                // raw & Arg != 0
	NoBit                 // raw & Arg = 0
	NotZero               // raw != 0
	Less                  // raw < raw of register Arg
	Same                  // raw = raw of register Arg
	IsNull                // no value
)

// Cond is one test of one register.
type Cond struct {
	Op  CondOp
	Reg uint8 // index into Field.Regs
	Arg uint64
}

// Case is a value that holds when all its conditions do.
type Case struct {
	When  []Cond
	Value int64
	// Copy is a mask of bits that are taken over from the register of the first condition.
	Copy uint64
}
