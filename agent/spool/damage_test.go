package spool

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// filled makes a spool directory with several segments and returns how many
// records it holds.
func filled(t testing.TB, dir string) int {
	t.Helper()
	s, err := Open(Config{Dir: dir, SegmentBytes: 64 << 10, noSync: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for n < 400 {
		mustAppend(t, s, 1, records(n, 20, 600))
		n += 20
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// checkDamaged opens a spool with a damaged file and demands that every record
// either comes, right and in order, or is reported, and that the spool works on.
func checkDamaged(t testing.TB, dir string, n int) {
	t.Helper()
	lost, quarantined := 0, 0
	s, err := Open(Config{Dir: dir, SegmentBytes: 64 << 10, noSync: true, OnLoss: func(l Loss) {
		lost += l.Records
		if l.Reason == Quarantined {
			quarantined++
			if _, err := os.Stat(l.File); err != nil {
				t.Errorf("the damaged file is gone: %v", err)
			}
		}
		if l.Err == nil {
			t.Errorf("loss without a cause: %+v", l)
		}
	}})
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	got := drain(t, s)
	for i, seq := range got {
		if seq >= uint64(n) || i > 0 && seq <= got[i-1] {
			t.Fatalf("record %d has seq %d after %d", i, seq, got[max(i-1, 0)])
		}
	}
	// The last segment cannot tell how many records it had when it is lost, nor
	// can a tree whose older root is used.
	if len(got)+lost < n && quarantined == 0 && len(got)+lost < n-20 {
		t.Errorf("%d came and %d are reported lost, of %d", len(got), lost, n)
	}
	mustAppend(t, s, 1, records(n, 5, 100))
	if more := drain(t, s); len(more) != 5 {
		t.Errorf("afterwards %d of 5 records came", len(more))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestTruncatedAndGarbledSegments(t *testing.T) {
	clean := t.TempDir()
	n := filled(t, clean)
	files := segments(t, clean)
	rng := rand.New(rand.NewPCG(1, 2))
	damage := map[string]func(b []byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"one byte":  func(b []byte) []byte { return b[:1] },
		"half":      func(b []byte) []byte { return b[:len(b)/2] },
		"odd":       func(b []byte) []byte { return b[:len(b)/2+77] },
		"last page": func(b []byte) []byte { return b[:len(b)-4096] },
		"zeros":     func(b []byte) []byte { clear(b); return b },
		"no metas":  func(b []byte) []byte { clear(b[:8192]); return b },
		"meta 0":    func(b []byte) []byte { clear(b[:4096]); return b },
		"meta 1":    func(b []byte) []byte { clear(b[4096:8192]); return b },
		"a page":    func(b []byte) []byte { clear(b[5*4096 : 6*4096]); return b },
		"noise": func(b []byte) []byte {
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			return b
		},
		"longer": func(b []byte) []byte { return append(b, make([]byte, 10_000)...) },
	}
	for name, fn := range damage {
		for _, file := range []string{files[0], files[len(files)/2], files[len(files)-1]} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(clean)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, filepath.Base(file))
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, fn(b), 0o600); err != nil {
					t.Fatal(err)
				}
				checkDamaged(t, dir, n)
			})
		}
	}
}

func TestRandomBitsFlipped(t *testing.T) {
	clean := t.TempDir()
	n := filled(t, clean)
	files := segments(t, clean)
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(uint64(round), 3))
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(clean)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(files[rng.IntN(len(files))]))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + rng.IntN(30) {
			// Headers of pages are where damage hurts most.
			at := rng.IntN(len(b))
			if rng.IntN(2) == 0 {
				at = at/4096*4096 + rng.IntN(64)
			}
			b[at] ^= 1 << rng.IntN(8)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		checkDamaged(t, dir, n)
		if t.Failed() {
			t.Fatalf("round %d, %s", round, path)
		}
	}
}

// FuzzSegment feeds arbitrary bytes as a segment file. Nothing may end the
// process, and no record may come that was never appended.
func FuzzSegment(f *testing.F) {
	clean := f.TempDir()
	s, err := Open(Config{Dir: clean})
	if err != nil {
		f.Fatal(err)
	}
	mustAppend(f, s, 1, records(0, 30, 300))
	mustAppend(f, s, 1, records(30, 3, 9000)) // pages with overflow
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(segments(f, clean)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:8192])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir, noSync: true})
		if err != nil {
			t.Fatal(err)
		}
		got := drain(t, s)
		if len(got) > 33 {
			t.Errorf("%d records from a file that had 33", len(got))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range records(0, 3, 20) {
		r.Position = 5
		f.Add(uint64(5), appendRecord(nil, &r))
	}
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, p uint64, b []byte) {
		r, err := decodeRecord(Position(p), b)
		if err != nil {
			return
		}
		again, err := decodeRecord(Position(p), appendRecord(nil, &r))
		if err != nil || string(again.Payload) != string(r.Payload) || again.Meta != r.Meta {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

// Damage that a reader would follow for ever, or for exponentially long.
func TestVerifyRefusesLoopsAndSharedPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tree.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("records"))
		for i := 0; err == nil && i < 50; i++ {
			err = b.Put(key(Position(i)), make([]byte, 1000))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	size := os.Getpagesize()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	clean, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	branch := -1
	for at := 0; at+size <= len(clean); at += size {
		if at >= 2*size && binary.LittleEndian.Uint16(clean[at+8:]) == branchPage {
			branch = at
		}
	}
	if branch < 0 {
		t.Fatal("the tree has no branch page")
	}
	child := func(b []byte, i int) []byte { return b[branch+pageHeader+i*elementSize+8:] }
	for name, to := range map[string]uint64{
		"loop":        uint64(branch / size),
		"shared page": binary.LittleEndian.Uint64(child(clean, 1)),
		"meta page":   0,
		"outside":     1 << 40,
	} {
		b := append([]byte(nil), clean...)
		binary.LittleEndian.PutUint64(child(b, 0), to)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := verify(path); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// verify must accept what bbolt writes, whatever its shape.
func TestVerifyAcceptsRealFiles(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir)
	for _, path := range append(segments(t, dir), filepath.Join(dir, "cursor.db")) {
		used, err := verify(path)
		if err != nil || used == 0 {
			t.Errorf("%s: %d, %v", path, used, err)
		}
	}
	path := filepath.Join(dir, "deep.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		err := db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("records"))
			if err != nil {
				return err
			}
			for i := range 3000 {
				if err := b.Put(key(Position(round*3000+i)), make([]byte, 10+i%900)); err != nil {
					return err
				}
			}
			_, err = tx.CreateBucketIfNotExists([]byte{byte(round)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(path); err != nil {
		t.Error(err)
	}
}
