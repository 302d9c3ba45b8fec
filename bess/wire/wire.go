package wire

import (
	"errors"
	"fmt"

	"bessd/bess"
)

// Limits of a message. A decoder refuses what exceeds them, before it allocates; an encoder does not check, its caller
// compares the length of what it made with MaxMessage.
const (
	MaxMessage      = 1 << 20 // bytes of an envelope
	MaxSlots        = bess.MaxSlots
	MaxTiers        = 64
	MaxListElements = 1 << 16 // of one list
	maxAllElements  = 1 << 18 // of all lists of a message: bounds what bitmaps of absent elements can ask for
	maxName         = 256     // bytes of a map id, an extra point's name, a key
	maxText         = 4096    // bytes of any other text
	maxEntries      = 1 << 16 // entries of any repeated field of a record
)

// Arm says what an envelope carries.
type Arm uint8

// Arms of an envelope.
const (
	ArmUnknown Arm = iota
	ArmScan
	ArmDevice
	ArmEvent
	ArmRaw // reserved for raw register images: no reader yet
)

// Envelope is one decoded message. Exactly the field of its arm is set. It is lent: the next Decode reuses the scan.
// Device and Event are fresh objects that the caller may keep.
type Envelope struct {
	Arm    Arm
	Scan   *bess.Scan
	Device *bess.DeviceRecord
	Event  *bess.AgentEvent
}

// ErrUnknownArm tells that a message is an envelope of an arm that this build cannot read: a newer agent's, or the
// reserved one. Such messages go to dead letters, to be replayed by a newer reader.
var ErrUnknownArm = errors.New("the envelope's arm is not known to this version")

// ErrIdentity is in the chain of a DecodeError when a message is well formed but its site or device is not a valid name.
var ErrIdentity = errors.New("invalid site or device")

// DecodeError tells where and why a message could not be read.
type DecodeError struct {
	Offset int    // byte of the message where the offending field begins
	What   string // what was being read and what is wrong with it
	Err    error  // the cause, may be nil
}

func (e *DecodeError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("decoding message at byte %d: %s: %v", e.Offset, e.What, e.Err)
	}
	return fmt.Sprintf("decoding message at byte %d: %s", e.Offset, e.What)
}

// Unwrap gives the cause.
func (e *DecodeError) Unwrap() error { return e.Err }
