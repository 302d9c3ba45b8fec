package obs

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Keys of log attributes. The error comes last, under Err.
const (
	Component = "component"
	Site      = "site"
	Device    = "device"
	Endpoint  = "endpoint"
	Unit      = "unit"
	Point     = "point"
	Epoch     = "epoch"
	Seq       = "seq"
	Topic     = "topic"
	Partition = "partition"
	Offset    = "offset"
	Table     = "table"
	Version   = "version"
	Count     = "count"
	Bytes     = "bytes"
	Took      = "took"
	Err       = "err"
)

// LogConfig says how logs look.
type LogConfig struct {
	Level  string // debug, info, warn, error; "" is info
	Format string // text, json; "" is text
}

// Validate tells what is wrong, nil if nothing.
func (c LogConfig) Validate() error {
	if _, err := c.level(); err != nil {
		return err
	}
	if c.Format != "" && c.Format != "text" && c.Format != "json" {
		return fmt.Errorf("format %q; want text or json", c.Format)
	}
	return nil
}

func (c LogConfig) level() (slog.Level, error) {
	var l slog.Level
	if c.Level == "" {
		return slog.LevelInfo, nil
	}
	if err := l.UnmarshalText([]byte(c.Level)); err != nil {
		return l, fmt.Errorf("level %q; want debug, info, warn or error", c.Level)
	}
	return l, nil
}

// NewLogger makes a logger on w. On a terminal, text has the time of day only.
func NewLogger(w io.Writer, c LogConfig) (*slog.Logger, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	level, _ := c.level()
	opt := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt)), nil
	}
	if IsTerminal(w) {
		opt.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, opt)), nil
}

// IsTerminal reports whether w is a character device.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// Changes logs when something starts to fail, now and then while it keeps failing, and when it is fine again. Each
// subject is followed by itself. Safe for concurrent use.
type Changes struct {
	log   *slog.Logger
	every time.Duration

	mu      sync.Mutex
	failing map[string]*failure
}

type failure struct {
	since, told time.Time
	count       int
}

// maxSubjects bounds the memory of Changes; failures of further subjects are logged each time.
const maxSubjects = 10_000

// NewChanges makes a Changes that repeats a lasting failure after every; 0 is one minute.
func NewChanges(log *slog.Logger, every time.Duration) *Changes {
	if every == 0 {
		every = time.Minute
	}
	return &Changes{log: log, every: every, failing: map[string]*failure{}}
}

// Note notes how subject is doing: err nil is fine. attrs are added to what is logged.
func (c *Changes) Note(subject string, err error, attrs ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, now := c.failing[subject], time.Now()
	switch {
	case err == nil && f == nil:
	case err == nil:
		delete(c.failing, subject)
		c.log.Info(subject+": fine again", append(attrs, Count, f.count, Took, now.Sub(f.since))...)
	case f == nil:
		if len(c.failing) < maxSubjects {
			c.failing[subject] = &failure{since: now, told: now, count: 1}
		}
		c.log.Warn(subject+": failing", append(attrs, Err, err)...)
	default:
		f.count++
		if now.Sub(f.told) >= c.every {
			f.told = now
			c.log.Warn(subject+": still failing", append(attrs, Count, f.count, "since", f.since, Err, err)...)
		}
	}
}
