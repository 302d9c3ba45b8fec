//go:build integration

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestTiersShareASocket polls two equal simulated sites at 200 ms, each answer 5 ms late: one with the slow tier at 1 s
// and the cells at 10 s, one with both switched off. The slow tiers must not cost a single fast tick.
func TestTiersShareASocket(t *testing.T) {
	c := newChain(t, chainOptions{flush: "2s"})
	ports := [2]int{port(t), port(t)}
	sim := c.part("sim", "sim", fmt.Sprintf(`
sites:
  - {id: tiers, port: %d, refresh: 200ms, racks: 6, modules_per_rack: 8, cells_per_module: 16, faults: [{kind: delay, delay: 5ms}]}
  - {id: plain, port: %d, refresh: 200ms, racks: 6, modules_per_rack: 8, cells_per_module: 16, faults: [{kind: delay, delay: 5ms}]}
`, ports[0], ports[1]))
	sim.start()
	device := "  - address: 127.0.0.1:%d\n    devices:\n      - {id: bank1, unit: 1, map: sunspec, every: 200ms, tiers: {slow: %s, cells: %s, nameplate: 24h}}\n"
	tiers := c.agent("agent-tiers", "tiers", fmt.Sprintf(device, ports[0], "1s", "10s"), "")
	plain := c.agent("agent-plain", "plain", fmt.Sprintf(device, ports[1], "24h", "24h"), "")
	central := c.central()
	central.start()
	tiers.start()
	plain.start()
	c.wait(35*time.Second, "three rounds of the cell tier")
	tiers.stop()
	plain.stop()
	c.caughtUp(central)
	central.stop()

	rows := filepath.Join(c.dir, "rows.csv")
	c.exactlyOnce(t, c.judges(t), rows)
	missed := map[string]int64{}
	ticks := map[string]int64{}
	cells := 0
	for _, r := range records(t, rows) {
		if r["device"] != "bank1" {
			if r["site"] == "tiers" && r["device"] == "bank1/rack01/module01" {
				cells++
			}
			continue
		}
		ticks[r["site"]]++
		if r["heartbeat"] == "" {
			missed[r["site"]]++
		}
	}
	// A tick that was not polled at all has no row: count what the time between the first and the last tick lacks.
	for _, site := range []string{"tiers", "plain"} {
		var first, last int64
		for _, r := range records(t, rows) {
			if r["site"] == site && r["device"] == "bank1" {
				ts := number(t, r["ts_us"])
				if first == 0 {
					first = ts
				}
				last = ts
			}
		}
		missed[site] += (last-first)/200_000 + 1 - ticks[site]
		if ticks[site] < 120 {
			t.Errorf("%s: only %d fast ticks", site, ticks[site])
		}
	}
	if cells < 2 {
		t.Errorf("the cell tier brought %d rows of a module", cells)
	}
	if missed["tiers"] > missed["plain"] {
		t.Errorf("with the slow tiers %d of %d fast ticks were missed, without them %d of %d", missed["tiers"], ticks["tiers"], missed["plain"], ticks["plain"])
	}
	t.Logf("fast ticks missed: %d of %d with slow tiers, %d of %d without; %d module rows", missed["tiers"], ticks["tiers"], missed["plain"], ticks["plain"], cells)
}
