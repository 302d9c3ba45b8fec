package obs

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Health is a list of named checks. Safe for concurrent use.
type Health struct {
	mu     sync.Mutex
	names  []string
	checks map[string]func() error
}

// NewHealth makes a Health without checks, which is ready.
func NewHealth() *Health { return &Health{checks: map[string]func() error{}} }

// Check adds a check; it must answer at once, from any goroutine. A second one under the same name replaces the first.
func (h *Health) Check(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks[name] == nil {
		h.names = append(h.names, name)
	}
	h.checks[name] = check
}

// Ready asks all checks; the text has one line for each, "ok" or what is wrong.
func (h *Health) Ready() (ok bool, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	ok = true
	for _, n := range h.names {
		if err := h.checks[n](); err != nil {
			ok = false
			fmt.Fprintf(&b, "%s: %v\n", n, err)
		} else {
			fmt.Fprintf(&b, "%s: ok\n", n)
		}
	}
	if len(h.names) == 0 {
		b.WriteString("ok\n")
	}
	return ok, b.String()
}

func (h *Health) serve(w http.ResponseWriter, _ *http.Request) {
	ok, text := h.Ready()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprint(w, text)
}
