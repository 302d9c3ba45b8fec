package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bessd/internal/sim/plant"
)

// Sim is a set of simulated sites. New builds it, Listen opens the ports (Run does it
// when it was not done), Run serves. All methods are safe for use by many goroutines.
type Sim struct {
	cfg     Config
	log     *slog.Logger
	sites   []*site
	ledger  *Ledger
	control *control

	mu        sync.Mutex
	listening bool
}

// site is a plant with its endpoints.
type site struct {
	cfg       SiteConfig
	endpoints []*endpoint
	faults    faultSet

	mu      sync.Mutex // guards all below
	plant   *plant.Site
	seq     uint64
	hb      uint16
	owedS   float64 // plant time that is not stepped yet
	applied string  // faults of the plant that are in force, as text
}

// New validates the configuration (the error joins all problems) and builds the plants.
// The ledger's file is opened here and closed by Run.
func New(cfg Config, log *slog.Logger) (_ *Sim, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("simulator configuration: %w", err)
	}
	ledger, err := newLedger(cfg.Ledger)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = ledger.close() // nothing was written yet
		}
	}()
	s := &Sim{cfg: cfg, log: log.With("component", "sim"), ledger: ledger}
	for _, sc := range cfg.Sites {
		p, err := plant.New(sc.params())
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", sc.ID, err)
		}
		st := &site{cfg: sc, plant: p}
		st.faults.rng = rand.New(rand.NewPCG(sc.Seed, 0xfa017))
		groups, err := layOut(sc)
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", sc.ID, err)
		}
		for _, units := range groups {
			for _, u := range units {
				u.prepare(p)
			}
			st.endpoints = append(st.endpoints, newEndpoint(st, units, ledger, s.log.With("site", sc.ID)))
		}
		st.tick(time.Now(), 0)
		s.sites = append(s.sites, st)
	}
	if cfg.Control.Listen != "" {
		s.control = newControl(s)
	}
	return s, nil
}

// Listen opens all ports, so that Endpoints has addresses. Clients can connect at once
// and are served when Run starts; Run, also with a context that has ended, closes what
// was opened. On an error nothing stays open.
func (s *Sim) Listen() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening {
		return nil
	}
	defer func() {
		if err != nil {
			s.closeAll()
		}
	}()
	for _, st := range s.sites {
		for i, e := range st.endpoints {
			port := st.cfg.Port
			if port != 0 {
				port += i
			}
			if err := e.listen(st.cfg.Host, port); err != nil {
				return err
			}
		}
	}
	if s.control != nil {
		if err := s.control.listen(s.cfg.Control.Listen); err != nil {
			return err
		}
	}
	s.listening = true
	return nil
}

func (s *Sim) closeAll() {
	for _, st := range s.sites {
		for _, e := range st.endpoints {
			e.close()
		}
	}
	if s.control != nil {
		s.control.close()
	}
}

// Run serves until ctx ends, then closes all connections, flushes the ledger and
// returns nil. Scheduled faults count their time from here. Run may be called once.
func (s *Sim) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for _, st := range s.sites {
		for _, f := range st.cfg.Faults {
			st.faults.add(f, start)
		}
		st.applyFaults(start)
		for _, e := range st.endpoints {
			s.log.Info("simulated endpoint", "site", st.cfg.ID, "address", e.addr(), "units", len(e.units))
			g.Go(func() error { return e.run(ctx) })
		}
		if !st.cfg.Manual {
			g.Go(func() error { st.run(ctx); return nil })
		}
	}
	g.Go(func() error { return s.flushLedger(ctx) })
	if s.control != nil {
		g.Go(func() error { return s.control.run(ctx) })
	}
	return errors.Join(g.Wait(), s.ledger.close())
}

func (s *Sim) flushLedger(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := s.ledger.Flush(); err != nil {
				return err
			}
		}
	}
}

// run refreshes the site at its pace; refreshes that come late are made up for, so
// that plant time keeps its speed.
func (st *site) run(ctx context.Context) {
	start, done := time.Now(), int64(0)
	t := time.NewTicker(st.cfg.Refresh)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			due := int64(time.Since(start) / st.cfg.Refresh)
			// A machine that slept does not catch up for hours.
			if due > done+10 {
				done = due - 10
			}
			for ; done < due && ctx.Err() == nil; done++ {
				st.tick(time.Now(), st.cfg.Refresh.Seconds()*st.cfg.Speed)
			}
		}
	}
}

// tick moves the plant by so many seconds and swaps in new registers.
func (st *site) tick(now time.Time, plantS float64) {
	st.applyFaults(now)
	stuck := len(st.faults.active(now, func(k FaultKind) bool { return k == FaultStuckHeartbeat })) > 0
	st.mu.Lock()
	defer st.mu.Unlock()
	st.owedS += plantS
	for step := st.plant.Params.StepS; st.owedS >= step*(1-1e-9); st.owedS -= step {
		st.plant.Step()
	}
	st.seq++
	if !stuck {
		st.hb++
	}
	v := newView(st.plant, st.hb, st.cfg.CurrentSign)
	for _, e := range st.endpoints {
		for _, u := range e.units {
			u.refresh(st.seq, v, st.cfg.KeepImages)
		}
	}
}

// applyFaults brings the plant and the listeners in line with the faults that stand.
func (st *site) applyFaults(now time.Time) {
	refuse := st.faults.active(now, func(k FaultKind) bool { return k == FaultRefuse })
	for _, e := range st.endpoints {
		on := false
		for _, f := range refuse {
			on = on || f.Device == "" || hasDevice([][]*unit{e.units}, f.Device)
		}
		e.refuse(on)
	}
	inPlant := st.faults.active(now, func(k FaultKind) bool { return k == FaultWeakCell || k == FaultContactor })
	st.mu.Lock()
	defer st.mu.Unlock()
	text := fmt.Sprint(inPlant)
	if text == st.applied {
		return
	}
	st.applied = text
	for b, bank := range st.plant.Banks {
		for r, rack := range bank.Racks {
			rack.Heal()
			open := false
			for _, f := range inPlant {
				if f.Rack != r+1 || (f.Device != "" && f.Device != fmt.Sprintf("bank%d", b+1)) {
					continue
				}
				if f.Kind == FaultContactor {
					open = true
					continue
				}
				weaken(rack, f)
			}
			rack.OpenContactor(open)
		}
	}
}

// Tick refreshes every site once, as Run does each refresh period. With Manual sites
// it is the only thing that moves them.
func (s *Sim) Tick() {
	for _, st := range s.sites {
		st.tick(time.Now(), st.cfg.Refresh.Seconds()*st.cfg.Speed)
	}
}

// Endpoints lists the endpoints of all sites in order. Addresses are there after Listen.
func (s *Sim) Endpoints() []Endpoint {
	var out []Endpoint
	for _, st := range s.sites {
		for _, e := range st.endpoints {
			ep := Endpoint{Site: st.cfg.ID, Address: e.addr()}
			for _, u := range e.units {
				ep.Units = append(ep.Units, u.Unit)
			}
			out = append(out, ep)
		}
	}
	return out
}

// Ledger is the record of what was served.
func (s *Sim) Ledger() *Ledger { return s.ledger }

// ControlAddress is where faults can be posted, "" when off or not listening yet.
func (s *Sim) ControlAddress() string {
	if s.control == nil {
		return ""
	}
	return s.control.addr()
}

func (s *Sim) site(id string) (*site, error) {
	if id == "" && len(s.sites) == 1 {
		return s.sites[0], nil
	}
	for _, st := range s.sites {
		if st.cfg.ID == id {
			return st, nil
		}
	}
	return nil, fmt.Errorf("no simulated site %q", id)
}

// Inject puts a fault on a site at once (or after Fault.After). The site may be ""
// when there is only one.
func (s *Sim) Inject(siteID string, f Fault) error {
	st, err := s.site(siteID)
	if err != nil {
		return err
	}
	if err := f.Validate(); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	groups := make([][]*unit, 0, len(st.endpoints))
	for _, e := range st.endpoints {
		groups = append(groups, e.units)
	}
	if err := f.target(st.cfg, groups); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	now := time.Now()
	st.faults.add(f, now)
	st.applyFaults(now)
	s.log.Info("fault injected", "site", st.cfg.ID, "device", f.Device, "kind", string(f.Kind))
	return nil
}

// Clear takes back the faults of a device ("" = all) and kind ("" = all) and returns
// how many there were.
func (s *Sim) Clear(siteID, device string, kind FaultKind) (int, error) {
	st, err := s.site(siteID)
	if err != nil {
		return 0, err
	}
	n := st.faults.clear(device, kind)
	st.applyFaults(time.Now())
	return n, nil
}

// Truth calls f with the plant of a site and the sequence number of its last refresh.
// The plant stands still meanwhile and must not be kept or changed.
func (s *Sim) Truth(siteID string, f func(p *plant.Site, seq uint64)) error {
	st, err := s.site(siteID)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	f(st.plant, st.seq)
	return nil
}

// Image returns the registers that a device served at a refresh (Record.Seq), as far
// as KeepImages reaches back: count registers from addr. The slice must not be changed.
func (s *Sim) Image(siteID, device string, seq uint64, addr, count uint16) ([]uint16, error) {
	st, err := s.site(siteID)
	if err != nil {
		return nil, err
	}
	for _, e := range st.endpoints {
		for _, u := range e.units {
			if u.Device != device {
				continue
			}
			im := u.at(seq)
			if im == nil {
				return nil, fmt.Errorf("image %d of %s is not kept", seq, device)
			}
			regs, ok := im.read(addr, count)
			if !ok {
				return nil, fmt.Errorf("image of %s has no registers %d+%d", device, addr, count)
			}
			return regs, nil
		}
	}
	return nil, fmt.Errorf("site %s has no unit %q", st.cfg.ID, device)
}
