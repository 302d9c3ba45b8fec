package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// document replaces what stands between the lines `<!-- NAME -->` and `<!-- end NAME -->` of the document by the tables
// of columns, enums and alarm bits. The rest of the document is written by hand.
func document(in, md string) error {
	points, err := lines(filepath.Join(in, "vocabulary.tsv"))
	if err != nil {
		return err
	}
	members, err := lines(filepath.Join(in, "enums.tsv"))
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(md)
	if err != nil {
		return err
	}
	doc := string(raw)
	for _, part := range []struct{ name, table string }{
		{"columns", columnTable(points)}, {"enums", enumTable(members)}, {"alarm bits", alarmTable(members)},
	} {
		begin, end := "<!-- "+part.name+" -->\n", "<!-- end "+part.name+" -->\n"
		i, j := strings.Index(doc, begin), strings.Index(doc, end)
		if i < 0 || j < i {
			return fmt.Errorf("%s: no lines %q and %q in this order", md, strings.TrimSpace(begin), strings.TrimSpace(end))
		}
		doc = doc[:i+len(begin)] + "\n" + part.table + "\n" + doc[j:]
	}
	return os.WriteFile(md, []byte(doc), 0o644)
}

func columnTable(points [][]string) string {
	var b strings.Builder
	b.WriteString("| num | column | type | class | unit | decimals | range | kinds | rollup | |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range points {
		typ := p[2]
		if p[10] != "" {
			typ = "enum " + p[10]
		}
		span := ""
		if p[6] != "" {
			span = p[6] + " to " + p[7]
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n", p[0], p[1], typ, p[3], p[4], p[5], span,
			strings.ReplaceAll(p[8], ",", " "), strings.ReplaceAll(p[9], ",", " "), p[11])
	}
	return b.String()
}

func enumTable(members [][]string) string {
	var b strings.Builder
	b.WriteString("| enum | code | text | available |\n|---|---|---|---|\n")
	for _, m := range members {
		if m[0] != "alarm" {
			fmt.Fprintf(&b, "| %s | %s | `%s` | %s |\n", m[0], m[1], m[2], map[string]string{"true": "yes", "false": "no"}[m[3]])
		}
	}
	return b.String()
}

func alarmTable(members [][]string) string {
	var b strings.Builder
	b.WriteString("| bit | name | severity |\n|---|---|---|\n")
	for _, m := range members {
		if m[0] == "alarm" {
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", m[1], m[2], m[3])
		}
	}
	return b.String()
}
