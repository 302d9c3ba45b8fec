package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"bessd/bess/columns"
	"bessd/store/blob"
)

// Backend is what the log needs of an object store. Reads see every completed
// write. A missing object is an error that wraps fs.ErrNotExist.
type Backend interface {
	// Get returns the whole object.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put stores the object, replacing it if it exists.
	Put(ctx context.Context, key string, data []byte) error
	// PutIfAbsent stores the object, or returns an error that wraps
	// fs.ErrExist if there is one: also when that is our own, stored by a try
	// whose reply was lost.
	PutIfAbsent(ctx context.Context, key string, data []byte) error
	// List returns the objects whose keys begin with prefix and sort after
	// `after`, sorted.
	List(ctx context.Context, prefix, after string) ([]blob.Info, error)
}

// Options of a table. The zero value is usable but for Log.
type Options struct {
	Log *slog.Logger
	// Engine is written into each commit, as "bessd/1.2".
	Engine string
	// CheckpointEvery is the number of versions between checkpoints, 0 means 50.
	CheckpointEvery int64
}

// Table is the log of one table. It is safe for concurrent use: commits from
// one Table go one after the other.
type Table struct {
	b    Backend
	name string
	root string // key prefix that ends with '/'
	opt  Options
	log  *slog.Logger

	mu           sync.Mutex
	s            *state    // nil: to be loaded
	synced       time.Time // when s was last known to be all there is
	checkpointed int64     // version of the newest checkpoint known
}

// relistAfter is the age from which a cached state is compared with a listing
// instead of asking for the next version only. A process that slept longer
// than the log is kept would otherwise take "not there" for "not yet there".
const relistAfter = 10 * time.Minute

// New returns the table below the key prefix root ("telemetry"), whose last
// part is its name. It does no I/O.
func New(b Backend, root string, opt Options) *Table {
	if opt.CheckpointEvery <= 0 {
		opt.CheckpointEvery = 50
	}
	root = strings.Trim(root, "/")
	return &Table{b: b, name: root[strings.LastIndexByte(root, '/')+1:], root: root + "/", opt: opt, log: opt.Log, checkpointed: -1}
}

// Name returns the table's name.
func (t *Table) Name() string { return t.name }

// Spec says what a new table is to be.
type Spec struct {
	Schema      columns.Schema
	Partition   string // name of the date column that files are divided by, empty for none
	AppendOnly  bool   // no file with rows may ever be removed
	Description string
}

// Ensure creates the table if it does not exist, and adds the columns of spec
// that it lacks. Several processes may do so at once.
func (t *Table) Ensure(ctx context.Context, spec Spec) error {
	if err := spec.Schema.Validate(); err != nil {
		return fmt.Errorf("schema of table %s: %w", t.name, err)
	}
	_, err := t.Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = t.create(ctx, spec)
	}
	if err != nil {
		return err
	}
	snap, err := t.Snapshot(ctx)
	if err != nil {
		return err
	}
	if have := snap.PartitionColumn(); have != spec.Partition {
		return fmt.Errorf("table %s is partitioned by %q, not by %q; that cannot change, use a new prefix", t.name, have, spec.Partition)
	}
	if _, err = t.Commit(ctx, Change{AddColumns: spec.Schema, Operation: "ADD COLUMNS"}); err != nil {
		return fmt.Errorf("adding columns to table %s: %w", t.name, err)
	}
	return nil
}

// create puts version 0. Losing the race to another creator is fine.
func (t *Table) create(ctx context.Context, spec Spec) error {
	schema, err := schemaString(spec.Schema, spec.Partition)
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	config := map[string]string{
		// Others that write (Spark) keep checkpoints and statistics in our rhythm.
		"delta.checkpointInterval": fmt.Sprint(t.opt.CheckpointEvery),
	}
	if spec.AppendOnly {
		config["delta.appendOnly"] = "true"
	}
	partition := []string{}
	if spec.Partition != "" {
		partition = append(partition, spec.Partition)
	}
	data, err := encodeCommit([]action{
		{CommitInfo: t.info(now, "CREATE TABLE", blob.NewID(), true, nil)},
		{Protocol: &protocol{MinReaderVersion: readerVersion, MinWriterVersion: writerVersion}},
		{MetaData: &metaData{
			ID: blob.NewID(), Name: t.name, Description: spec.Description, Format: fileFormat{Provider: "parquet", Options: map[string]string{}},
			SchemaString: schema, PartitionColumns: partition, Configuration: config, CreatedTime: now,
		}},
	})
	if err != nil {
		return err
	}
	if err := t.b.PutIfAbsent(ctx, t.versionKey(0), data); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("creating table %s: %w", t.name, err)
	}
	return nil
}

func (t *Table) info(now int64, op, txnID string, append bool, tags map[string]string) *commitInfo {
	return &commitInfo{Timestamp: now, Operation: op, OperationParameters: map[string]string{}, EngineInfo: t.opt.Engine, TxnID: txnID, IsBlindAppend: append, Tags: tags}
}

// Snapshot returns the table as it is now, reading what is new in its log. A
// table that does not exist is an error that wraps fs.ErrNotExist.
func (t *Table) Snapshot(ctx context.Context) (*Snapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refresh(ctx); err != nil {
		return nil, err
	}
	return t.s.snapshot()
}

// Positions returns the table's version and the positions of all sources as they
// are now. It does what Snapshot does, without a list of the files: that grows
// with the table, and a commit does not need it.
func (t *Table) Positions(ctx context.Context) (version int64, at map[string]int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refresh(ctx); err != nil {
		return 0, nil, err
	}
	return t.s.version, t.s.positions(), nil
}

// refresh brings t.s up to the log's end.
func (t *Table) refresh(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			t.s = nil // it may be half-way between versions
		} else {
			t.synced = time.Now()
		}
	}()
	if t.s == nil {
		t.s, err = t.load(ctx)
		return err
	}
	next := t.s.version + 1
	if time.Since(t.synced) < relistAfter {
		actions, err := t.readVersion(ctx, next)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.apply(t.s, next, actions); err != nil {
			return err
		}
	}
	l, err := t.list(ctx, t.s.version)
	if err != nil {
		return err
	}
	if n := len(l.versions); n > 0 && l.versions[n-1] > t.s.version && !contains(l.versions, t.s.version+1) {
		t.s, err = t.load(ctx) // the log was cleaned up beyond us
		return err
	}
	return t.replay(ctx, t.s, l.versions)
}

func contains(sorted []int64, v int64) bool {
	for _, x := range sorted {
		if x == v {
			return true
		}
	}
	return false
}
