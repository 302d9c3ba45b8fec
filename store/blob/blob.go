package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"time"
)

// Info describes one stored object.
type Info struct {
	Key      string // relative to the root of the store, separated by '/'
	Size     int64  // bytes
	Modified time.Time
}

// Kind says what to do about a failure.
type Kind uint8

// Kinds of failure. The zero value is treated as Permanent.
const (
	Unknown   Kind = iota
	Transient      // trying the same again may work: timeouts, 503, a cut connection, a full disk
	Permanent      // it will not work until somebody acts: access denied, no such bucket
)

// Error is a failed operation of an object store.
type Error struct {
	Op     string // "putting", "getting", "listing", ...
	Key    string // object or prefix
	Kind   Kind
	Remedy string // what a person can do, empty if nothing is known
	Err    error
}

// Error says what failed and, if known, what to do about it.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %v", e.Op, e.Key, e.Err)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Transient reports whether the same operation may succeed later. Callers in
// other rooms can look for this method without importing this package.
func (e *Error) Transient() bool { return e.Kind == Transient }

// IsTransient reports whether err is a failure that may pass by itself. An end
// of the context, an absent object and a refused put-if-absent are not.
func IsTransient(err error) bool {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return false
	}
	var e *Error
	return errors.As(err, &e) && e.Kind == Transient
}

// Backoff makes growing, jittered waits. The zero value starts at 100 ms and
// ends at 30 s.
type Backoff struct {
	First, Max time.Duration
	n          int
}

// Next returns the next wait: between half and all of First * 2^n, at most Max.
func (b *Backoff) Next() time.Duration {
	first, limit := b.First, b.Max
	if first <= 0 {
		first = 100 * time.Millisecond
	}
	if limit <= 0 {
		limit = 30 * time.Second
	}
	d := limit
	if b.n < 20 && first<<b.n < limit {
		d = first << b.n
	}
	b.n++
	return d/2 + mathrand.N(d/2+1)
}

// Wait sleeps for the next wait, or until ctx ends, whose error it returns then.
func (b *Backoff) Wait(ctx context.Context) error {
	t := time.NewTimer(b.Next())
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Retrier repeats operations that fail transiently until they succeed, fail
// permanently or the context ends. It is safe for concurrent use.
type Retrier struct {
	Log *slog.Logger
	// First and Max are the bounds of the waits; zero means those of Backoff.
	First, Max time.Duration
	// LogEvery is how often a failure that goes on is logged again; zero means a minute.
	LogEvery time.Duration
}

// Do runs f until it stops failing transiently. The first failure and the
// recovery are logged, in between once per LogEvery. When ctx ends first, the
// result wraps both the context's error and the last failure.
func (r Retrier) Do(ctx context.Context, what string, f func(context.Context) error) error {
	b := Backoff{First: r.First, Max: r.Max}
	every := r.LogEvery
	if every <= 0 {
		every = time.Minute
	}
	var began, logged time.Time
	for try := 1; ; try++ {
		err := f(ctx)
		if err == nil || !IsTransient(err) {
			if try > 1 {
				r.Log.Info("the store answers again", "what", what, "tries", try, "after", time.Since(began).Round(time.Millisecond))
			}
			return err
		}
		now := time.Now()
		if try == 1 {
			began = now
		}
		if now.Sub(logged) >= every {
			logged = now
			r.Log.Warn("the store does not take part, trying again", "what", what, "tries", try, "err", err)
		}
		if cause := b.Wait(ctx); cause != nil {
			return fmt.Errorf("%s: %w (last failure: %w)", what, cause, err)
		}
	}
}

// NewID returns a random UUID (version 4) as text.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, crypto/rand ends the process instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
