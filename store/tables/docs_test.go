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

// FuzzParseRanges says that whatever parses is written the same way again, or shorter.
func FuzzParseRanges(f *testing.F) {
	for _, s := range []string{"", "0..59,61", "1", "-5..-1,3", "9223372036854775807", "1..", ",", "2..1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseRanges(s)
		if err != nil {
			return
		}
		again, err := parseRanges(formatRanges(got))
		if err != nil || len(again) != len(got) {
			t.Fatalf("%q: %v, then %v, %v", s, got, again, err)
		}
	})
}
