package agent

import (
	"errors"
	"iter"

	"bessd/agent/sunspec"
	bessmaps "bessd/bess/maps"
)

// survey is a SunSpec discovery that the endpoint's goroutine runs one request at a time, in its free time.
type survey struct {
	ask   *ask // the request that is wanted next, nil when the survey is over
	next  func() (*ask, bool)
	stop  func()
	chain *sunspec.Chain
	err   error
}

// ask is one read of holding registers; the endpoint fills in the answer.
type ask struct {
	addr uint16
	n    int
	regs []uint16
	err  error
}

var errStopped = errors.New("discovery was stopped")

func startSurvey(facts map[uint16]*bessmaps.Model) *survey {
	s := &survey{}
	s.next, s.stop = iter.Pull(func(yield func(*ask) bool) {
		s.chain, s.err = sunspec.Discover(func(addr uint16, n int) ([]uint16, error) {
			a := &ask{addr: addr, n: n}
			if !yield(a) {
				return nil, errStopped
			}
			return a.regs, a.err
		}, facts)
	})
	s.ask, _ = s.next()
	return s
}

// answer goes on with the answer to s.ask; s.ask is nil when that was the last.
func (s *survey) answer(regs []uint16, err error) {
	s.ask.regs, s.ask.err = regs, err
	s.ask, _ = s.next()
}
