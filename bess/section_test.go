package bess

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tableRow is a row of telemetry as a reader of the table sees it.
type tableRow struct {
	TS, Epoch, Seq, ScanUS, LateS int64
	Site, Device, Kind, Quality   string
	Plan                          string
	Flags                         []string
	Rejected                      []string
	Numbers                       map[string]float64
	Texts                         map[string]string
	Lists                         map[string][]int32
	Extra                         map[string]float64
}

func rowOfScan(s *Scan, lateS int64) tableRow {
	r := tableRow{TS: s.TS, Epoch: s.Epoch, Seq: s.Seq, ScanUS: s.ScanUS, LateS: lateS, Site: s.Site, Device: s.Device, Kind: s.Kind.String(),
		Quality: s.Quality.String(), Plan: s.Plan.ID(), Flags: s.Flags.Names(), Numbers: map[string]float64{}, Texts: map[string]string{},
		Lists: map[string][]int32{}, Extra: map[string]float64{}}
	for i, c := range s.Plan.Columns {
		if v := s.Values[i]; v != Absent {
			if p := PointByNum(c.Num); p != nil {
				r.Numbers[p.Name] = Float(v, c.Decimals)
			} else {
				r.Extra[fmt.Sprintf("num%d", c.Num)] = Float(v, c.Decimals)
			}
		}
	}
	for i, e := range s.Plan.Extra {
		if v := s.Extra[i]; v != Absent {
			r.Extra[e.Name] = Float(v, e.Decimals)
		}
	}
	for i, c := range s.Plan.Texts {
		if s.Texts[i] != "" {
			r.Texts[PointByNum(c.Num).Name] = s.Texts[i]
		}
	}
	for i, c := range s.Plan.Lists {
		if s.Lists[i] != nil {
			r.Lists[PointByNum(c.Num).Name] = append([]int32{}, s.Lists[i]...)
		}
	}
	for _, j := range s.Rejected {
		r.Rejected = append(r.Rejected, s.Plan.SlotName(int(j.Slot))+":"+j.Reason.String())
	}
	return r
}

// rowsOfDay reads a day the way a writer does: one column after the other over all runs.
func rowsOfDay(d *Day) []tableRow {
	rows := make([]tableRow, d.Rows())
	for i := range rows {
		rows[i] = tableRow{Numbers: map[string]float64{}, Texts: map[string]string{}, Lists: map[string][]int32{}, Extra: map[string]float64{}}
	}
	each := func(f func(r Run, i int, row *tableRow)) {
		n := 0
		for _, r := range d.Runs() {
			for i := range r.Len() {
				f(r, i, &rows[n])
				n++
			}
		}
	}
	each(func(r Run, i int, row *tableRow) {
		row.TS, row.Epoch, row.Seq, row.ScanUS, row.LateS = r.TS().At(i), r.Epoch().At(i), r.Seq().At(i), r.ScanUS().At(i), r.LateS().At(i)
		row.Site, row.Device, row.Kind, row.Plan = r.Site(), r.Device(), r.Kind().String(), r.Plan().ID()
		row.Quality, row.Flags = r.Quality(i).String(), r.Flags(i).Names()
		for _, j := range r.Rejected(i) {
			row.Rejected = append(row.Rejected, r.Plan().SlotName(int(j.Slot))+":"+j.Reason.String())
		}
		for _, e := range r.Extra() {
			if v := e.At(i); v != Absent {
				row.Extra[e.Name] = Float(v, e.Decimals)
			}
		}
	})
	for _, p := range Points() {
		each(func(r Run, i int, row *tableRow) {
			switch p.Type {
			case Text:
				if c, ok := r.Text(p.Num); ok && c.At(i) != "" {
					row.Texts[p.Name] = c.At(i)
				}
			case Floats, Bools:
				if c, ok := r.List(p.Num); ok && c.At(i) != nil {
					row.Lists[p.Name] = append([]int32{}, c.At(i)...)
				}
			default:
				if c, ok := r.Column(p.Num); ok && c.At(i) != Absent {
					row.Numbers[p.Name] = Float(c.At(i), c.Decimals)
				}
			}
		})
	}
	return rows
}

func testPlans(t testing.TB) []*Plan {
	return []*Plan{
		plan(t, Plan{Columns: []Column{{NumSocPct, 1, 0}, {NumPowerW, 0, 1}, {9000, 2, 0}}, Extra: []ExtraColumn{{"m.a", 1, 0}, {"m.b", 0, 1}}}),
		plan(t, Plan{Columns: []Column{{NumSocPct, 2, 0}}, Texts: []Column{{NumCellVoltageMinAt, 0, 0}}, Lists: []Column{{NumCellVoltagesV, 3, 0}, {NumCellsBalancing, 0, 1}}}),
		plan(t, Plan{Lists: []Column{{NumCellTemperaturesC, 1, 0}}}),
		plan(t, Plan{}),
	}
}

func TestSectionAgainstRows(t *testing.T) {
	plans := testPlans(t)
	s := NewSection() // reused: what one run leaves must not show in the next
	rapid.Check(t, func(t *rapid.T) {
		s.Reset()
		var want []tableRow
		values := 0
		midnight := int64(20000) * dayUS
		sc := &Scan{}
		number := rapid.OneOf(rapid.Just(int64(Absent)), rapid.Int64Range(-1e6, 1e6))
		for i := range rapid.IntRange(0, 40).Draw(t, "rows") {
			sc.Site = rapid.SampledFrom([]string{"alfa", "b", "a"}).Draw(t, "site")
			sc.Device = rapid.SampledFrom([]string{"bank1", "bank1/rack01"}).Draw(t, "device")
			sc.Kind = rapid.SampledFrom([]Kind{Bank, Bank, Bank, Rack}).Draw(t, "kind")
			sc.Reset(rapid.SampledFrom(plans).Draw(t, "plan"))
			sc.TS = midnight + rapid.Int64Range(-5, 5).Draw(t, "ts")*1e6
			sc.Epoch, sc.Seq, sc.ScanUS = rapid.Int64Range(1, 3).Draw(t, "epoch"), int64(i), rapid.Int64Range(0, 1e6).Draw(t, "scan_us")
			sc.Quality, sc.Flags = Quality(rapid.IntRange(1, 4).Draw(t, "quality")), Flags(rapid.IntRange(0, 7).Draw(t, "flags"))
			for _, part := range [][]int64{sc.Values, sc.Extra} {
				for j := range part {
					part[j] = number.Draw(t, "value")
				}
			}
			for j := range sc.Texts {
				sc.Texts[j] = rapid.SampledFrom([]string{"", "cell001", "cell002"}).Draw(t, "text")
			}
			for j := range sc.Lists {
				if n := rapid.IntRange(-1, 4).Draw(t, "list"); n >= 0 {
					sc.Lists[j] = make([]int32, n)
					for k := range sc.Lists[j] {
						sc.Lists[j][k] = rapid.SampledFrom([]int32{AbsentElement, 0, 1, 3300}).Draw(t, "element")
					}
				}
			}
			if n := sc.Plan.Slots(); n > 0 && rapid.IntRange(0, 3).Draw(t, "reject") == 0 {
				sc.Rejected = append(sc.Rejected, Rejection{uint16(n - 1), ReasonRange}, Rejection{0, ReasonComm})
			}
			late := rapid.Int64Range(0, 9).Draw(t, "late")
			s.Append(sc, late)
			want = append(want, rowOfScan(sc, late))
			values += sc.PresentValues()
		}
		slices.SortStableFunc(want, func(a, b tableRow) int {
			return cmp.Or(cmp.Compare(floorDiv(a.TS, dayUS), floorDiv(b.TS, dayUS)), strings.Compare(a.Site, b.Site), strings.Compare(a.Device, b.Device),
				cmp.Compare(a.TS, b.TS), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Seq, b.Seq))
		})
		var got []tableRow
		dates := []string{}
		for _, d := range s.Days() {
			rows := rowsOfDay(d)
			for _, r := range rows {
				if date := time.UnixMicro(r.TS).UTC().Format(time.DateOnly); date != d.Date() {
					t.Fatalf("a row of %s in the day %s", date, d.Date())
				}
			}
			dates = append(dates, d.Date())
			got = append(got, rows...)
		}
		if !slices.IsSorted(dates) {
			t.Fatalf("days %v", dates)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if s.Rows() != len(want) || s.Values() != values {
			t.Fatalf("%d rows of %d values, want %d of %d", s.Rows(), s.Values(), len(want), values)
		}
	})
}

// In order, a device's day is one run: a writer then goes over long stretches.
func TestSectionRunsAreLong(t *testing.T) {
	s := NewSection()
	sc := benchScan(t)
	for i := range 100 {
		for _, dev := range []string{"bank1", "bank2"} {
			sc.Device, sc.TS, sc.Seq = dev, int64(20000)*dayUS+int64(i-50)*1e6, int64(i)
			s.Append(sc, 0)
		}
	}
	days := s.Days()
	if len(days) != 2 {
		t.Fatalf("%d days", len(days))
	}
	for _, d := range days {
		if len(d.Runs()) != 2 || d.Runs()[0].Len() != 50 || d.Runs()[1].Len() != 50 {
			t.Errorf("%s: %d runs", d.Date(), len(d.Runs()))
		}
	}
}

// A device that sends its backlog beside the live rows still gives one run.
func TestSectionBacklogBesideLive(t *testing.T) {
	s := NewSection()
	sc := benchScan(t)
	for i := range 100 {
		for _, ts := range []int64{int64(i), 1000 + int64(i)} {
			sc.TS, sc.Seq = ts*1e6, ts
			s.Append(sc, 0)
		}
	}
	for range 2 {
		runs := s.Days()[0].Runs()
		if len(runs) != 1 || runs[0].Len() != 200 {
			t.Fatalf("%d runs", len(runs))
		}
		for i := 1; i < 200; i++ {
			if runs[0].TS().At(i) <= runs[0].TS().At(i-1) {
				t.Fatalf("row %d is out of order", i)
			}
		}
	}
}

// After a change of plan, old and new rows alternate in arrival but not in time.
func TestSectionBacklogOfAnOlderPlan(t *testing.T) {
	s := NewSection()
	plans := testPlans(t)
	sc := &Scan{Site: "alfa", Device: "bank1", Quality: Good}
	for i := range 100 {
		for k, p := range plans[:2] {
			sc.Reset(p)
			sc.TS, sc.Seq = int64(i+1000*(1-k))*1e6, int64(i)
			s.Append(sc, 0)
		}
	}
	runs := s.Days()[0].Runs()
	if len(runs) != 2 || runs[0].Plan() != plans[1] || runs[1].Plan() != plans[0] {
		t.Errorf("%d runs", len(runs))
	}
}

// Bytes must be close to what the process really needs, or a flush by bytes means nothing.
func TestSectionBytes(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := NewSection()
	sc := benchScan(t)
	sc.Lists[0] = make([]int32, 52)
	for i := range 40000 {
		sc.Device, sc.TS, sc.Seq = devices[i%len(devices)], int64(i)*1e6, int64(i)
		s.Append(sc, 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("Bytes %d, heap %d", s.Bytes(), heap)
	if s.Bytes() > heap || heap > 2*s.Bytes() {
		t.Errorf("Bytes %d, but the heap grew by %d", s.Bytes(), heap)
	}
	full := s.Bytes()
	s.Reset()
	if s.Bytes() != 0 || s.Rows() != 0 || s.Values() != 0 || len(s.Days()) != 0 {
		t.Errorf("not empty after Reset: %d bytes", s.Bytes())
	}
	allocs := testing.AllocsPerRun(1, func() {
		s.Reset()
		for i := range 40000 {
			sc.Device = devices[i%len(devices)]
			s.Append(sc, 0)
		}
	})
	if allocs > float64(10*len(devices)) {
		t.Errorf("%v allocations for 40000 scans of known devices", allocs)
	}
	if s.Bytes() != full {
		t.Errorf("%d bytes after Reset, %d before", s.Bytes(), full)
	}
}

var devices = func() (d []string) {
	for i := range 100 {
		d = append(d, fmt.Sprintf("bank1/rack%02d/module%02d", i/10+1, i%10+1))
	}
	return d
}()

// benchScan has 44 numbers and an absent list.
func benchScan(t testing.TB) *Scan {
	p := Plan{Lists: []Column{{NumCellVoltagesV, 3, 0}}}
	for _, pt := range Points() {
		if len(p.Columns) < 44 && pt.Type == Double {
			p.Columns = append(p.Columns, Column{Num: pt.Num, Decimals: min(pt.Decimals, 2)})
		}
	}
	s := &Scan{Site: "alfa", Device: "bank1", Kind: Bank, Epoch: 1, Quality: Good}
	s.Reset(plan(t, p))
	for i := range s.Values {
		s.Values[i] = int64(i * 100)
	}
	return s
}

func BenchmarkSectionAppend(b *testing.B) {
	for _, c := range []struct {
		name  string
		cells int
	}{{"44 values", 0}, {"44 values and 52 cells", 52}} {
		b.Run(c.name, func(b *testing.B) {
			sc := benchScan(b)
			if c.cells > 0 {
				sc.Lists[0] = make([]int32, c.cells)
			}
			s := NewSection()
			b.ReportAllocs()
			for i := range b.N {
				if s.Bytes() > 64<<20 {
					s.Reset()
				}
				sc.Device, sc.TS, sc.Seq = devices[i%len(devices)], int64(i)*1e6, int64(i)
				s.Append(sc, 0)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*sc.PresentValues()), "ns/value")
		})
	}
}

// BenchmarkSectionDays puts a section in order in which every device has two rows the wrong way round: the worst case.
func BenchmarkSectionDays(b *testing.B) {
	sc := benchScan(b)
	s := NewSection()
	for range b.N {
		b.StopTimer()
		s.Reset()
		for i := 0; s.Bytes() < 32<<20; i++ {
			sc.Device, sc.TS, sc.Seq = devices[i%len(devices)], int64(i^128)*1e6, int64(i)
			s.Append(sc, 0)
		}
		b.StartTimer()
		s.Days()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*s.Values()), "ns/value")
}

// BenchmarkSectionRead goes over all vocabulary columns of a full section, most of them null: what a writer does.
func BenchmarkSectionRead(b *testing.B) {
	sc := benchScan(b)
	s := NewSection()
	for i := 0; s.Bytes() < 32<<20; i++ {
		sc.Device, sc.TS, sc.Seq = devices[i%len(devices)], int64(i)*1e6, int64(i)
		s.Append(sc, 0)
	}
	b.ResetTimer()
	var sum int64
	for range b.N {
		for _, d := range s.Days() {
			for _, p := range Points() {
				for _, r := range d.Runs() {
					c, ok := r.Column(p.Num)
					if !ok {
						continue
					}
					for i := range c.Len() {
						sum += c.At(i)
					}
				}
			}
		}
	}
	if sum == 0 {
		b.Fatal("nothing read")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*s.Values()), "ns/value")
}

func BenchmarkDerive(b *testing.B) {
	p := plan(b, Plan{Columns: []Column{{NumVoltageV, 1, 0}, {NumCurrentA, 1, 0}}, Lists: []Column{{NumCellVoltagesV, 3, 0}, {NumCellTemperaturesC, 1, 0}}})
	d := deriver(b, p)
	in, out := &Scan{}, &Scan{}
	in.Reset(p)
	in.Values[0], in.Values[1] = 7000, 100
	in.Lists[0], in.Lists[1] = make([]int32, 52), make([]int32, 52)
	for i := range 52 {
		in.Lists[0][i], in.Lists[1][i] = 3300+int32(i*7919%13), 250+int32(i*31%9)
	}
	b.ReportAllocs()
	for range b.N {
		d.Apply(in, out)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*in.PresentValues()), "ns/value")
}
