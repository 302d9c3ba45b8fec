package mbap

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Function codes that the server answers.
const (
	ReadHolding byte = 3
	ReadInput   byte = 4
)

// Exception codes.
const (
	IllegalFunction     byte = 1
	IllegalAddress      byte = 2
	IllegalValue        byte = 3
	DeviceFailure       byte = 4
	DeviceBusy          byte = 6
	GatewayPath         byte = 0x0A
	GatewayTargetFailed byte = 0x0B
)

// MaxRegisters is the most that one read may ask for.
const MaxRegisters = 125

const (
	headerLen = 7   // transaction, protocol, length, unit
	maxLength = 254 // unit + PDU of at most 253 bytes
)

// Request is one frame of a client.
type Request struct {
	Transaction uint16
	Unit        byte
	Function    byte
	Address     uint16 // zero-based, of a read
	Count       uint16 // registers, of a read
}

// Problem is the exception that any device owes this request: another function than the
// two reads, or not 1..125 registers. 0 = none.
func (q Request) Problem() byte {
	switch {
	case q.Function != ReadHolding && q.Function != ReadInput:
		return IllegalFunction
	case q.Count == 0 || q.Count > MaxRegisters:
		return IllegalValue
	}
	return 0
}

// ErrFrame tells that the stream holds no MBAP frame here: it cannot be followed any
// further and must be closed.
var ErrFrame = errors.New("not a modbus frame")

// ParseRequest takes one frame from the front of b. It returns the bytes it used, 0
// when b does not hold a whole frame yet. A read whose PDU is too short or too long
// comes back with Count 0, which is answered with exception 3.
func ParseRequest(b []byte) (Request, int, error) {
	if len(b) < 6 {
		return Request{}, 0, nil
	}
	if p := binary.BigEndian.Uint16(b[2:]); p != 0 {
		return Request{}, 0, fmt.Errorf("%w: protocol %d", ErrFrame, p)
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < 2 || length > maxLength {
		return Request{}, 0, fmt.Errorf("%w: length %d", ErrFrame, length)
	}
	if len(b) < 6+length {
		return Request{}, 0, nil
	}
	r := Request{Transaction: binary.BigEndian.Uint16(b), Unit: b[6], Function: b[7]}
	if (r.Function == ReadHolding || r.Function == ReadInput) && length == 6 {
		r.Address = binary.BigEndian.Uint16(b[8:])
		r.Count = binary.BigEndian.Uint16(b[10:])
	}
	return r, 6 + length, nil
}

// Spoil says how an answer is ruined on the wire.
type Spoil uint8

// The ways to ruin an answer; the zero value sends it as it should be.
const (
	Intact           Spoil = iota
	Silent                 // no answer
	Close                  // the connection is closed instead
	Half                   // the first half of the frame, then nothing
	WrongLength            // the header claims 65535 bytes
	WrongTransaction       // the answer names another transaction
	WrongUnit              // the answer names another unit
	Short                  // one register fewer than asked for
	Noise                  // bytes that are no frame
)

// appendReply appends the frame of a reply to b. Half and Noise are applied here too.
func appendReply(b []byte, q Request, r Reply) []byte {
	start := len(b)
	regs := r.Registers
	if r.Spoil == Short && len(regs) > 0 {
		regs = regs[:len(regs)-1]
	}
	b = binary.BigEndian.AppendUint16(b, q.Transaction)
	b = append(b, 0, 0, 0, 0, q.Unit)
	if r.Exception != 0 {
		b = append(b, q.Function|0x80, r.Exception)
	} else {
		b = append(b, q.Function, byte(2*len(regs)))
		for _, v := range regs {
			b = binary.BigEndian.AppendUint16(b, v)
		}
	}
	frame := b[start:]
	binary.BigEndian.PutUint16(frame[4:], uint16(len(frame)-6))
	switch r.Spoil {
	case Half:
		b = b[:start+len(frame)/2]
	case WrongLength:
		binary.BigEndian.PutUint16(frame[4:], 0xFFFF)
	case WrongTransaction:
		binary.BigEndian.PutUint16(frame, q.Transaction+0x5A5A)
	case WrongUnit:
		frame[6] = ^q.Unit
	case Noise:
		for i := range frame {
			frame[i] = byte(0xA5 + 31*i + int(q.Transaction))
		}
	}
	return b
}
