// Package wire turns scans, device records and agent events into the bytes of one Kafka message and back. The bytes are
// valid protobuf of bessd.proto (proto3, package bessd.v1); docs/format/wire.md is the whole contract.
//
//	Envelope   exactly one arm: scan, device, event, or raw (reserved)
//	Scan       identity, tick, the plan as a schema block, then what is present:
//	           schema block    columns by vocabulary number, decimals, tiers, periods, map: 1 to 2 bytes a column
//	           absent          a bit per slot, only when something is missing
//	           values          packed zigzag varints of scaled integers, present ones only
//	           texts, lists    present ones only; list elements as differences to their neighbour
//	           rejected        only exceptions
//
// Every message explains itself: a reader needs no registry and no message before it. The schema block is the same
// bytes in all scans of a device, so a decoder parses it once and then finds the plan by those bytes.
package wire
