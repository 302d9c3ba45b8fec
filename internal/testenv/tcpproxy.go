package testenv

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// direction tells the two streams of a proxied connection apart.
type direction int

const (
	toServer direction = iota
	toClient
)

// TCPProxy forwards TCP connections to one target and breaks them as told. All methods are safe from any goroutine and
// act on open connections as well as on new ones.
type TCPProxy struct {
	// Addr is where clients connect: host:port on loopback.
	Addr   string
	target string
	listen net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever the fields below change
	closed  bool
	refuse  bool
	delay   [2]time.Duration
	stall   [2]bool
	budget  int64 // reply bytes still let through; negative: no limit
	cut     bool  // at the end of the budget: close the connection (true) or swallow the rest (false)
	conns   map[*proxyConn]struct{}
	opened  int
	bytes   [2]int64
}

// proxyConn is a client's connection and the one to the target that belongs to it.
type proxyConn struct {
	ends      [2]*net.TCPConn // indexed by direction: where bytes of that direction go
	done      chan struct{}
	closeOnce sync.Once
}

func (c *proxyConn) close() {
	c.closeOnce.Do(func() {
		close(c.done)
		for _, end := range c.ends {
			_ = end.SetLinger(0) // a reset, as a dying peer or a firewall sends it
			_ = end.Close()
		}
	})
}

// NewTCPProxy starts a proxy in front of target (host:port). The target need not be there yet.
func NewTCPProxy(t testing.TB, target string) *TCPProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("starting a proxy to %s: %v", target, err)
	}
	p := &TCPProxy{Addr: l.Addr().String(), target: target, listen: l, changed: make(chan struct{}), budget: -1,
		conns: map[*proxyConn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.set(func() { p.closed = true })
		_ = l.Close()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

// set changes the behaviour and wakes everyone who waits for a change.
func (p *TCPProxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut resets every open connection. New ones are accepted, unless Refuse.
func (p *TCPProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.close()
	}
}

// Refuse resets new connections as soon as they come, until told otherwise; open ones live on.
func (p *TCPProxy) Refuse(on bool) { p.set(func() { p.refuse = on }) }

// Delay holds each chunk for so long, per direction. A chunk is what one read gives, up to 32 kB.
func (p *TCPProxy) Delay(toTarget, toClients time.Duration) {
	p.set(func() { p.delay = [2]time.Duration{toTarget, toClients} })
}

// Stall stops forwarding in a direction without closing anything: a link that went silent. What was held goes on its
// way when the stall ends.
func (p *TCPProxy) Stall(toTarget, toClients bool) {
	p.set(func() { p.stall = [2]bool{toTarget, toClients} })
}

// SwallowReplies lets n more reply bytes through, counted over all connections, and then reads and drops replies while
// connections stay open: requests arrive and their answers are lost.
func (p *TCPProxy) SwallowReplies(n int64) { p.set(func() { p.budget, p.cut = n, false }) }

// CutReplies lets n more reply bytes through and then resets the connection that wanted to send more, and every one
// that tries after it, until Heal.
func (p *TCPProxy) CutReplies(n int64) { p.set(func() { p.budget, p.cut = n, true }) }

// Heal forwards everything again. Connections that lost replies are reset, for their streams are out of step.
func (p *TCPProxy) Heal() {
	p.mu.Lock()
	lost := p.budget == 0
	p.mu.Unlock()
	if lost {
		p.Cut()
	}
	p.set(func() {
		p.refuse, p.delay, p.stall, p.budget = false, [2]time.Duration{}, [2]bool{}, -1
	})
}

// Stats returns how many connections were opened to the target and how many bytes went either way.
func (p *TCPProxy) Stats() (connections int, toTarget, toClients int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened, p.bytes[toServer], p.bytes[toClient]
}

func (p *TCPProxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

func (p *TCPProxy) serve(client *net.TCPConn) {
	refuse := func() { _ = client.SetLinger(0); _ = client.Close() }
	p.mu.Lock()
	refused := p.refuse
	p.mu.Unlock()
	if refused {
		refuse()
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		refuse()
		return
	}
	c := &proxyConn{ends: [2]*net.TCPConn{toServer: server.(*net.TCPConn), toClient: client}, done: make(chan struct{})}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.opened++
	closed := p.closed
	p.mu.Unlock()
	if closed {
		c.close()
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { p.pump(c, toServer) })
	pumps.Go(func() { p.pump(c, toClient) })
	pumps.Wait()
	c.close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// pump copies one direction until it ends. An orderly end is passed on as one; anything else resets both sides.
func (p *TCPProxy) pump(c *proxyConn, d direction) {
	from, to := c.ends[1-d], c.ends[d]
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		pass, keep := p.admit(c, d, n)
		if pass > 0 {
			if _, werr := to.Write(buf[:pass]); werr != nil {
				keep = false
			}
		}
		if !keep || (err != nil && !errors.Is(err, io.EOF)) {
			c.close()
			return
		}
		if err != nil {
			_ = to.CloseWrite()
			return
		}
	}
}

// admit waits as long as delay and stall say, and returns how many of n bytes may pass and whether the connection lives
// on.
func (p *TCPProxy) admit(c *proxyConn, d direction, n int) (pass int, keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var waited time.Duration
	for p.stall[d] || waited < p.delay[d] {
		changed, rest := p.changed, p.delay[d]-waited
		stalled := p.stall[d]
		p.mu.Unlock()
		begin := time.Now()
		ok := waitFor(c.done, changed, rest, stalled)
		p.mu.Lock()
		waited += time.Since(begin)
		if !ok {
			return 0, false
		}
	}
	keep = true
	if d == toClient && p.budget >= 0 {
		if int64(n) > p.budget {
			n, keep = int(p.budget), !p.cut
		}
		p.budget -= int64(n)
	}
	p.bytes[d] += int64(n)
	return n, keep
}

// waitFor waits for a change of behaviour or, unless stalled, until rest is over. It returns false when the connection
// was closed meanwhile.
func waitFor(done, changed <-chan struct{}, rest time.Duration, stalled bool) bool {
	var over <-chan time.Time
	if !stalled {
		timer := time.NewTimer(rest)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-done:
		return false
	case <-changed:
	case <-over:
	}
	return true
}
