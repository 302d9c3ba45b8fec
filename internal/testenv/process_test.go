package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test binary stand in for a server: it runs this instead of the tests when told so.
func TestMain(m *testing.M) {
	switch os.Getenv("TESTENV_CHILD") {
	case "":
		os.Exit(m.Run())
	case "polite": // ends in order on SIGTERM
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		fmt.Println("up")
		<-term
		fmt.Println("down")
	case "failing":
		fmt.Println("no luck")
		os.Exit(3)
	}
}

func child(t *testing.T, mode string) *Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TESTENV_CHILD="+mode)
	return StartProcess(t, mode, cmd)
}

func awaitLog(t *testing.T, p *Process, text string) {
	t.Helper()
	Await(t, soon, func() error {
		if !strings.Contains(p.Log(), text) {
			return fmt.Errorf("the log lacks %q: %q", text, p.Log())
		}
		return nil
	})
}

func TestProcessStopsInOrder(t *testing.T) {
	p := child(t, "polite")
	awaitLog(t, p, "up")
	if !p.Running() {
		t.Error("it is up and not running")
	}
	if err := p.Stop(t); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if p.Running() || !strings.Contains(p.Log(), "down") {
		t.Errorf("after Stop: running %v, log %q", p.Running(), p.Log())
	}
	p.Kill9() // harmless now
}

func TestProcessIsKilled(t *testing.T) {
	p := child(t, "polite")
	awaitLog(t, p, "up")
	p.Kill9()
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.ExitCode() != -1 {
		t.Errorf("it ended with %v", p.Err())
	}
	if strings.Contains(p.Log(), "down") {
		t.Error("it had time to end in order")
	}
}

func TestProcessReportsItsExit(t *testing.T) {
	p := child(t, "failing")
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.ExitCode() != 3 {
		t.Errorf("it ended with %v", p.Err())
	}
	if p.LogTail(1) != "no luck" {
		t.Errorf("its log ends with %q", p.LogTail(1))
	}
}
