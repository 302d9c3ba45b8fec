package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"bessd/bess/columns"
	"bessd/internal/fault"
	"bessd/store/blob"
	"bessd/store/delta"
	"bessd/store/fsdir"
	"bessd/store/parquetv1"
)

// NoPosition is the position of a source that a table has none for.
const NoPosition = delta.NoVersion

// Table is one table of the lake. It is safe for concurrent use.
type Table struct {
	lake *Lake
	spec TableSpec
	log  *delta.Table
}

// Name returns the table's name.
func (t *Table) Name() string { return t.spec.Name }

// Schema returns the columns that the table was opened with.
func (t *Table) Schema() columns.Schema { return t.spec.Schema }

// Staged is a data file on local disk that is not yet part of the table. It is
// used by one goroutine at a time.
type Staged struct {
	// Path is the object's name relative to the table.
	Path string
	// Local is the file's place on disk, until it is committed or discarded.
	Local     string
	Partition string
	Size      int64 // bytes
	Rows      int64
	Tags      map[string]string

	table    *Table
	stats    string
	modified time.Time
	uploaded bool
	once     sync.Once // gives its bytes back
}

var dateText = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

// Stage writes the rows of src, in the table's schema, as one Parquet file in
// the stage directory. partition is their date ("2026-11-25"), empty for a
// table without one. tags are kept with the file in the log; the map is not
// copied. On return the file is durable on this disk.
func (t *Table) Stage(ctx context.Context, partition string, src columns.Source, tags map[string]string) (*Staged, error) {
	if (t.spec.Partition != "") != (partition != "") || (partition != "" && !dateText.MatchString(partition)) {
		return nil, fmt.Errorf("staging rows of table %s: %q is no value for its partition column %q", t.spec.Name, partition, t.spec.Partition)
	}
	name := "part-" + blob.NewID() + ".parquet"
	s := &Staged{Path: name, Partition: partition, Tags: tags, table: t, Local: filepath.Join(t.lake.cfg.StageDir, t.spec.Name, name)}
	if partition != "" {
		s.Path = t.spec.Partition + "=" + partition + "/" + name
	}
	err := t.lake.b.r.Do(ctx, "staging rows of table "+t.spec.Name, func(context.Context) error { return t.stage(s, src) })
	if err != nil {
		return nil, err
	}
	t.lake.account(1, s.Size)
	fault.Point("store.staged." + t.spec.Name)
	return s, nil
}

func (t *Table) stage(s *Staged, src columns.Source) (err error) {
	temp := s.Local + ".tmp"
	f, err := os.Create(temp)
	if err != nil {
		return stageError(temp, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(temp)
		}
	}()
	info, err := parquetv1.Write(f, t.spec.Schema, src, t.lake.cfg.Parquet)
	if err != nil {
		return stageError(temp, err)
	}
	if s.stats, err = delta.EncodeStats(info.Rows, t.spec.Schema, info.Columns); err != nil {
		return fmt.Errorf("staging rows of table %s: %w", t.spec.Name, err)
	}
	if err := f.Sync(); err != nil {
		return stageError(temp, err)
	}
	if err := f.Close(); err != nil {
		return stageError(temp, err)
	}
	if err := os.Rename(temp, s.Local); err != nil {
		return stageError(temp, err)
	}
	if err := fsdir.SyncDir(filepath.Dir(s.Local)); err != nil {
		return stageError(temp, err)
	}
	s.Size, s.Rows, s.modified = info.Size, info.Rows, time.Now()
	return nil
}

// stageError says whether waiting helps: it does when the disk is full.
func stageError(name string, err error) error {
	e := &blob.Error{Op: "staging", Key: name, Kind: blob.Permanent, Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind, e.Remedy = blob.Transient, "free space on the data_dir's disk; nothing is lost meanwhile"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		e.Kind = blob.Transient
	case errors.Is(err, os.ErrPermission):
		e.Remedy = "make data_dir writable for the user that runs bessd"
	}
	return e
}

// Upload stores the file in the lake, where nothing refers to it yet. Doing it
// twice does nothing the second time.
func (t *Table) Upload(ctx context.Context, s *Staged) error {
	if s.uploaded {
		return nil
	}
	if err := t.lake.b.PutFile(ctx, t.key(s.Path), s.Local); err != nil {
		return fmt.Errorf("uploading to table %s: %w", t.spec.Name, err)
	}
	s.uploaded = true
	fault.Point("store.uploaded." + t.spec.Name)
	return nil
}

func (t *Table) key(path string) string { return t.spec.Name + "/" + path }

// Discard deletes staged files that will not be committed, from the local disk
// only. Committed ones are gone already; doing it twice is harmless.
func (t *Table) Discard(files ...*Staged) {
	for _, s := range files {
		s.once.Do(func() {
			if err := os.Remove(s.Local); err != nil {
				t.lake.log.Warn("a staged file stays until the next start", "file", s.Local, "err", err)
			}
			t.lake.account(-1, -s.Size)
		})
	}
}

// Commit is what one commit adds to a table. All of it becomes visible at once.
type Commit struct {
	// Files become part of the table; those that are not uploaded are.
	Files []*Staged
	// Positions move from where the caller believes they are: a source's next
	// offset. If one is elsewhere, nothing is committed and the error has a
	// method Fenced() bool that returns true.
	Positions []delta.Txn
	Operation string // for people, default "WRITE"
	Tags      map[string]string
}

// Commit makes the commit the table's next version and returns that version.
// It waits for the store as long as ctx lasts. The files' local copies are
// deleted once they are committed, and stay after an error: commit again, or
// Discard. When ctx ended, whether it happened is told by Position.
func (t *Table) Commit(ctx context.Context, c Commit) (int64, error) {
	change := delta.Change{Operation: c.Operation, Txns: c.Positions, Tags: c.Tags}
	for _, s := range c.Files {
		if s.table != t {
			return 0, fmt.Errorf("committing to table %s a file staged for %s", t.spec.Name, s.table.spec.Name)
		}
		if err := t.Upload(ctx, s); err != nil {
			return 0, err
		}
		change.Adds = append(change.Adds, delta.Add{Path: s.Path, Partition: s.Partition, Size: s.Size, Modified: s.modified, Stats: s.stats, Tags: s.Tags})
	}
	fault.Point("store.commit.before." + t.spec.Name)
	v, err := t.log.Commit(ctx, change)
	if err != nil {
		return 0, err
	}
	fault.Point("store.commit.after." + t.spec.Name)
	t.Discard(c.Files...)
	return v, nil
}

// Positions returns the table's version and the next offset that it has for each
// source, without a look at its files. The map is the caller's.
func (t *Table) Positions(ctx context.Context) (version int64, at map[string]int64, err error) {
	return t.log.Positions(ctx)
}

// Position returns the next offset that the table has for a source, NoPosition
// if it has none.
func (t *Table) Position(ctx context.Context, appID string) (int64, error) {
	_, at, err := t.Positions(ctx)
	if err != nil {
		return 0, err
	}
	if p, ok := at[appID]; ok {
		return p, nil
	}
	return NoPosition, nil
}

// Snapshot returns the table as it is now. The first call reads the log, later
// ones what is new in it.
func (t *Table) Snapshot(ctx context.Context) (*delta.Snapshot, error) { return t.log.Snapshot(ctx) }

// Files returns the table's data files as they are now, sorted by path.
func (t *Table) Files(ctx context.Context) ([]delta.File, error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s.Files(), nil
}
