package forward

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"bessd/agent/spool"
)

// Record is one message: encoded, opaque, with what a loss report needs.
// Put takes over the Payload; Position and At are set by the forwarder.
type Record = spool.Record

// Sent is how far Producer.Send got.
type Sent struct {
	// Done counts payloads from the front that are settled: acknowledged, or
	// listed in Rejected.
	Done int
	// Rejected are indexes of payloads that Kafka will never take, ascending.
	Rejected []int
	// Reason says why they were rejected.
	Reason error
}

// Producer sends to Kafka.
type Producer interface {
	// Partitions is the topic's partition count at the moment.
	Partitions(ctx context.Context) (int, error)
	// Send sends payloads in order to the site's partition among partitions, and
	// returns when all in-sync replicas have them. It does not retry: with an
	// error, Sent tells which payloads are settled, and the others may or may
	// not have been stored. It does not keep payloads.
	Send(ctx context.Context, partitions int, payloads [][]byte) (Sent, error)
}

// Spool keeps records on disk; *spool.Spool is one.
type Spool interface {
	Append(partitions int, recs []spool.Record) (first spool.Position, err error)
	Read(from spool.Position, maxBytes int) (spool.Batch, error)
	Ack(first, last spool.Position) error
}

var _ Spool = (*spool.Spool)(nil)

// Config describes a Forwarder. Zero fields take their defaults.
type Config struct {
	// Sync is how long a record may wait for Kafka before it is synced to the
	// spool; default 250 ms. It is what a crash can take.
	Sync time.Duration
	// Linger is how long the first record of a batch waits for others; default 20 ms.
	Linger time.Duration
	// BatchBytes bounds one Send; default 256 KiB. It shrinks by itself on a link
	// on which sends time out.
	BatchBytes int
	// QueueBytes bounds the records in memory; default 16 MiB. At half of it
	// the spool is asked early; beyond it the oldest record is lost.
	QueueBytes int
	// SendTimeout bounds one Send; default 15 s.
	SendTimeout time.Duration
	// RetryMin and RetryMax bound the wait after a failed Send; default 100 ms and 10 s.
	RetryMin, RetryMax time.Duration
	// Grace is how long Run goes on sending what is in memory after its context
	// ends, before the rest goes to the spool; default 3 s.
	Grace time.Duration
	// OnLoss hears of records that will not be delivered. It may be called from
	// Put and from Run's goroutines, and must not block nor call the forwarder
	// (hand the report to another goroutine). Give the spool the same function.
	OnLoss func(spool.Loss)
	// Log hears of the link's and the disk's change of state; nil discards.
	Log *slog.Logger
}

// The reasons of losses that the forwarder reports, beside those of the spool.
const (
	// QueueFull: memory was full and the spool did not take records.
	QueueFull spool.Reason = "memory"
	// Refused: Kafka will never take the record, for its size or content.
	Refused spool.Reason = "refused"
)

// ErrStopped is returned by Put after Run's context has ended.
var ErrStopped = errors.New("the forwarder has stopped")

// Stats are the forwarder's figures at one moment; the spool has its own.
type Stats struct {
	Queued      int   // records in memory
	QueuedBytes int64 // their size
	Oldest      time.Time
	// LinkUp is whether the last Send succeeded; true before the first.
	LinkUp bool
	// LinkErr and SpoolErr are the last errors while the trouble lasts, else nil.
	LinkErr, SpoolErr error

	// Since the start, in records:
	Taken   int64 // accepted by Put
	Acked   int64 // acknowledged by Kafka
	Spooled int64 // written to the spool
	Lost    int64 // dropped or refused here
	// Since the start, in calls:
	Sends   int64 // calls of Send
	Retries int64 // calls of Send that failed
	Syncs   int64 // transactions of the spool
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Sync, 250*time.Millisecond)
	def(&c.Linger, 20*time.Millisecond)
	def(&c.SendTimeout, 15*time.Second)
	def(&c.RetryMin, 100*time.Millisecond)
	def(&c.RetryMax, 10*time.Second)
	def(&c.Grace, 3*time.Second)
	if c.BatchBytes == 0 {
		c.BatchBytes = 256 << 10
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = 16 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
