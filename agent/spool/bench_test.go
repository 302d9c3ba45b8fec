package spool

import (
	"fmt"
	"testing"
)

// BenchmarkAppend700 measures one synced transaction of so many 700-byte
// records, and what they take on the disk.
func BenchmarkAppend700(b *testing.B) {
	for _, batch := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			s, err := Open(Config{Dir: b.TempDir(), MaxBytes: 1 << 40})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			recs := records(0, batch, 700)
			b.SetBytes(int64(700 * batch))
			b.ReportAllocs()
			for b.Loop() {
				mustAppend(b, s, 1, recs)
			}
			n := float64(b.N * batch)
			b.ReportMetric(float64(s.Stats().Bytes)/n, "disk-bytes/record")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/record")
		})
	}
}

func BenchmarkReadAck700(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir(), MaxBytes: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const n = 40_000
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range n / 1000 {
			mustAppend(b, s, 1, records(0, 1000, 700))
		}
		b.StartTimer()
		for {
			batch, err := s.Read(0, 256<<10)
			if err != nil {
				b.Fatal(err)
			}
			if len(batch.Records) == 0 {
				break
			}
			if err := s.Ack(batch.Records[0].Position, batch.Records[len(batch.Records)-1].Position); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
}

// BenchmarkOpen measures the start with 64 MB of backlog in the spool.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	for range 80 {
		mustAppend(b, s, 1, records(0, 1000, 700))
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
