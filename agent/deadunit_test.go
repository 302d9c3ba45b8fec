package agent

import (
	"testing"
	"time"

	"bessd/bess"
)

// TestDeadUnitDoesNotDelayOthers bounds what a dead unit may cost the unit beside it: its share of the time, and in it the
// ticks that fall into a probe. Ticks are counted only while the machine keeps time, which a third unit tells that has an
// endpoint for itself.
func TestDeadUnitDoesNotDelayOthers(t *testing.T) {
	for range 3 {
		if besideDeadUnit(t) || t.Failed() {
			return
		}
	}
	t.Log("the machine is too busy to count ticks; only the number of probes was held against its bound")
}

// besideDeadUnit runs for 40 rows of a dead unit; quiet is false when the machine lost ticks of its own.
func besideDeadUnit(t *testing.T) (quiet bool) {
	p, free := servePlant(t), servePlant(t)
	pylonImage(p.unit(1)) // unit 2 does not exist: every request to it runs into the timeout
	pylonImage(free.unit(1))
	sink := &inbox{}
	every := 50 * time.Millisecond
	cfg := testConfig(p.addr, pylon("bank1", 1, every), pylon("bank2", 2, every))
	cfg.Endpoints = append(cfg.Endpoints, testConfig(free.addr, pylon("bank3", 1, every)).Endpoints...)
	timeout := cfg.Endpoints[0].Timeout
	a, stop := start(t, cfg, newState(), sink)
	await(t, "rows of the dead unit", func() bool { return len(sink.of("bank2")) >= 40 })
	stop()
	for _, s := range sink.of("bank2") {
		if s.Quality != bess.Bad || s.PresentValues() != 0 || len(s.Rejected) != 0 {
			t.Fatalf("dead unit: %s with %v", s.Quality, get(s))
		}
	}
	checkSeqs(t, sink)
	ticks := func(device string) (good, all int64) {
		rows := sink.of(device)
		for _, s := range rows {
			if s.Quality == bess.Good {
				good++
			}
		}
		return good, (rows[len(rows)-1].TS-rows[0].TS)/every.Microseconds() + 1
	}
	good, all := ticks("bank1")
	freeGood, freeAll := ticks("bank3")
	st := a.Stats()
	probes := st.Units[1].Timeouts
	t.Logf("%d of %d ticks beside %d probes, %d of %d without a neighbour", good, all, probes, freeGood, freeAll)
	if probes == 0 || st.Units[1].Up || st.Units[1].LastError == "" {
		t.Errorf("stats: %+v", st.Units)
	}
	// The dead one of two is left alone for 8 times as long as its probe took, the first time for 4.
	if most := 2 + all*every.Microseconds()/(8*timeout).Microseconds(); probes > most {
		t.Errorf("%d probes in %d ticks, want %d at most", probes, all, most)
	}
	if freeAll-freeGood > freeAll/20 || st.Units[0].Timeouts > 0 { // a healthy unit that was too late is left alone, too
		return false
	}
	// A probe takes two ticks, of which the one in its middle cannot be polled, and the next only on a new connection.
	if least := all - 2*probes - (freeAll - freeGood) - all/20; good < least {
		t.Errorf("%d good rows in %d ticks beside %d probes, want %d", good, all, probes, least)
	}
	return true
}
