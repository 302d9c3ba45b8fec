package fsdir_test

import (
	"os"
	"path/filepath"
	"testing"

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
