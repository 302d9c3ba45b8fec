package testenv

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// echoServer answers each line with itself, on loopback.
func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _, _ = io.Copy(c, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// line is a client that speaks lines.
type line struct {
	net.Conn
	r *bufio.Reader
}

func dialLine(t *testing.T, addr string) *line {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &line{Conn: c, r: bufio.NewReader(c)}
}

// ask sends a line and returns what comes back within the time.
func (l *line) ask(s string, within time.Duration) (string, error) {
	if _, err := io.WriteString(l, s+"\n"); err != nil {
		return "", err
	}
	return l.read(within)
}

func (l *line) read(within time.Duration) (string, error) {
	_ = l.SetReadDeadline(time.Now().Add(within))
	return l.r.ReadString('\n')
}

// soon is enough for anything on loopback; silence is how long we listen to be sure that nothing comes.
const (
	soon    = 10 * time.Second
	silence = 50 * time.Millisecond
)

func mustEcho(t *testing.T, l *line, s string) {
	t.Helper()
	if got, err := l.ask(s, soon); err != nil || got != s+"\n" {
		t.Fatalf("asked %q, got %q, %v", s, got, err)
	}
}

// mustReset connects and wants a reset, which may come during the connect or after it.
func mustReset(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	l := &line{Conn: c, r: bufio.NewReader(c)}
	if got, err := l.ask("x", soon); err == nil || isTimeout(err) {
		t.Fatalf("instead of a reset came %q, %v", got, err)
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func TestTCPProxyForwardsAndCounts(t *testing.T) {
	p := NewTCPProxy(t, echoServer(t))
	mustEcho(t, dialLine(t, p.Addr), "one")
	mustEcho(t, dialLine(t, p.Addr), "second")
	conns, to, from := p.Stats()
	if conns != 2 || to != 11 || from != 11 {
		t.Errorf("stats are %d connections, %d and %d bytes", conns, to, from)
	}
}

func TestTCPProxyCutAndRefuse(t *testing.T) {
	p := NewTCPProxy(t, echoServer(t))
	l := dialLine(t, p.Addr)
	mustEcho(t, l, "a")
	p.Cut()
	if _, err := l.read(soon); err == nil || isTimeout(err) {
		t.Fatalf("a cut connection read: %v", err)
	}
	mustEcho(t, dialLine(t, p.Addr), "b")

	p.Refuse(true)
	mustReset(t, p.Addr)
	p.Heal()
	mustEcho(t, dialLine(t, p.Addr), "d")
}

func TestTCPProxyCutLoosensAStall(t *testing.T) {
	p := NewTCPProxy(t, echoServer(t))
	l := dialLine(t, p.Addr)
	p.Stall(true, true)
	if _, err := l.ask("held", silence); !isTimeout(err) {
		t.Fatalf("through a stalled proxy came: %v", err)
	}
	p.Cut()
	if _, err := l.read(soon); err == nil || isTimeout(err) {
		t.Fatalf("a cut connection read: %v", err)
	}
}

func TestTCPProxyStallHoldsAndReleases(t *testing.T) {
	for _, c := range []struct {
		name                string
		toTarget, toClients bool
	}{{"requests", true, false}, {"replies", false, true}, {"both", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			p := NewTCPProxy(t, echoServer(t))
			l := dialLine(t, p.Addr)
			mustEcho(t, l, "before")
			p.Stall(c.toTarget, c.toClients)
			if _, err := l.ask("held", silence); !isTimeout(err) {
				t.Fatalf("through a stalled proxy came: %v", err)
			}
			p.Stall(false, false)
			if got, err := l.read(soon); err != nil || got != "held\n" {
				t.Fatalf("after the stall came %q, %v", got, err)
			}
		})
	}
}

func TestTCPProxyDelay(t *testing.T) {
	p := NewTCPProxy(t, echoServer(t))
	l := dialLine(t, p.Addr)
	mustEcho(t, l, "warm")
	p.Delay(30*time.Millisecond, 30*time.Millisecond)
	begin := time.Now()
	mustEcho(t, l, "slow")
	if took := time.Since(begin); took < 60*time.Millisecond {
		t.Errorf("a round trip with 60 ms of delay took %v", took)
	}
	p.Delay(time.Hour, 0)
	if _, err := l.ask("late", silence); !isTimeout(err) {
		t.Fatalf("through an hour's delay came: %v", err)
	}
	p.Heal() // takes the hour back
	if got, err := l.read(soon); err != nil || got != "late\n" {
		t.Fatalf("after healing came %q, %v", got, err)
	}
}

func TestTCPProxySwallowsReplies(t *testing.T) {
	p := NewTCPProxy(t, echoServer(t))
	l := dialLine(t, p.Addr)
	p.SwallowReplies(4) // "abc\n"
	mustEcho(t, l, "abc")
	if _, err := l.ask("lost", silence); !isTimeout(err) {
		t.Fatalf("a swallowed reply came: %v", err)
	}
	Await(t, soon, func() error {
		if _, to, _ := p.Stats(); to != 9 {
			return errors.New("the request did not reach the target")
		}
		return nil
	})
	p.Heal()
	if _, err := l.read(soon); err == nil || isTimeout(err) {
		t.Fatalf("a connection out of step lived on: %v", err)
	}
	mustEcho(t, dialLine(t, p.Addr), "again")
}

func TestTCPProxyCutsReplies(t *testing.T) {
	p := NewTCPProxy(t, echoServer(t))
	l := dialLine(t, p.Addr)
	p.CutReplies(2)
	got, err := l.ask("abc", soon)
	if err == nil || isTimeout(err) || len(got) > 2 {
		t.Fatalf("a cut reply read %q, %v", got, err)
	}
}

func TestTCPProxyWithoutTarget(t *testing.T) {
	p := NewTCPProxy(t, FreeAddr(t))
	mustReset(t, p.Addr)
}
