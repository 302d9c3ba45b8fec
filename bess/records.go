package bess

// DeviceRecord tells what a device is; sent at start, on change and hourly. (Site, Epoch, Rec) names it for ever.
type DeviceRecord struct {
	Site   string
	Device string
	Kind   Kind
	Epoch  int64
	Rec    int64  // counts the agent's records (device records and events together) within the epoch
	TS     int64  // microseconds UTC
	Cause  string // start, change, hourly

	Parent   string // device path of the parent, "" for none
	Endpoint string // host:port
	UnitID   int64
	Plan     *Plan
	// Absent lists columns that the map knows and the device does not implement: said once here, not in every scan.
	NotImplemented []string

	// Identity as the device tells it; "" = not told. Keys: manufacturer, model, options, firmware_version,
	// serial_number, battery_type, warranty_end_date, port_type, port_name, role.
	Identity map[string]string
	// Nameplate holds rated values by column name, in the column's unit.
	Nameplate map[string]float64
}

// EventKind says what an AgentEvent tells.
type EventKind uint8

// Agent events.
const (
	EventUnknown   EventKind = iota
	EventStart               // PrevEpoch set if known
	EventStop                // an orderly stop
	EventHeartbeat           // every 5 s
	EventClockStep           // ClockStepUS set
	EventDropped             // Dropped set
)

var eventNames = [...]string{"unknown", "start", "stop", "heartbeat", "clock_step", "dropped"}

// String gives the name as it stands in tables.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// AgentEvent is what an agent says about itself. (Site, Epoch, Rec) names it for ever. Completeness and communication
// rules read only these and the device records.
type AgentEvent struct {
	Site  string
	Epoch int64
	Rec   int64
	TS    int64 // microseconds UTC
	Kind  EventKind

	PrevEpoch    int64  // start: the epoch before, 0 if unknown
	Version      string // of the agent
	Host         string
	SpoolRecords int64
	SpoolBytes   int64
	LastSeq      []DeviceSeq // heartbeat: last seq handed out per device, sorted by device
	ClockStepUS  int64       // clock_step: how far the wall clock moved, microseconds
	Dropped      []DroppedRange
	Note         string
}

// DeviceSeq is a device's last sequence number.
type DeviceSeq struct {
	Device string
	Seq    int64
}

// DroppedRange names scans that the agent gave up, with the reason.
type DroppedRange struct {
	Device   string
	Epoch    int64
	FirstSeq int64
	LastSeq  int64
	Reason   string // spool_bytes, spool_age, spool_damaged, message_too_large, memory (full), not_taken (at a stop)
}

// DeadLetter is a message that could not become a row.
type DeadLetter struct {
	Partition  int
	Generation int64
	Offset     int64
	RecordTime int64  // microseconds UTC
	Reason     string // decode, clock, conflict, unknown_arm, identity
	Detail     string
	Site       string // "" if not known
	Device     string
	Payload    []byte
}

// Streams of ledger rows, see docs/format/ledger.md.
const (
	StreamScan     = "scan"     // scans of one device and epoch
	StreamRecord   = "record"   // device records and agent events of one site and epoch; Device is ""
	StreamPosition = "position" // how far one partition was read; no site
	StreamGap      = "gap"      // messages of one partition that the log had lost before they were read; no site
	StreamLetter   = "letter"   // dead letters of one partition; Ranges are hashes of them, no site
)

// LedgerRow says which scans of one device and epoch one flush committed, or (StreamPosition, StreamGap, StreamLetter) what became of
// one partition. Written once per flush, append-only.
type LedgerRow struct {
	Stream                    string
	Site                      string
	Device                    string
	Epoch                     int64
	Partition                 int
	Generation                int64
	FirstOffset, NextOffset   int64      // the flush's offsets of this partition: [FirstOffset, NextOffset); gap: the lost ones
	Ranges                    []SeqRange // accepted seq or rec, ascending
	FirstTS, LastTS           int64      // of the accepted scans, microseconds; 0 without any
	Good, Partial, Stale, Bad int64
	Duplicates                int64 // seen again in this flush and not stored
	Conflicts                 int64 // the same name with another payload: in dead_letters
	CommitTS                  int64 // central's clock when the flush was cut, microseconds

	// Position rows: the last message before NextOffset, and a hash over its key, value and timestamp.
	FingerprintOffset int64
	Fingerprint       string
}

// SeqRange is a closed interval of sequence numbers.
type SeqRange struct{ First, Last int64 }

// StateSeconds is the time spent in one state within a rollup part.
type StateSeconds struct {
	State   string
	Seconds float64
}

// RollupPart is an additive partial over one minute of one point: what one offset range contributed. Merging is
// associative and commutative, see docs/format/rollup.md.
type RollupPart struct {
	Site, Device string
	Kind         Kind
	Epoch        int64
	Point        string // column name
	MinuteTS     int64  // microseconds, start of the minute of ts

	N            int64
	Sum          float64
	Min, Max     float64
	First        float64
	FirstTS      int64
	Last         float64
	LastTS       int64
	WeightS      float64        // sum of the column's period over the values
	Pos, Neg     float64        // sums of the positive and negative part times the period: unit of the column times seconds
	States       []StateSeconds // enums: seconds per state, sorted by state
	BitOr        int64
	AtMin, AtMax string // locator of the row where the matching column had its extreme

	Has RollupHas
}

// RollupHas says which figures of a part hold.
type RollupHas uint8

// Figures of a part that may be missing.
const (
	HasSum    RollupHas = 1 << iota // Sum, Min, Max
	HasPosNeg                       // Pos, Neg
	HasBitOr
	HasStates
)

// Position is where a partition is to be read next. Positions compare by generation, then offset.
type Position struct {
	Generation int64
	Offset     int64
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	return p.Generation < q.Generation || p.Generation == q.Generation && p.Offset < q.Offset
}

// OffsetRange is a run of one partition's messages: [From, To) of one generation.
type OffsetRange struct {
	Partition  int
	Generation int64
	From, To   int64
}
