package obs

import (
	"fmt"
	"io"
	"log/slog"
	"os"
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

// IsTerminal reports whether w is a character device other than the null device.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}
