package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"bessd/bess/columns"
	"bessd/store/blob"
)

// Change is what one commit does. All of it becomes visible at once.
type Change struct {
	// Operation names the change for people, as "WRITE"; default "WRITE".
	Operation string
	// Adds are new data files, stored already.
	Adds []Add
	// Txns are positions to move, each from where the caller believes it is.
	Txns []Txn
	// AddColumns widens the schema by those of the columns that it lacks.
	AddColumns columns.Schema
	// Removes are paths of files to take out of the table. Rewrite says that
	// the rows stay the same (compaction): readers that follow the table skip it.
	Removes []string
	Rewrite bool
	// Tags are kept with the commit.
	Tags map[string]string
}

// Add is a data file that becomes part of the table.
type Add struct {
	Path      string // relative to the table, letters, digits and =._-/ only
	Partition string // value of the partition column ("2026-11-25"), empty for none
	Size      int64  // bytes, exact: a wrong size makes some engines read nothing
	Modified  time.Time
	Stats     string // from EncodeStats
	Tags      map[string]string
}

// Txn moves the position of one source.
type Txn struct {
	AppID    string // "bessd/<topic>/<generation>/<partition>"
	Expected int64  // position before, NoVersion for none
	Version  int64  // position after: the next offset
}

// lostBound is how often a version that is refused as existing, but cannot be
// read, is asked for before the store is declared broken.
const lostBound = 8

// Commit makes the change the table's next version and returns that version.
// When another writer was first, the change is checked again and put behind
// his, for as long as ctx lasts. A change that changes nothing commits nothing.
//
// A *FencedError or *RemovedError says that the change no longer fits and was
// not committed. After any other error, including the end of ctx, the commit
// may or may not have happened: a later Snapshot's positions tell.
func (t *Table) Commit(ctx context.Context, c Change) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.s == nil || time.Since(t.synced) >= relistAfter {
		if err := t.refresh(ctx); err != nil {
			return 0, err
		}
	}
	id := blob.NewID()
	wait := blob.Backoff{First: 5 * time.Millisecond, Max: time.Second}
	for {
		actions, err := t.prepare(c, id)
		if err != nil {
			return 0, err
		}
		if len(actions) == 0 {
			return t.s.version, nil
		}
		data, err := encodeCommit(actions)
		if err != nil {
			return 0, err
		}
		next := t.s.version + 1
		err = t.b.PutIfAbsent(ctx, t.versionKey(next), data)
		if err == nil {
			return t.committed(ctx, next, actions)
		}
		if !errors.Is(err, fs.ErrExist) {
			t.s = nil // it may have arrived all the same
			return 0, fmt.Errorf("committing version %d of table %s: %w", next, t.name, err)
		}
		theirs, err := t.readTaken(ctx, next)
		if err != nil {
			t.s = nil
			return 0, err
		}
		if commitID(theirs) == id {
			return t.committed(ctx, next, actions)
		}
		if err := t.apply(t.s, next, theirs); err != nil {
			t.s = nil
			return 0, err
		}
		if err := t.catchUp(ctx); err != nil {
			t.s = nil
			return 0, err
		}
		if err := wait.Wait(ctx); err != nil {
			return 0, fmt.Errorf("committing to table %s: %w", t.name, err)
		}
	}
}

// catchUp applies the versions after the one that was in our way, as long as
// they come: a slow writer would otherwise meet each of them one by one.
func (t *Table) catchUp(ctx context.Context) error {
	for {
		actions, err := t.readVersion(ctx, t.s.version+1)
		if errors.Is(err, fs.ErrNotExist) {
			t.synced = time.Now()
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.apply(t.s, t.s.version+1, actions); err != nil {
			return err
		}
	}
}

// readTaken reads a version that the store just refused to write over.
func (t *Table) readTaken(ctx context.Context, v int64) ([]action, error) {
	wait := blob.Backoff{First: 20 * time.Millisecond, Max: time.Second}
	for try := 1; ; try++ {
		actions, err := t.readVersion(ctx, v)
		if !errors.Is(err, fs.ErrNotExist) {
			return actions, err
		}
		if try >= lostBound {
			return nil, &blob.Error{
				Op: "committing", Key: t.versionKey(v), Kind: blob.Permanent,
				Err:    fmt.Errorf("the store says that the object exists and that it does not (%d times)", try),
				Remedy: "its If-None-Match is not consistent with its reads; use a store that honours conditional writes",
			}
		}
		if err := wait.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

func commitID(actions []action) string {
	for _, a := range actions {
		if a.CommitInfo != nil {
			return a.CommitInfo.TxnID
		}
	}
	return ""
}

// prepare checks the change against the state and returns its actions; none if
// there is nothing to do.
func (t *Table) prepare(c Change, id string) ([]action, error) {
	now := time.Now().UnixMilli()
	var out []action
	if len(c.AddColumns) > 0 {
		schema, changed, err := widen(t.s.meta.SchemaString, c.AddColumns, t.s.meta.PartitionColumns)
		if err != nil {
			return nil, err
		}
		if changed {
			m := *t.s.meta
			m.SchemaString = schema
			out = append(out, action{MetaData: &m})
		}
	}
	for _, x := range c.Txns {
		if have := t.s.txnVersion(x.AppID); have != x.Expected {
			return nil, &FencedError{Table: t.name, AppID: x.AppID, Have: have, Expected: x.Expected}
		}
		// lastUpdated always: with a retention set by somebody else, entries
		// without it are dropped.
		out = append(out, action{Txn: &txn{AppID: x.AppID, Version: x.Version, LastUpdated: now}})
	}
	for _, p := range c.Removes {
		old, ok := t.s.files[p]
		if !ok {
			return nil, &RemovedError{Table: t.name, Path: p}
		}
		if !c.Rewrite && t.s.meta.Configuration["delta.appendOnly"] == "true" {
			return nil, fmt.Errorf("removing %s from table %s: the table is append-only", p, t.name)
		}
		out = append(out, action{Remove: &removeFile{
			Path: p, DeletionTimestamp: now, DataChange: !c.Rewrite, ExtendedFileMetadata: true, PartitionValues: old.PartitionValues, Size: old.Size,
		}})
	}
	for _, a := range c.Adds {
		if err := checkPath(a.Path); err != nil {
			return nil, err
		}
		if _, ok := t.s.files[a.Path]; ok {
			return nil, fmt.Errorf("adding %s to table %s: it is part of the table already", a.Path, t.name)
		}
		values := map[string]*string{}
		if cols := t.s.meta.PartitionColumns; len(cols) > 0 {
			values[cols[0]] = ptr(a.Partition)
		}
		out = append(out, action{Add: &addFile{
			Path: a.Path, PartitionValues: values, Size: a.Size, ModificationTime: a.Modified.UnixMilli(), DataChange: !c.Rewrite, Stats: a.Stats, Tags: a.Tags,
		}})
	}
	if len(out) == 0 {
		return nil, nil
	}
	op := c.Operation
	if op == "" {
		op = "WRITE"
	}
	info := t.info(now, op, id, len(c.Removes) == 0 && len(c.AddColumns) == 0, c.Tags)
	return append([]action{{CommitInfo: info}}, out...), nil
}

// committed takes over our own version and writes a checkpoint when one is
// due. A checkpoint that fails is only work for later.
func (t *Table) committed(ctx context.Context, v int64, actions []action) (int64, error) {
	if err := t.apply(t.s, v, actions); err != nil {
		t.s = nil
		return 0, err
	}
	t.synced = time.Now()
	if every := t.opt.CheckpointEvery; v/every > max(t.checkpointed, 0)/every {
		if err := t.writeCheckpoint(ctx, t.s); err != nil {
			t.log.Warn("no checkpoint was written, the next commit tries again", "table", t.name, "version", v, "err", err)
		}
	}
	return v, nil
}
