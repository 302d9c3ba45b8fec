package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bessd/internal/sim/plant"
)

const short = 150 * time.Millisecond // long enough for an answer on loopback, bounds waiting for none

func TestFaultsOfAnswers(t *testing.T) {
	type result func(t *testing.T, regs []uint16, err error)
	silent := func(t *testing.T, _ []uint16, err error) {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("want no answer, got %v", err)
		}
	}
	code := func(c byte) result {
		return func(t *testing.T, _ []uint16, err error) {
			if !isException(err, c) {
				t.Errorf("got %v, want exception %d", err, c)
			}
		}
	}
	wrong := func(t *testing.T, _ []uint16, err error) {
		if err == nil {
			t.Error("a spoiled answer was taken")
		}
	}
	fine := func(t *testing.T, regs []uint16, err error) {
		if err != nil || regs[0] != 0x5375 {
			t.Errorf("%x, %v", regs, err)
		}
	}
	for _, tc := range []struct {
		name    string
		fault   Fault
		want    result
		outcome Outcome
	}{
		{"drop", Fault{Kind: FaultDrop}, silent, OutcomeWithheld},
		{"dead unit", Fault{Kind: FaultDead, Device: "bank1"}, silent, OutcomeWithheld},
		{"another unit is dead", Fault{Kind: FaultDead, Device: "pcs1"}, fine, OutcomeOK},
		{"exception", Fault{Kind: FaultException}, code(4), OutcomeException},
		{"exception 6", Fault{Kind: FaultException, Code: 6}, code(6), OutcomeException},
		{"hole elsewhere", Fault{Kind: FaultException, Code: 2, Address: 40002, Count: 10}, fine, OutcomeOK},
		{"hole here", Fault{Kind: FaultException, Code: 2, Address: 40001, Count: 10}, code(2), OutcomeException},
		{"close", Fault{Kind: FaultClose}, func(t *testing.T, _ []uint16, err error) {
			if !errors.Is(err, io.EOF) {
				t.Errorf("want the connection closed, got %v", err)
			}
		}, OutcomeWithheld},
		{"half", Fault{Kind: FaultHalf}, silent, OutcomeSpoiled},
		{"short", Fault{Kind: FaultShort}, wrong, OutcomeSpoiled},
		{"garbage", Fault{Kind: FaultGarbage}, wrong, OutcomeSpoiled},
		{"wrong length", Fault{Kind: FaultWrongLength}, wrong, OutcomeSpoiled},
		{"wrong transaction", Fault{Kind: FaultWrongTransaction}, wrong, OutcomeSpoiled},
		{"wrong unit", Fault{Kind: FaultWrongUnit}, wrong, OutcomeSpoiled},
		{"not yet", Fault{Kind: FaultDrop, After: time.Hour}, fine, OutcomeOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := running(t, oneSite(smallSite()))
			if err := s.Inject("alfa", tc.fault); err != nil {
				t.Fatal(err)
			}
			cl := connect(t, s.Endpoints()[0].Address)
			wait := patient
			if tc.outcome == OutcomeWithheld || tc.outcome == OutcomeSpoiled {
				wait = short
			}
			regs, err := cl.read(1, 40000, 2, wait)
			tc.want(t, regs, err)
			await(t, "the record", func() bool { return s.Ledger().Total() == 1 })
			if got := s.Ledger().Records()[0].Outcome; got != tc.outcome {
				t.Errorf("recorded as %s, want %s", got, tc.outcome)
			}
			if n, err := s.Clear("alfa", "", ""); n != 1 || err != nil {
				t.Errorf("cleared %d, %v", n, err)
			}
			regs, err = connect(t, s.Endpoints()[0].Address).read(1, 40000, 2, patient)
			fine(t, regs, err)
		})
	}
}

func TestDeadUnitDoesNotEvenRefuse(t *testing.T) {
	s := running(t, oneSite(smallSite()))
	if err := s.Inject("", Fault{Kind: FaultDead, Device: "pcs1"}); err != nil {
		t.Fatal(err)
	}
	cl := connect(t, s.Endpoints()[0].Address)
	if _, err := cl.read(2, 40000, 126, short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a dead unit answered an illegal quantity: %v", err)
	}
	connect(t, s.Endpoints()[0].Address).must(t, 3, 40000, 2)
}

func TestDelayHoldsTheAnswerBack(t *testing.T) {
	s := running(t, oneSite(smallSite()))
	if err := s.Inject("", Fault{Kind: FaultDelay, Device: "bank1", Delay: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	cl := connect(t, s.Endpoints()[0].Address)
	start := time.Now()
	cl.must(t, 1, 40000, 2)
	if d := time.Since(start); d < 200*time.Millisecond {
		t.Errorf("answered after %s", d)
	}
}

func TestProbabilityDropsSome(t *testing.T) {
	s := running(t, oneSite(smallSite()))
	if err := s.Inject("", Fault{Kind: FaultException, Probability: 0.3}); err != nil {
		t.Fatal(err)
	}
	cl, failed := connect(t, s.Endpoints()[0].Address), 0
	for range 1000 {
		if _, err := cl.read(1, 40000, 2, patient); err != nil {
			failed++
		}
	}
	if failed < 230 || failed > 370 {
		t.Errorf("%d of 1000 answers failed at probability 0.3", failed)
	}
}

func TestRefusedEndpointComesBackOnItsPort(t *testing.T) {
	cfg := smallSite()
	cfg.Endpoints = EndpointPerDevice
	s := running(t, oneSite(cfg))
	bank, pcs := s.Endpoints()[0].Address, s.Endpoints()[1].Address
	old := connect(t, bank)
	old.must(t, 1, 40000, 2)
	if err := s.Inject("", Fault{Kind: FaultRefuse, Device: "bank1"}); err != nil {
		t.Fatal(err)
	}
	await(t, "a refused connection", func() bool {
		c, err := net.Dial("tcp", bank)
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if _, err := old.read(1, 40000, 2, patient); err == nil {
		t.Error("the old connection is still served")
	}
	connect(t, pcs).must(t, 1, 40000, 2)
	if _, err := s.Clear("", "bank1", FaultRefuse); err != nil {
		t.Fatal(err)
	}
	await(t, "the endpoint to come back", func() bool {
		c, err := net.Dial("tcp", bank)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	connect(t, bank).must(t, 1, 40000, 2)
}

func TestScheduledFaultComesAndGoes(t *testing.T) {
	cfg := smallSite()
	cfg.Faults = []Fault{{Kind: FaultException, Code: 6, Device: "bank1", After: 50 * time.Millisecond, For: 100 * time.Millisecond}}
	s := running(t, oneSite(cfg))
	cl := connect(t, s.Endpoints()[0].Address)
	busy := func() bool {
		_, err := cl.read(1, 40000, 2, patient)
		if err != nil && !isException(err, 6) {
			t.Fatal(err)
		}
		return err != nil
	}
	await(t, "the fault to come", busy)
	await(t, "the fault to go", func() bool { return !busy() })
}

func TestStuckHeartbeatStandsWhileValuesMove(t *testing.T) {
	s := running(t, oneSite(smallSite()))
	cl := connect(t, s.Endpoints()[0].Address)
	const at802 = 40002 + 68 + 9
	hb := func() uint16 { return cl.must(t, 1, at802, 64)[18] }
	first := hb()
	s.Tick()
	if hb() != first+1 {
		t.Fatalf("heartbeat %d after %d", hb(), first)
	}
	if err := s.Inject("", Fault{Kind: FaultStuckHeartbeat}); err != nil {
		t.Fatal(err)
	}
	energy := func() (wh float64) {
		_ = s.Truth("", func(p *plant.Site, _ uint64) { wh = p.Meter.ImportedWh + p.Meter.ExportedWh })
		return wh
	}
	before := energy()
	for range 10 {
		s.Tick()
	}
	if hb() != first+1 || energy() == before {
		t.Errorf("heartbeat %d, energy %g", hb(), energy()-before)
	}
	if _, err := s.Clear("", "", FaultStuckHeartbeat); err != nil {
		t.Fatal(err)
	}
	s.Tick()
	if hb() != first+2 {
		t.Errorf("heartbeat %d after clearing", hb())
	}
}

func TestPlantFaultsShowInTheRegisters(t *testing.T) {
	cfg := smallSite()
	cfg.Speed = 600
	s := running(t, oneSite(cfg))
	for _, f := range []Fault{{Kind: FaultWeakCell, Device: "bank1", Rack: 2, Module: 1, Cell: 9, Factor: 6}, {Kind: FaultContactor, Device: "bank1", Rack: 3}} {
		if err := s.Inject("", f); err != nil {
			t.Fatal(err)
		}
	}
	s.Tick()
	cl := connect(t, s.Endpoints()[0].Address)
	for _, in := range cl.walk(t, 1, 40000) {
		switch {
		case in.id == 803 && in.u(3) != 2:
			t.Errorf("%g racks connected", in.u(3))
		case in.id == 804 && in.u(2) == 2 && (in.u(18) != 1 || in.u(48+6) != 9):
			t.Errorf("lowest cell of rack 2 in module %g cell %g", in.u(18), in.u(48+6))
		case in.id == 804 && in.u(2) == 3 && (in.u32(4) != 1 || in.i(13) != 0 || uint32(in.u32(28))&(1<<20) == 0):
			t.Errorf("rack 3: state %g, %g A, events %g", in.u32(4), in.i(13), in.u32(28))
		}
	}
	if n, err := s.Clear("", "bank1", ""); n != 2 || err != nil {
		t.Fatalf("cleared %d, %v", n, err)
	}
	s.Tick()
	for _, in := range cl.walk(t, 1, 40000) {
		if in.id == 803 && in.u(3) != 3 {
			t.Errorf("%g racks connected after clearing", in.u(3))
		}
	}
}

func TestControlOverHTTP(t *testing.T) {
	cfg := oneSite(smallSite())
	cfg.Control.Listen = "127.0.0.1:0"
	s := running(t, cfg)
	url := "http://" + s.ControlAddress()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	web := &http.Client{Transport: tr}
	post := func(body, contentType string) (int, string) {
		t.Helper()
		resp, err := web.Post(url+"/fault", contentType, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	cl := connect(t, s.Endpoints()[0].Address)
	for _, tc := range []struct {
		body   string
		status int
		check  func() error
	}{
		{`{"unit":1,"kind":"exception","value":6}`, 200, func() error {
			_, err := cl.read(1, 40000, 2, patient)
			return err
		}},
		{`{"site":"alfa","device":"bank1","kind":"clear"}`, 200, nil},
		{`{"unit":77,"kind":"drop"}`, 400, nil},
		{`{"unit":1,"kind":"melt"}`, 400, nil},
		{`{"unit":1,"kind":"drop","colour":1}`, 400, nil},
		{`{"site":"beta","kind":"drop"}`, 400, nil},
		{`not json`, 400, nil},
	} {
		status, text := post(tc.body, "application/json")
		if status != tc.status {
			t.Errorf("%s: %d %s", tc.body, status, text)
		}
		if tc.check != nil {
			if err := tc.check(); !isException(err, 6) {
				t.Errorf("%s: then %v", tc.body, err)
			}
		}
	}
	cl.must(t, 1, 40000, 2)
	if status, _ := post(`{"unit":1,"kind":"drop"}`, "text/plain"); status != http.StatusUnsupportedMediaType {
		t.Errorf("a form post got %d", status)
	}
	resp, err := web.Get(url + "/endpoints")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var eps []Endpoint
	if err := json.NewDecoder(resp.Body).Decode(&eps); err != nil || len(eps) != 1 || len(eps[0].Units) != 3 {
		t.Errorf("endpoints %+v, %v", eps, err)
	}
}

func TestLedgerKeepsTheLastAndWritesAll(t *testing.T) {
	path := t.TempDir() + "/served.csv"
	l, err := newLedger(LedgerConfig{Ring: 3, File: path})
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMicro(1_700_000_000_000_001)
	for i := range 5 {
		l.add(Record{Time: at, Site: "alfa", Endpoint: "127.0.0.1:5020", Device: "bank1", Unit: 1, Function: 3, Address: uint16(i), Count: 2, Outcome: OutcomeOK, Seq: uint64(i), Heartbeat: 9})
	}
	l.add(Record{Time: at, Site: "alfa", Endpoint: "127.0.0.1:5020", Device: "bank1", Unit: 1, Function: 3, Address: 9, Count: 2, Outcome: OutcomeException, Exception: 2})
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	var addrs []uint16
	for _, r := range l.Records() {
		addrs = append(addrs, r.Address)
	}
	if len(addrs) != 3 || addrs[0] != 3 || addrs[1] != 4 || addrs[2] != 9 || l.Total() != 6 {
		t.Errorf("kept %v of %d", addrs, l.Total())
	}
	if got := l.Served("alfa", "bank1"); got != (Counts{OK: 5, Exceptions: 1, Registers: 10}) {
		t.Errorf("served %+v", got)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 7 || lines[0]+"\n" != ledgerHeader || lines[2] != "1700000000000001,alfa,127.0.0.1:5020,bank1,1,3,1,2,ok,0,1,9" ||
		lines[6] != "1700000000000001,alfa,127.0.0.1:5020,bank1,1,3,9,2,exception,2,0,0" {
		t.Errorf("file:\n%s", b)
	}
	again, err := newLedger(LedgerConfig{File: path})
	if err != nil {
		t.Fatal(err)
	}
	again.add(Record{Time: at})
	if err := again.close(); err != nil {
		t.Fatal(err)
	}
	grown, _ := os.ReadFile(path)
	if !bytes.HasPrefix(grown, b) || bytes.Count(grown, []byte("unix_us")) != 1 || bytes.Count(grown, []byte("\n")) != 8 {
		t.Errorf("appended file:\n%s", grown)
	}
}
