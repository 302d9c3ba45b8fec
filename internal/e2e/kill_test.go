//go:build integration

package e2e

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"bessd/internal/testenv"
)

// simYAML is two sites of one bank; the ledger names what was served.
const simYAML = `
sites:
  - {id: alfa, port: %d, racks: 2, modules_per_rack: 2, cells_per_module: 14, endpoints: per_site, layout: single}
  - {id: bravo, port: %d, racks: 2, modules_per_rack: 2, cells_per_module: 14, chemistry: nmc, endpoints: per_site, layout: single, speed: 60}
ledger: {file: %q}
`

// heartbeatRegister is 802.Hb in the simulator's single layout: mark 2, model 1 68, model 713 9, and its offset in 802.
const heartbeatRegister = 40000 + 2 + 68 + 9 + 18

// TestKills kills agent, central and broker ten times each, at moments that a seed decides, while two sites are polled.
// Every scan must be in the tables once; a reading that the simulator served may be missing only when it was served
// within 500 ms before a kill of the agent. Afterwards four foreign readers must agree on every table.
func TestKills(t *testing.T) {
	const killsEach = 10
	c := newChain(t, chainOptions{flush: "2s"})
	ports := [2]int{port(t), port(t)}
	served := filepath.Join(c.dir, "served.csv")
	sim := c.part("sim", "sim", fmt.Sprintf(simYAML, ports[0], ports[1], served))
	sim.start()
	agents := []*part{
		c.agent("agent-alfa", "alfa", endpoint(ports[0]), ""),
		c.agent("agent-bravo", "bravo", endpoint(ports[1]), ""),
	}
	central := c.central()
	for _, a := range agents {
		a.start()
	}
	central.start()
	c.wait(5*time.Second, "the first rows")

	seed := uint64(20261125)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var order []int
	for i := range 3 * killsEach {
		order = append(order, i%3)
	}
	rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	var agentKills []kill
	for _, what := range order {
		c.wait(time.Duration(500+rnd.IntN(2500))*time.Millisecond, "a seeded moment")
		switch what {
		case 0:
			i := rnd.IntN(len(agents))
			agents[i].Kill9()
			agentKills = append(agentKills, kill{[]string{"alfa", "bravo"}[i], time.Now().UnixMicro()})
			agents[i].start()
		case 1:
			central.Kill9()
			central.start()
		case 2:
			c.kafka.Kill9()
			c.kafka.Restart(t)
		}
	}
	c.wait(12*time.Second, "a last round of the cell tier")
	stopped := time.Now().UnixMicro()
	for _, a := range agents {
		a.stop()
	}
	c.caughtUp(central)
	central.stop()
	sim.stop()

	py := c.judges(t)
	rows := filepath.Join(c.dir, "rows.csv")
	n := c.exactlyOnce(t, py, rows)
	lost := pair(t, served, rows, n, agentKills, stopped)
	t.Logf("%d kills (seed %d): %d scans, each once; %d epochs; %d served readings missing within 500 ms before a kill of the agent",
		len(order), seed, n.Rows, len(n.Epochs), lost)
	c.rollups(t, py)
	c.agree(t, py)
}

type kill struct {
	site string
	us   int64
}

func port(t testing.TB) int {
	t.Helper()
	addr := testenv.FreeAddr(t)
	p, err := strconv.Atoi(addr[len("127.0.0.1:"):])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// endpoint is the agent's YAML for a simulated site of one bank, converter and meter.
func endpoint(port int) string {
	return fmt.Sprintf("  - address: 127.0.0.1:%d\n    devices:\n      - {id: bank1, unit: 1, map: sunspec, every: 1s}\n", port)
}

// wait lets the parts run for a while; it is a part of the scenario, not a wait for a condition.
func (c *chain) wait(d time.Duration, _ string) {
	<-time.After(d)
}

// pair holds the simulator's own record against the rows. It fails the test for a served reading of a bank's heartbeat
// whose row is missing without a kill of the agent within the 500 ms after, and for a row whose heartbeat was not
// served in its second. It returns how many are missing with that excuse.
func pair(t *testing.T, served, rows string, n counted, kills []kill, stopped int64) int {
	t.Helper()
	const second = 1_000_000
	type key struct {
		site string
		tick int64
	}
	got := map[key]string{} // heartbeat
	for _, r := range records(t, rows) {
		if r["device"] == "bank1" {
			got[key{r["site"], number(t, r["ts_us"])}] = r["heartbeat"]
		}
	}
	type run struct{ first, last int64 }
	runs := map[string][]run{}
	for _, e := range n.Epochs {
		if e.Device == "bank1" {
			runs[e.Site] = append(runs[e.Site], run{e.FirstTS, e.LastTS})
		}
	}
	truth := map[key][]string{}
	missing, checked := 0, 0
	for _, r := range records(t, served) {
		at, address := number(t, r["unix_us"]), number(t, r["address"])
		if r["device"] != "bank1" || r["outcome"] != "ok" || address > heartbeatRegister || address+number(t, r["count"]) <= heartbeatRegister {
			continue
		}
		k := key{r["site"], at / second * second}
		truth[k] = append(truth[k], r["heartbeat"])
		if at > stopped-second/2 {
			continue // read in the moment of the orderly stop
		}
		// What the agent reads before its first tick is its survey of the device.
		survey := !slices.ContainsFunc(runs[k.site], func(x run) bool {
			if x.first > k.tick {
				return false
			}
			after := nextKill(kills, k.site, x.first, stopped)
			return at <= after
		})
		if survey {
			continue
		}
		checked++
		if _, ok := got[k]; ok {
			continue
		}
		excused := slices.ContainsFunc(kills, func(x kill) bool { return x.site == k.site && at <= x.us && x.us-at <= second/2 })
		if !excused {
			t.Errorf("%s: the reading served at %s has no row, and no kill of the agent excuses it", k.site, time.UnixMicro(at).UTC().Format("15:04:05.000"))
			continue
		}
		missing++
	}
	if checked < 50 {
		t.Errorf("only %d served readings to hold the rows against", checked)
	}
	for k, hb := range got {
		if hb != "" && !slices.Contains(truth[k], hb) {
			t.Errorf("%s %s: heartbeat %s in the row, %v served in that second", k.site, time.UnixMicro(k.tick).UTC().Format("15:04:05"), hb, truth[k])
		}
	}
	return missing
}

// nextKill is the end of the agent's run that began at first.
func nextKill(kills []kill, site string, first, stopped int64) int64 {
	for _, k := range kills {
		if k.site == site && k.us > first {
			return k.us
		}
	}
	return stopped
}

func records(t *testing.T, file string) []map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
	var out []map[string]string
	for _, l := range lines[1:] {
		m := map[string]string{}
		for i, name := range lines[0] {
			m[name] = l[i]
		}
		out = append(out, m)
	}
	return out
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
