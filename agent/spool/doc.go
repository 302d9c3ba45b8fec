// Package spool keeps records on disk until they are delivered: a queue that
// survives kill -9 and power loss, bounded in bytes and age.
//
// Records are opaque bytes with a little Meta and get a Position, ascending for
// ever. They live in segment files, each a bbolt database named by its first
// position; every record carries a CRC-32C. Only the newest segment is written,
// and only by the process that made it: a restart begins a new one and opens
// the old ones read-only.
//
//	Append (one synced transaction) -> 00000000000000004711.seg ... -> Read (oldest first) -> Ack
//	                                   cursor.db: what is acknowledged, synced about once a second
//
// A segment whose records are all acknowledged is unlinked, and so is the oldest
// one when a bound is exceeded, because a bbolt file never shrinks. Each segment
// belongs to one partition count, so that a record keeps the partition it was
// made for.
//
// Delivery is at least once: acknowledgements of the last second may be
// forgotten by a crash. What is lost is never lost silently: Config.OnLoss hears
// of every record dropped by a bound or damaged on the disk, by device and
// sequence range where they can be read. Damaged files are renamed aside, not
// removed.
package spool
