// Package store is the lake: tables of Parquet files with a commit log, in a
// directory or an object store.
//
//	             data_dir/stage/<table>/                the store
//	Table.Stage ── temp, fsync, rename ──► Staged
//	Table.Upload ───────────────────────────────────────► <table>/dt=2026-11-25/part-<uuid>.parquet
//	Table.Commit ───────────────────────────────────────► <table>/_delta_log/<version>.json
//	             staged file deleted ◄───────────────────┘
//
// A row exists from the moment its commit does. Until then nothing that a
// crash leaves behind counts: staged files are deleted at the next start, and
// uploaded ones that no commit names are invisible. Whoever stages rows again
// after a crash therefore loses and doubles nothing, if he starts from the
// position (Txn) that the table holds.
//
// A store that is slow, full, or away is waited for: every operation here
// repeats transient failures until its context ends, and returns only what
// somebody has to act on.
package store
