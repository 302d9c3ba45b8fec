package tables

import (
	"os"
	"strings"
	"testing"

	"bessd/bess"
)

// TestColumnsAreDescribed guards the documents of the format: each column is named in its table's.
func TestColumnsAreDescribed(t *testing.T) {
	for _, s := range Specs() {
		name := map[string]string{"telemetry": "telemetry", "rollup_1m_parts": "rollup", "ledger": "ledger"}[s.Name]
		if name == "" {
			name = "tables"
		}
		text, err := os.ReadFile("../../docs/format/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Schema {
			if s.Name == "telemetry" && bess.PointByName(c.Name) != nil {
				continue // docs/format/vocabulary.md
			}
			if !strings.Contains(string(text), "`"+c.Name+"`") {
				t.Errorf("%s.md does not name %s of table %s", name, c.Name, s.Name)
			}
		}
	}
}
