package bess

// Table is one of the tables that a flush writes to. The order of the constants is the order of the commits: the ledger
// comes last, so that what it holds is in all the others.
type Table uint8

// Tables of a flush.
const (
	TableTelemetry Table = iota
	TableRollup1mParts
	TableDevices
	TableAgentEvents
	TableDeadLetters
	TableLedger
	numTables
)

var tableNames = [numTables]string{"telemetry", "rollup_1m_parts", "devices", "agent_events", "dead_letters", "ledger"}

// String is the table's name, which is also its directory in the lake.
func (t Table) String() string {
	if t < numTables {
		return tableNames[t]
	}
	return "unknown"
}

// FlushTables lists the tables in the order in which a flush commits them.
func FlushTables() []Table {
	out := make([]Table, numTables)
	for i := range out {
		out[i] = Table(i)
	}
	return out
}

// Flush is what one run of messages adds to the tables. It is immutable once it is handed over.
type Flush struct {
	Topic  string
	Ranges []OffsetRange // one per partition, ascending partition

	Scans       *Section
	Rollups     []RollupDay // ascending date
	Devices     []DeviceRecord
	Events      []AgentEvent
	DeadLetters []DeadLetter
	Ledger      []LedgerRow
}

// RollupDay gives the rollup parts of one UTC date, sorted by site, device, point, minute and epoch. They are made when
// they are asked for: at one value a minute, as in a backlog, all of them take fifty times the memory of their scans.
// Asking in ascending order is cheap. It is safe for concurrent use.
type RollupDay interface {
	Date() string // as 2026-11-25
	Rows() int    // number of parts
	// Append appends the parts [from, to) to dst; they are the caller's.
	Append(dst []RollupPart, from, to int) []RollupPart
}

// Rows counts the rows that the flush has for a table.
func (f *Flush) Rows(t Table) int {
	switch t {
	case TableTelemetry:
		if f.Scans == nil {
			return 0
		}
		return f.Scans.Rows()
	case TableRollup1mParts:
		n := 0
		for _, d := range f.Rollups {
			n += d.Rows()
		}
		return n
	case TableDevices:
		return len(f.Devices)
	case TableAgentEvents:
		return len(f.Events)
	case TableDeadLetters:
		return len(f.DeadLetters)
	case TableLedger:
		return len(f.Ledger)
	}
	return 0
}

// LedgerQuery asks for rows of the ledger. Zero fields do not restrict.
type LedgerQuery struct {
	FromUS, ToUS int64 // CommitTS in [FromUS, ToUS), microseconds; ToUS 0 = no end
	Stream       string
	Site         string
	Epoch        int64
}

// Match tells whether a row is asked for.
func (q LedgerQuery) Match(r *LedgerRow) bool {
	return r.CommitTS >= q.FromUS && (q.ToUS == 0 || r.CommitTS < q.ToUS) && (q.Stream == "" || q.Stream == r.Stream) &&
		(q.Site == "" || q.Site == r.Site) && (q.Epoch == 0 || q.Epoch == r.Epoch)
}

// Commit tells what a flush added to one table.
type Commit struct {
	Version int64 // of the table
	Done    bool  // the table held these offsets already: nothing was written
	Rows    int64
	Values  int64 // present values, telemetry only
	Files   int
	Bytes   int64 // of the files
}
