package delta

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bessd/bess/columns"
)

// NoVersion is the position of a source that a table has none for.
const NoVersion int64 = -1

// tombstoneLife is how long a removed file is remembered in checkpoints, so
// that readers of an older version still find it and vacuum leaves it alone.
const tombstoneLife = 7 * 24 * time.Hour

// state is the table at one version. It changes in place under Table.mu.
type state struct {
	version  int64
	protocol *protocol
	meta     *metaData
	txns     map[string]txn
	files    map[string]addFile    // by path as in the log
	removed  map[string]removeFile // tombstones
}

func newState() *state {
	return &state{version: -1, txns: map[string]txn{}, files: map[string]addFile{}, removed: map[string]removeFile{}}
}

// apply takes over the actions of the next version.
func (s *state) apply(version int64, actions []action) error {
	for _, a := range actions {
		switch {
		case a.Protocol != nil:
			if err := a.Protocol.check(); err != nil {
				return err
			}
			s.protocol = a.Protocol
		case a.MetaData != nil:
			s.meta = a.MetaData
		case a.Txn != nil:
			s.txns[a.Txn.AppID] = *a.Txn
		case a.Add != nil:
			delete(s.removed, a.Add.Path)
			s.files[a.Add.Path] = *a.Add
		case a.Remove != nil:
			delete(s.files, a.Remove.Path)
			s.removed[a.Remove.Path] = *a.Remove
		}
	}
	s.version = version
	return nil
}

// complete reports what a table must have and this one lacks.
func (s *state) complete() error {
	if s.protocol == nil || s.meta == nil {
		return fmt.Errorf("the log has no protocol or no metaData")
	}
	return nil
}

func (s *state) txnVersion(appID string) int64 {
	if t, ok := s.txns[appID]; ok {
		return t.Version
	}
	return NoVersion
}

func (s *state) positions() map[string]int64 {
	out := make(map[string]int64, len(s.txns))
	for id, t := range s.txns {
		out[id] = t.Version
	}
	return out
}

// File is one data file of a snapshot.
type File struct {
	// Path is the object's name relative to the table, decoded.
	Path string
	// Partition is the value of the partition column, empty for none.
	Partition string
	Size      int64 // bytes
	Modified  time.Time
	Tags      map[string]string
	stats     string
}

// Stats parses the file's statistics; that costs, so keep the result.
func (f File) Stats() Stats { return ParseStats(f.stats) }

// Snapshot is a table at one version. It does not change and is safe for
// concurrent use.
type Snapshot struct {
	version int64
	meta    metaData
	txns    map[string]int64
	files   []File
}

func (s *state) snapshot() (*Snapshot, error) {
	out := &Snapshot{version: s.version, meta: *s.meta, txns: s.positions(), files: make([]File, 0, len(s.files))}
	for _, a := range s.files {
		p, err := decodePath(a.Path)
		if err != nil {
			return nil, err
		}
		f := File{Path: p, Size: a.Size, Modified: time.UnixMilli(a.ModificationTime).UTC(), Tags: a.Tags, stats: a.Stats}
		if len(s.meta.PartitionColumns) > 0 {
			if v := a.PartitionValues[s.meta.PartitionColumns[0]]; v != nil {
				f.Partition = *v
			}
		}
		out.files = append(out.files, f)
	}
	slices.SortFunc(out.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// Version returns the table's version.
func (s *Snapshot) Version() int64 { return s.version }

// Files returns the data files, sorted by path. The slice belongs to the
// snapshot.
func (s *Snapshot) Files() []File { return s.files }

// Txn returns the position that the table has for the source, NoVersion if it
// has none.
func (s *Snapshot) Txn(appID string) int64 {
	if v, ok := s.txns[appID]; ok {
		return v
	}
	return NoVersion
}

// Txns returns the positions of all sources. The map is the caller's.
func (s *Snapshot) Txns() map[string]int64 { return maps.Clone(s.txns) }

// Schema returns the columns that are in the files; not the partition column,
// and not columns of types that only other writers use.
func (s *Snapshot) Schema() (columns.Schema, error) {
	schema, _, err := parseSchema(s.meta.SchemaString, s.meta.PartitionColumns)
	return schema, err
}

// PartitionColumn returns the name of the partition column, empty for none.
func (s *Snapshot) PartitionColumn() string {
	if len(s.meta.PartitionColumns) == 0 {
		return ""
	}
	return s.meta.PartitionColumns[0]
}

// Config returns a table property, such as "delta.appendOnly".
func (s *Snapshot) Config(key string) string { return s.meta.Configuration[key] }
