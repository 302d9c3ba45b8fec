package agent

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bessd/bess"
	"bessd/bess/maps"
	"bessd/bess/wire"
	"bessd/internal/sim/mbap"
)

// plantServer is a Modbus server whose units are register images that a test may change and break.
type plantServer struct {
	addr string

	mu    sync.Mutex
	units map[byte]*plantUnit
	srv   *mbap.Server
}

type plantUnit struct {
	regs   map[uint16]uint16
	answer func(q mbap.Request) (mbap.Reply, bool) // overrides, when it returns true
	asked  int
}

func servePlant(t testing.TB) *plantServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &plantServer{addr: ln.Addr().String(), units: map[byte]*plantUnit{}}
	p.serve(t, ln)
	return p
}

func (p *plantServer) serve(t testing.TB, ln net.Listener) (stop func()) {
	p.srv = &mbap.Server{Handler: p}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.srv.Serve(ctx, ln) // ends with the listener
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func (p *plantServer) unit(id byte) *plantUnit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.units[id] == nil {
		p.units[id] = &plantUnit{regs: map[uint16]uint16{}}
	}
	return p.units[id]
}

// change runs f while no request is served.
func (p *plantServer) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *plantServer) ServeModbus(q mbap.Request) mbap.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.units[q.Unit]
	if u == nil {
		return mbap.Reply{Spoil: mbap.Silent}
	}
	u.asked++
	if u.answer != nil {
		if r, ok := u.answer(q); ok {
			return r
		}
	}
	out := make([]uint16, q.Count)
	for i := range out {
		v, ok := u.regs[q.Address+uint16(i)]
		if !ok || int(q.Address)+i > 65535 {
			return mbap.Reply{Exception: mbap.IllegalAddress}
		}
		out[i] = v
	}
	return mbap.Reply{Registers: out}
}

// put writes registers.
func (u *plantUnit) put(addr uint16, values ...uint16) {
	for i, v := range values {
		u.regs[addr+uint16(i)] = v
	}
}

// image builds a SunSpec image; each model is an id, a number of group instances and values of points. A point of
// instance i of the group is named "i.Name". Points that are not named hold their sentinel, scale factors too.
type image1 struct {
	id     uint16
	n      int
	values map[string]int64
}

func (u *plantUnit) sunspec(t testing.TB, base uint16, models ...image1) {
	t.Helper()
	facts, err := maps.Models()
	if err != nil {
		t.Fatal(err)
	}
	u.put(base, 0x5375, 0x6E53)
	addr := base + 2
	for _, im := range models {
		f := facts[im.id]
		if f == nil {
			t.Fatalf("no model %d", im.id)
		}
		l := f.Fixed - 2
		if f.Group != nil {
			l += uint16(im.n) * f.Group.Len
		}
		used := 0
		write := func(p *maps.ModelPoint, at uint16, prefix string) {
			v, ok := im.values[prefix+p.Name]
			if ok {
				used++
			}
			reg := p.Reg(at)
			for i := range p.Len {
				var w uint16
				switch {
				case ok:
					w = uint16(uint64(v) >> (16 * (p.Len - 1 - i)))
				case reg.Type == maps.F32:
					w = []uint16{0x7FC0, 0}[i]
				case len(reg.Nulls) > 0:
					w = uint16(reg.Nulls[0] >> (16 * (p.Len - 1 - i)))
				}
				u.regs[reg.Addr+i] = w
			}
		}
		for k := range f.Points {
			write(&f.Points[k], addr, "")
		}
		for i := range im.n {
			for k := range f.Group.Points {
				write(&f.Group.Points[k], addr+f.Fixed+uint16(i)*f.Group.Len, fmt.Sprintf("%d.", i+1))
			}
		}
		if used != len(im.values) {
			t.Fatalf("model %d: %d of %d values belong to no point", im.id, len(im.values)-used, len(im.values))
		}
		u.put(addr, im.id, l)
		addr += 2 + l
	}
	u.put(addr, 0xFFFF)
}

// memState keeps State in memory.
type memState struct {
	mu sync.Mutex
	m  map[string][]byte
}

func newState() *memState { return &memState{m: map[string][]byte{}} }

func (s *memState) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[key], nil
}

func (s *memState) Put(key string, v []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[key] = slices.Clone(v)
	return nil
}

// inbox is a Sink that decodes what it gets, as central would.
type inbox struct {
	mu      sync.Mutex
	scans   []*bess.Scan
	devices []*bess.DeviceRecord
	events  []*bess.AgentEvent
	err     error
	refuse  error
}

func (s *inbox) Put(_ context.Context, r Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	env, err := wire.NewDecoder().Decode(r.Data)
	if err != nil {
		s.err = err
		return err
	}
	switch {
	case env.Scan != nil:
		s.scans = append(s.scans, env.Scan.Clone())
	case env.Device != nil:
		c := *env.Device
		s.devices = append(s.devices, &c)
	case env.Event != nil:
		c := *env.Event
		s.events = append(s.events, &c)
	}
	return nil
}

// of gives the scans of a device so far.
func (s *inbox) of(device string) []*bess.Scan {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*bess.Scan
	for _, sc := range s.scans {
		if sc.Device == device {
			out = append(out, sc)
		}
	}
	return out
}

// await waits until cond holds.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
		<-tick.C
	}
}

// testConfig polls units of one server quickly.
func testConfig(addr string, devices ...Device) Config {
	c := DefaultConfig()
	c.Site = "alfa"
	c.ReconnectMin, c.ReconnectMax = 5*time.Millisecond, 50*time.Millisecond
	c.ProbeMin, c.ProbeMax = 20*time.Millisecond, 200*time.Millisecond
	e := DefaultEndpoint()
	e.Address, e.Timeout, e.Devices = addr, 100*time.Millisecond, devices
	c.Endpoints = []Endpoint{e}
	return c
}

// start runs an agent until the returned stop, which waits for it.
func start(t testing.TB, cfg Config, st State, sink Sink) (a *Agent, stop func()) {
	t.Helper()
	a, err := New(cfg, Options{Sink: sink, State: st, Version: "test", Host: "here"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Error("the agent does not stop")
			}
		})
	}
	t.Cleanup(stop)
	return a, stop
}

// get gives the values of a scan by name, with "!" + reason for rejected ones.
func get(s *bess.Scan) map[string]string {
	out := map[string]string{}
	for i, c := range s.Plan.Columns {
		if v := s.Values[i]; v != bess.Absent {
			p := bess.PointByNum(c.Num)
			out[p.Name] = fmt.Sprint(bess.Float(v, c.Decimals))
			if p.Type == bess.Bits || p.Type == bess.Int64 {
				out[p.Name] = fmt.Sprint(v)
			}
			if p.Type == bess.Enum {
				out[p.Name] = bess.EnumByName(p.Enum).MemberName(v)
			}
		}
	}
	for i, c := range s.Plan.Texts {
		if s.Texts[i] != "" {
			out[bess.PointByNum(c.Num).Name] = s.Texts[i]
		}
	}
	for i, c := range s.Plan.Lists {
		if s.Lists[i] != nil {
			var parts []string
			for _, e := range s.Lists[i] {
				if e == bess.AbsentElement {
					parts = append(parts, "-")
				} else {
					parts = append(parts, fmt.Sprint(bess.Float(int64(e), c.Decimals)))
				}
			}
			out[bess.PointByNum(c.Num).Name] = strings.Join(parts, " ")
		}
	}
	for i, c := range s.Plan.Extra {
		if s.Extra[i] != bess.Absent {
			out[c.Name] = fmt.Sprint(bess.Float(s.Extra[i], c.Decimals))
		}
	}
	for _, r := range s.Rejected {
		out[s.Plan.SlotName(int(r.Slot))] = "!" + r.Reason.String()
	}
	return out
}
