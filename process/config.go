package process

import (
	"errors"
	"fmt"
	"time"
)

// Config of an Archive.
type Config struct {
	Topic      string
	Partitions []int // that this process archives

	// A section is flushed when one of these is reached. Two sections may exist at a time, and a block of one may have
	// as much spare capacity as it has rows.
	FlushBytes int64
	FlushRows  int
	FlushAge   time.Duration // at the next multiple of it on the clock, a little later: 1m is just after a minute's border

	Idle        time.Duration // an agent's run that was idle for so long leaves memory
	Window      int           // payload hashes kept per sequence, to tell a repetition from a conflict
	LookupShare float64       // of the time that may go into comparisons with stored rows: 0 = none are made, 1 = all of it
	MemoryBytes int64         // of the agents' runs that are remembered; more only while they are all at work
	Grace       time.Duration // how long a stop may take to commit what is there
	CommitLimit time.Duration // time limit of one try of staging, uploading or committing a table
}

// DefaultConfig gives the defaults; Topic and Partitions are the caller's.
func DefaultConfig() Config {
	return Config{
		FlushBytes: 64 << 20, FlushRows: 1 << 20, FlushAge: time.Minute,
		Idle: 7 * 24 * time.Hour, Window: 32, LookupShare: 0.05, MemoryBytes: 256 << 20,
		Grace: 30 * time.Second, CommitLimit: 2 * time.Minute,
	}
}

// Validate reports all problems at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Topic != "", "topic: empty")
	bad(len(c.Partitions) > 0, "partitions: none")
	bad(c.FlushBytes >= 1<<16, "flush bytes: %d, want 65536 or more", c.FlushBytes)
	bad(c.FlushRows > 0, "flush rows: %d, want 1 or more", c.FlushRows)
	bad(c.FlushAge >= 10*time.Millisecond, "flush age: %s, want 10ms or more", c.FlushAge)
	bad(c.Idle >= time.Hour, "idle: %s, want 1h or more", c.Idle)
	bad(c.Window >= 0 && c.Window <= 1<<16, "window: %d, want 0 to 65536", c.Window)
	bad(c.LookupShare >= 0 && c.LookupShare <= 1, "lookup share: %g, want 0 to 1", c.LookupShare)
	bad(c.MemoryBytes > 0, "memory bytes: %d, want 1 or more", c.MemoryBytes)
	bad(c.Grace > 0, "grace: %s, want more than 0", c.Grace)
	bad(c.CommitLimit > 0, "commit limit: %s, want more than 0", c.CommitLimit)
	return errors.Join(errs...)
}
