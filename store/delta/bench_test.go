package delta

import (
	"fmt"
	"testing"
)

// BenchmarkCommit is the cost of one commit to a directory with a warm table:
// two fsyncs, one link, independent of the log's length but for checkpoints.
func BenchmarkCommit(b *testing.B) {
	backend, _ := newBackend(b)
	tab := newTable(b, backend)
	create(b, tab)
	i := 0
	for b.Loop() {
		commit(b, tab, Change{Adds: []Add{add(fmt.Sprint(i))}, Txns: []Txn{{"p", int64(i - 1), int64(i)}}})
		i++
	}
}

// BenchmarkLoad reads a table of a thousand versions from its newest checkpoint.
func BenchmarkLoad(b *testing.B) {
	backend, _ := newBackend(b)
	tab := newTable(b, backend)
	create(b, tab)
	for i := range 1049 {
		commit(b, tab, Change{Adds: []Add{add(fmt.Sprint(i))}, Txns: []Txn{{"p", int64(i - 1), int64(i)}}})
	}
	for b.Loop() {
		if n := len(snapshot(b, newTable(b, backend)).Files()); n != 1049 {
			b.Fatal(n)
		}
	}
}
