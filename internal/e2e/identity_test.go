//go:build integration

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bessd/internal/testenv"
)

// oneSite starts a small simulated site and gives the agent's endpoints.
func (c *chain) oneSite() string {
	c.t.Helper()
	p := port(c.t)
	sim := c.part("sim", "sim", fmt.Sprintf("sites:\n  - {id: alfa, port: %d, racks: 2, modules_per_rack: 2, cells_per_module: 14}\n", p))
	sim.start()
	return endpoint(p)
}

// epochsOf lists the epochs of the bank, oldest first.
func epochsOf(n counted) []epochRows {
	var out []epochRows
	for _, e := range n.Epochs {
		if e.Device == "bank1" {
			out = append(out, e)
		}
	}
	for i := range out {
		for k := i; k > 0 && out[k].Epoch < out[k-1].Epoch; k-- {
			out[k], out[k-1] = out[k-1], out[k]
		}
	}
	return out
}

// TestReimagedAndTwin loses an agent's disk and starts it again, and then lets a copy of it run beside it. Every scan of
// all of them is in the tables once, and the copy is named.
func TestReimagedAndTwin(t *testing.T) {
	c := newChain(t, chainOptions{flush: "2s"})
	endpoints := c.oneSite()
	central := c.central()
	central.start()
	agent := c.agent("agent", "alfa", endpoints, "")

	agent.start()
	c.wait(6*time.Second, "scans before the disk is lost")
	agent.Kill9()
	if err := os.RemoveAll(filepath.Join(c.dir, "agent")); err != nil {
		t.Fatal(err)
	}
	c.subdir("agent")
	agent.start()
	c.wait(6*time.Second, "scans of the new image")
	agent.stop()
	c.caughtUp(central)
	if strings.Contains(central.Log(), "two agents report") {
		t.Errorf("a new image is not a twin:\n%s", central.LogTail(20))
	}

	clone := c.agent("clone", "alfa", endpoints, "")
	if err := os.CopyFS(filepath.Join(c.dir, "copy"), os.DirFS(filepath.Join(c.dir, "agent"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.dir, "clone")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(c.dir, "copy"), filepath.Join(c.dir, "clone")); err != nil {
		t.Fatal(err)
	}
	agent.start()
	clone.start()
	testenv.Await(t, 30*time.Second, func() error {
		if !strings.Contains(central.Log(), "two agents report") {
			return fmt.Errorf("central does not name the twin:\n%s", central.LogTail(10))
		}
		return nil
	})
	c.wait(3*time.Second, "scans of both")
	agent.stop()
	clone.stop()
	c.caughtUp(central)
	central.stop()

	epochs := epochsOf(c.exactlyOnce(t, c.judges(t), ""))
	if len(epochs) != 4 {
		t.Fatalf("%d epochs of bank1, want 4: before, re-imaged, again, clone", len(epochs))
	}
	for i, e := range epochs {
		if e.Rows < 4 {
			t.Errorf("epoch %d of bank1 has %d rows", i, e.Rows)
		}
	}
	if a, b := epochs[2], epochs[3]; a.LastTS < b.FirstTS || b.LastTS < a.FirstTS {
		t.Errorf("agent and clone did not run at the same time: %+v %+v", a, b)
	}
	t.Logf("4 epochs, each scan once: %d, %d, %d, %d rows of bank1", epochs[0].Rows, epochs[1].Rows, epochs[2].Rows, epochs[3].Rows)
}

// TestTopicRecreated deletes the topic while central is away, and fills a new one of the same name beyond the offset at
// which central would go on. Central must notice and lose nothing.
func TestTopicRecreated(t *testing.T) {
	c := newChain(t, chainOptions{flush: "1s", partitions: 1})
	endpoints := c.oneSite()
	central := c.central()
	central.start()
	agent := c.agent("agent", "alfa", endpoints, "")
	agent.start()
	c.wait(5*time.Second, "scans in the first topic")
	agent.stop()
	c.caughtUp(central)
	central.stop()
	py := c.judges(t)
	before := c.exactlyOnce(t, py, "")

	c.kafka.DeleteTopic(t, topic)
	c.kafka.CreateTopic(t, topic, 1, nil)
	agent.start()
	c.wait(12*time.Second, "more scans than the first topic had")
	agent.stop()
	central.start()
	c.caughtUp(central)
	testenv.Await(t, 30*time.Second, func() error {
		if !strings.Contains(central.Log(), "the topic is not the one that was read before") {
			return fmt.Errorf("central does not say that the topic is another:\n%s", central.LogTail(10))
		}
		return nil
	})
	central.stop()
	after := c.exactlyOnce(t, py, "")
	if len(after.Epochs) != 2*len(before.Epochs) {
		t.Errorf("%d epochs of devices before, %d after, want twice as many", len(before.Epochs), len(after.Epochs))
	}
	second := after.Rows - before.Rows
	if second <= before.Rows {
		t.Fatalf("the new topic has %d scans, the old one had %d: not beyond the old offset", second, before.Rows)
	}
	t.Logf("%d scans from the first topic, %d from the second, each once", before.Rows, second)
}
