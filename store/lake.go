package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"bessd/bess/columns"
	"bessd/store/delta"
	"bessd/store/parquetv1"
)

// TableSpec says what a table of the lake is.
type TableSpec struct {
	Name   string // lower-case letters, digits and underscores
	Schema columns.Schema
	// Partition is the name of the date column by which files are divided
	// ("dt"), empty for none. It is in the path, not in the files.
	Partition string
	// AppendOnly forbids every commit that takes rows away.
	AppendOnly  bool
	Description string
}

// Config of a lake.
type Config struct {
	// StageDir is a local directory of the lake's own; what is in it at start
	// is deleted.
	StageDir string
	// StageBytes is how much may be staged before AwaitRoom blocks, 0 means 4 GiB.
	StageBytes int64
	// Engine is written into files and commits, as "bessd/0.1".
	Engine string
	// CheckpointEvery is the number of versions between checkpoints, 0 means 50.
	CheckpointEvery int64
	// Parquet are options of the data files.
	Parquet parquetv1.Options
	// RetryFirst is the first wait after a transient failure, 0 means 100 ms.
	RetryFirst time.Duration
	Log        *slog.Logger
}

// Lake is a set of tables in one store. It is safe for concurrent use; each
// table should have one committer at a time, others are fenced off.
type Lake struct {
	b      patient
	cfg    Config
	log    *slog.Logger
	tables map[string]*Table
	left   Usage
	whole  int64 // size up to which a file is fetched at once

	mu     sync.Mutex
	staged Usage
	freed  chan struct{} // closed and replaced whenever staged bytes are given back
}

// Usage counts staged files.
type Usage struct {
	Files int
	Bytes int64
}

var tableName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Open opens the lake: it empties the stage directory, creates those of the
// tables that are missing and adds the columns that they lack. Several
// processes may open the same store at once, each with its own StageDir.
func Open(ctx context.Context, b Backend, cfg Config, specs []TableSpec) (*Lake, error) {
	if cfg.StageBytes <= 0 {
		cfg.StageBytes = 4 << 30
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Parquet.Engine = cfg.Engine
	l := &Lake{b: newPatient(b, cfg.Log, cfg.RetryFirst), cfg: cfg, log: cfg.Log, tables: map[string]*Table{}, whole: wholeFile, freed: make(chan struct{})}
	if err := l.emptyStage(specs); err != nil {
		return nil, fmt.Errorf("opening the stage directory: %w", err)
	}
	for _, s := range specs {
		switch {
		case !tableName.MatchString(s.Name):
			return nil, fmt.Errorf("table name %q: want lower-case letters, digits and underscores", s.Name)
		case l.tables[s.Name] != nil:
			return nil, fmt.Errorf("table %s is listed twice", s.Name)
		case s.Partition != "" && s.Schema.Index(s.Partition) >= 0:
			return nil, fmt.Errorf("table %s: the partition column %s cannot be in the files too", s.Name, s.Partition)
		}
		t := &Table{lake: l, spec: s, log: delta.New(l.b, s.Name, delta.Options{Log: cfg.Log, Engine: cfg.Engine, CheckpointEvery: cfg.CheckpointEvery})}
		if err := t.log.Ensure(ctx, delta.Spec{Schema: s.Schema, Partition: s.Partition, AppendOnly: s.AppendOnly, Description: s.Description}); err != nil {
			return nil, fmt.Errorf("opening table %s: %w", s.Name, err)
		}
		l.tables[s.Name] = t
	}
	return l, nil
}

// Table returns the named table, nil if Open was not given it.
func (l *Lake) Table(name string) *Table { return l.tables[name] }

// Tables returns the tables, sorted by name.
func (l *Lake) Tables() []*Table {
	out := make([]*Table, 0, len(l.tables))
	for _, t := range l.tables {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *Table) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	return out
}

// URL returns the address of the lake as foreign readers understand it; a
// table's is URL + "/" + its name.
func (l *Lake) URL() string { return l.b.URL() }

// Leftovers returns what Open found staged by an earlier process, and deleted.
func (l *Lake) Leftovers() Usage { return l.left }

// Staged returns what is staged and not yet committed or discarded.
func (l *Lake) Staged() Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.staged
}

// AwaitRoom blocks while StageBytes or more are staged, until ctx ends. Call
// it before a flush begins, not within one: what one flush stages is freed only
// by its commits. So the stage exceeds its bound by at most the flushes that
// run at once.
func (l *Lake) AwaitRoom(ctx context.Context) error {
	for {
		l.mu.Lock()
		have, freed := l.staged.Bytes, l.freed
		l.mu.Unlock()
		if have < l.cfg.StageBytes {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for room in the stage, which holds %d bytes: %w", have, context.Cause(ctx))
		}
	}
}

func (l *Lake) account(files int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.staged.Files += files
	l.staged.Bytes += bytes
	if bytes < 0 {
		close(l.freed)
		l.freed = make(chan struct{})
	}
}

// emptyStage makes the stage directories and deletes what a crash left in
// them: it was not committed, so its rows are read again from the input.
func (l *Lake) emptyStage(specs []TableSpec) error {
	if l.cfg.StageDir == "" {
		return errors.New("no stage directory is configured")
	}
	err := filepath.WalkDir(l.cfg.StageDir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		// Nothing but our own kind of files: a wrong path in the
		// configuration must not empty somebody's directory.
		if ext := filepath.Ext(name); ext != ".parquet" && ext != ".tmp" {
			return fmt.Errorf("%s is not a staged file; give the stage a directory of its own", name)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
		l.left.Files++
		l.left.Bytes += info.Size()
		return nil
	})
	if err != nil {
		return err
	}
	for _, s := range specs {
		if err := os.MkdirAll(filepath.Join(l.cfg.StageDir, s.Name), 0o755); err != nil {
			return err
		}
	}
	if l.left.Files > 0 {
		l.log.Info("deleted staged files of an earlier run; their rows are read again", "files", l.left.Files, "bytes", l.left.Bytes)
	}
	return nil
}
