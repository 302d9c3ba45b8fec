package spool

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const childEnv = "BESSD_SPOOL_CHILD"

// TestMain turns the test binary into a process that appends until it is killed.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		dir, first, _ := strings.Cut(spec, "|")
		var seq int
		if _, err := fmt.Sscan(first, &seq); err != nil {
			os.Exit(2)
		}
		appendForever(dir, seq)
	}
	os.Exit(m.Run())
}

// appendForever says "n" for each batch that was durable when Append returned,
// n being the seq that follows it. The seqs of a batch that failed are not used
// again, since nobody knows.
func appendForever(dir string, seq int) {
	s, err := Open(Config{Dir: dir, SegmentBytes: 64 << 10})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	for n := 1; ; n++ {
		recs := records(seq, 1+n%40, 50+n%700)
		if _, err := s.Append(1+n%50/48, recs); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		seq += len(recs)
		fmt.Println(seq)
	}
}

func TestAppendedSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	kills := 40
	if testing.Short() {
		kills = 5
	}
	next := 0
	acked := map[uint64]bool{}
	for kill := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", childEnv, dir, next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Some are killed while they open the spool, most while they append.
		timer := time.AfterFunc(time.Duration(5+kill*13%120)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		from := next
		for lines.Scan() {
			var n int
			if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
				t.Fatalf("child says %q", lines.Text())
			}
			for ; from < n; from++ {
				acked[uint64(from)] = true
			}
		}
		timer.Stop()
		_ = cmd.Wait()
		next = from + 1000 // beyond what the child can have had under way
	}
	if len(acked) < 100*kills/10 {
		t.Fatalf("only %d records were acknowledged over %d kills", len(acked), kills)
	}
	s := open(t, Config{Dir: dir, SegmentBytes: 64 << 10, OnLoss: func(l Loss) { t.Errorf("loss %+v", l) }})
	got := drain(t, s)
	seen := map[uint64]bool{}
	for i, seq := range got {
		if seen[seq] || i > 0 && seq < got[i-1] {
			t.Fatalf("record %d comes twice or out of order", seq)
		}
		seen[seq] = true
		delete(acked, seq)
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged records are gone", len(acked))
	}
	t.Logf("%d records over %d kills", len(got), kills)
}
