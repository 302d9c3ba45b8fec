package wire

import (
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

	"bessd/bess"
)

// traffic is one site for some seconds: per second 20 racks of 44 values, and of 10 modules each tenth second one scan.
func traffic(seconds int) (scans []*bess.Scan, values int) {
	bank, module := bankPlan(), modulePlan()
	for i := range seconds {
		for k := range 20 {
			scans = append(scans, bankScan(bank, i, k))
		}
		scans = append(scans, moduleScan(module, i/10, i%10))
	}
	for _, s := range scans {
		values += s.PresentValues()
	}
	return scans, values
}

func BenchmarkEncode(b *testing.B) {
	for _, c := range []struct {
		name string
		scan *bess.Scan
	}{{"44 values", bankScan(bankPlan(), 3, 1)}, {"module of 52 cells", moduleScan(modulePlan(), 3, 1)}} {
		b.Run(c.name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for range b.N {
				buf = AppendScan(buf[:0], c.scan)
			}
			n := c.scan.PresentValues()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/value")
			b.ReportMetric(float64(len(buf))/float64(n), "bytes/value")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name string
		scan *bess.Scan
	}{{"44 values", bankScan(bankPlan(), 3, 1)}, {"module of 52 cells", moduleScan(modulePlan(), 3, 1)}} {
		b.Run(c.name, func(b *testing.B) {
			buf := AppendScan(nil, c.scan)
			d := NewDecoder()
			b.ReportAllocs()
			for range b.N {
				if _, err := d.Decode(buf); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.scan.PresentValues()), "ns/value")
		})
	}
}

// BenchmarkDecodeToSection is what central does per scan before it writes: decode, derive, append.
func BenchmarkDecodeToSection(b *testing.B) {
	scans, values := traffic(60)
	msgs := make([][]byte, len(scans))
	for i, s := range scans {
		msgs[i] = AppendScan(nil, s)
	}
	d, section, derivers := NewDecoder(), bess.NewSection(), map[*bess.Plan]*bess.Deriver{}
	var out bess.Scan
	b.ReportAllocs()
	for range b.N {
		if section.Bytes() > 64<<20 {
			section.Reset()
		}
		for _, m := range msgs {
			env, err := d.Decode(m)
			if err != nil {
				b.Fatal(err)
			}
			dv := derivers[env.Scan.Plan]
			if dv == nil {
				if dv, err = bess.NewDeriver(env.Scan.Plan); err != nil {
					b.Fatal(err)
				}
				derivers[env.Scan.Plan] = dv
			}
			dv.Apply(env.Scan, &out)
			section.Append(&out, 0)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*values), "ns/value")
}

// BenchmarkBatchBytes tells what a value costs on the link, by messages per batch; zstd as the producer sets it.
func BenchmarkBatchBytes(b *testing.B) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	scans, values := traffic(100)
	for _, size := range []int{1, 5, 20, 50, 200, 1000} {
		b.Run(fmt.Sprintf("%d messages", size), func(b *testing.B) {
			var raw, packed int
			for range b.N {
				raw, packed = 0, 0
				var batch []byte
				for i, s := range scans {
					batch = AppendScan(batch, s)
					if (i+1)%size == 0 || i == len(scans)-1 {
						raw += len(batch)
						packed += len(enc.EncodeAll(batch, nil))
						batch = batch[:0]
					}
				}
			}
			b.ReportMetric(float64(raw)/float64(values), "raw-bytes/value")
			b.ReportMetric(float64(packed)/float64(values), "zstd-bytes/value")
		})
	}
}

// BenchmarkListCoding compares differences between neighbours with plain numbers, for the lists of 52 cells.
func BenchmarkListCoding(b *testing.B) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	plan := modulePlan()
	for _, name := range []string{"plain", "deltas"} {
		b.Run(name, func(b *testing.B) {
			var batch []byte
			n := 0
			for range b.N {
				batch, n = batch[:0], 0
				for i := range 200 {
					for _, l := range moduleScan(plan, i/10, i%10).Lists {
						n += len(l)
						if name == "deltas" {
							batch = appendList(batch, l)
							continue
						}
						for _, e := range l {
							batch = protowire.AppendVarint(batch, protowire.EncodeZigZag(int64(e)))
						}
					}
				}
			}
			b.ReportMetric(float64(len(batch))/float64(n), "raw-bytes/value")
			b.ReportMetric(float64(len(enc.EncodeAll(batch, nil)))/float64(n), "zstd-bytes/value")
		})
	}
}
