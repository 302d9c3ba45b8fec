package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bessd/agent"
	"bessd/config"
	"bessd/internal/sim"
)

// update rewrites the expected texts; read the diff before you commit it.
var update = flag.Bool("update", false, "rewrite expected texts")

// testEnv is the environment of the commands under test.
func testEnv(name string) (string, bool) {
	v, ok := map[string]string{"BROKER": "kafka-2:9092"}[name]
	return v, ok
}

// bessd runs the program with arguments and returns its exit code and output.
func bessd(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = program{args: args, stdin: strings.NewReader(""), stdout: &out, stderr: &errs, env: testEnv}.run(t.Context())
	return code, out.String(), errs.String()
}

const corpus = "config/testdata"

func corpusFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpus, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return files
}

// modeOf gives the mode that a file of the corpus is for: the first word of its name.
func modeOf(file string) string {
	mode, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".bad.yaml"), ".good.yaml"), "-")
	if mode == "unclear" {
		return ""
	}
	return mode
}

func TestGoodConfigurations(t *testing.T) {
	if err := os.Chmod(filepath.Join(corpus, "password"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range corpusFiles(t, "*.good.yaml") {
		code, out, errs := bessd(t, "config", "check", file)
		if code != exitFine || !strings.Contains(out, ": fine ("+modeOf(file)+")") {
			t.Errorf("%s: exit %d\n%s%s", file, code, out, errs)
		}
	}
}

// problems.txt is the table of all bad files and what is said about each.
func TestBadConfigurations(t *testing.T) {
	var got strings.Builder
	for _, file := range corpusFiles(t, "*.bad.yaml") {
		code, out, errs := bessd(t, "config", "check", "--mode", modeOf(file), file)
		if code != exitUsage || out != "" {
			t.Errorf("%s: exit %d, want %d\n%s", file, code, exitUsage, out)
		}
		if strings.Contains(errs, "hunter2") {
			t.Errorf("%s: a secret is printed", file)
		}
		name := filepath.Base(file)
		got.WriteString("== " + name + "\n" + strings.ReplaceAll(errs, corpus+"/", ""))
	}
	table := filepath.Join(corpus, "problems.txt")
	if *update {
		if err := os.WriteFile(table, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Error(d)
	}
}

// What print writes must load again and print the same.
func TestPrintedConfigurationReadsBack(t *testing.T) {
	for _, file := range corpusFiles(t, "*.good.yaml") {
		code, out, errs := bessd(t, "config", "print", file)
		if code != exitFine {
			t.Fatalf("%s: %s", file, errs)
		}
		if strings.Contains(out, "hunter2") {
			t.Errorf("%s: a secret is printed", file)
		}
		again := filepath.Join(t.TempDir(), "again.yaml")
		if err := os.WriteFile(again, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := config.Load(again, config.Mode(modeOf(file)), testEnv)
		if err != nil && !strings.Contains(err.Error(), "there is no file") && !strings.Contains(err.Error(), "reading secret") {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
		if f == nil {
			t.Fatalf("%s: nothing loaded", file)
		}
	}
}

func TestReferenceIsValid(t *testing.T) {
	for _, mode := range []string{"agent", "central", "sim"} {
		code, out, errs := bessd(t, "config", "reference", mode)
		if code != exitFine {
			t.Fatalf("%s: %s", mode, errs)
		}
		committed := filepath.Join("docs", "manual", "reference-"+mode+".yaml")
		if *update {
			if err := os.WriteFile(committed, []byte(out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(committed)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), out); d != "" {
			t.Errorf("%s is out of date, run go test . -update\n%s", committed, d)
		}
		if code, out, errs := bessd(t, "config", "check", committed); code != exitFine || !strings.Contains(out, ": fine ("+mode+")") || errs != "" {
			t.Errorf("a copy of %s is no configuration: exit %d\n%s%s", committed, code, out, errs)
		}
	}
	if code, _, _ := bessd(t, "config", "reference", "toaster"); code != exitUsage {
		t.Errorf("exit %d", code)
	}
}

// The sections that the reference has as comments are right, too: only what nobody can know is missing from them.
func TestReferenceWithItsComments(t *testing.T) {
	for mode, sections := range map[string]int{"agent": 2, "central": 3} {
		text, err := os.ReadFile(filepath.Join("docs", "manual", "reference-"+mode+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		lines := strings.SplitAfter(string(text), "\n")
		opener := regexp.MustCompile(`^ *# (tls|sasl|create_topic):\n$`)
		for i := 0; i < len(lines); i++ {
			if !opener.MatchString(lines[i]) {
				continue
			}
			found++
			margin := strings.Index(lines[i], "# ")
			mark := strings.Repeat(" ", margin) + "# "
			lines[i] = lines[i][:margin] + lines[i][margin+2:]
			for ; strings.HasPrefix(lines[i+1], mark+"  "); i++ {
				lines[i+1] = lines[i+1][:margin] + lines[i+1][margin+2:]
			}
		}
		if found != sections {
			t.Errorf("%s: %d sections as comments, want %d", mode, found, sections)
		}
		_, _, errs := bessd(t, "config", "check", writeFile(t, mode+".yaml", strings.Join(lines, "")))
		var about []string
		for line := range strings.Lines(errs) {
			about = append(about, regexp.MustCompile(`: ([a-z_.]+): `).FindStringSubmatch(line)[1])
		}
		if d := cmp.Diff([]string{"kafka.sasl.username"}, about); d != "" {
			t.Errorf("%s: %s\n%s", mode, d, errs)
		}
	}
}

func TestExamplesAreFine(t *testing.T) {
	files, err := filepath.Glob("docs/manual/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		if code, _, errs := bessd(t, "config", "check", file); code != exitFine {
			t.Errorf("%s: %s", file, errs)
		}
	}
}

// The defaults that the configuration shows are those of the parts.
func TestDefaultsAgree(t *testing.T) {
	var site config.SimSite
	site.SetDefaults()
	site.ID, site.Seed = "alfa", 1
	if d := cmp.Diff(sim.DefaultSite("alfa", 1), simSite(site)); d != "" {
		t.Error(d)
	}
	var ep config.Endpoint
	var dev config.Device
	ep.SetDefaults()
	dev.SetDefaults()
	ep.Devices = []config.Device{dev}
	a := config.DefaultAgent()
	a.Endpoints = []config.Endpoint{ep}
	want := agent.DefaultConfig()
	we := agent.DefaultEndpoint()
	we.Devices = []agent.Device{agent.DefaultDevice()}
	want.Endpoints = []agent.Endpoint{we}
	if d := cmp.Diff(want, agentConfig(&a)); d != "" {
		t.Error(d)
	}
}

// Every figure of the agent can be configured: nothing that the part knows is out of reach.
func TestAgentConfigurationIsComplete(t *testing.T) {
	if got, want := reflect.TypeFor[config.Endpoint]().NumField(), reflect.TypeFor[agent.Endpoint]().NumField(); got != want {
		t.Errorf("endpoint has %d fields, the agent's %d", got, want)
	}
}
