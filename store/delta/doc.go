// Package delta keeps the commit log of one table: which Parquet files it
// consists of, what its columns are and which positions of the input it
// contains. The form is Delta Lake's (reader version 1, writer version 2), so
// that other engines read the tables; docs/format/delta.md lists what we write.
//
//	<table>/_delta_log/00000000000000000007.json                version 7: the actions of one commit
//	<table>/_delta_log/00000000000000000050.checkpoint.parquet  everything up to version 50
//	<table>/_delta_log/_last_checkpoint                         a hint to the newest checkpoint
//
// A commit is one put-if-absent of the next version's file. Who finds it taken
// reads it: either it is his own (the reply to an earlier try was lost), or he
// checks his change against it and tries the version after.
//
//	Commit ── check against state ── put version n+1 ──┬─ stored ──────────────► done
//	   ▲                                               └─ exists ── read it ──┬─ own txnId ► done
//	   └───────────────── apply, back off ────────────────────────────────────┘
//
// Exactly-once rests on `txn` actions: a position (a Kafka offset) per source,
// committed together with the files. A commit names the position it starts
// from, and is fenced when the table already has another.
package delta
