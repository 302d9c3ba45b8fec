//go:build integration && judges && faultpoints

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bessd/internal/testenv"
)

// gaps are the places of a flush at which central is killed: between staging, upload and the commit of each table.
var gaps = []string{
	"store.staged.telemetry", "store.staged.rollup_1m_parts", "store.staged.ledger", "archive.staged",
	"store.uploaded.telemetry", "store.uploaded.ledger", "archive.uploaded",
	"store.commit.before.telemetry", "archive.committed.telemetry",
	"store.commit.before.rollup_1m_parts", "archive.committed.rollup_1m_parts",
	"store.commit.after.devices", "archive.committed.agent_events",
	"store.commit.before.ledger", "store.commit.after.ledger", "archive.committed.ledger",
}

// storeFaults are what the S3 server does to requests for a while.
var storeFaults = []struct {
	name   string
	script func(*http.Request) testenv.HTTPFault
}{
	{"503 for every third request", testenv.Every(3, nil, testenv.HTTPFault{Status: 503})},
	{"412 for every fifth commit, which the server never saw", testenv.Every(5, isCommit, testenv.HTTPFault{Status: 412})},
	{"replies lost after success, every third PUT", testenv.Every(3, isPut, testenv.HTTPFault{LoseReply: true})},
	{"uploads cut after 1,000 bytes, every third PUT", testenv.Every(3, isPut, testenv.HTTPFault{CutRequest: 1000})},
	{"replies cut after 20 bytes, every fourth request", testenv.Every(4, nil, testenv.HTTPFault{CutReply: 20})},
	{"400 ms slow", testenv.Every(1, nil, testenv.HTTPFault{Delay: 400 * time.Millisecond})},
}

func isPut(r *http.Request) bool { return r.Method == http.MethodPut }

func isCommit(r *http.Request) bool {
	return isPut(r) && strings.Contains(r.URL.Path, "/_delta_log/") && strings.HasSuffix(r.URL.Path, ".json")
}

// TestHundredKills polls three sites of 23 devices each at 1 s (more than 2,000 values/s) while a seed decides 100 kills:
// of agents, of central at any moment and at each gap of a flush, of the broker, of the S3 server; and while S3
// misbehaves in every known way. Every scan is in the tables once, rollups merged equal what the rows say.
func TestHundredKills(t *testing.T) {
	const kills = 100
	c := newChain(t, chainOptions{flush: "2s", partitions: 3})
	sites := []string{"alfa", "bravo", "charlie"}
	served := filepath.Join(c.dir, "served.csv")
	yaml := "sites:\n"
	var agents []*part
	for _, site := range sites {
		p := port(t)
		yaml += fmt.Sprintf("  - {id: %s, port: %d, racks: 4, modules_per_rack: 4, cells_per_module: 52, speed: 20}\n", site, p)
		agents = append(agents, c.agent("agent-"+site, site, fmt.Sprintf(
			"  - address: 127.0.0.1:%d\n    devices:\n      - {id: bank1, unit: 1, map: sunspec, every: 1s, tiers: {slow: 1s, cells: 2s}}\n"+
				"      - {id: pcs1, unit: 2, map: sunspec, every: 1s}\n      - {id: meter1, unit: 3, map: sunspec, every: 1s}\n", p), ""))
	}
	sim := c.part("sim", "sim", yaml+fmt.Sprintf("ledger: {file: %q}\n", served))
	sim.start()
	central := c.central()
	for _, a := range agents {
		a.start()
	}
	central.start()
	began := time.Now()
	c.wait(5*time.Second, "the first rows")

	seed := uint64(4711)
	rnd := rand.New(rand.NewPCG(seed, 2))
	hit := map[string]int{}
	var agentKills []kill
	atGap := 0
	for i := range kills {
		if i%6 == 0 {
			f := storeFaults[i/6%len(storeFaults)]
			c.proxy.Script(f.script)
			hit["store: "+f.name]++
		}
		if i%6 == 4 {
			c.proxy.Script(nil)
		}
		c.wait(time.Duration(300+rnd.IntN(1500))*time.Millisecond, "a seeded moment")
		switch k := rnd.IntN(10); {
		case k < 6: // central at a gap; every gap comes in turn
			gap := gaps[atGap%len(gaps)]
			atGap++
			central.Kill9()
			passing := 1 + rnd.IntN(2)
			if strings.HasSuffix(gap, ".devices") {
				passing = 1 // a new start of an agent brings device records, and one flush takes them all
				n := rnd.IntN(len(agents))
				agents[n].Kill9()
				agentKills = append(agentKills, kill{sites[n], time.Now().UnixMicro()})
				agents[n].start()
			}
			central.start(fmt.Sprintf("BESSD_FAULT=%s:%d", gap, passing))
			died := false
			select {
			case <-central.Done():
				died = true
			case <-time.After(20 * time.Second):
				central.Kill9() // no flush came by: killed at any moment, then
			}
			if died {
				hit["central at "+gap]++
			} else {
				hit["central, gap not reached"]++
			}
			central.start()
		case k < 7:
			central.Kill9()
			hit["central"]++
			central.start()
		case k < 9:
			n := rnd.IntN(len(agents))
			agents[n].Kill9()
			agentKills = append(agentKills, kill{sites[n], time.Now().UnixMicro()})
			agents[n].start()
			hit["agent"]++
		default:
			if rnd.IntN(2) == 0 {
				c.kafka.Kill9()
				c.kafka.Restart(t)
				hit["broker"]++
			} else {
				c.s3.Kill9()
				c.s3.Restart(t)
				hit["s3"]++
			}
		}
	}
	c.proxy.Script(nil)
	c.wait(5*time.Second, "a last round")
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
	for _, gap := range gaps {
		if hit["central at "+gap] == 0 {
			t.Errorf("no kill hit %s", gap)
		}
	}
	values := c.rollups(t, py)
	perSecond := float64(values) / time.Since(began).Seconds()
	if perSecond < 2000 {
		t.Errorf("%.0f values/s in the tables, want 2,000 or more", perSecond)
	}
	t.Logf("seed %d, %d kills: %v", seed, kills, hit)
	t.Logf("%d scans, each once, in %d epochs; %.0f values/s; %d served readings missing within 500 ms before a kill of the agent", n.Rows, len(n.Epochs), perSecond, lost)
	c.agree(t, py)
}

// TestOnMinIO is the chain on the other S3 server: central killed at each gap of a flush, MinIO itself killed, and Spark
// reads through s3a like the others.
func TestOnMinIO(t *testing.T) {
	c := newChain(t, chainOptions{flush: "2s", minIO: true})
	endpoints := c.oneSite()
	agent, central := c.agent("agent", "alfa", endpoints, ""), c.central()
	central.start()
	agent.start()
	for i, gap := range gaps {
		if strings.HasSuffix(gap, ".devices") {
			continue
		}
		central.Kill9()
		central.start("BESSD_FAULT=" + gap + ":1")
		testenv.Await(t, 30*time.Second, func() error {
			if central.Running() {
				return fmt.Errorf("central has not come to %s", gap)
			}
			return nil
		})
		if i%5 == 4 {
			c.s3.Kill9()
			c.s3.Restart(t)
		}
		central.start()
	}
	agent.stop()
	c.caughtUp(central)
	central.stop()
	py := c.judges(t)
	n := c.exactlyOnce(t, py, "")
	c.rollups(t, py)
	c.agree(t, py)
	t.Logf("%d scans, each once", n.Rows)
}
