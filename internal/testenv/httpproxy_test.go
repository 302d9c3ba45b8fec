package testenv

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// store is an S3-like backend that remembers what reached it.
type store struct {
	*httptest.Server
	puts atomic.Int64
	host atomic.Value
	path atomic.Value
}

func newStore(t *testing.T) *store {
	s := &store{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.host.Store(r.Host)
		s.path.Store(r.RequestURI)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // a broken upload is no object
		}
		if r.Method == http.MethodPut {
			s.puts.Add(1)
		}
		w.Header().Set("ETag", `"x"`)
		_, _ = w.Write(append([]byte("stored "), body...))
	}))
	t.Cleanup(s.Close)
	return s
}

// put sends a body through a client that never retries.
func put(t *testing.T, url, body string) (int, string, error) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := (&http.Client{Transport: transport, Timeout: soon}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(b), err
}

func TestHTTPProxyForwardsUntouched(t *testing.T) {
	s := newStore(t)
	p := NewHTTPProxy(t, s.URL)
	code, body, err := put(t, p.URL+"/lake/a%20b/dt=2026-01-01?x=1&y=%2F", "hello")
	if err != nil || code != 200 || body != "stored hello" {
		t.Fatalf("got %d %q %v", code, body, err)
	}
	if s.path.Load() != "/lake/a%20b/dt=2026-01-01?x=1&y=%2F" || "http://"+s.host.Load().(string) != p.URL {
		t.Errorf("the target saw %v at host %v", s.path.Load(), s.host.Load())
	}
	x := p.Exchanges()
	if len(x) != 1 || x[0].Method != "PUT" || x[0].Status != 200 || x[0].Path != "/lake/a%20b/dt=2026-01-01" {
		t.Errorf("the log is %+v", x)
	}
}

func TestHTTPProxyFaults(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name     string
		fault    HTTPFault
		body     string
		status   int    // 0: the client gets an error
		contains string // in the reply
		stored   int64  // objects that the target has
	}{
		{"slow down", HTTPFault{Status: 503}, "a", 503, "<Code>SlowDown</Code>", 0},
		{"precondition", HTTPFault{Status: 412}, "a", 412, "<Code>PreconditionFailed</Code>", 0},
		{"slow", HTTPFault{Delay: time.Millisecond}, "a", 200, "stored a", 1},
		{"reply lost", HTTPFault{LoseReply: true}, "a", 0, "", 1},
		{"reply cut", HTTPFault{CutReply: 5}, long, 0, "", 1},
		{"request cut", HTTPFault{CutRequest: 100}, long, 0, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			p := NewHTTPProxy(t, s.URL)
			p.Script(Once(nil, c.fault))
			code, body, err := put(t, p.URL+"/k", c.body)
			if c.status == 0 && err == nil {
				t.Errorf("the client saw %d and %d bytes, and no error", code, len(body))
			}
			if c.status != 0 && (err != nil || code != c.status || !strings.Contains(body, c.contains)) {
				t.Errorf("the client saw %d %q %v", code, body, err)
			}
			if n := s.puts.Load(); n != c.stored {
				t.Errorf("%d objects reached the target", n)
			}
			if code, _, err := put(t, p.URL+"/k", "again"); err != nil || code != 200 {
				t.Errorf("the next request got %d, %v", code, err)
			}
		})
	}
}

func TestHTTPProxyWithoutTarget(t *testing.T) {
	p := NewHTTPProxy(t, "http://"+FreeAddr(t))
	if code, _, err := put(t, p.URL+"/k", "a"); err == nil {
		t.Errorf("got %d from nowhere", code)
	}
}

func TestEveryPicksTheNth(t *testing.T) {
	isPut := func(r *http.Request) bool { return r.Method == http.MethodPut }
	script := Every(3, isPut, HTTPFault{Status: 503})
	var hit []int
	for i := 1; i <= 7; i++ {
		if script(httptest.NewRequest(http.MethodGet, "/", nil)) != (HTTPFault{}) {
			t.Error("a GET was hit")
		}
		if script(httptest.NewRequest(http.MethodPut, "/", nil)).Status == 503 {
			hit = append(hit, i)
		}
	}
	if len(hit) != 2 || hit[0] != 3 || hit[1] != 6 {
		t.Errorf("hit were %v", hit)
	}
}

func TestPollReturnsTheLastError(t *testing.T) {
	n := 0
	err := poll(soon, func() error {
		if n++; n < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("after %d calls: %v", n, err)
	}
	if err := poll(time.Millisecond, func() error { return errors.New("never") }); err == nil || err.Error() != "never" {
		t.Errorf("got %v", err)
	}
}
