package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedFilesAreInSync fails when a table was changed without `go generate ./bess`.
func TestGeneratedFilesAreInSync(t *testing.T) {
	in := filepath.Join("..", "..", "..", "bess")
	committedGo, committedMD := filepath.Join(in, "vocabulary_gen.go"), filepath.Join("..", "..", "..", "docs", "format", "vocabulary.md")
	src, md := filepath.Join(t.TempDir(), "gen.go"), filepath.Join(t.TempDir(), "vocabulary.md")
	if err := run(in, src); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(committedMD)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(md, doc, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := document(in, md); err != nil {
		t.Fatal(err)
	}
	for committed, fresh := range map[string]string{committedGo: src, committedMD: md} {
		a, err := os.ReadFile(committed)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(fresh)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: not as generated; run go generate ./bess", committed)
		}
	}
}

func TestDocumentNeedsItsMarks(t *testing.T) {
	md := filepath.Join(t.TempDir(), "x.md")
	if err := os.WriteFile(md, []byte("# nothing\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := document(filepath.Join("..", "..", "..", "bess"), md); err == nil {
		t.Error("a document without marks was written")
	}
}
