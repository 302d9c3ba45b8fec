package tables

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"bessd/bess"
	"bessd/bess/columns"
	"bessd/store"
	"bessd/store/delta"
)

// partitionColumn divides every table.
const partitionColumn = "dt"

// Specs are the tables that the lake must have, to open it with.
func Specs() []store.TableSpec {
	spec := func(t bess.Table, s columns.Schema, appendOnly bool, description string) store.TableSpec {
		return store.TableSpec{Name: t.String(), Schema: s, Partition: partitionColumn, AppendOnly: appendOnly, Description: description}
	}
	return []store.TableSpec{
		spec(bess.TableTelemetry, telemetrySchema(telemetryColumns()), false, "one row per scan: what was read from one device at one tick"),
		spec(bess.TableRollup1mParts, rollupLayout().schema(), false, "additive partials per device, point and minute; view rollup_1m merges them"),
		spec(bess.TableDevices, deviceLayout().schema(), false, "what devices are: identity, nameplate, plan and periods; at start, on change, hourly"),
		spec(bess.TableAgentEvents, eventLayout().schema(), true, "what agents say about themselves"),
		spec(bess.TableDeadLetters, letterLayout().schema(), false, "messages that could not become a row"),
		spec(bess.TableLedger, ledgerLayout().schema(), true, "which scans were committed by which flush"),
	}
}

// Lake writes flushes to a store.Lake opened with Specs, and reads the ledger back. It is safe for concurrent use.
type Lake struct {
	lake      *store.Lake
	telemetry []telemetryColumn
	rollup    layout[part]
	devices   layout[device]
	events    layout[event]
	letters   layout[letter]
	ledger    layout[ledgerRow]
}

// New gives the adapter over an open lake.
func New(l *store.Lake) *Lake {
	return &Lake{lake: l, telemetry: telemetryColumns(), rollup: rollupLayout(), devices: deviceLayout(), events: eventLayout(), letters: letterLayout(), ledger: ledgerLayout()}
}

func (l *Lake) table(t bess.Table) *store.Table { return l.lake.Table(t.String()) }

// appID names a partition of a topic's generation in a table's log.
func appID(topic string, generation int64, partition int) string {
	return fmt.Sprintf("bessd/%s/%d/%d", topic, generation, partition)
}

// parseAppID is the inverse of appID for one topic.
func parseAppID(id, topic string) (generation int64, partition int, ok bool) {
	rest, ok := strings.CutPrefix(id, "bessd/"+topic+"/")
	if !ok {
		return 0, 0, false
	}
	g, p, ok := strings.Cut(rest, "/")
	generation, err1 := strconv.ParseInt(g, 10, 64)
	partition, err2 := strconv.Atoi(p)
	return generation, partition, ok && err1 == nil && err2 == nil
}

// Positions reads a table's next position of each partition of the topic: of the highest generation.
func (l *Lake) Positions(ctx context.Context, topic string, t bess.Table) (map[int]bess.Position, error) {
	_, at, err := l.table(t).Positions(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the positions of table %s: %w", t, err)
	}
	out := map[int]bess.Position{}
	for id, next := range at {
		g, p, ok := parseAppID(id, topic)
		if !ok {
			continue
		}
		pos := bess.Position{Generation: g, Offset: next}
		if old, have := out[p]; !have || old.Before(pos) {
			out[p] = pos
		}
	}
	return out, nil
}

// Staged is the rows of one table of one flush on local disk. It is used by one goroutine at a time.
type Staged struct {
	table  *store.Table
	flush  *bess.Flush
	files  []*store.Staged
	values int64
}

// Stage writes the rows that the flush has for a table, one file per date. Before the first table of a flush it waits
// for room in the stage.
func (l *Lake) Stage(ctx context.Context, f *bess.Flush, t bess.Table) (*Staged, error) {
	if t == bess.TableTelemetry {
		if err := l.lake.AwaitRoom(ctx); err != nil {
			return nil, err
		}
	}
	s := &Staged{table: l.table(t), flush: f}
	var days []dated
	switch t {
	case bess.TableTelemetry:
		days = telemetryDays(l.telemetry, f.Scans)
		s.values = int64(f.Scans.Values())
	case bess.TableRollup1mParts:
		days = rollupDays(l.rollup, f.Rollups)
	case bess.TableDevices:
		days = byDate(f.Devices, l.devices, func(r *device) int64 { return r.TS })
	case bess.TableAgentEvents:
		days = byDate(f.Events, l.events, func(r *event) int64 { return r.TS })
	case bess.TableDeadLetters:
		days = byDate(f.DeadLetters, l.letters, func(r *letter) int64 { return r.RecordTime })
	case bess.TableLedger:
		days = byDate(f.Ledger, l.ledger, func(r *ledgerRow) int64 { return r.CommitTS })
	default:
		return nil, fmt.Errorf("staging: table %d is none of a flush", t)
	}
	tags := map[string]string{"bessd.offsets": offsets(f)}
	for _, d := range days {
		file, err := s.table.Stage(ctx, d.date, d.src, tags)
		if err != nil {
			s.table.Discard(s.files...)
			return nil, err
		}
		s.files = append(s.files, file)
	}
	return s, nil
}

// offsets describes for people which messages a file comes from: generation/partition:from-to, joined by commas.
func offsets(f *bess.Flush) string {
	var b strings.Builder
	for i, r := range f.Ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d/%d:%d-%d", r.Generation, r.Partition, r.From, r.To)
	}
	return b.String()
}

// Upload stores the files in the lake, where nothing refers to them yet.
func (s *Staged) Upload(ctx context.Context) error {
	for _, f := range s.files {
		if err := s.table.Upload(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// Commit makes the files part of the table and moves the positions of the flush's partitions, all at once. When the table
// is at or beyond all of them, an earlier try succeeded and nothing is done. A table that was left out of flushes without
// rows for it may lag behind the flush's start. Any other position means that somebody else commits for the partition.
func (s *Staged) Commit(ctx context.Context) (bess.Commit, error) {
	c, err := s.commit(ctx)
	var fenced *delta.FencedError
	if errors.As(err, &fenced) {
		// Whoever came between may have been ourselves: an earlier try that was given up and arrived all the same, after
		// the positions were read.
		c, err = s.commit(ctx)
	}
	return c, err
}

func (s *Staged) commit(ctx context.Context) (bess.Commit, error) {
	version, at, err := s.table.Positions(ctx)
	if err != nil {
		return bess.Commit{}, err
	}
	var txns []delta.Txn
	var ahead *delta.FencedError
	for _, r := range s.flush.Ranges {
		id := appID(s.flush.Topic, r.Generation, r.Partition)
		have, known := at[id]
		if !known {
			have = store.NoPosition
		}
		switch {
		case known && have >= r.To && have > r.From:
			ahead = &delta.FencedError{Table: s.table.Name(), AppID: id, Have: have, Expected: r.From}
		case have > r.From:
			return bess.Commit{}, &delta.FencedError{Table: s.table.Name(), AppID: id, Have: have, Expected: r.From}
		default:
			txns = append(txns, delta.Txn{AppID: id, Expected: have, Version: r.To})
		}
	}
	if ahead != nil && len(txns) > 0 {
		return bess.Commit{}, ahead
	}
	if ahead != nil {
		return bess.Commit{Version: version, Done: true}, nil
	}
	c := bess.Commit{Files: len(s.files), Values: s.values}
	for _, f := range s.files {
		c.Rows += f.Rows
		c.Bytes += f.Size
	}
	c.Version, err = s.table.Commit(ctx, store.Commit{Files: s.files, Positions: txns})
	return c, err
}

// Discard removes what is left on local disk.
func (s *Staged) Discard() error {
	s.table.Discard(s.files...)
	return nil
}

// errNoRow says that telemetry has no row of a scan's name.
var errNoRow = errors.New("telemetry has no row of this name")

// Matches reports whether telemetry holds the scan with the same content: every column that its plan has, and what
// describes the scan. Only files that may hold the row at its tick are read, usually one: a name that is stored with
// another tick counts as not there.
func (l *Lake) Matches(ctx context.Context, sc *bess.Scan) (bool, error) {
	sec := bess.NewSection()
	sec.Append(sc, 0)
	want := newDaySource(l.telemetry, sec.Days()[0])
	compared := func(name string) bool { return name != "late_s" } // of the copy that came first
	names := []string{}
	var index []int
	for i, c := range l.telemetry {
		num := 0
		if p := bess.PointByName(c.Name); p != nil {
			num = int(p.Num)
		}
		inPlan := num == 0 || bess.Find(sc.Plan.Columns, bess.Num(num)) >= 0 || bess.Find(sc.Plan.Texts, bess.Num(num)) >= 0 || bess.Find(sc.Plan.Lists, bess.Num(num)) >= 0
		if compared(c.Name) && inPlan {
			names, index = append(names, c.Name), append(index, i)
		}
	}
	found, same := false, true
	day := date(sc.TS)
	err := l.table(bess.TableTelemetry).Scan(ctx, store.Scan{Columns: names, Where: []store.Equal{{Column: "ts", Value: sc.TS},
		{Column: "site", Value: sc.Site}, {Column: "device", Value: sc.Device}, {Column: "epoch", Value: sc.Epoch}, {Column: "seq", Value: sc.Seq}},
		Keep: func(f delta.File, _ delta.Stats) bool { return f.Partition == day }}, func(b store.Batch) error {
		var v columns.Vector
		for _, row := range b.Rows {
			found = true
			for k, i := range index {
				v.Reset(l.telemetry[i].Type)
				if err := want.Column(i, 0, 1, &v); err != nil {
					return err
				}
				same = same && reflect.DeepEqual(v.Cell(0), b.Vectors[k].Cell(row))
			}
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("site %s, device %s, epoch %d, seq %d: %w", sc.Site, sc.Device, sc.Epoch, sc.Seq, errNoRow)
	}
	return same, err
}
