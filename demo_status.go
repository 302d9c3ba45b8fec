package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"bessd/internal/obs"
	"bessd/internal/run"
)

// demoFigures is what flows at one moment.
type demoFigures struct {
	at                           time.Time
	devices, units, unitsUp      int
	scans, bad, values           int64 // since the start
	spooled, queued              int64 // records that wait: on disk, in memory
	archived, lag                int64 // scans accepted by central, messages in Kafka
	flushes, rows, files, bytes  int64
	lastAt                       time.Time
	lastTook                     time.Duration
	failing                      string
	duplicates, conflicts, twins int64
}

func (d *demo) figures() demoFigures {
	f := demoFigures{at: time.Now()}
	for _, n := range d.agents {
		a, fw, sp := n.agent.Stats(), n.forward.Stats(), n.spool.Stats()
		f.devices += a.Devices
		f.scans += a.Scans
		f.bad += a.BadScans
		f.values += a.Values
		for _, u := range a.Units {
			f.units++
			if u.Up {
				f.unitsUp++
			}
		}
		f.queued += int64(fw.Queued)
		f.spooled += int64(sp.Records)
	}
	s := d.central.stats()
	f.archived, f.lag = s.Scans, lag(s)
	f.flushes, f.rows, f.files, f.bytes = s.Flush.Count, s.Flush.Rows, s.Flush.Files, s.Flush.Bytes
	f.lastAt, f.lastTook, f.failing = s.Flush.LastAt, s.Flush.LastTook, s.Flush.Failing
	f.duplicates, f.conflicts, f.twins = s.Duplicates, s.Conflicts, int64(len(s.Twins))
	return f
}

// rate is the growth of a count per second between two moments.
func rate(now, before int64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(now-before) / took.Seconds()
}

// lines is the status as a block for a terminal.
func (f demoFigures) lines(before demoFigures, warning string) []string {
	took := f.at.Sub(before.at)
	commit := "none yet"
	if !f.lastAt.IsZero() {
		commit = fmt.Sprintf("%.0f s ago, took %s", f.at.Sub(f.lastAt).Seconds(), f.lastTook.Round(time.Millisecond))
	}
	out := []string{
		fmt.Sprintf("  agents    %d devices behind %d of %d units   %.0f scans/s   %.0f values/s   %d scans so far, %d bad",
			f.devices, f.unitsUp, f.units, rate(f.scans, before.scans, took), rate(f.values, before.values, took), f.scans, f.bad),
		fmt.Sprintf("  on the way  %d in memory   %d in the spool   %d messages in Kafka", f.queued, f.spooled, f.lag),
		fmt.Sprintf("  tables    last commit %s   %d rows in %d flushes   %d files, %.1f MB", commit, f.rows, f.flushes, f.files, float64(f.bytes)/1e6),
	}
	if f.duplicates+f.conflicts+f.twins > 0 {
		out = append(out, fmt.Sprintf("  seen      %d duplicates   %d conflicts   %d twins", f.duplicates, f.conflicts, f.twins))
	}
	if f.failing != "" {
		out = append(out, "  waiting   "+f.failing)
	}
	if warning != "" {
		out = append(out, "  warning   "+warning)
	}
	return out
}

// line is the status on one line.
func (f demoFigures) line(before demoFigures) string {
	took := f.at.Sub(before.at)
	commit := "none"
	if !f.lastAt.IsZero() {
		commit = fmt.Sprintf("%.0fs ago", f.at.Sub(f.lastAt).Seconds())
	}
	return fmt.Sprintf("%s devices=%d scans/s=%.0f values/s=%.0f queued=%d spool=%d lag=%d commit=%s rows=%d files=%d",
		f.at.Format("15:04:05"), f.devices, rate(f.scans, before.scans, took), rate(f.values, before.values, took),
		f.queued, f.spooled, f.lag, commit, f.rows, f.files)
}

// rateWindow keeps figures of the past, to take rates over rateOver: the period of the cell tier, whose many values come at
// once.
type rateWindow struct{ past []demoFigures }

const rateOver = 10 * time.Second

func newRateWindow(first demoFigures) *rateWindow { return &rateWindow{[]demoFigures{first}} }

// before gives the youngest figures that are as old as the window, else the oldest, and keeps now.
func (w *rateWindow) before(now demoFigures) demoFigures {
	const jitter = rateOver / 50
	for len(w.past) > 1 && now.at.Sub(w.past[1].at) >= rateOver-jitter {
		w.past = w.past[1:]
	}
	w.past = append(w.past, now)
	return w.past[0]
}

// demoScreen writes the status: a block that refreshes on a terminal, a line now and then elsewhere.
type demoScreen struct {
	w        io.Writer
	terminal bool
	warnings *lastWarning

	mu      sync.Mutex
	drawn   int // lines of the block that stands on the terminal
	stopped bool
}

const (
	refreshEvery = time.Second
	lineEvery    = 5 * time.Second
)

// run shows the figures until ctx ends.
func (s *demoScreen) run(ctx context.Context, figures func() demoFigures) {
	every := lineEvery
	if s.terminal {
		every = refreshEvery
	}
	tick := time.NewTicker(refreshEvery) // the first one soon
	defer tick.Stop()
	window := newRateWindow(figures())
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := figures()
			s.show(now, window.before(now))
			tick.Reset(every)
		}
	}
}

func (s *demoScreen) show(now, before demoFigures) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	if !s.terminal {
		fmt.Fprintln(s.w, now.line(before))
		return
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn) // up to where the block began
	}
	lines := now.lines(before, s.warnings.text())
	for _, l := range lines {
		b.WriteString("\x1b[2K" + l + "\n")
	}
	for range s.drawn - len(lines) { // the block shrank
		b.WriteString("\x1b[2K\n")
	}
	s.drawn = max(s.drawn, len(lines))
	io.WriteString(s.w, b.String())
}

// stage tells how a stop proceeds.
func (s *demoScreen) stage(stage string, phase run.Phase, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case phase == run.Stopping && stage == onTheWay:
		fmt.Fprintf(s.w, "waiting  for %s, %s at most ...\n", stage, drainLimit)
	case phase == run.Stopped && stage == onTheWay:
		fmt.Fprintf(s.w, "waited   for %s %s\n", stage, took.Round(time.Millisecond))
	case phase == run.Stopping:
		s.stopped = true
		fmt.Fprintf(s.w, "stopping %s ...\n", stage)
	case phase == run.Stopped:
		fmt.Fprintf(s.w, "stopped  %s after %s\n", stage, took.Round(time.Millisecond))
	}
}

// lastWarning is a log handler that keeps the last warning for the screen and hands everything on.
type lastWarning struct {
	slog.Handler
	kept *keptText
}

type keptText struct {
	mu   sync.Mutex
	text string
	at   time.Time
}

func newLastWarning(h slog.Handler) *lastWarning { return &lastWarning{h, &keptText{}} }

// Handle implements slog.Handler.
func (h *lastWarning) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == obs.Err || a.Key == obs.Endpoint {
				text += " " + a.Value.String()
			}
			return true
		})
		h.kept.mu.Lock()
		h.kept.text, h.kept.at = strings.ReplaceAll(text, "\n", " "), r.Time
		h.kept.mu.Unlock()
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *lastWarning) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lastWarning{h.Handler.WithAttrs(attrs), h.kept}
}

// WithGroup implements slog.Handler.
func (h *lastWarning) WithGroup(name string) slog.Handler {
	return &lastWarning{h.Handler.WithGroup(name), h.kept}
}

// text is the last warning while it is fresh.
func (h *lastWarning) text() string {
	h.kept.mu.Lock()
	defer h.kept.mu.Unlock()
	if time.Since(h.kept.at) > time.Minute {
		return ""
	}
	const most = 150
	if len(h.kept.text) > most {
		return h.kept.text[:most] + "..."
	}
	return h.kept.text
}
