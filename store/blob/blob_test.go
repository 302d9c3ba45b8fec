package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetrierWaitsOutTransientFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Retrier{Log: slog.New(slog.DiscardHandler)}
		start, calls := time.Now(), 0
		err := r.Do(t.Context(), "putting x", func(context.Context) error {
			calls++
			if calls < 12 {
				return &Error{Op: "putting", Key: "x", Kind: Transient, Err: errors.New("503")}
			}
			return nil
		})
		if err != nil || calls != 12 {
			t.Fatalf("err %v after %d calls", err, calls)
		}
		if d := time.Since(start); d < 10*time.Second || d > 3*time.Minute {
			t.Fatalf("11 waits took %v", d)
		}
	})
}

func TestRetrierStops(t *testing.T) {
	for _, stop := range []error{
		&Error{Kind: Permanent, Err: errors.New("denied")},
		fmt.Errorf("reading: %w", fs.ErrNotExist),
		&Error{Kind: Transient, Err: fs.ErrExist},
		errors.New("anything"),
	} {
		calls := 0
		err := Retrier{Log: slog.New(slog.DiscardHandler)}.Do(t.Context(), "x", func(context.Context) error { calls++; return stop })
		if calls != 1 || !errors.Is(err, stop) {
			t.Errorf("%v: %d calls, err %v", stop, calls, err)
		}
	}
}

func TestRetrierEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	last := &Error{Op: "getting", Key: "k", Kind: Transient, Err: errors.New("slow")}
	err := Retrier{Log: slog.New(slog.DiscardHandler)}.Do(ctx, "x", func(context.Context) error { cancel(); return last })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, last) {
		t.Fatalf("got %v", err)
	}
}

func TestNewID(t *testing.T) {
	a, b := NewID(), NewID()
	if a == b || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(a) {
		t.Fatal(a, b)
	}
}
