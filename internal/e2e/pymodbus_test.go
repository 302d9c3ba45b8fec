//go:build integration

package e2e

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"bessd/internal/testenv"
)

// derivedColumns may stand in a row without a point of the device: bessd computes them from the same scan.
var derivedColumns = map[string]bool{
	"power_w": true, "cell_voltage_min_v": true, "cell_voltage_max_v": true, "cell_voltage_avg_v": true,
	"cell_temperature_min_c": true, "cell_temperature_max_c": true, "cell_temperature_avg_c": true,
	"cell_voltage_min_at": true, "cell_voltage_max_at": true, "cell_temperature_min_at": true, "cell_temperature_max_at": true,
}

// TestForeignDevices polls a pymodbus server that carries SunSpec models laid out by pysunspec2's files, and one with the
// Pylontech map, over a real Kafka into S3. Every point that pysunspec2 itself decodes must stand in the tables with the
// same value, and nothing else.
func TestForeignDevices(t *testing.T) {
	c := newChain(t, chainOptions{flush: "2s"})
	py := c.judges(t)
	var ready struct{ Port int }
	var device *testenv.Peer = py.Start(t, &ready, "pymodbus_image.py", "--sunspec", "1", "--pylontech", "2")
	agent := c.agent("agent", "alfa", fmt.Sprintf(`  - address: 127.0.0.1:%d
    devices:
      - {id: bank1, unit: 1, map: sunspec, every: 1s, tiers: {cells: 5s}}
      - {id: bank2, unit: 2, map: pylontech_powercube_m2, every: 1s}
`, ready.Port), "")
	central := c.central()
	agent.start()
	central.start()
	type rows = map[string]map[string]any
	var expect struct {
		Rows   rows
		Points int
	}
	py.JSON(t, &expect, "sunspec_rows.py", "127.0.0.1", strconv.Itoa(ready.Port), "1", "bank1")

	// The tables are looked at once the slowest tier has been through.
	c.wait(15*time.Second, "three rounds of the cell tier")
	agent.stop()
	c.caughtUp(central)
	central.stop()
	var got struct {
		Rows  rows
		Count int
	}
	py.JSON(t, &got, "last_values.py", c.table("telemetry"), "alfa")

	c.exactlyOnce(t, py, "")
	compared := 0
	for path, want := range expect.Rows {
		row := got.Rows[path]
		if row == nil {
			t.Errorf("device %s: no rows; there are %v", path, slices.Sorted(maps.Keys(got.Rows)))
			continue
		}
		for column, v := range want {
			if column == "heartbeat" {
				if _, ok := row[column].(float64); !ok {
					t.Errorf("%s heartbeat: %v", path, row[column])
				}
				continue
			}
			compared += count(v)
			if !same(v, row[column]) {
				t.Errorf("%s %s: pysunspec2 reads %v, the table has %v", path, column, v, row[column])
			}
		}
		for column, v := range row {
			if _, ok := want[column]; !ok && !derivedColumns[column] {
				t.Errorf("%s %s: the table has %v, pysunspec2 reads nothing there", path, column, v)
			}
		}
	}
	if compared < 500 {
		t.Errorf("only %d values compared", compared)
	}

	// The Pylontech unit: raw registers as the server holds them, and what they mean.
	var raw struct {
		OK  bool
		Raw map[string]float64
	}
	points := map[string]struct {
		column string
		factor float64
	}{
		"pylontech.V": {"voltage_v", 0.1}, "pylontech.A": {"current_a", 0.01}, "pylontech.SoC": {"soc_pct", 1},
		"pylontech.cellVmax": {"cell_voltage_max_v", 0.001}, "pylontech.cellVmin": {"cell_voltage_min_v", 0.001},
		"pylontech.cellTmax": {"cell_temperature_max_c", 0.1}, "pylontech.cellTmin": {"cell_temperature_min_c", 0.1},
		"pylontech.SoH": {"soh_pct", 1}, "pylontech.cycles": {"cycle_count", 1}, "pylontech.temp": {"temperature_c", 0.1},
		"pylontech.maxChgV": {"charge_voltage_limit_v", 0.1}, "pylontech.minDisV": {"discharge_voltage_limit_v", 0.1},
		"pylontech.maxChgA": {"charge_current_limit_a", 0.01}, "pylontech.maxDisA": {"discharge_current_limit_a", 0.01},
	}
	names := ""
	for _, p := range slices.Sorted(maps.Keys(points)) {
		names += fmt.Sprintf(",%q", p)
	}
	device.Ask(t, &raw, fmt.Sprintf(`{"get": [%s]}`, names[1:]))
	for p, m := range points {
		want := raw.Raw[p] * m.factor
		if m.factor < 0.1 && (p == "pylontech.maxChgA" || p == "pylontech.maxDisA") {
			want = math.Abs(want)
		}
		if !same(want, got.Rows["bank2"][m.column]) {
			t.Errorf("%s: %v on the wire, %s = %v in the table", p, raw.Raw[p], m.column, got.Rows["bank2"][m.column])
		}
		compared++
	}
	t.Logf("%d values of %d devices equal to pysunspec2's and the server's, over %d rows", compared, len(got.Rows), got.Count)
}

// same compares numbers to the last digit that a column keeps: lists are float32 in the table.
func same(want, got any) bool {
	switch w := want.(type) {
	case float64:
		g, ok := got.(float64)
		return ok && math.Abs(w-g) <= 1e-9*math.Max(1, math.Abs(w))
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			x, numeric := w[i].(float64)
			y, ok := g[i].(float64)
			if numeric && (!ok || math.Abs(x-y) > 1e-6*math.Max(1, math.Abs(x))) || !numeric && w[i] != g[i] {
				return false
			}
		}
		return true
	}
	return want == got
}

func count(v any) int {
	if l, ok := v.([]any); ok {
		return len(l)
	}
	return 1
}
