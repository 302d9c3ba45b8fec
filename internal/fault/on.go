//go:build faultpoints

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled says whether this build has fault points.
const Enabled = true

type action struct {
	at    int64
	sleep time.Duration // zero: kill
}

// plan is read once from the environment. It is process-wide like the process
// that it kills, and exists only in test builds.
var plan = sync.OnceValue(func() *state { return parse(os.Getenv("BESSD_FAULT")) })

type state struct {
	mu      sync.Mutex
	passed  map[string]int64
	actions map[string][]action
}

func parse(spec string) *state {
	s := &state{passed: map[string]int64{}, actions: map[string][]action{}}
	for _, part := range strings.Split(spec, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		f := strings.Split(part, ":")
		a := action{at: 1}
		var err error
		if len(f) > 1 {
			a.at, err = strconv.ParseInt(f[1], 10, 64)
		}
		if err == nil && len(f) > 2 {
			a.sleep, err = time.ParseDuration(strings.TrimPrefix(f[2], "sleep="))
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "BESSD_FAULT %q is not name:count or name:count:sleep=duration\n", part)
			os.Exit(2)
		}
		s.actions[f[0]] = append(s.actions[f[0]], a)
	}
	return s
}

// Point marks a place where a test may kill or delay the process.
func Point(name string) {
	s := plan()
	if len(s.actions) == 0 {
		return
	}
	s.mu.Lock()
	s.passed[name]++
	n, actions := s.passed[name], s.actions[name]
	s.mu.Unlock()
	for _, a := range actions {
		switch {
		case a.at != n:
		case a.sleep > 0:
			time.Sleep(a.sleep)
		default:
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal takes us
		}
	}
}
