package mbap

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Reply is what a Handler makes of a request. Exactly one of Registers and Exception
// is set; the server keeps Registers only until the answer is written.
type Reply struct {
	Registers []uint16
	Exception byte
	Delay     time.Duration // waited before the answer
	Spoil     Spoil
	Tag       uint64 // passed through to the Observer
}

// Handler answers requests; those with a Problem get that exception, unless the device
// plays dead. It is called from the goroutines of many connections.
type Handler interface {
	ServeModbus(Request) Reply
}

// Observer is told of each request after its answer was written, or was left out on
// purpose. err is the write's error. It is called from the goroutines of many connections.
type Observer interface {
	Answered(q Request, r Reply, err error)
}

// Server answers the connections of one listener. Set the fields before Serve.
type Server struct {
	Handler  Handler
	Observer Observer     // may be nil
	Log      *slog.Logger // may be nil
	// MaxConns above 0 limits the connections; a further one throws out the oldest, as
	// some inverters do.
	MaxConns int

	mu    sync.Mutex
	conns []net.Conn // oldest first
}

// Serve accepts connections until ctx ends or the listener fails, closes all of them
// and returns when their goroutines have ended. It closes the listener. The error is
// nil when ctx ended or the listener was closed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close() // an error here means it is closed already
		s.CloseConnections()
	})
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.CloseConnections()
	defer cancel()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		if !s.admit(ctx, conn) {
			_ = conn.Close()
			continue
		}
		wg.Go(func() {
			defer s.release(conn)
			s.serveConn(ctx, conn)
		})
	}
}

// CloseConnections closes every connection; the clients may come back at once.
func (s *Server) CloseConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

func (s *Server) admit(ctx context.Context, conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if s.MaxConns > 0 && len(s.conns) >= s.MaxConns {
		_ = s.conns[0].Close()
		s.conns = s.conns[1:]
	}
	s.conns = append(s.conns, conn)
	return true
}

func (s *Server) release(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.conns {
		if c == conn {
			s.conns = append(s.conns[:i], s.conns[i+1:]...)
			return
		}
	}
}

// serveConn answers one client until it leaves, sends what is no frame, or ctx ends.
func (s *Server) serveConn(ctx context.Context, conn net.Conn) {
	in, out := make([]byte, 0, 2048), make([]byte, 0, 512)
	for {
		q, used, err := ParseRequest(in)
		if err != nil {
			if s.Log != nil {
				s.Log.Warn("closing modbus connection", "remote", conn.RemoteAddr().String(), "err", err)
			}
			return
		}
		if used == 0 {
			if len(in) == cap(in) { // a frame has at most 260 bytes, so this only compacts
				in = append(make([]byte, 0, 2048), in...)
			}
			n, err := conn.Read(in[len(in):cap(in)])
			in = in[:len(in)+n]
			if err != nil && n == 0 {
				if s.Log != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
					s.Log.Debug("modbus connection ended", "remote", conn.RemoteAddr().String(), "err", err)
				}
				return
			}
			continue
		}
		in = in[used:]

		r := s.Handler.ServeModbus(q)
		if r.Delay > 0 && !wait(ctx, r.Delay) {
			return
		}
		if r.Spoil != Silent && r.Spoil != Close {
			out = appendReply(out[:0], q, r)
			_, err = conn.Write(out)
		}
		if s.Observer != nil {
			s.Observer.Answered(q, r, err)
		}
		if r.Spoil == Close || err != nil {
			return
		}
	}
}

// wait sleeps for d; false when ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
