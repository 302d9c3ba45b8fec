package delta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// fetchers is how many versions are fetched at the same time.
const fetchers = 16

func (t *Table) logKey(name string) string { return t.root + "_delta_log/" + name }
func (t *Table) versionKey(v int64) string { return t.logKey(fmt.Sprintf("%020d.json", v)) }
func (t *Table) checkpointKey(v int64) string {
	return t.logKey(fmt.Sprintf("%020d.checkpoint.parquet", v))
}
func (t *Table) hintKey() string { return t.logKey("_last_checkpoint") }
func (t *Table) corrupt(v int64, err error) error {
	return &CorruptError{Table: t.name, Version: v, Err: err}
}

// hint is the content of _last_checkpoint.
type hint struct {
	Version       int64 `json:"version"`
	Size          int64 `json:"size"`
	Parts         int64 `json:"parts,omitempty"`
	SizeInBytes   int64 `json:"sizeInBytes,omitempty"`
	NumOfAddFiles int64 `json:"numOfAddFiles,omitempty"`
}

// readHint returns the version that _last_checkpoint names, -1 if it is
// missing or makes no sense: it only saves work.
func (t *Table) readHint(ctx context.Context) (int64, error) {
	data, err := t.b.Get(ctx, t.hintKey())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return -1, nil
	case err != nil:
		return 0, err
	}
	var h hint
	if json.Unmarshal(data, &h) != nil || h.Version < 0 || h.Parts > 1 {
		return -1, nil
	}
	return h.Version, nil
}

// listing is what _delta_log holds from some version on.
type listing struct {
	versions    []int64 // ascending
	checkpoints []int64 // ascending, single-file classic ones
}

// list looks at the log after version v (-1: all of it), and at v's own checkpoint.
func (t *Table) list(ctx context.Context, v int64) (listing, error) {
	after := ""
	if v >= 0 {
		after = t.logKey(fmt.Sprintf("%020d", v))
	}
	infos, err := t.b.List(ctx, t.logKey(""), after)
	if err != nil {
		return listing{}, err
	}
	var l listing
	for _, info := range infos {
		name := strings.TrimPrefix(info.Key, t.logKey(""))
		if len(name) < 21 || name[20] != '.' {
			continue
		}
		n, err := strconv.ParseInt(name[:20], 10, 64)
		if err != nil {
			continue
		}
		switch name[21:] {
		case "json":
			l.versions = append(l.versions, n)
		case "checkpoint.parquet":
			l.checkpoints = append(l.checkpoints, n)
		}
	}
	slices.Sort(l.versions)
	slices.Sort(l.checkpoints)
	return l, nil
}

// load reads the table from its newest readable checkpoint and the versions
// after it. A table that does not exist is an error that wraps fs.ErrNotExist.
func (t *Table) load(ctx context.Context) (*state, error) {
	from, err := t.readHint(ctx)
	if err != nil {
		return nil, err
	}
	l, err := t.list(ctx, from)
	if err != nil {
		return nil, err
	}
	s, cerr := t.loadCheckpoint(ctx, l.checkpoints)
	if s == nil && from >= 0 {
		// The hint names a checkpoint that is gone or damaged: look at everything.
		t.log.Warn("the checkpoint hint of the table leads nowhere, listing the whole log", "table", t.name, "version", from, "err", cerr)
		if l, err = t.list(ctx, -1); err != nil {
			return nil, err
		}
		s, cerr = t.loadCheckpoint(ctx, l.checkpoints)
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if s == nil {
		s = newState()
		if len(l.versions) == 0 && len(l.checkpoints) == 0 {
			return nil, fmt.Errorf("table %s: no log below %s: %w", t.name, t.logKey(""), fs.ErrNotExist)
		}
		if len(l.versions) == 0 || l.versions[0] != 0 {
			if cerr == nil {
				cerr = errors.New("the log begins later and has no checkpoint")
			}
			return nil, t.corrupt(0, cerr)
		}
	}
	t.checkpointed = max(t.checkpointed, s.version)
	if err := t.replay(ctx, s, l.versions); err != nil {
		return nil, err
	}
	if err := s.complete(); err != nil {
		return nil, t.corrupt(s.version, err)
	}
	return s, nil
}

// loadCheckpoint returns the state of the newest checkpoint that can be read,
// nil and the last reason if there is none.
func (t *Table) loadCheckpoint(ctx context.Context, versions []int64) (*state, error) {
	var last error
	for _, v := range slices.Backward(versions) {
		data, err := t.b.Get(ctx, t.checkpointKey(v))
		if err == nil {
			var s *state
			if s, err = decodeCheckpoint(data, v); err == nil {
				return s, nil
			}
		}
		if p := (*ProtocolError)(nil); errors.As(err, &p) {
			return nil, err // replaying would end in the same refusal
		}
		last = fmt.Errorf("checkpoint %d: %w", v, err)
		if ctx.Err() != nil {
			return nil, last
		}
	}
	return nil, last
}

// replay applies those of the versions that come after s, in order, fetching
// several at a time. They must be without a gap.
func (t *Table) replay(ctx context.Context, s *state, versions []int64) error {
	for len(versions) > 0 && versions[0] <= s.version {
		versions = versions[1:]
	}
	for i, v := range versions {
		if v != s.version+1+int64(i) {
			return t.corrupt(s.version+1+int64(i), errors.New("this version is missing although later ones exist"))
		}
	}
	for len(versions) > 0 {
		batch := versions[:min(len(versions), 4*fetchers)]
		versions = versions[len(batch):]
		commits := make([][]action, len(batch))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(fetchers)
		for i, v := range batch {
			g.Go(func() (err error) {
				commits[i], err = t.readVersion(gctx, v)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i, v := range batch {
			if err := t.apply(s, v, commits[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Table) apply(s *state, v int64, actions []action) error {
	err := s.apply(v, actions)
	if p := (*ProtocolError)(nil); errors.As(err, &p) {
		p.Table = t.name
	}
	return err
}

// readVersion returns the actions of one version; an error that wraps
// fs.ErrNotExist says that there is none.
func (t *Table) readVersion(ctx context.Context, v int64) ([]action, error) {
	data, err := t.b.Get(ctx, t.versionKey(v))
	if err != nil {
		return nil, err
	}
	actions, err := parseCommit(data)
	if p := (*ProtocolError)(nil); errors.As(err, &p) {
		p.Table = t.name
		return nil, p
	}
	if err != nil {
		return nil, t.corrupt(v, err)
	}
	return actions, nil
}
