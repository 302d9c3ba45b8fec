package sim

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"bessd/internal/sim/mbap"
)

// Endpoint is one address and the units behind it.
type Endpoint struct {
	Site    string
	Address string // host:port; empty before Listen
	Units   []Unit
}

// endpoint serves one address. Its listener can be taken away and put back while it runs.
type endpoint struct {
	site   *site
	units  []*unit
	server *mbap.Server
	ledger *Ledger
	log    *slog.Logger
	byID   [256]*unit

	mu      sync.Mutex
	ln      net.Listener // nil while refused
	address string
	refused bool
	changed chan struct{} // one slot: refused was switched
}

func newEndpoint(s *site, units []*unit, ledger *Ledger, log *slog.Logger) *endpoint {
	e := &endpoint{site: s, units: units, ledger: ledger, log: log, changed: make(chan struct{}, 1)}
	for _, u := range units {
		e.byID[u.ID] = u
	}
	e.server = &mbap.Server{Handler: e, Observer: e, Log: log, MaxConns: s.cfg.MaxConnections}
	return e
}

func (e *endpoint) listen(host string, port int) error {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening on %s for simulated site %s (choose another port, or 0 for any): %w", addr, e.site.cfg.ID, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ln, e.address = ln, ln.Addr().String()
	return nil
}

func (e *endpoint) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ln != nil {
		_ = e.ln.Close()
	}
}

func (e *endpoint) addr() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.address
}

// refuse closes the address to clients or opens it again.
func (e *endpoint) refuse(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refused == on {
		return
	}
	e.refused = on
	if on && e.ln != nil {
		_ = e.ln.Close() // ends Serve, which closes the connections
		e.ln = nil
	}
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// run serves until ctx ends.
func (e *endpoint) run(ctx context.Context) error {
	for {
		e.mu.Lock()
		ln, refused, address := e.ln, e.refused, e.address
		e.mu.Unlock()
		switch {
		case ln != nil:
			if err := e.server.Serve(ctx, ln); err != nil {
				return fmt.Errorf("serving %s: %w", address, err)
			}
		case !refused:
			back, err := net.Listen("tcp", address)
			if err != nil {
				e.log.Warn("listening again after a refuse fault", "address", address, "err", err)
				if !sleep(ctx, 500*time.Millisecond) {
					return nil
				}
				continue
			}
			e.mu.Lock()
			if e.refused { // switched again meanwhile
				_ = back.Close()
			} else {
				e.ln = back
			}
			e.mu.Unlock()
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.changed:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ServeModbus answers from the unit's present image, then lets the faults have their way.
func (e *endpoint) ServeModbus(q mbap.Request) mbap.Reply {
	u := e.byID[q.Unit]
	if u == nil {
		return mbap.Reply{Exception: mbap.GatewayTargetFailed}
	}
	im := u.now.Load()
	r := mbap.Reply{Tag: im.seq<<16 | uint64(im.hb)}
	if r.Exception = q.Problem(); r.Exception == 0 {
		regs, ok := im.read(q.Address, q.Count)
		if r.Registers = regs; !ok {
			r.Exception = mbap.IllegalAddress
		}
	}
	e.site.faults.apply(u.Device, q, &r, time.Now())
	return r
}

// Answered writes the ledger.
func (e *endpoint) Answered(q mbap.Request, r mbap.Reply, err error) {
	rec := Record{
		Time: time.Now(), Site: e.site.cfg.ID, Endpoint: e.addr(), Unit: q.Unit, Function: q.Function, Address: q.Address, Count: q.Count,
		Exception: r.Exception, Seq: r.Tag >> 16, Heartbeat: uint16(r.Tag), Outcome: OutcomeOK,
	}
	if u := e.byID[q.Unit]; u != nil {
		rec.Device = u.Device
	}
	switch {
	case err != nil:
		rec.Outcome = OutcomeFailed
	case r.Spoil == mbap.Silent || r.Spoil == mbap.Close:
		rec.Outcome = OutcomeWithheld
	case r.Spoil != mbap.Intact:
		rec.Outcome = OutcomeSpoiled
	case r.Exception != 0:
		rec.Outcome = OutcomeException
	}
	e.ledger.add(rec)
}
