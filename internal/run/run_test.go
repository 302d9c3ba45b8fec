package run

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// journal notes what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) part(name string, stopTakes time.Duration, err error) Part {
	return Part{name, func(ctx context.Context) error {
		j.add("+" + name)
		<-ctx.Done()
		select {
		case <-time.After(stopTakes):
			j.add("-" + name)
		case <-Draining(ctx).Done():
			j.add("!" + name)
		}
		return err
	}}
}

func TestStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		g := Group{Stages: []Stage{
			{Name: "one", Parts: []Part{j.part("a", time.Second, nil)}},
			{Name: "two", Parts: []Part{j.part("b", 3*time.Second, context.Canceled), j.part("c", 2*time.Second, nil)}},
			{Name: "three", Parts: []Part{j.part("d", 0, nil), Closer("e", func() error { return nil })}},
		}, Notify: func(s string, p Phase, took time.Duration) {
			if p == Stopped {
				j.add(s + " " + took.String())
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if err := g.Run(ctx); err != nil {
			t.Fatal(err)
		}
		want := []string{"-d", "three 0s", "-c", "-b", "two 3s", "-a", "one 1s"}
		if got := j.lines[len(j.lines)-len(want):]; !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
}

func TestErrorStopsTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		boom := errors.New("boom")
		g := Group{Stages: []Stage{
			{Name: "one", Parts: []Part{j.part("a", 0, errors.New("late"))}},
			{Name: "two", Parts: []Part{{"b", func(context.Context) error { <-time.After(time.Second); return boom }}}},
		}}
		err := g.Run(t.Context())
		if !errors.Is(err, boom) || err.Error() != "b: boom\na: late" {
			t.Errorf("got %v", err)
		}
		g = Group{Stages: []Stage{{Name: "one", Parts: []Part{{"b", func(context.Context) error { return nil }}}}}}
		if err := g.Run(t.Context()); !errors.Is(err, ErrEnded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestGraceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		release := make(chan struct{})
		g := Group{Stages: []Stage{
			{Name: "one", Parts: []Part{j.part("a", 0, nil)}},
			{Name: "two", Grace: 5 * time.Second, Parts: []Part{
				j.part("slow", time.Hour, nil),
				{"deaf", func(context.Context) error { <-release; return nil }},
			}},
		}}
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := time.Now()
		time.AfterFunc(time.Second, func() { cancelled = time.Now(); cancel() })
		err := g.Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "stopping two: not ended within 5s; still running: deaf") {
			t.Errorf("got %v", err)
		}
		if got := time.Since(cancelled); got != 8*time.Second {
			t.Errorf("took %s", got)
		}
		if want := []string{"!slow", "-a"}; !slices.Equal(j.lines[len(j.lines)-2:], want) {
			t.Errorf("got %q", j.lines)
		}
		close(release)
	})
}

func TestSecondSignalAborts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		sig := make(chan os.Signal, 2)
		ctx, abort, release := Signals(t.Context(), sig)
		defer release()
		g := Group{Abort: abort, Stages: []Stage{
			{Name: "one", Parts: []Part{j.part("a", time.Hour, nil)}},
			{Name: "two", Parts: []Part{j.part("b", time.Hour, nil)}},
		}}
		time.AfterFunc(time.Second, func() { sig <- os.Interrupt })
		time.AfterFunc(2*time.Second, func() { sig <- os.Interrupt })
		begin := time.Now()
		if err := g.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %s", took)
		}
		if want := []string{"!b", "!a"}; !slices.Equal(j.lines[len(j.lines)-2:], want) {
			t.Errorf("got %q", j.lines)
		}
	})
}

func TestDrainingOutsideAGroup(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	cancel()
	if d := Draining(ctx); d.Err() != nil || d.Value(key{}) != "v" {
		t.Error("draining ended or lost its values")
	}
}
