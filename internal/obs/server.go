package obs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Server answers GET /healthz, /readyz and /metrics, and whatever else is added to its Mux before Run.
type Server struct {
	Mux *http.ServeMux

	ln  net.Listener
	log *slog.Logger
}

// NewServer listens on addr. The pages have no authentication: see CheckListen.
func NewServer(addr string, health *Health, log *slog.Logger, ms ...*Metrics) (*Server, error) {
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listening on %s: the port is in use; stop the other program or set another http.listen", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w; set another http.listen", addr, err)
	}
	s := &Server{http.NewServeMux(), ln, log}
	s.Mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s.Mux.HandleFunc("GET /readyz", health.serve)
	s.Mux.Handle("GET /metrics", Handler(ms...))
	return s, nil
}

// CheckListen tells whether addr is host:port on a loopback address.
func CheckListen(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return fmt.Errorf("%q is not an address to listen on; write for example 127.0.0.1:8080", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not a loopback address; listen on 127.0.0.1 and put a proxy with TLS and authentication before it", addr)
	}
	return nil
}

// Addr is the address that the server listens on, with the port that was chosen.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Close stops listening; for a server whose Run is never called.
func (s *Server) Close() error { return s.ln.Close() }

// Run serves until ctx ends, then lets requests that are under way finish for a second.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler: s.Mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(s.ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving http: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		srv.Close()
	}
	<-done
	return nil
}
