package rollup

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"bessd/bess"
)

const minuteUS = 60 * 1e6

// markEvery is about how many parts are made again for nothing where a range begins.
const markEvery = 1024

// Of gives the parts of one flush: of every value in the good and partial scans of the section, derived columns
// included, each combination of site, device, point, minute and epoch once. They are counted now and made when they are
// asked for, so the section must not change meanwhile.
func Of(s *bess.Section) []bess.RollupDay {
	shapes := newShapes()
	var out []bess.RollupDay
	for _, d := range s.Days() {
		if r := newDay(d, shapes); r.rows > 0 {
			out = append(out, r)
		}
	}
	return out
}

// day has the parts of one UTC date; it implements bess.RollupDay.
type day struct {
	date    string
	shapes  shapes
	devices [][]bess.Run // the runs of each device, in order of ts
	rows    int
	marks   []mark // ascending; the first is of part 0
}

// place is where a minute of a point of a device begins: at a row of one of the device's runs.
type place struct {
	device   int
	num      bess.Num // 0 = the device's first
	run, row int
}

// mark says at which place a part begins to be made.
type mark struct {
	part int
	place
}

func newDay(d *bess.Day, s shapes) *day {
	out := &day{date: d.Date(), shapes: s}
	for runs := d.Runs(); len(runs) > 0; {
		n := 1
		for n < len(runs) && runs[n].Device() == runs[0].Device() && runs[n].Site() == runs[0].Site() {
			n++
		}
		out.devices = append(out.devices, runs[:n])
		runs = runs[n:]
	}
	w := worker{day: out}
	w.walk(place{}, func(*shape, []bess.Run) bool {
		if n := len(out.marks); n == 0 || out.rows-out.marks[n-1].part >= markEvery {
			out.marks = append(out.marks, mark{out.rows, w.at})
		}
		out.rows += w.open
		return true
	})
	return out
}

// Date is the UTC date.
func (d *day) Date() string { return d.date }

// Rows counts the parts.
func (d *day) Rows() int { return d.rows }

// Append makes the parts [from, to) and appends them to dst.
func (d *day) Append(dst []bess.RollupPart, from, to int) []bess.RollupPart {
	from, to = max(from, 0), min(to, d.rows)
	if from >= to {
		return dst
	}
	m := d.marks[sort.Search(len(d.marks), func(i int) bool { return d.marks[i].part > from })-1]
	n := m.part
	w := worker{day: d, figures: true}
	w.walk(m.place, func(s *shape, runs []bess.Run) bool {
		open := w.cells[:w.open]
		if len(open) > 1 {
			slices.SortFunc(open, func(a, b cell) int { return cmp.Compare(a.epoch, b.epoch) })
		}
		for i := range open {
			if n >= from && n < to {
				dst = append(dst, open[i].part(s, runs[0].Site(), runs[0].Device(), w.minute))
			}
			n++
		}
		return n < to
	})
	return dst
}

// worker goes through a day's values.
type worker struct {
	*day
	figures bool // cells gather values; otherwise they only come into being

	nums   []bess.Num
	rows   []row  // of the device, all runs one after the other
	cells  []cell // of the open minute, one per epoch
	open   int    // how many of them are in use
	minute int64
	at     place // where the open minute began
}

// row is what all columns of a row share.
type row struct {
	ts, epoch int64
	counts    bool // good or partial
	end       int  // index in the run after the last row of this minute and epoch in a row; only for counting
}

// walk calls done for each minute of each point that has values, in the order of the parts, beginning at a place. It ends
// when done returns false.
func (w *worker) walk(from place, done func(*shape, []bess.Run) bool) {
	for i := from.device; i < len(w.devices); i++ {
		runs := w.devices[i]
		w.load(runs)
		for _, num := range w.nums {
			at := place{device: i, num: num}
			if from.num != 0 && from.num != num {
				continue
			}
			if from.num != 0 {
				at = from
			}
			from.num = 0
			if !w.point(runs, at, done) {
				return
			}
		}
	}
}

// load lists the rows and the points of a device.
func (w *worker) load(runs []bess.Run) {
	w.rows = w.rows[:0]
	for _, r := range runs {
		ts, epochs := r.TS(), r.Epoch()
		for i := range r.Len() {
			q := r.Quality(i)
			w.rows = append(w.rows, row{ts: ts.At(i), epoch: epochs.At(i), counts: q == bess.Good || q == bess.Partial})
		}
		if !w.figures {
			ends(w.rows[len(w.rows)-r.Len():])
		}
	}
	w.nums = w.nums[:0]
	for i, r := range runs {
		if i > 0 && r.Plan() == runs[i-1].Plan() {
			continue
		}
		for _, c := range r.Plan().Columns {
			if bess.PointByNum(c.Num) != nil && w.shapes[c.Num].point != nil {
				w.nums = append(w.nums, c.Num)
			}
		}
	}
	slices.SortFunc(w.nums, func(a, b bess.Num) int {
		return strings.Compare(w.shapes[a].point.Name, w.shapes[b].point.Name)
	})
	w.nums = slices.Compact(w.nums)
}

// ends fills in the ends of a run's rows.
func ends(rows []row) {
	var minute int64
	for i := len(rows) - 1; i >= 0; i-- {
		r := &rows[i]
		if i+1 < len(rows) && r.epoch == rows[i+1].epoch && r.ts >= minute && r.ts < minute+minuteUS {
			r.end = rows[i+1].end
			continue
		}
		r.end, minute = i+1, floorMinute(r.ts)
	}
}

// point goes through one column of a device, from a place on.
func (w *worker) point(runs []bess.Run, from place, done func(*shape, []bess.Run) bool) bool {
	s := &w.shapes[from.num]
	w.open = 0
	next := 0
	for k, r := range runs {
		rows := w.rows[next : next+r.Len()]
		next += r.Len()
		col, ok := r.Column(from.num)
		if !ok || k < from.run {
			continue
		}
		first := 0
		if k == from.run {
			first = from.row
		}
		plan := r.Plan()
		period := plan.Periods[plan.Columns[bess.Find(plan.Columns, from.num)].Tier].Microseconds()
		var at bess.Texts
		hasAt := false
		if s.at != 0 {
			at, hasAt = r.Text(s.at)
		}
		for i := first; i < len(rows); i++ {
			v := col.At(i)
			if v == bess.Absent || !rows[i].counts {
				continue
			}
			ts := rows[i].ts
			if w.open > 0 && (ts < w.minute || ts >= w.minute+minuteUS) {
				if !done(s, runs) {
					return false
				}
				w.open = 0
			}
			if w.open == 0 {
				w.minute = floorMinute(ts)
				w.at = place{from.device, from.num, k, i}
			}
			c := w.cell(rows[i].epoch)
			if !w.figures {
				i = rows[i].end - 1 // the others add no cell
				continue
			}
			text := ""
			if hasAt {
				text = at.At(i)
			}
			c.add(s, r.Kind(), ts, v, col.Decimals, period, text)
		}
	}
	return w.open == 0 || done(s, runs)
}

// cell finds the epoch's cell of the open minute.
func (w *worker) cell(epoch int64) *cell {
	for i := range w.open {
		if w.cells[i].epoch == epoch {
			return &w.cells[i]
		}
	}
	if w.open == len(w.cells) {
		w.cells = append(w.cells, cell{})
	}
	c := &w.cells[w.open]
	c.reset(epoch)
	w.open++
	return c
}

func floorMinute(ts int64) int64 {
	m := ts % minuteUS
	if m < 0 {
		m += minuteUS
	}
	return ts - m
}
