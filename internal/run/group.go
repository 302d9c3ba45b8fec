package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Part is something that runs until its context ends.
type Part struct {
	Name string
	// Run blocks until ctx ends and everything that it started has ended. An error stops the whole group, as does
	// returning unasked. The context's own error counts as nil.
	Run func(ctx context.Context) error
}

// Closer makes a part that does nothing but close something once the later stages have ended.
func Closer(name string, closing func() error) Part {
	return Part{name, func(ctx context.Context) error {
		<-ctx.Done()
		return closing()
	}}
}

// Stage is a set of parts that start and stop together.
type Stage struct {
	Name  string
	Parts []Part
	Grace time.Duration // for the parts to return once asked; 0 is DefaultGrace
}

// DefaultGrace is a stage's grace period when it names none. lastWait is what parts get to return after Draining has
// ended, before the group gives them up.
const (
	DefaultGrace = 30 * time.Second
	lastWait     = 3 * time.Second
)

// Phase is a step in the life of a stage.
type Phase uint8

// Phases of a stage.
const (
	Started Phase = iota + 1
	Stopping
	Stopped
)

// Group runs stages. Fill it, then call Run once.
type Group struct {
	Stages []Stage // in the order of starting
	// Abort, when closed, ends all grace periods at once; may be nil.
	Abort <-chan struct{}
	// Notify is told of every phase, with the time that the stop took; called from Run's goroutine; may be nil.
	Notify func(stage string, phase Phase, took time.Duration)
	Log    *slog.Logger // may be nil
}

// ErrEnded is what a part is stopped with that returned nil although nobody had asked it to stop.
var ErrEnded = errors.New("ended without being asked")

type drainKey struct{}

// Draining gives the context for work that must finish after ctx has ended: it keeps ctx's values and ends when the
// grace period is over or aborted. Outside a Group it is ctx without its end.
func Draining(ctx context.Context) context.Context {
	if d, ok := ctx.Value(drainKey{}).(context.Context); ok {
		return d
	}
	return context.WithoutCancel(ctx)
}

type outcome struct {
	stage, part int
	err         error
}

type stageState struct {
	cancel, abort context.CancelFunc
	running       map[int]bool
}

// Run starts the stages and blocks until all have stopped. The error names what started the stop, nil when it was ctx,
// joined with what went wrong while stopping. After an abort or an exceeded grace period, parts that do not return are
// named in the error and left behind; the process should then exit.
func (g *Group) Run(ctx context.Context) error {
	log := g.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	results := make(chan outcome)
	given := make(chan struct{}) // closed when Run returns, so that parts left behind can end
	defer close(given)
	states := make([]stageState, len(g.Stages))
	base := context.WithoutCancel(ctx) // stages end in our order, not all at once with ctx
	var errs []error
	note := func(o outcome, asked bool) {
		delete(states[o.stage].running, o.part)
		err := o.err
		if errors.Is(err, context.Canceled) && asked {
			err = nil
		}
		if err == nil && !asked {
			err = ErrEnded
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.Stages[o.stage].Parts[o.part].Name, err))
		}
	}
	started := 0
	for i, s := range g.Stages {
		if ctx.Err() != nil || len(errs) > 0 {
			break
		}
		drain, abort := context.WithCancel(base)
		soft, cancel := context.WithCancel(context.WithValue(drain, drainKey{}, drain))
		states[i] = stageState{cancel, abort, map[int]bool{}}
		defer abort()
		defer cancel()
		for j, p := range s.Parts {
			states[i].running[j] = true
			go func() {
				err := p.Run(soft)
				select {
				case results <- outcome{i, j, err}:
				case <-given:
				}
			}()
		}
		started++
		g.notify(s.Name, Started, 0)
		log.Debug("stage started", "stage", s.Name)
		select { // a part that fails at once keeps later stages from starting
		case o := <-results:
			note(o, false)
		default:
		}
	}
	if len(errs) == 0 && started == len(g.Stages) {
		select {
		case <-ctx.Done():
		case o := <-results:
			note(o, false)
		}
	}
	for i := started - 1; i >= 0; i-- {
		g.stopStage(i, states, results, note, &errs, log)
	}
	return errors.Join(errs...)
}

// stopStage asks one stage to stop and collects its parts; parts of other stages that end meanwhile are noted too.
func (g *Group) stopStage(i int, states []stageState, results <-chan outcome, note func(outcome, bool), errs *[]error, log *slog.Logger) {
	s, st := g.Stages[i], states[i]
	begin := time.Now()
	g.notify(s.Name, Stopping, 0)
	log.Debug("stage stopping", "stage", s.Name)
	st.cancel()
	grace := s.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	abort, over := g.Abort, "" // over says why the grace period ended
	end := func(why string) {
		over, abort = why, nil
		st.abort()
		timer.Reset(lastWait)
		log.Warn("grace period ended", "stage", s.Name, "why", why)
	}
	for len(st.running) > 0 {
		select {
		case o := <-results:
			note(o, o.stage == i)
		case <-abort:
			end("aborted")
		case <-timer.C:
			if over == "" {
				end(fmt.Sprintf("not ended within %s", grace))
				continue
			}
			var left []string
			for j, p := range s.Parts {
				if st.running[j] {
					left = append(left, p.Name)
				}
			}
			*errs = append(*errs, fmt.Errorf("stopping %s: %s; still running: %s", s.Name, over, strings.Join(left, ", ")))
			return
		}
	}
	st.abort()
	g.notify(s.Name, Stopped, time.Since(begin))
	log.Debug("stage stopped", "stage", s.Name, "took", time.Since(begin))
}

func (g *Group) notify(stage string, phase Phase, took time.Duration) {
	if g.Notify != nil {
		g.Notify(stage, phase, took)
	}
}
