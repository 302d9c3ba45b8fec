package parquetv1

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"bessd/bess/columns"
)

// fleet is a section of the size and shape of a flush: devices one after the other, each with some of the
// columns and null in the others; every tenth device is a module with cells.
type fleet struct {
	schema  columns.Schema
	devices int
	perDev  int
	values  int64
	doubles [][]float64 // a walk per device and column, rounded to a register's resolution
	cells   []float32
	names   []string
}

const fleetDoubles = 100

func newFleet(devices, perDev, extraNull int) *fleet {
	f := &fleet{devices: devices, perDev: perDev}
	f.schema = columns.Schema{{Name: "ts", Type: columns.Timestamp}, {Name: "seq", Type: columns.Int64}, {Name: "epoch", Type: columns.Int64}, {Name: "site", Type: columns.String}, {Name: "device", Type: columns.String}, {Name: "quality", Type: columns.String}, {Name: "state", Type: columns.Int64, Nullable: true}, {Name: "cells", Type: columns.FloatList, Nullable: true}, {Name: "rejected", Type: columns.StringList, Nullable: true}, {Name: "extra", Type: columns.DoubleMap, Nullable: true}}
	for i := range fleetDoubles {
		f.schema = append(f.schema, columns.Column{Name: fmt.Sprintf("v%02d", i), Type: columns.Double, Nullable: true})
	}
	for i := range extraNull {
		f.schema = append(f.schema, columns.Column{Name: fmt.Sprintf("n%03d", i), Type: columns.Double, Nullable: true})
	}
	r := rand.New(rand.NewPCG(1, 2))
	f.doubles = make([][]float64, devices*fleetDoubles)
	for d := range devices {
		for c := range fleetDoubles {
			if !f.has(c, d) {
				continue
			}
			x, walk := 50*r.NormFloat64(), make([]float64, perDev)
			for i := range walk {
				x = 0.999*x + 0.3*r.NormFloat64()
				walk[i] = math.Round(x*10) / 10
			}
			f.doubles[d*fleetDoubles+c] = walk
		}
	}
	for range 52 * perDev * (devices + 3) / 4 {
		f.cells = append(f.cells, float32(math.Round(3300+8*r.NormFloat64())/1000))
	}
	for d := range devices {
		f.names = append(f.names, fmt.Sprintf("bank1/rack%02d", d))
	}
	var v columns.Vector
	for c := range f.schema {
		for from := 0; from < f.Rows(); from += 1 << 16 {
			v.Reset(f.schema[c].Type)
			f.Column(c, from, min(from+1<<16, f.Rows()), &v)
			f.values += int64(v.Rows()-v.Nulls()) + int64(len(v.Float))
		}
	}
	f.values -= int64(6 * f.Rows()) // keys are no measured values
	return f
}

func (f *fleet) Rows() int { return f.devices * f.perDev }

// has says which devices carry a column: a rack has 28 of the doubles.
func (f *fleet) has(col, device int) bool { return (col+device%4*25)%fleetDoubles < 28 }

func (f *fleet) Column(col, from, to int, v *columns.Vector) error {
	for from < to {
		d := from / f.perDev
		end := min(to, (d+1)*f.perDev)
		f.block(col, d, from-d*f.perDev, end-d*f.perDev, v)
		from = end
	}
	return nil
}

func (f *fleet) block(col, d, from, to int, v *columns.Vector) {
	switch name := f.schema[col].Name; {
	case name == "ts":
		for i := from; i < to; i++ {
			v.AppendInt64(1_795_000_000_000_000 + int64(i)*1_000_000)
		}
	case name == "seq":
		for i := from; i < to; i++ {
			v.AppendInt64(int64(i) + int64(d))
		}
	case name == "epoch":
		for i := from; i < to; i++ {
			v.AppendInt64(1_795_000_000 << 20)
		}
	case name == "site":
		for i := from; i < to; i++ {
			v.AppendString("alfa")
		}
	case name == "device":
		for i := from; i < to; i++ {
			v.AppendString(f.names[d])
		}
	case name == "quality":
		for i := from; i < to; i++ {
			v.AppendString("good")
		}
	case name == "state":
		for i := from; i < to; i++ {
			v.AppendInt64(int64(i / 600 % 5))
		}
	case name == "cells" && d%4 == 0:
		for i := from; i < to; i++ {
			at := (d/4*f.perDev + i) * 52
			v.AppendFloats(f.cells[at:at+52], nil)
		}
	case name[0] == 'v' && f.has(col%fleetDoubles, d):
		walk := f.doubles[d*fleetDoubles+col%fleetDoubles]
		for _, x := range walk[from:to] {
			v.AppendDouble(x)
		}
	default:
		v.AppendNulls(to - from)
	}
}

// BenchmarkWrite writes one flush. cpu-s/Mvalue is user and system time of the
// process per million values that are not null, cells included.
func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name                        string
		devices, perDev, extraNulls int
	}{{"100 columns", 40, 3000, 0}, {"100 columns, 100 all null", 40, 3000, 100}} {
		b.Run(c.name, func(b *testing.B) {
			f := newFleet(c.devices, c.perDev, c.extraNulls)
			var info Info
			var err error
			b.ReportAllocs()
			start := cpu()
			for b.Loop() {
				if info, err = Write(io.Discard, f.schema, f, Options{}); err != nil {
					b.Fatal(err)
				}
			}
			n := float64(b.N) * float64(f.values)
			b.ReportMetric((cpu()-start).Seconds()/n*1e6, "cpu-s/Mvalue")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/value")
			b.ReportMetric(float64(info.Size)/float64(f.values), "bytes/value")
			b.ReportMetric(float64(f.values)/float64(f.Rows()), "values/row")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	f := newFleet(10, 3000, 0)
	var buf bytes.Buffer
	if _, err := Write(&buf, f.schema, f, Options{}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := Read(bytes.NewReader(buf.Bytes()), int64(buf.Len()), f.schema, func(int, []columns.Vector) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(f.values), "ns/value")
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
