package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func open(t testing.TB, cfg Config) *Spool {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// records makes n records with seq from first on, each with its seq in the payload.
func records(first, n, payload int) []Record {
	out := make([]Record, n)
	for i := range out {
		seq := uint64(first + i)
		b := make([]byte, max(payload, 8))
		binary.LittleEndian.PutUint64(b, seq)
		out[i] = Record{
			Meta:    Meta{Device: "bank1/rack" + fmt.Sprint(seq%3), Epoch: 7, Seq: seq / 3, Tick: time.UnixMicro(int64(seq) * 1000).UTC()},
			At:      time.UnixMilli(1_700_000_000_000 + int64(seq)).UTC(),
			Payload: b,
		}
	}
	return out
}

func seqOf(r Record) uint64 { return binary.LittleEndian.Uint64(r.Payload) }

func mustAppend(t testing.TB, s *Spool, partitions int, recs []Record) Position {
	t.Helper()
	p, err := s.Append(partitions, recs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drain reads and acknowledges everything, and returns the seqs in order.
func drain(t testing.TB, s *Spool) (out []uint64) {
	t.Helper()
	for {
		b, err := s.Read(0, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Records) == 0 {
			return out
		}
		for _, r := range b.Records {
			out = append(out, seqOf(r))
		}
		if err := s.Ack(b.Records[0].Position, b.Records[len(b.Records)-1].Position); err != nil {
			t.Fatal(err)
		}
	}
}

func upTo(first, n int) (out []uint64) {
	for i := range n {
		out = append(out, uint64(first+i))
	}
	return out
}

func TestRecordsComeBackWhole(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	in := records(0, 5, 100)
	in[3].Meta = Meta{} // a record about the agent itself
	first := mustAppend(t, s, 12, in)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	got, err := s.Read(0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(in)
	for i := range want {
		want[i].Position = first + Position(i)
	}
	if d := cmp.Diff(Batch{Partitions: 12, Records: want}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if st := s.Stats(); st.Records != 5 || !st.Oldest.Equal(in[0].At) {
		t.Errorf("stats %+v", st)
	}
}

func TestReadKeepsPartitionCountsApart(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	mustAppend(t, s, 4, records(0, 3, 8))
	mustAppend(t, s, 8, records(3, 3, 8))
	b, err := s.Read(0, 1<<20)
	if err != nil || b.Partitions != 4 || len(b.Records) != 3 {
		t.Fatalf("%+v, %v", b, err)
	}
	b, err = s.Read(b.Records[2].Position+1, 1<<20)
	if err != nil || b.Partitions != 8 || len(b.Records) != 3 {
		t.Fatalf("%+v, %v", b, err)
	}
}

func TestAckedSegmentsLeaveTheDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, SegmentBytes: 64 << 10})
	for i := range 40 {
		mustAppend(t, s, 1, records(i*20, 20, 1000))
	}
	if n := s.Stats().Segments; n < 5 {
		t.Fatalf("%d segments: the test needs several", n)
	}
	if got := drain(t, s); !slices.Equal(got, upTo(0, 800)) {
		t.Fatalf("drained %d records out of order or not all", len(got))
	}
	if st := s.Stats(); st.Segments != 1 || st.Records != 0 || st.Acked != 800 || !st.Oldest.IsZero() {
		t.Errorf("after the last acknowledgement: %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	if got := drain(t, s); len(got) != 0 {
		t.Errorf("acknowledged records came back: %v", got)
	}
	if st := s.Stats(); st.Segments != 0 {
		t.Errorf("an empty segment stays after a restart: %+v", st)
	}
}

// The spool behaves as a list of records, whatever the order of calls.
func TestSpoolIsAList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		cfg := Config{Dir: dir, SegmentBytes: 64 << 10, noSync: true}
		s, err := Open(cfg)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		type item struct {
			pos Position
			seq uint64
		}
		var model []item
		seq := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				n := rapid.IntRange(1, 30).Draw(rt, "n")
				first, err := s.Append(rapid.IntRange(1, 2).Draw(rt, "partitions"), records(seq, n, rapid.IntRange(8, 3000).Draw(rt, "bytes")))
				if err != nil {
					rt.Fatal(err)
				}
				if len(model) > 0 && first <= model[len(model)-1].pos {
					rt.Fatalf("position %d comes after %d", first, model[len(model)-1].pos)
				}
				for i := range n {
					model = append(model, item{first + Position(i), uint64(seq + i)})
				}
				seq += n
			},
			"ack": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip()
				}
				i := rapid.IntRange(0, len(model)-1).Draw(rt, "from")
				j := rapid.IntRange(i, min(len(model)-1, i+40)).Draw(rt, "to")
				if err := s.Ack(model[i].pos, model[j].pos); err != nil {
					rt.Fatal(err)
				}
				model = slices.Delete(model, i, j+1)
			},
			"reopen": func(rt *rapid.T) {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if s, err = Open(cfg); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				var got []item
				for from := Position(0); ; {
					b, err := s.Read(from, 5000)
					if err != nil {
						rt.Fatal(err)
					}
					if len(b.Records) == 0 {
						break
					}
					for _, r := range b.Records {
						got = append(got, item{r.Position, seqOf(r)})
					}
					from = got[len(got)-1].pos + 1
				}
				if !slices.Equal(got, model) {
					rt.Fatalf("the spool holds %v, want %v", got, model)
				}
				if st := s.Stats(); st.Records != len(model) {
					rt.Fatalf("Stats counts %d records, want %d", st.Records, len(model))
				}
			},
		})
	})
}

func TestBytesBoundDropsTheOldestAndSaysSo(t *testing.T) {
	var losses []Loss
	s := open(t, Config{Dir: t.TempDir(), SegmentBytes: 64 << 10, MaxBytes: 512 << 10, OnLoss: func(l Loss) { losses = append(losses, l) }})
	for i := range 100 {
		mustAppend(t, s, 1, records(i*20, 20, 1000))
		if st := s.Stats(); st.Bytes > 512<<10 {
			t.Fatalf("after %d records the files have %d bytes", 20*(i+1), st.Bytes)
		}
	}
	lost := 0
	covered := map[string][]Range{}
	for _, l := range losses {
		if l.Reason != OverBytes || l.Bytes != int64(1000*l.Records) || len(l.Ranges) != 3 {
			t.Fatalf("loss %+v", l)
		}
		lost += l.Records
		n := 0
		for _, r := range l.Ranges {
			n += int(r.Last - r.First + 1)
			covered[r.Device] = append(covered[r.Device], r)
		}
		if n != l.Records {
			t.Fatalf("%d records lost, ranges name %d", l.Records, n)
		}
	}
	if got := drain(t, s); !slices.Equal(got, upTo(lost, 2000-lost)) || lost == 0 {
		t.Errorf("lost %d, and %d are left: they must be the newest", lost, len(got))
	}
	if st := s.Stats(); st.Lost != int64(lost) {
		t.Errorf("Stats says %d lost, want %d", st.Lost, lost)
	}
	for d, rs := range covered { // one report follows the other without a gap
		for i := 1; i < len(rs); i++ {
			if rs[i].First != rs[i-1].Last+1 {
				t.Errorf("%s: %v after %v", d, rs[i], rs[i-1])
			}
		}
	}
}

func TestAckedRecordsAreNotReportedLost(t *testing.T) {
	var losses []Loss
	s := open(t, Config{Dir: t.TempDir(), SegmentBytes: 64 << 10, MaxBytes: 256 << 10, OnLoss: func(l Loss) { losses = append(losses, l) }})
	first := mustAppend(t, s, 1, records(0, 30, 1000))
	if err := s.Ack(first, first+28); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		mustAppend(t, s, 1, records(30+i*20, 20, 1000))
	}
	want := Range{Device: "bank1/rack2", Epoch: 7, First: 9, Last: 9} // seq 29
	for _, r := range losses[0].Ranges {
		if r.Device == want.Device && r.First == want.First {
			return
		}
		if r.First < 9 {
			t.Errorf("reports the acknowledged %+v", r)
		}
	}
	t.Errorf("the first loss is %+v, want %+v in it", losses[0], want)
}

func TestAgeBound(t *testing.T) {
	var losses []Loss
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	mustAppend(t, s, 1, records(0, 3, 8))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, f := range segments(t, dir) {
		if err := os.Chtimes(f, old, old); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, Config{Dir: dir, MaxAge: time.Hour, OnLoss: func(l Loss) { losses = append(losses, l) }})
	mustAppend(t, s, 1, records(3, 3, 8))
	if got := drain(t, s); !slices.Equal(got, upTo(3, 3)) {
		t.Errorf("left %v", got)
	}
	if len(losses) != 1 || losses[0].Reason != OverAge || losses[0].Records != 3 {
		t.Errorf("losses %+v", losses)
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFullDiskStoresNothingAndRecovers(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	mustAppend(t, s, 1, records(0, 10, 100))
	// The next file may not grow beyond its first pages.
	s.mu.Lock()
	if err := s.seal(); err != nil {
		t.Fatal(err)
	}
	s.fileLimit = 64 << 10
	s.mu.Unlock()
	for range 3 {
		_, err := s.Append(1, records(10, 100, 2000))
		if !errors.Is(err, ErrFull) {
			t.Fatalf("Append on a full disk: %v", err)
		}
	}
	mustAppend(t, s, 1, records(10, 5, 100)) // what fits is taken
	s.fileLimit = 0
	s.mu.Lock()
	if err := s.seal(); err != nil {
		t.Fatal(err)
	}
	s.mu.Unlock()
	mustAppend(t, s, 1, records(15, 100, 2000))
	if got := drain(t, s); !slices.Equal(got, upTo(0, 115)) {
		t.Errorf("left %v", got)
	}
}

// TestRealFullDisk fills the small file system at BESSD_TEST_TINY_DIR, such as
// a tmpfs of 3 MB.
func TestRealFullDisk(t *testing.T) {
	base := os.Getenv("BESSD_TEST_TINY_DIR")
	if base == "" {
		t.Skip("BESSD_TEST_TINY_DIR names no small file system")
	}
	dir, err := os.MkdirTemp(base, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cfg := Config{Dir: dir, SegmentBytes: 256 << 10, OnLoss: func(l Loss) { t.Errorf("loss %+v", l) }}
	s := open(t, cfg)
	var want []uint64
	refused := 0
	for seq := 0; refused < 20; seq += 20 {
		switch _, err := s.Append(1, records(seq, 20, 900)); {
		case err == nil:
			want = append(want, upTo(seq, 20)...)
		case errors.Is(err, ErrFull):
			refused++
			if len(want) == 0 {
				t.Fatal("the file system is full from the start")
			}
		default:
			t.Fatal(err)
		}
		if refused == 10 { // a restart on the full disk
			if err := s.Close(); err != nil && !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			s = open(t, cfg)
		}
	}
	got := drain(t, s)
	if !slices.Equal(got, want) {
		t.Errorf("%d records came, %d were taken", len(got), len(want))
	}
	mustAppend(t, s, 1, records(1_000_000, 20, 900)) // there is room again
}

func TestOneProcessOnly(t *testing.T) {
	dir := t.TempDir()
	open(t, Config{Dir: dir})
	_, err := Open(Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second Open: %v", err)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	if _, err := Open(Config{Dir: "/dev/null/spool"}); err == nil {
		t.Error("no error")
	}
}

func TestAckOfWhatWasNeverGivenOut(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	p := mustAppend(t, s, 1, records(0, 3, 8))
	for _, r := range [][2]Position{{p, p + 3}, {p + 1, p}, {0, 1 << 63}} {
		if err := s.Ack(r[0], r[1]); err == nil {
			t.Errorf("Ack(%d, %d) is accepted", r[0], r[1])
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(1, records(0, 1, 8)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "state.db")
	s, err := OpenState(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Get("epoch"); ok {
		t.Error("a new state has an epoch")
	}
	for _, v := range []string{"1", "two"} {
		if err := s.Put("epoch", []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put("empty", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenState(path); err != nil {
		t.Fatal(err)
	}
	if v, ok := s.Get("epoch"); !ok || string(v) != "two" {
		t.Errorf("epoch %q, %v", v, ok)
	}
	if v, ok := s.Get("empty"); !ok || len(v) != 0 {
		t.Errorf("empty %q, %v", v, ok)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// A damaged file is set aside, and we begin anew.
	if err := os.WriteFile(path, []byte(strings.Repeat("garbage ", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenState(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.Get("epoch"); ok || s.SetAside() == "" {
		t.Errorf("after damage: set aside %q", s.SetAside())
	}
	if _, err := os.Stat(s.SetAside()); err != nil {
		t.Error(err)
	}
}

func TestSpans(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var s spans
		model := map[Position]bool{}
		for range rapid.IntRange(1, 20).Draw(rt, "adds") {
			first := Position(rapid.IntRange(1, 60).Draw(rt, "first"))
			last := first + Position(rapid.IntRange(0, 10).Draw(rt, "length"))
			s = s.add(first, last)
			for p := first; p <= last; p++ {
				model[p] = true
			}
		}
		if d := cmp.Diff(s, decodeSpans(s.encode()), cmp.AllowUnexported(span{})); d != "" {
			rt.Fatal(d)
		}
		for i := 1; i < len(s); i++ {
			if s[i].first <= s[i-1].last+1 {
				rt.Fatalf("spans touch: %v", s)
			}
		}
		n := 0
		for p := Position(0); p < 80; p++ {
			if model[p] {
				n++
			}
			if (s.after(p) == p) == model[p] {
				rt.Fatalf("after(%d) = %d in %v", p, s.after(p), s)
			}
		}
		if got := s.count(0, 80); got != n {
			rt.Fatalf("count %d, want %d", got, n)
		}
	})
}
