package fsdir_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bessd/store"
	"bessd/store/fsdir"
	"bessd/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Backend {
		b, err := fsdir.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

func TestRefusesKeysOutsideTheRoot(t *testing.T) {
	dir := t.TempDir()
	b, err := fsdir.Open(filepath.Join(dir, "root"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "../x", "/x", "a/../../x", "a/.tmp-1", "a//b"} {
		if err := b.Put(t.Context(), key, nil); err == nil {
			t.Errorf("%q was accepted", key)
		}
	}
}

// TestTornWritesAreInvisible says that what a crash leaves of a write is no object.
func TestTornWritesAreInvisible(t *testing.T) {
	dir := t.TempDir()
	b, err := fsdir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "t/_delta_log"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "t/_delta_log/.tmp-123"), []byte(`{"to`), 0o644); err != nil {
		t.Fatal(err)
	}
	if infos, err := b.List(t.Context(), "t/", ""); err != nil || len(infos) > 0 {
		t.Fatal(infos, err)
	}
}

// TestOldTornWritesAreDeleted says that what killed processes leave does not pile
// up, and that the write of a process that is alive is left alone.
func TestOldTornWritesAreDeleted(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{".tmp-1": 25 * time.Hour, ".tmp-2": time.Hour, ".old": 999 * time.Hour, "part-1": 999 * time.Hour, "x.tmp-3": 999 * time.Hour} {
		name = filepath.Join(dir, "t/dt=2026-11-25", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if at := time.Now().Add(-age); os.Chtimes(name, at, at) != nil {
			t.Fatal(name)
		}
	}
	if _, err := fsdir.Open(dir); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(filepath.Join(dir, "t/dt=2026-11-25"))
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if err != nil || !slices.Equal(left, []string{".old", ".tmp-2", "part-1", "x.tmp-3"}) {
		t.Fatal(err, left)
	}
}
