package ingest_test

import (
	"encoding/binary"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"bessd/ingest"
	"bessd/internal/broker"
)

// telemetry makes n messages of size bytes that compress about as scans do:
// most of each repeats, a part is new.
func telemetry(n, size int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 1))
	pattern := incompressible(size)
	out := make([][]byte, n)
	for i := range out {
		b := append([]byte(nil), pattern...)
		for j := 0; j+8 <= size/10; j += 8 {
			binary.LittleEndian.PutUint64(b[j:], rng.Uint64())
		}
		out[i] = b
	}
	return out
}

// cpu is the processor time that this process has used, in all threads. With
// the in-process broker it includes the broker's.
func cpu(b *testing.B) time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func BenchmarkProduce700(b *testing.B) {
	for _, batch := range []int{1, 20, 200, 1000} {
		b.Run(map[int]string{1: "1", 20: "20", 200: "200", 1000: "1000"}[batch], func(b *testing.B) {
			c := newCluster(b, broker.Config{})
			client, topic := c.topic(b, 1, nil)
			p := newProducer(b, client, ingest.ProducerConfig{Topic: topic, Key: []byte("site")})
			values := telemetry(batch, 700)
			b.ReportAllocs()
			start := cpu(b)
			for b.Loop() {
				produceAll(b, p, 1, values)
			}
			n := float64(b.N * batch)
			b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(cpu(b)-start)/n, "cpu-ns/record")
		})
	}
}

func BenchmarkFetch700(b *testing.B) {
	c := newCluster(b, broker.Config{})
	client, topic := c.topic(b, 1, nil)
	p := newProducer(b, client, ingest.ProducerConfig{Topic: topic, Key: []byte("site")})
	values := telemetry(200, 700)
	const total = 20_000
	for range total / len(values) {
		produceAll(b, p, 1, values)
	}
	consumer := newConsumer(b, client, ingest.ConsumerConfig{Topic: topic})
	b.ReportAllocs()
	start := cpu(b)
	n := 0
	for b.Loop() {
		for offset := int64(0); offset < total; {
			f, err := consumer.Fetch(b.Context(), 0, offset)
			if err != nil {
				b.Fatal(err)
			}
			offset = f.Next
			n += len(f.Messages)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(cpu(b)-start)/float64(n), "cpu-ns/record")
}
