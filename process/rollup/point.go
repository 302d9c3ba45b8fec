package rollup

import (
	"strconv"

	"bessd/bess"
)

// shape says which figures a point gets. It depends on the vocabulary alone.
type shape struct {
	point  *bess.Point
	has    bess.RollupHas
	enum   *bess.EnumTable // seconds per member
	bits   bool            // seconds per set bit
	at     bess.Num        // text column with the locator of the extreme, 0 = none
	atHigh bool            // the extreme is the maximum
}

// shapes is indexed by Num; a nil point means that the column is not rolled up.
type shapes []shape

func newShapes() shapes {
	points := bess.Points()
	s := make(shapes, len(points)+1)
	for i := range points {
		s[points[i].Num] = newShape(&points[i])
	}
	return s
}

func newShape(p *bess.Point) shape {
	s := shape{point: p}
	switch p.Type {
	case bess.Double, bess.Int64:
		if p.Class != bess.State { // a vendor's code or a heartbeat has no mean
			s.has |= bess.HasSum
		}
		if splitsBySign(p) {
			s.has |= bess.HasPosNeg
		}
	case bess.Enum:
		s.enum = bess.EnumByName(p.Enum)
		s.has |= bess.HasStates
	case bess.Bits:
		s.has |= bess.HasBitOr
		if p.Rollup&bess.RollTimeInState != 0 {
			s.bits = true
			s.has |= bess.HasStates
		}
	default:
		return shape{}
	}
	switch p.Num {
	case bess.NumCellVoltageMinV:
		s.at = bess.NumCellVoltageMinAt
	case bess.NumCellVoltageMaxV:
		s.at, s.atHigh = bess.NumCellVoltageMaxAt, true
	case bess.NumCellTemperatureMinC:
		s.at = bess.NumCellTemperatureMinAt
	case bess.NumCellTemperatureMaxC:
		s.at, s.atHigh = bess.NumCellTemperatureMaxAt, true
	}
	return s
}

// splitsBySign tells whether the parts of either sign are kept: where an integral is asked for, and where the mean of a
// flow (power, current) would let charge and discharge cancel out.
func splitsBySign(p *bess.Point) bool {
	if p.Rollup&bess.RollIntegral != 0 {
		return true
	}
	flow := p.Unit == "W" || p.Unit == "A" || p.Unit == "V.A{reactive}"
	return flow && p.Rollup&bess.RollMean != 0 && p.HasRange && p.Min < 0
}

// bitName is the text under which the seconds of a set bit are kept.
func bitName(p *bess.Point, bit int) string {
	if p.Num == bess.NumAlarmBits {
		for _, a := range bess.AlarmBits() {
			if int(a.Bit) == bit {
				return a.Name
			}
		}
	}
	return "bit" + strconv.Itoa(bit)
}
