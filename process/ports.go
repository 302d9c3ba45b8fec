package process

import (
	"context"

	"bessd/bess"
)

// Message is one record of a partition.
type Message struct {
	Offset int64
	TimeUS int64 // the record's timestamp, microseconds UTC; 0 or less when it has none
	Key    []byte
	Value  []byte
}

// Fetched is the answer to one fetch. Messages and their bytes belong to the receiver.
type Fetched struct {
	Messages      []Message // ascending offsets from the one asked for; may be empty
	Next          int64     // the offset to ask for next
	HighWatermark int64     // the end of the log
}

// Source is the log of one topic. It is safe for concurrent use.
type Source interface {
	// Fetch reads from offset on. At the end of the log it waits a little for messages and then gives none. An offset
	// outside the log is an error, as is everything that may pass.
	Fetch(ctx context.Context, partition int, offset int64) (Fetched, error)
	// Bounds tells where a partition's log starts and ends: it holds [start, end).
	Bounds(ctx context.Context, partition int) (start, end int64, err error)
}

// Lake is the set of tables that flushes go to.
type Lake interface {
	// Positions reads a table's next position of each partition of the topic that it has one for: of the highest
	// generation.
	Positions(ctx context.Context, topic string, t bess.Table) (map[int]bess.Position, error)
	// Stage writes the rows that the flush has for a table to local disk, durably. There may be none: the commit then
	// only moves positions. f must not change until Discard.
	Stage(ctx context.Context, f *bess.Flush, t bess.Table) (Staged, error)
}

// Staged is the rows of one table on local disk. Each method may be repeated after an error.
type Staged interface {
	Upload(ctx context.Context) error
	// Commit makes the rows part of the table together with the flush's positions, or finds that the table is already
	// at or beyond all of them (Commit.Done). An error with a method Fenced() bool that gives true says that somebody
	// else commits for one of the partitions.
	Commit(ctx context.Context) (bess.Commit, error)
	// Discard removes what is left on local disk.
	Discard() error
}

// Ledger reads the ledger table back.
type Ledger interface {
	// Rows calls fn with every row that matches, in any order. The row is fn's own.
	Rows(ctx context.Context, q bess.LedgerQuery, fn func(*bess.LedgerRow) error) error
}

// RowLookup compares with what the lake holds. It may be slow: calls have a time limit and a small share of the time.
type RowLookup interface {
	// Matches reports whether telemetry holds this scan (site, device, epoch, seq) with the same content. A row that is
	// not there is an error.
	Matches(ctx context.Context, s *bess.Scan) (bool, error)
}
