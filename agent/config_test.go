package agent

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	good := testConfig("10.0.0.5:502", Device{ID: "bank1", Unit: 1, Map: "sunspec", Every: time.Second})
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	bad := Config{Site: "Alfa", ReconnectMin: 2, ReconnectMax: 1, HeartbeatEvery: time.Second, Endpoints: []Endpoint{
		{Address: "10.0.0.5", Timeout: time.Hour, MaxRegisters: 126},
		{Address: "10.0.0.6:0", Timeout: time.Second, MaxRegisters: 125, PauseAfterConnect: -1, Devices: []Device{
			{ID: "Bank", Unit: 300, Every: 7 * time.Second, Kind: "battery", Set: map[string]int{"current_sign": 2, "colour": 1}},
			{ID: "bank1", Unit: 1, Map: "sunspec", Every: 200 * time.Millisecond, Tiers: map[string]time.Duration{"cell": time.Second, "slow": 300 * time.Millisecond}},
			{ID: "bank1", Unit: 2, Map: "sunspec", Every: time.Second},
		}},
		{Address: "10.0.0.6:0", Timeout: time.Second, MaxRegisters: 1, Devices: []Device{{ID: "x", Map: "sunspec", Every: time.Second}}},
	}}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no problems found")
	}
	for _, want := range []string{
		`site: site "Alfa"`, "reconnect: waits from 2ns to 1ns", "probe: waits", "records: period 0s", `endpoints[0].address: "10.0.0.5"; want host:port`,
		"endpoints[0].timeout: 1h0m0s", "endpoints[0].max_registers: 126", "endpoints[0].devices: none", `endpoints[1].address: port "0"`, "endpoints[1]: negative pause",
		`endpoints[1].devices[0].id: device "Bank"`, "endpoints[1].devices[0].unit: 300", "endpoints[1].devices[0].map: empty", "endpoints[1].devices[0].every: 7s",
		`endpoints[1].devices[0].kind: "battery"`, `endpoints[1].devices[0].set: unknown setting "colour"`, "endpoints[1].devices[0].set.current_sign: 2",
		`endpoints[1].devices[1].tiers: unknown tier "cell"`, "endpoints[1].devices[1].tiers.slow: 300ms", "endpoints[1].devices[2].id: bank1 is also at endpoints[1].devices[1]",
		"endpoints[2].address: 10.0.0.6:0 is also at endpoints[1]",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

// A root leaves room for what SunSpec puts below it, as far as its kind tells.
func TestRootsLeaveRoom(t *testing.T) {
	for _, c := range []struct {
		d    Device
		fits bool
	}{
		{Device{ID: "area1/block1/bank1"}, true},
		{Device{ID: "area1/block1/feed1/bank1"}, false},
		{Device{ID: "area1/block1/feed1/b1"}, false},
		{Device{ID: "area1/block1/feed1/rack01"}, true},
		{Device{ID: "area1/block1/bank1/rack01", Kind: "bank"}, false},
		{Device{ID: "area1/block1/feed1/bank1/rack01"}, false},
		{Device{ID: "area1/block1/bank1/rack01/module01"}, true},
		{Device{ID: "area1/block1/feed1/meter1"}, true},
		{Device{ID: "area1/block1/feed1/pcs1"}, true},
		{Device{ID: "area1/block1/feed1/row1/pcs1"}, false},
		{Device{ID: "b" + strings.Repeat("x", 79)}, true},
		{Device{ID: "b" + strings.Repeat("x", 80)}, false},
	} {
		c.d.Unit, c.d.Map, c.d.Every = 1, "sunspec", time.Second
		cfg := testConfig("10.0.0.5:502", c.d)
		if err := cfg.Validate(); (err == nil) != c.fits || err != nil && !strings.Contains(err.Error(), "endpoints[0].devices[0].id: "+c.d.ID+" leaves no room for ") {
			t.Errorf("%s: %v", c.d.ID, err)
		}
		cfg.Endpoints[0].Devices[0].Map = "pylontech_powercube_m2"
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s with a map of its own: %v", c.d.ID, err)
		}
	}
}

func TestNewNamesWhatIsWrongWithAMap(t *testing.T) {
	for name, want := range map[string]string{
		"pylontech_powercub":   "built-in map (pylontech_powercube_m2",
		"maps/not-there.yaml":  "maps/not-there.yaml",
		"testdata/broken.yaml": "broken.yaml:2:1: idd: unknown key; did you mean id?",
	} {
		_, err := New(testConfig("127.0.0.1:1", Device{ID: "bank1", Unit: 1, Map: name, Every: time.Second}), Options{Sink: &inbox{}, State: newState()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
