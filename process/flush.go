package process

import (
	"context"
	"fmt"
	"time"

	"bessd/bess"
	"bessd/internal/fault"
)

// flush writes a section to the tables that are not skipped. Only the end of ctx and being fenced end it with an error;
// everything else is tried again. A table without rows is left alone, but for telemetry and the ledger: the one tells
// queries where hot rows begin, the other where a restart begins.
func (a *Archive) flush(ctx context.Context, s *section, skip map[bess.Table]bool) (err error) {
	began := time.Now()
	f := s.flush(a.cfg.Topic, began)
	type part struct {
		table  bess.Table
		staged Staged
	}
	var parts []part
	defer func() {
		for _, p := range parts {
			if derr := p.staged.Discard(); derr != nil {
				a.log.Warn("a staged file stays on disk until the next start", "table", p.table.String(), "err", derr)
			}
		}
	}()
	for _, t := range bess.FlushTables() {
		if skip[t] || f.Rows(t) == 0 && t != bess.TableTelemetry && t != bess.TableLedger {
			continue
		}
		var staged Staged
		err := a.step(ctx, "staging "+t.String(), func(ctx context.Context) (err error) {
			staged, err = a.lake.Stage(ctx, f, t)
			return err
		})
		if err != nil {
			return err
		}
		parts = append(parts, part{t, staged})
	}
	fault.Point("archive.staged")
	for _, p := range parts {
		if err := a.step(ctx, "uploading "+p.table.String(), p.staged.Upload); err != nil {
			return err
		}
	}
	fault.Point("archive.uploaded")
	commits := map[string]bess.Commit{}
	for _, p := range parts {
		err := a.step(ctx, "committing "+p.table.String(), func(ctx context.Context) error {
			c, err := p.staged.Commit(ctx)
			if err == nil {
				commits[p.table.String()] = c
			}
			return err
		})
		if err != nil {
			return err
		}
		fault.Point("archive.committed." + p.table.String())
	}
	a.flushed(f, commits, began)
	return nil
}

// step is one repeatable step of a flush, with a time limit per try.
func (a *Archive) step(ctx context.Context, what string, f func(context.Context) error) error {
	defer a.stats.flushed(func(s *FlushStats) { s.Failing = "" })
	return a.retry(ctx, what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, a.cfg.CommitLimit)
		defer cancel()
		err := f(ctx)
		if err != nil {
			a.stats.flushed(func(s *FlushStats) {
				s.Failures++
				s.Failing = fmt.Sprintf("%s: %v", what, err)
			})
		}
		return err
	})
}

func (a *Archive) flushed(f *bess.Flush, commits map[string]bess.Commit, began time.Time) {
	for _, r := range f.Ranges {
		a.stats.partition(r.Partition, func(p *PartitionStats) {
			p.Committed = bess.Position{Generation: r.Generation, Offset: r.To}
		})
	}
	took := time.Since(began)
	var files, bytes int64
	for _, c := range commits {
		files += int64(c.Files)
		bytes += c.Bytes
	}
	t := commits[bess.TableTelemetry.String()]
	a.stats.flushed(func(s *FlushStats) {
		s.Count++
		s.Rows += t.Rows
		s.Values += t.Values
		s.Files += files
		s.Bytes += bytes
		s.LastAt, s.LastTook, s.LastTable = began.Add(took), took, commits
	})
	a.log.Debug("flushed", "rows", t.Rows, "values", t.Values, "files", files, "bytes", bytes, "version", t.Version, "took", took)
}
