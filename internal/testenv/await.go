package testenv

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pollEvery is how often Await looks again: short against what servers need, long against the cost of a look.
const pollEvery = 20 * time.Millisecond

// Await calls cond until it returns nil, and fails the test with cond's last error when that has not happened within
// the time. cond says in its error what is still missing.
func Await(t testing.TB, within time.Duration, cond func() error) {
	t.Helper()
	if err := poll(within, cond); err != nil {
		t.Fatalf("after waiting %v: %v", within, err)
	}
}

// poll calls cond until it returns nil or the time is over; it returns cond's last answer.
func poll(within time.Duration, cond func() error) error {
	deadline := time.Now().Add(within)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-tick.C
	}
}

// Need returns the value of an environment variable that scripts/setup provides. Without it the test is skipped, or
// fails when BESSD_REQUIRE=1. what names the missing thing for the reader.
func Need(t testing.TB, env, what string) string {
	t.Helper()
	if v := os.Getenv(env); v != "" {
		if _, err := os.Stat(v); err == nil {
			return v
		}
		what += " (" + env + "=" + v + " does not exist)"
	}
	const remedy = "run scripts/setup, then start the test through scripts/test"
	if os.Getenv("BESSD_REQUIRE") == "1" {
		t.Fatalf("needs %s: %s", what, remedy)
	}
	t.Skipf("SKIPPED: needs %s: %s", what, remedy)
	return ""
}

// FreeAddr returns a loopback address whose port was free a moment ago. Only for servers that cannot listen on port 0.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Root returns the module's directory, found upwards from where the test runs.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("looking for the module's directory: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("looking for the module's directory: no go.mod above the test")
		}
		dir = up
	}
}
