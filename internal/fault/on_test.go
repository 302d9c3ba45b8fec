//go:build faultpoints

package fault

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestChild(t *testing.T) {
	if os.Getenv("BESSD_FAULT") == "" {
		return
	}
	Point("b")
	Point("a")
	Point("a") // here
	os.Exit(3)
}

func TestKillsAtTheCount(t *testing.T) {
	for faults, want := range map[string]syscall.Signal{"a:2": syscall.SIGKILL, "b:1:sleep=1ms,a:2": syscall.SIGKILL, "a:3": 0, "c:1": 0} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestChild$")
		cmd.Env = append(os.Environ(), "BESSD_FAULT="+faults)
		var exit *exec.ExitError
		if !errors.As(cmd.Run(), &exit) {
			t.Fatalf("%s: it ended well", faults)
		}
		ws := exit.Sys().(syscall.WaitStatus)
		if want == 0 && ws.ExitStatus() != 3 || want != 0 && ws.Signal() != want {
			t.Errorf("%s: status %v", faults, ws)
		}
	}
}
