package testenv

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	// judgeTime bounds one run of a judge; Spark alone takes ten seconds to start.
	judgeTime = 3 * time.Minute
	// judgeReady bounds the start of a judge that stays, up to its first line.
	judgeReady = 30 * time.Second
)

// Python is an interpreter that runs the programs in scripts/judge.
type Python struct {
	interpreter string
	scripts     string
}

// LakePython returns the interpreter with deltalake, duckdb, pyarrow, pymodbus and pysunspec2.
func LakePython(t testing.TB) *Python {
	t.Helper()
	return newPython(t, "BESSD_PYTHON", "the Python judges")
}

// SparkPython returns the interpreter with pyspark and delta-spark.
func SparkPython(t testing.TB) *Python {
	t.Helper()
	Need(t, "BESSD_SPARK_JARS", "Delta's jars for Spark")
	return newPython(t, "BESSD_SPARK_PYTHON", "Spark")
}

func newPython(t testing.TB, env, what string) *Python {
	t.Helper()
	return &Python{interpreter: Need(t, env, what), scripts: filepath.Join(Root(t), "scripts", "judge")}
}

func (p *Python) command(script string, args []string) *exec.Cmd {
	return exec.Command(p.interpreter, append([]string{filepath.Join(p.scripts, script)}, args...)...)
}

// JSON runs scripts/judge/<script> to its end and decodes its standard output into into.
func (p *Python) JSON(t testing.TB, into any, script string, args ...string) {
	t.Helper()
	cmd := p.command(script, args)
	var out bytes.Buffer
	cmd.Stdout = &out
	process := StartProcess(t, script, cmd)
	select {
	case <-process.Done():
	case <-time.After(judgeTime):
		process.Kill9()
		t.Fatalf("%s did not end within %v", script, judgeTime)
	}
	if err := process.Err(); err != nil {
		t.Fatalf("%s %q: %v\n%s", script, args, err, process.LogTail(40))
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		t.Fatalf("%s %q: decoding its answer: %v\n%s", script, args, err, out.Bytes())
	}
}

// Peer is a judge that stays: it says one line of JSON when it is ready, and may answer lines written to it.
type Peer struct {
	*Process
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// Start runs scripts/judge/<script> and decodes its first line of output into ready.
func (p *Python) Start(t testing.TB, ready any, script string, args ...string) *Peer {
	t.Helper()
	cmd := p.command(script, args)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("starting %s: %v", script, err)
	}
	// A pipe of our own: exec's StdoutPipe is closed by Wait, which runs beside us.
	r, w := io.Pipe()
	cmd.Stdout = w
	peer := &Peer{Process: StartProcess(t, script, cmd), stdin: stdin, stdout: bufio.NewReader(r)}
	go func() { <-peer.Done(); _ = w.Close() }()
	t.Cleanup(func() { _ = r.CloseWithError(errors.New("the test is over")) }) // frees exec's copier before Kill9 waits for it
	if err := peer.line(judgeReady, ready); err != nil {
		t.Fatalf("%s %q: %v\n%s", script, args, err, peer.LogTail(40))
	}
	return peer
}

// Ask writes one line and decodes the line that comes back into answer.
func (p *Peer) Ask(t testing.TB, answer any, line string) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatalf("telling a judge %q: %v", line, err)
	}
	if err := p.line(judgeReady, answer); err != nil {
		t.Fatalf("telling a judge %q: %v\n%s", line, err, p.LogTail(40))
	}
}

// line reads one line of output within the time.
func (p *Peer) line(within time.Duration, into any) error {
	type result struct {
		line []byte
		err  error
	}
	got := make(chan result, 1)
	go func() {
		b, err := p.stdout.ReadBytes('\n')
		got <- result{b, err}
	}()
	select {
	case r := <-got:
		if r.err != nil {
			return fmt.Errorf("it ended without a line: %w", r.err)
		}
		if err := json.Unmarshal(r.line, into); err != nil {
			return fmt.Errorf("decoding %q: %w", r.line, err)
		}
		return nil
	case <-time.After(within):
		return fmt.Errorf("no line within %v", within)
	}
}
