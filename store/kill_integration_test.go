//go:build integration

package store_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"bessd/bess/columns"
	"bessd/internal/fault"
	"bessd/store"
	"bessd/store/delta"
	"bessd/store/fsdir"
)

// killRows is what the child writes in all: killRows/10 flushes to two tables.
const killRows = 300

var killSpecs = []store.TableSpec{
	{Name: "telemetry", Schema: columns.Schema{{Name: "seq", Type: columns.Int64}}, Partition: "dt"},
	{Name: "ledger", Schema: columns.Schema{{Name: "next", Type: columns.Int64}}, AppendOnly: true},
}

func killLake(t *testing.T, dir string) *store.Lake {
	t.Helper()
	b, err := fsdir.Open(filepath.Join(dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := store.Open(t.Context(), b, store.Config{StageDir: filepath.Join(dir, "stage"), CheckpointEvery: 5}, killSpecs)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func position(t *testing.T, tab *store.Table) int64 {
	t.Helper()
	p, err := tab.Position(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	return max(p, 0)
}

// TestKillChild is the process that is killed: it goes on where the ledger
// says, and each table skips what it holds already.
func TestKillChild(t *testing.T) {
	dir := os.Getenv("BESSD_TEST_KILL_DIR")
	if dir == "" {
		return // nobody's child: nothing to do
	}
	if !fault.Enabled {
		t.Fatal("the child was built without fault points")
	}
	l := killLake(t, dir)
	for next := position(t, l.Table("ledger")); next < killRows; next += 10 {
		for _, spec := range killSpecs {
			tab := l.Table(spec.Name)
			have := position(t, tab)
			if have > next {
				continue
			}
			rows, partition := columns.NewRows(spec.Schema), ""
			if spec.Partition != "" {
				partition = "2026-11-25"
				for i := range int64(10) {
					if err := rows.Append(next + i); err != nil {
						t.Fatal(err)
					}
				}
			} else if err := rows.Append(next + 10); err != nil {
				t.Fatal(err)
			}
			s, err := tab.Stage(t.Context(), partition, rows, nil)
			if err != nil {
				t.Fatal(err)
			}
			expected := have
			if have == 0 {
				expected = store.NoPosition
			}
			if _, err := tab.Commit(t.Context(), store.Commit{Files: []*store.Staged{s}, Positions: []delta.Txn{{AppID: "p", Expected: expected, Version: next + 10}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestKills kills the writer with SIGKILL at every named point, again and again
// until it comes through, and then looks for each row exactly once.
func TestKills(t *testing.T) {
	program := filepath.Join(t.TempDir(), "store.test")
	if out, err := exec.Command("go", "test", "-c", "-tags", "integration,faultpoints", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the child: %v\n%s", err, out)
	}
	var points []string
	for _, spec := range killSpecs {
		for _, p := range []string{"staged", "uploaded", "commit.before", "commit.after", "checkpoint"} {
			points = append(points, "store."+p+"."+spec.Name)
		}
	}
	dir := t.TempDir()
	kills := map[string]int{}
	run := func(faults string) (killed bool) {
		cmd := exec.Command(program, "-test.run", "^TestKillChild$")
		cmd.Env = append(os.Environ(), "BESSD_TEST_KILL_DIR="+dir, "BESSD_FAULT="+faults)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
				return true
			}
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", faults, err, out)
		}
		return false
	}
	for round := range 2 {
		for _, p := range points {
			if run(fmt.Sprintf("%s:%d", p, round+1)) {
				kills[p]++
			}
		}
	}
	if run("") {
		t.Fatal("killed without a fault")
	}
	for _, p := range points {
		if kills[p] == 0 {
			t.Errorf("the child never died at %s", p)
		}
	}
	l := killLake(t, dir)
	seen := map[int64]int{}
	if err := l.Table("telemetry").Scan(t.Context(), store.Scan{Columns: []string{"seq"}}, func(b store.Batch) error {
		for _, i := range b.Rows {
			seen[b.Vectors[0].Int64[i]]++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range int64(killRows) {
		if seen[i] != 1 {
			t.Errorf("row %d is there %d times", i, seen[i])
		}
	}
	if len(seen) != killRows || position(t, l.Table("ledger")) != killRows {
		t.Errorf("%d rows, ledger at %d", len(seen), position(t, l.Table("ledger")))
	}
	t.Logf("kills: %v", kills)
}
