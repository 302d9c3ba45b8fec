package obs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestLogger(t *testing.T) {
	var b strings.Builder
	log, err := NewLogger(&b, LogConfig{Level: "warn", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("no")
	log.Warn("yes", Site, "alfa")
	if got := b.String(); strings.Contains(got, `"no"`) || !strings.Contains(got, `"site":"alfa"`) {
		t.Error(got)
	}
	for _, c := range []LogConfig{{Level: "loud"}, {Format: "xml"}} {
		if _, err := NewLogger(&b, c); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

func TestServer(t *testing.T) {
	a, b := NewMetrics(map[string]string{"site": "alfa"}), NewMetrics(map[string]string{"site": "bravo"})
	for _, m := range []*Metrics{a, b} {
		if err := m.Counter("agent", "scans", "", "Scans taken.", nil, func() float64 { return 42 }); err != nil {
			t.Fatal(err)
		}
		if err := m.Gauge("spool", "size", "bytes", "Bytes on disk.", map[string]string{"lane": "live"}, func() float64 { return 7 }); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Counter("agent", "scans", "", "Again.", nil, func() float64 { return 0 }); err == nil {
		t.Error("a name was taken twice")
	}
	if err := a.Gauge("agent", "Bad-Name", "", "x", nil, nil); err == nil {
		t.Error("a bad name was taken")
	}
	var mu sync.Mutex
	var sick error
	h := NewHealth()
	h.Check("kafka", func() error { mu.Lock(); defer mu.Unlock(); return sick })
	s, err := NewServer("127.0.0.1:0", h, slog.New(slog.DiscardHandler), a, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewServer(s.Addr(), h, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "the port is in use") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	get := func(path string) (int, string) {
		t.Helper()
		res, err := http.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	if code, text := get("/healthz"); code != 200 || text != "ok\n" {
		t.Error(code, text)
	}
	if code, text := get("/readyz"); code != 200 || text != "kafka: ok\n" {
		t.Error(code, text)
	}
	mu.Lock()
	sick = errors.New("no broker answers")
	mu.Unlock()
	if code, text := get("/readyz"); code != 503 || text != "kafka: no broker answers\n" {
		t.Error(code, text)
	}
	_, text := get("/metrics")
	for _, want := range []string{`bessd_agent_scans_total{site="alfa"} 42`, `bessd_agent_scans_total{site="bravo"} 42`, `bessd_spool_size_bytes{lane="live",site="alfa"} 7`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestListenIsLoopback(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:8080": true, "[::1]:0": true, "localhost:1": true, "0.0.0.0:80": false, ":80": false, "10.0.0.1:80": false, "x": false, "": false} {
		if err := CheckListen(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
