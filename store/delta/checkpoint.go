package delta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"bessd/internal/fault"
	"bessd/store/parquetfile"
)

// The rows of a V1 checkpoint. Every column that can be absent is a pointer:
// parquet-go v0.32.0 corrupts the nulls of optional fields that are not (plain
// ones and maps), and those of pointers inside an embedded struct. Nothing here
// is embedded, and a map is always there, if empty.
type (
	ckptRow struct {
		Txn      *ckptTxn      `parquet:"txn,optional"`
		Add      *ckptAdd      `parquet:"add,optional"`
		Remove   *ckptRemove   `parquet:"remove,optional"`
		MetaData *ckptMeta     `parquet:"metaData,optional"`
		Protocol *ckptProtocol `parquet:"protocol,optional"`
	}
	ckptTxn struct {
		AppID       string `parquet:"appId"`
		Version     int64  `parquet:"version"`
		LastUpdated *int64 `parquet:"lastUpdated,optional"`
	}
	ckptAdd struct {
		Path             string             `parquet:"path"`
		PartitionValues  map[string]*string `parquet:"partitionValues" parquet-value:",optional"`
		Size             int64              `parquet:"size"`
		ModificationTime int64              `parquet:"modificationTime"`
		DataChange       bool               `parquet:"dataChange"`
		Stats            *string            `parquet:"stats,optional"`
		Tags             map[string]string  `parquet:"tags"`
	}
	ckptRemove struct {
		Path                 string             `parquet:"path"`
		DeletionTimestamp    *int64             `parquet:"deletionTimestamp,optional"`
		DataChange           bool               `parquet:"dataChange"`
		ExtendedFileMetadata *bool              `parquet:"extendedFileMetadata,optional"`
		PartitionValues      map[string]*string `parquet:"partitionValues" parquet-value:",optional"`
		Size                 *int64             `parquet:"size,optional"`
	}
	ckptMeta struct {
		ID               string            `parquet:"id"`
		Name             *string           `parquet:"name,optional"`
		Description      *string           `parquet:"description,optional"`
		Format           ckptFormat        `parquet:"format"`
		SchemaString     string            `parquet:"schemaString"`
		PartitionColumns []string          `parquet:"partitionColumns,list"`
		Configuration    map[string]string `parquet:"configuration"`
		CreatedTime      *int64            `parquet:"createdTime,optional"`
	}
	ckptFormat struct {
		Provider string            `parquet:"provider"`
		Options  map[string]string `parquet:"options"`
	}
	ckptProtocol struct {
		MinReaderVersion int32 `parquet:"minReaderVersion"`
		MinWriterVersion int32 `parquet:"minWriterVersion"`
	}
)

func ptr[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func val[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// checkpointRows turns the state into rows; tombstones older than their life at now are left out.
func (s *state) checkpointRows(now time.Time) []ckptRow {
	rows := make([]ckptRow, 0, 2+len(s.txns)+len(s.files)+len(s.removed))
	rows = append(rows, ckptRow{Protocol: &ckptProtocol{MinReaderVersion: s.protocol.MinReaderVersion, MinWriterVersion: s.protocol.MinWriterVersion}})
	m := s.meta
	rows = append(rows, ckptRow{MetaData: &ckptMeta{
		ID: m.ID, Name: ptr(m.Name), Description: ptr(m.Description),
		Format:       ckptFormat{Provider: m.Format.Provider, Options: m.Format.Options},
		SchemaString: m.SchemaString, PartitionColumns: m.PartitionColumns, Configuration: m.Configuration, CreatedTime: ptr(m.CreatedTime),
	}})
	for _, t := range s.txns {
		rows = append(rows, ckptRow{Txn: &ckptTxn{AppID: t.AppID, Version: t.Version, LastUpdated: ptr(t.LastUpdated)}})
	}
	for _, a := range s.files {
		rows = append(rows, ckptRow{Add: &ckptAdd{
			Path: a.Path, PartitionValues: a.PartitionValues, Size: a.Size, ModificationTime: a.ModificationTime,
			Stats: ptr(a.Stats), Tags: a.Tags, // dataChange is false in a checkpoint
		}})
	}
	horizon := now.Add(-tombstoneLife).UnixMilli()
	for _, r := range s.removed {
		if r.DeletionTimestamp < horizon {
			continue
		}
		rows = append(rows, ckptRow{Remove: &ckptRemove{
			Path: r.Path, DeletionTimestamp: ptr(r.DeletionTimestamp), ExtendedFileMetadata: &r.ExtendedFileMetadata,
			PartitionValues: r.PartitionValues, Size: ptr(r.Size),
		}})
	}
	return rows
}

func encodeCheckpoint(rows []ckptRow) (data []byte, err error) {
	defer parquetfile.Guard(&err)
	var b bytes.Buffer
	w := parquet.NewGenericWriter[ckptRow](&b, parquet.Compression(&parquet.Snappy), parquet.DataPageVersion(1))
	if _, err := w.Write(rows); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// maxCheckpointRows bounds what a damaged footer can make us believe.
const maxCheckpointRows = 10_000_000

func decodeCheckpoint(data []byte, version int64) (s *state, err error) {
	defer parquetfile.Guard(&err)
	f, err := parquetfile.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	if f.NumRows() > maxCheckpointRows {
		return nil, fmt.Errorf("a checkpoint of %d rows", f.NumRows())
	}
	r := parquet.NewGenericReader[ckptRow](f)
	defer r.Close()
	s = newState()
	rows := make([]ckptRow, 256)
	for read := int64(0); ; {
		clear(rows) // the reader would merge its maps into ours
		n, err := r.Read(rows)
		for i := range rows[:n] {
			if err := s.apply(version, rows[i].actions()); err != nil {
				return nil, err
			}
		}
		read += int64(n)
		if err == io.EOF {
			if read != f.NumRows() {
				return nil, fmt.Errorf("%d rows of %d", read, f.NumRows())
			}
			break
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.ErrNoProgress
		}
	}
	if err := s.complete(); err != nil {
		return nil, err
	}
	return s, nil
}

func (r *ckptRow) actions() []action {
	switch {
	case r.Txn != nil:
		return []action{{Txn: &txn{AppID: r.Txn.AppID, Version: r.Txn.Version, LastUpdated: val(r.Txn.LastUpdated)}}}
	case r.Add != nil:
		a := r.Add
		return []action{{Add: &addFile{Path: a.Path, PartitionValues: a.PartitionValues, Size: a.Size, ModificationTime: a.ModificationTime, Stats: val(a.Stats), Tags: a.Tags}}}
	case r.Remove != nil:
		a := r.Remove
		return []action{{Remove: &removeFile{Path: a.Path, DeletionTimestamp: val(a.DeletionTimestamp), ExtendedFileMetadata: val(a.ExtendedFileMetadata), PartitionValues: a.PartitionValues, Size: val(a.Size)}}}
	case r.MetaData != nil:
		m := r.MetaData
		return []action{{MetaData: &metaData{
			ID: m.ID, Name: val(m.Name), Description: val(m.Description), Format: fileFormat{Provider: m.Format.Provider, Options: notNil(m.Format.Options)},
			SchemaString: m.SchemaString, PartitionColumns: append([]string{}, m.PartitionColumns...), Configuration: notNil(m.Configuration), CreatedTime: val(m.CreatedTime),
		}}}
	case r.Protocol != nil:
		return []action{{Protocol: &protocol{MinReaderVersion: r.Protocol.MinReaderVersion, MinWriterVersion: r.Protocol.MinWriterVersion}}}
	}
	return nil
}

// notNil keeps an empty map from becoming null in the JSON, which readers refuse.
func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// writeCheckpoint stores a checkpoint of s, then the hint to it. The hint
// never goes back: another writer may be ahead.
func (t *Table) writeCheckpoint(ctx context.Context, s *state) error {
	rows := s.checkpointRows(time.Now())
	data, err := encodeCheckpoint(rows)
	if err != nil {
		return err
	}
	if err := t.b.Put(ctx, t.checkpointKey(s.version), data); err != nil {
		return err
	}
	fault.Point("store.checkpoint." + t.name)
	have, err := t.readHint(ctx)
	if err != nil {
		return err
	}
	if have < s.version {
		h, err := json.Marshal(hint{Version: s.version, Size: int64(len(rows)), SizeInBytes: int64(len(data)), NumOfAddFiles: int64(len(s.files))})
		if err != nil {
			return err
		}
		if err := t.b.Put(ctx, t.hintKey(), h); err != nil {
			return err
		}
	}
	t.checkpointed = s.version
	return nil
}
