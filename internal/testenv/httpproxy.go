package testenv

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// HTTPFault is what an HTTPProxy does to one request. The zero value forwards it untouched.
type HTTPFault struct {
	// Delay holds the request before anything else happens.
	Delay time.Duration
	// Status answers with this code and an S3 error body; the target never sees the request.
	Status int
	// CutRequest breaks off after so many bytes of the request's body, towards both sides. Zero: not at all.
	CutRequest int64
	// LoseReply forwards the request, waits for the whole reply, and closes the client's connection without it.
	LoseReply bool
	// CutReply sends the reply's header and so many bytes of its body, and then closes the connection. Zero: not at all.
	CutReply int64
}

// HTTPExchange is one request that an HTTPProxy has dealt with.
type HTTPExchange struct {
	Method string
	Path   string // escaped, without the query
	Query  string
	// Status is the target's answer, or the fault's; 0 when the target gave none.
	Status int
	// Fault is what was done to it.
	Fault HTTPFault
}

// HTTPProxy forwards HTTP requests to one target and breaks them as a script says. Host, path and headers go through
// untouched, so that signed S3 requests stay valid. All methods are safe from any goroutine.
type HTTPProxy struct {
	// URL is the base URL for clients: http://127.0.0.1:port.
	URL       string
	target    *url.URL
	transport *http.Transport

	mu     sync.Mutex
	script func(*http.Request) HTTPFault
	log    []HTTPExchange
}

// NewHTTPProxy starts a proxy in front of target, a base URL.
func NewHTTPProxy(t testing.TB, target string) *HTTPProxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("starting a proxy to %s: %v", target, err)
	}
	p := &HTTPProxy{target: u, transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	server := httptest.NewServer(p)
	p.URL = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		p.transport.CloseIdleConnections()
	})
	return p
}

// Script has choose decide each request's fault from now on; nil heals. choose is called by one goroutine at a time and
// must not read the body.
func (p *HTTPProxy) Script(choose func(*http.Request) HTTPFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = choose
}

// Exchanges returns the requests dealt with so far, in order of their end.
func (p *HTTPProxy) Exchanges() []HTTPExchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]HTTPExchange(nil), p.log...)
}

// ServeHTTP is the proxy itself; clients reach it at URL.
func (p *HTTPProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	var f HTTPFault
	if p.script != nil {
		f = p.script(r)
	}
	p.mu.Unlock()

	x := HTTPExchange{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Fault: f}
	defer func() {
		p.mu.Lock()
		p.log = append(p.log, x)
		p.mu.Unlock()
	}()

	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Status != 0 {
		x.Status = f.Status
		_, _ = io.Copy(io.Discard, r.Body) // else the client may meet a reset before it has read the answer
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(f.Status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>fault on purpose</Message></Error>`, s3Code(f.Status))
		return
	}
	reply, err := p.forward(r, f)
	if err != nil {
		panic(http.ErrAbortHandler) // closes the client's connection, as a target that is gone would
	}
	defer reply.Body.Close()
	x.Status = reply.StatusCode
	if f.LoseReply {
		_, _ = io.Copy(io.Discard, reply.Body)
		panic(http.ErrAbortHandler)
	}
	for k, v := range reply.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(reply.StatusCode)
	if f.CutReply > 0 {
		_, _ = io.CopyN(w, reply.Body, f.CutReply)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = io.Copy(w, reply.Body)
}

// forward sends the request on with the Host that the client signed.
func (p *HTTPProxy) forward(r *http.Request, f HTTPFault) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	switch {
	case r.ContentLength == 0:
		out.Body = http.NoBody
	case f.CutRequest > 0:
		out.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, f.CutRequest), brokenReader{}))
	}
	return p.transport.RoundTrip(out)
}

// brokenReader makes the transport give the request up in the middle.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// s3Code is the error code that S3 sends with a status.
func s3Code(status int) string {
	switch status {
	case http.StatusForbidden:
		return "AccessDenied"
	case http.StatusNotFound:
		return "NoSuchKey"
	case http.StatusConflict:
		return "ConditionalRequestConflict"
	case http.StatusPreconditionFailed:
		return "PreconditionFailed"
	case http.StatusServiceUnavailable:
		return "SlowDown"
	default:
		return "InternalError"
	}
}

// Every returns a script that does f to each nth request that match accepts, and leaves the others alone. A nil match
// accepts all.
func Every(n int, match func(*http.Request) bool, f HTTPFault) func(*http.Request) HTTPFault {
	seen := 0
	return func(r *http.Request) HTTPFault {
		if match != nil && !match(r) {
			return HTTPFault{}
		}
		if seen++; seen%n != 0 {
			return HTTPFault{}
		}
		return f
	}
}

// Once returns a script that does f to the first request that match accepts, and leaves the others alone.
func Once(match func(*http.Request) bool, f HTTPFault) func(*http.Request) HTTPFault {
	done := false
	return func(r *http.Request) HTTPFault {
		if done || (match != nil && !match(r)) {
			return HTTPFault{}
		}
		done = true
		return f
	}
}
