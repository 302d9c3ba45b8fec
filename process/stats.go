package process

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"bessd/bess"
)

// Stats is what an Archive tells about itself. Counts are since its start; rates are differences of counts.
type Stats struct {
	Messages, Scans, Records int64 // taken in; records are device records and agent events
	Values                   int64 // present values in accepted scans
	Duplicates               int64
	Unchecked                int64 // duplicates whose payload could not be compared
	Conflicts                int64
	DeadLetters              map[string]int64 // by reason, conflicts included
	Generations              int64            // new generations begun
	Gaps                     int64            // runs of messages that the log had lost
	Orphaned                 int64            // flushes that could not be completed because the topic was replaced
	ClockAhead               int64            // messages whose record time is ahead of central's clock

	Partitions map[int]PartitionStats
	Twins      []Twin
	Flush      FlushStats
	Section    SectionStats
}

// PartitionStats is one partition's state.
type PartitionStats struct {
	Next      bess.Position // taken in
	Committed bess.Position // in all tables
	High      int64         // end of the log
}

// Lag is how many messages wait in the log.
func (p PartitionStats) Lag() int64 { return max(0, p.High-p.Next.Offset) }

// SectionStats is the section that fills.
type SectionStats struct {
	Rows   int
	Values int64
	Bytes  int64
	// Waiting says that it is full, or due, while the one before is still being committed: fetching pauses.
	Waiting bool
}

// FlushStats describes the flushes. The last one's tables are by name.
type FlushStats struct {
	Count    int64
	Rows     int64 // of telemetry
	Values   int64 // of telemetry
	Files    int64
	Bytes    int64 // of all files
	Failures int64 // tries that failed and were repeated

	LastAt    time.Time
	LastTook  time.Duration
	LastTable map[string]bess.Commit
	// Failing is what the flush at work waits for, "" when nothing is wrong.
	Failing string
}

// counters are the numbers behind Stats. Safe for concurrent use.
type counters struct {
	messages, scans, records, values, duplicates, unchecked, conflicts, generations, gaps, orphaned, clockAhead atomic.Int64

	mu         sync.Mutex
	dead       map[string]int64
	partitions map[int]PartitionStats
	flush      FlushStats
	section    SectionStats
}

func newCounters() *counters {
	return &counters{dead: map[string]int64{}, partitions: map[int]PartitionStats{}, flush: FlushStats{LastTable: map[string]bess.Commit{}}}
}

func (c *counters) bury(reason string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead[reason]++
	return c.dead[reason]
}

func (c *counters) partition(p int, f func(*PartitionStats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.partitions[p]
	f(&s)
	c.partitions[p] = s
}

func (c *counters) setSection(s SectionStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.section = s
}

// handOver moves the section's values to the total: the section goes to its flush.
func (c *counters) handOver(values int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values.Add(values)
	c.section = SectionStats{}
}

func (c *counters) flushed(f func(*FlushStats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.flush)
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		Messages: c.messages.Load(), Scans: c.scans.Load(), Records: c.records.Load(), Values: c.values.Load() + c.section.Values, Duplicates: c.duplicates.Load(),
		Unchecked: c.unchecked.Load(), Conflicts: c.conflicts.Load(), Generations: c.generations.Load(), Gaps: c.gaps.Load(),
		Orphaned: c.orphaned.Load(), ClockAhead: c.clockAhead.Load(),
		DeadLetters: maps.Clone(c.dead), Partitions: maps.Clone(c.partitions), Flush: c.flush, Section: c.section,
	}
	s.Flush.LastTable = maps.Clone(c.flush.LastTable)
	return s
}
