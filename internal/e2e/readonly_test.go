//go:build integration

package e2e

import (
	"os/exec"
	"regexp"
	"testing"
)

// TestBinaryCannotWrite looks into the program itself: of the Modbus library's client, what reads is linked and nothing
// that writes. The linker leaves out what nothing calls, so a write function in the binary has a caller.
func TestBinaryCannotWrite(t *testing.T) {
	out, err := exec.Command("go", "tool", "nm", program(t)).Output()
	if err != nil {
		t.Fatalf("listing the program's symbols: %v", err)
	}
	methods := map[string]bool{}
	for _, m := range regexp.MustCompile(`github\.com/simonvetter/modbus\.\(\*ModbusClient\)\.(\w+)`).FindAllStringSubmatch(string(out), -1) {
		methods[m[1]] = true
	}
	if !methods["ReadRegisters"] {
		t.Errorf("the client's way to read is not among its methods %v: the test does not see what is linked", methods)
	}
	for m := range methods {
		if regexp.MustCompile(`(?i)write`).MatchString(m) {
			t.Errorf("%s is in the program", m)
		}
	}
}
