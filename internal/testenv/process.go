package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopGrace is how long Stop waits after SIGTERM before it calls the process hung.
const stopGrace = 30 * time.Second

// Process is a child of the test: its output goes to a file, it dies with the test, and its log's end is printed when
// the test failed. All methods but Stop are safe from any goroutine.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has ended; err is set before
	err  error
}

// StartProcess starts cmd. Stdout and Stderr go to a log file unless the caller has set them.
func StartProcess(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{name: name, cmd: cmd, log: filepath.Join(t.TempDir(), name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	cmd.SysProcAttr = dieWithParent()
	cmd.WaitDelay = 5 * time.Second // a grandchild that keeps the output open must not keep us

	started := make(chan error)
	go func() {
		// The kernel's "parent died" is the death of the thread that started the child, so that thread stays ours
		// until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	t.Cleanup(func() {
		p.Kill9()
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", name, p.LogTail(40))
		}
	})
	return p
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running tells whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err waits for the end of the process and returns nil for exit code 0, else an *exec.ExitError.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Kill9 ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill9() {
	if p.Running() {
		_ = p.cmd.Process.Kill() // fails only if it has just ended, which is what we want
	}
	<-p.done
}

// Signal sends a signal without waiting.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("sending %v to %s: %w", s, p.name, err)
	}
	return nil
}

// Stop ends the process with SIGTERM and returns what Err does. A process that is still there after half a minute is
// killed and fails the test.
func (p *Process) Stop(t testing.TB) error {
	t.Helper()
	if p.Running() {
		_ = p.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		t.Errorf("%s was still running %v after SIGTERM", p.name, stopGrace)
		p.Kill9()
	}
	return p.err
}

// Log returns everything that the process has written so far.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(no log of %s: %v)", p.name, err)
	}
	return string(b)
}

// LogTail returns the last lines of Log.
func (p *Process) LogTail(lines int) string {
	all := strings.Split(strings.TrimRight(p.Log(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
