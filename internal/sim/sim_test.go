package sim

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"bessd/internal/sim/plant"
)

func TestRunMovesThePlantAtItsSpeed(t *testing.T) {
	cfg := smallSite()
	cfg.Manual, cfg.Refresh, cfg.Speed = false, 10*time.Millisecond, 60
	s := running(t, oneSite(cfg))
	state := func() (elapsed float64, seq uint64, step float64) {
		_ = s.Truth("", func(p *plant.Site, n uint64) { elapsed, seq, step = p.ElapsedS, n, p.Params.StepS })
		return elapsed, seq, step
	}
	await(t, "thirty refreshes", func() bool { _, seq, _ := state(); return seq > 30 })
	elapsed, seq, step := state()
	// The first image is made by New without moving the plant; each later one moves it
	// by refresh x speed.
	if want := float64(seq-1) * 0.6; elapsed < want-step-1e-6 || elapsed > want+1e-6 {
		t.Errorf("%g s of plant time after %d refreshes, want %g", elapsed, seq, want)
	}
	if step != 0.6 {
		t.Errorf("step %g s, want no longer than a refresh moves", step)
	}
}

func TestOwedTimeIsSteppedInWholeSteps(t *testing.T) {
	cfg := smallSite()
	cfg.Refresh, cfg.Speed, cfg.Step = 100*time.Millisecond, 33, 2*time.Second
	s := running(t, oneSite(cfg))
	for range 1000 {
		s.Tick()
	}
	_ = s.Truth("", func(p *plant.Site, _ uint64) {
		if p.ElapsedS < 3298-1e-6 || p.ElapsedS > 3300+1e-6 {
			t.Errorf("%g s, want 3300 within a step of 2 s", p.ElapsedS)
		}
	})
}

func TestSpeedZeroFreezesThePlantOnly(t *testing.T) {
	cfg := smallSite()
	cfg.Speed = 0
	s := running(t, oneSite(cfg))
	s.Tick()
	_ = s.Truth("", func(p *plant.Site, seq uint64) {
		if p.Steps != 0 || seq != 2 {
			t.Errorf("%d steps, refresh %d", p.Steps, seq)
		}
	})
}

func TestEndpointsAndPorts(t *testing.T) {
	cfg := smallSite()
	cfg.Banks, cfg.PCS, cfg.Layout = 2, 2, LayoutUnitPerRack
	one := running(t, oneSite(cfg)).Endpoints()
	if len(one) != 1 || len(one[0].Units) != 2*4+2+1 {
		t.Fatalf("one endpoint: %+v", one)
	}
	cfg.Endpoints = EndpointPerDevice
	s := running(t, oneSite(cfg))
	many := s.Endpoints()
	var devices []string
	for _, e := range many {
		if _, port, err := net.SplitHostPort(e.Address); err != nil || port == "0" {
			t.Errorf("address %q", e.Address)
		}
		if e.Units[0].ID != 1 {
			t.Errorf("first unit of %s is %d", e.Address, e.Units[0].ID)
		}
		devices = append(devices, e.Units[0].Device)
	}
	if got := strings.Join(devices, " "); got != "bank1 bank2 pcs1 pcs2 meter1" {
		t.Errorf("devices %s", got)
	}
	if u := many[0].Units[3]; u.Device != "bank1/rack03" || u.Role != RoleRack || u.ID != 4 {
		t.Errorf("unit %+v", u)
	}
}

func TestPortInUseIsOneClearError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := smallSite()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	cfg.Port, _ = strconv.Atoi(port)
	s, err := New(oneSite(cfg), quiet)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "alfa") || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("error %v", err)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	bad := DefaultSite("Alfa!", 1)
	bad.Chemistry, bad.Map, bad.Layout, bad.Endpoints = "nimh", "x", "y", "z"
	bad.Port, bad.Base, bad.CurrentSign, bad.Speed, bad.Refresh, bad.Step, bad.Racks = -1, 7, 2, -1, 0, 0, 0
	bad.Faults = []Fault{{Kind: "melt"}, {Kind: FaultDelay}, {Kind: FaultWeakCell, Probability: 2}}
	err := Config{Sites: []SiteConfig{bad, DefaultSite("b", 1), DefaultSite("b", 2)}, Ledger: LedgerConfig{Ring: -1}, Control: ControlConfig{Listen: "0.0.0.0:80"}}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"sites[0].id", "sites[0].chemistry", "sites[0].map", "sites[0].layout", "sites[0].endpoints", "sites[0].port", "sites[0].base",
		"sites[0].current_sign", "sites[0].speed", "sites[0].refresh", "sites[0].step", "sites[0].racks", "sites[0].faults[0]: kind",
		"sites[0].faults[1]: delay", "sites[0].faults[2]: rack", "sites[2].id", "ledger.ring", "control.listen",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in:\n%v", want, err)
		}
	}
	for name, tc := range map[string]struct {
		change func(*SiteConfig)
		want   string
	}{
		"too large for base":     {func(c *SiteConfig) { c.CellsPerModule = 52 }, "choose layout"},
		"too many units":         {func(c *SiteConfig) { c.Layout, c.Banks, c.Racks = LayoutUnitPerRack, 20, 20 }, "choose endpoints"},
		"fault of unknown unit":  {func(c *SiteConfig) { c.Faults = []Fault{{Kind: FaultDrop, Device: "bank9"}} }, "no such unit"},
		"fault of unknown rack":  {func(c *SiteConfig) { c.Faults = []Fault{{Kind: FaultContactor, Rack: 13}} }, "has 12 racks"},
		"rack fault of a pcs":    {func(c *SiteConfig) { c.Faults = []Fault{{Kind: FaultContactor, Rack: 1, Device: "pcs1"}} }, "fault of a bank"},
		"ports beyond the range": {func(c *SiteConfig) { c.Endpoints, c.Port = EndpointPerDevice, 65535 }, "beyond 65535"},
	} {
		c := DefaultSite("a", 1)
		tc.change(&c)
		if err := oneSite(c).Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkRefresh is one second of the large set: four sites of 12 racks x 8 modules
// x 52 cells, plant and registers. ns/op over 1e9 is the share of a core at 1 Hz.
func BenchmarkRefresh(b *testing.B) {
	var cfg Config
	for i := range 4 {
		c := DefaultSite("s"+strconv.Itoa(i), uint64(i+1))
		c.CellsPerModule, c.Layout, c.Manual = 52, LayoutUnitPerRack, true
		cfg.Sites = append(cfg.Sites, c)
	}
	s, err := New(cfg, quiet)
	if err != nil {
		b.Fatal(err)
	}
	regs := 0
	for _, st := range s.sites {
		for _, e := range st.endpoints {
			for _, u := range e.units {
				regs += u.size()
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Tick()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(regs), "ns/register")
	b.ReportMetric(float64(regs), "registers")
}

// BenchmarkRead is one request and answer of 125 registers over loopback.
func BenchmarkRead(b *testing.B) {
	s := running(b, oneSite(smallSite()))
	cl := connect(b, s.Endpoints()[0].Address)
	for b.Loop() {
		cl.must(b, 1, 40000, 125)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/125, "ns/register")
}
