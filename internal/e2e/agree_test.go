//go:build integration

package e2e

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bessd/internal/testenv"
)

// tables are all that central writes.
var tables = []string{"telemetry", "rollup_1m_parts", "ledger", "devices", "agent_events", "dead_letters"}

// agree has delta-rs and DuckDB read every table through S3, and Spark the bucket's directory (or S3 too, where the server
// has a form of its own on disk), and fails the test where rows, sums, nulls, or the content of any column differ.
func (c *chain) agree(t *testing.T, py *testenv.Python) {
	t.Helper()
	var urls, dirs []string
	for _, name := range tables {
		urls, dirs = append(urls, c.table(name)), append(dirs, c.local(name))
		if c.minIO {
			dirs[len(dirs)-1] = c.table(name)
		}
	}
	var here struct {
		Tables map[string]struct {
			Version, Files    int
			Deltalake, Duckdb json.RawMessage
		}
	}
	py.JSON(t, &here, "read_delta.py", urls...)
	if !c.minIO {
		t.Setenv("AWS_ENDPOINT_URL", "") // without an endpoint Spark needs no S3 jars
	}
	var spark struct {
		Tables map[string]json.RawMessage
	}
	testenv.SparkPython(t).JSON(t, &spark, "spark_read.py", dirs...)
	for i, name := range tables {
		read := here.Tables[urls[i]]
		var figures [3]map[string]any
		for k, raw := range []json.RawMessage{read.Deltalake, read.Duckdb, spark.Tables[dirs[i]]} {
			if err := json.Unmarshal(raw, &figures[k]); err != nil {
				t.Fatalf("figures of %s: %v in %s", name, err, raw)
			}
		}
		for k, reader := range []string{"DuckDB", "Spark"} {
			if d := cmp.Diff(figures[0], figures[k+1]); d != "" {
				t.Errorf("%s: delta-rs (-) and %s (+) read differently:\n%s", name, reader, d)
			}
		}
		t.Logf("%s: version %d, %d files, %v rows, equal in delta-rs, DuckDB and Spark", name, read.Version, read.Files, figures[0]["rows"])
	}
}

// rollups fails the test where the merged parts differ from what the rows of telemetry say. It returns how many values
// telemetry holds.
func (c *chain) rollups(t *testing.T, py *testenv.Python) int64 {
	t.Helper()
	var r struct {
		Parts, Merged, Compared int
		Values                  int64
		Differences             []string
	}
	py.JSON(t, &r, "rollup_check.py", c.table("telemetry"), c.table("rollup_1m_parts"), c.table("devices"))
	for _, d := range r.Differences {
		t.Errorf("rollups: %s", d)
	}
	if r.Compared == 0 {
		t.Error("no figure of a rollup was compared")
	}
	t.Logf("rollups: %d parts, %d merged, %d figures equal to a recomputation from %d values", r.Parts, r.Merged, r.Compared, r.Values)
	return r.Values
}
