package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module       = "bessd"
	maxMainLines = 300
)

// rooms never import each other.
var rooms = []string{"agent", "ingest", "process", "store", "query"}

// shared are the internal packages that a room may import; its tests may import any.
var shared = []string{"run", "backoff", "obs", "fault", "yamlx"}

// owners names for each library the one package that imports it, tests included.
var owners = map[string]string{
	"github.com/simonvetter/modbus": "agent/modbus",
	"github.com/segmentio/kafka-go": "ingest",
	"github.com/minio/minio-go":     "store/s3",
	"go.etcd.io/bbolt":              "agent/spool",
	"go.yaml.in/yaml":               "internal/yamlx",
	"github.com/twmb/franz-go":      "internal/broker",
}

// beyondStd is all that packages below bess may import but the standard library and each other.
var beyondStd = map[string][]string{
	"bess/wire": {"google.golang.org/protobuf/encoding/protowire"},
	"bess/maps": {module + "/internal/yamlx"},
}

// pkg is what `go list -json` says about a package.
type pkg struct {
	ImportPath, Name, Dir              string
	Imports, TestImports, XTestImports []string
	GoFiles, CgoFiles                  []string
	TestGoFiles, XTestGoFiles          []string
}

// within tells whether path is the package or one below it.
func within(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

// roomOf returns the room that a path within the module belongs to, or "".
func roomOf(path string) string {
	i := slices.IndexFunc(rooms, func(r string) bool { return within(path, r) })
	if i < 0 {
		return ""
	}
	return rooms[i]
}

// wrongArrow returns why from (a path within the module, "" for main) may not import to, or "".
func wrongArrow(from, to string, inTest bool) string {
	for library, owner := range owners {
		if within(to, library) && from != owner {
			return "only " + owner + " imports " + library
		}
	}
	isStd := !strings.Contains(strings.Split(to, "/")[0], ".") && !within(to, module)
	if within(from, "bess") && !inTest && !isStd && !within(to, module+"/bess") && !slices.Contains(beyondStd[from], to) {
		return "bess is standard library only"
	}
	inside, ours := strings.CutPrefix(to, module+"/")
	if !ours {
		return ""
	}
	room := roomOf(from)
	switch {
	case within(inside, "config") && from != "" && !within(from, "config"):
		return "only package main imports config"
	case room != "" && roomOf(inside) != "" && roomOf(inside) != room:
		return "rooms never import each other"
	case room != "" && !inTest && strings.HasPrefix(inside, "internal/") && !slices.Contains(shared, strings.TrimPrefix(inside, "internal/")):
		return "a room imports only internal/{" + strings.Join(shared, ",") + "}"
	case !inTest && within(inside, "internal/testenv"):
		return "only tests import testenv"
	}
	return ""
}

func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		check := func(imports []string, inTest bool) {
			for _, to := range imports {
				if why := wrongArrow(from, to, inTest); why != "" {
					t.Errorf("%s imports %s: %s", p.ImportPath, to, why)
				}
			}
		}
		check(p.Imports, false)
		check(slices.Concat(p.TestImports, p.XTestImports), true)
	}
}

func TestHouseRules(t *testing.T) {
	for _, p := range list(t) {
		if p.Name != "main" && !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go", p.ImportPath)
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles) {
			file := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if p.ImportPath == module && name == "main.go" && bytes.Count(src, []byte("\n")) > maxMainLines {
				t.Errorf("main.go has more than %d lines", maxMainLines)
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if name == "doc.go" && f.Doc == nil {
				t.Errorf("%s's doc.go has no package comment", p.ImportPath)
			}
			if !ast.IsGenerated(f) && slices.ContainsFunc(f.Decls, isInit) {
				t.Errorf("%s has a func init(): wire it in main", file)
			}
		}
	}
}

func isInit(d ast.Decl) bool {
	f, ok := d.(*ast.FuncDecl)
	return ok && f.Recv == nil && f.Name.Name == "init"
}

// list returns the module's packages as the compiler sees them without and with the tests' build tags; one that does not
// build yet is judged like the others.
func list(t *testing.T) []pkg {
	t.Helper()
	var all []pkg
	for _, tags := range []string{"", "integration,judges,faultpoints"} {
		cmd := exec.Command("go", "list", "-e", "-json", "-tags", tags, module+"/...")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p pkg
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	return all
}

// The rules themselves: each wrong arrow is found, each right one passes.
func TestWrongArrow(t *testing.T) {
	for _, c := range []struct {
		from, to string
		inTest   bool
		wrong    bool
	}{
		{"agent", "bessd/bess", false, false},
		{"agent/spool", "bessd/agent", false, false},
		{"agent", "bessd/ingest", false, true},
		{"process/rollup", "bessd/store/delta", true, true},
		{"agents", "bessd/ingest", false, false}, // another name, not the room
		{"", "bessd/config", false, false},
		{"query", "bessd/config", false, true},
		{"config", "bessd/agent", false, false},
		{"store", "bessd/internal/sim", false, true},
		{"store", "bessd/internal/sim", true, false},
		{"store", "bessd/internal/run", false, false},
		{"internal/e2e", "bessd/internal/testenv", true, false},
		{"internal/sim", "bessd/internal/testenv", false, true},
		{"ingest", "github.com/segmentio/kafka-go/sasl", false, false},
		{"ingest", "github.com/twmb/franz-go/pkg/kfake", true, true},
		{"internal/e2e", "github.com/segmentio/kafka-go", true, true},
		{"store/s3", "github.com/minio/minio-go/v7", false, false},
		{"store", "github.com/minio/minio-go/v7", false, true},
		{"bess", "encoding/json", false, false},
		{"bess", "bessd/internal/obs", false, true},
		{"bess", "github.com/cespare/xxhash/v2", false, true},
		{"bess/wire", "google.golang.org/protobuf/encoding/protowire", false, false},
		{"bess/wire", "pgregory.net/rapid", true, false},
	} {
		if why := wrongArrow(c.from, c.to, c.inTest); (why != "") != c.wrong {
			t.Errorf("%s: %q", fmt.Sprint(c), why)
		}
	}
}
