// Package bess is the domain of bessd: what a scan of a battery device is, which columns exist, and the pure functions
// that every part applies to them. It imports the standard library only and knows no wire, disk or network format.
//
//	Plan   which columns one device's scans carry, with resolution, tier and period; immutable, named by its hash
//	Scan   one row: what was read from one device at one tick; values are scaled integers, absent is a value of its own
//	Section  scans of one partition's run of messages, kept per device in rows of 8-byte slots until they are flushed
//	RollupPart, LedgerRow, DeviceRecord, AgentEvent, DeadLetter: the rows of the other tables
//
// Numbers travel as integers scaled by a power of ten (Column.Decimals). v / 10^d is the correctly rounded double; a
// multiplication by 0.1 is not. Signs follow the generator convention: positive means that energy leaves the battery.
package bess

//go:generate go run ../scripts/gen/vocabulary -in . -out vocabulary_gen.go -md ../docs/format/vocabulary.md
