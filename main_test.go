package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestVersionAndHelp(t *testing.T) {
	code, out, _ := bessd(t, "version")
	if code != exitFine || !strings.HasPrefix(out, "bessd ") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ = bessd(t)
	if code != exitFine || !strings.Contains(out, "bessd [command]") {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out, _ = bessd(t, "completion", "bash")
	if code != exitFine || !strings.Contains(out, "bessd") {
		t.Errorf("exit %d", code)
	}
}

// What is wrong with a command line is exit 2 and one sentence with the way out.
func TestUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"frobnicate", `unknown command "frobnicate"`},
		{"agent", "--config is missing; see bessd agent --help"},
		{"agent --confg x", "unknown flag: --confg; see bessd agent --help"},
		{"agent --config nowhere.yaml", "nowhere.yaml: there is no such file; correct the path"},
		{"agent --config config/testdata/sim.good.yaml", "sites: belongs to bessd sim"},
		{"sim --config config/testdata/sim-twice.bad.yaml", "used twice"},
		{"sim extra", "unknown command"},
		{"config check", "requires at least 1 arg"},
		{"config check --mode toaster x", "want agent, central or sim"},
		{"config frobnicate", `unknown command "frobnicate"`},
	} {
		code, _, errs := bessd(t, strings.Fields(c.args)...)
		if code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, want %d with %q\n%s", c.args, code, exitUsage, c.want, errs)
		}
	}
}

// writeFile writes a file below a new directory and gives its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const agentText = `site: alfa
data_dir: DIR
kafka: {brokers: ["127.0.0.1:1"]}
endpoints: [{address: "127.0.0.1:1", devices: [{id: bank1}]}]
`

func TestAgentSaysWhatIsWrongWithItsDirectory(t *testing.T) {
	file := writeFile(t, "file", "")
	code, _, errs := bessd(t, "agent", "--config", writeFile(t, "agent.yaml", strings.ReplaceAll(agentText, "DIR", file)))
	if code != exitFailed || !strings.Contains(errs, "make it writable for the user that runs bessd, or set another data_dir") {
		t.Errorf("exit %d: %s", code, errs)
	}
	dir := t.TempDir()
	lock, err := openDataDir(dir, "agent", "data_dir")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.close()
	code, _, errs = bessd(t, "agent", "--config", writeFile(t, "agent.yaml", strings.ReplaceAll(agentText, "DIR", dir)))
	if code != exitFailed || !strings.Contains(errs, "another bessd agent runs on "+dir) {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestAgentSaysThatItsPortIsTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	text := strings.ReplaceAll(agentText, "DIR", t.TempDir()) + "http: {listen: \"" + ln.Addr().String() + "\"}\n"
	code, _, errs := bessd(t, "agent", "--config", writeFile(t, "agent.yaml", text))
	if code != exitFailed || !strings.Contains(errs, "the port is in use; stop the other program or set another http.listen") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestSimServesUntilItIsStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := newWatched(cancel, "alfa\tunit 1\tbank1")
	var errs bytes.Buffer
	p := program{args: []string{"sim", "--config", writeFile(t, "sim.yaml", "sites: [{id: alfa, racks: 1}]\n")}, stdout: out, stderr: &errs, env: testEnv}
	if code := p.run(ctx); code != exitFine {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	if ctx.Err() == nil {
		t.Errorf("no unit was told:\n%s", out.String())
	}
}

// watched is a writer that calls a function once its text contains something.
type watched struct {
	bytes.Buffer
	found func()
	want  string
}

func newWatched(found func(), want string) *watched { return &watched{found: found, want: want} }

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if strings.Contains(w.String(), w.want) {
		w.found()
	}
	return n, err
}

func TestCallName(t *testing.T) {
	for arg0, want := range map[string]string{
		"bessd": "bessd", "./bessd": "./bessd", "/usr/local/bin/bessd": "/usr/local/bin/bessd",
		"/tmp/go-build15460/b001/exe/bessd": "go run .", "/home/u/.cache/go-build/bd/bda1-d/bessd": "go run .",
	} {
		if got := callName(arg0); got != want {
			t.Errorf("%s: %s, want %s", arg0, got, want)
		}
	}
}
