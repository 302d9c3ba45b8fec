package rollup

import (
	"cmp"
	"slices"
	"strings"

	"bessd/bess"
)

const minuteUS = 60 * 1e6

// Of gives the parts of one flush: of every value in the good and partial scans of the section, derived columns
// included. They are sorted by UTC date, site, device, point, minute and epoch, each combination once.
func Of(s *bess.Section) []bess.RollupPart {
	w := worker{shapes: newShapes()}
	for _, day := range s.Days() {
		runs := day.Runs()
		for len(runs) > 0 {
			n := 1
			for n < len(runs) && runs[n].Device() == runs[0].Device() && runs[n].Site() == runs[0].Site() {
				n++
			}
			w.device(runs[:n])
			runs = runs[n:]
		}
	}
	return w.out
}

type worker struct {
	shapes shapes
	nums   []bess.Num
	rows   []row  // of the device, all runs one after the other
	cells  []cell // of the open minute, one per epoch
	open   int
	minute int64
	out    []bess.RollupPart
}

// row is what all columns of a row share.
type row struct {
	ts, epoch int64
	counts    bool // good or partial
}

// device rolls up the runs of one device, which are in order of ts.
func (w *worker) device(runs []bess.Run) {
	w.rows = w.rows[:0]
	for _, r := range runs {
		ts, epochs := r.TS(), r.Epoch()
		for i := range r.Len() {
			q := r.Quality(i)
			w.rows = append(w.rows, row{ts.At(i), epochs.At(i), q == bess.Good || q == bess.Partial})
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
	for _, num := range w.nums {
		w.point(runs, num)
	}
}

// point rolls up one column of a device.
func (w *worker) point(runs []bess.Run, num bess.Num) {
	s := &w.shapes[num]
	site, device := runs[0].Site(), runs[0].Device()
	w.open = 0
	next := 0
	for _, r := range runs {
		rows := w.rows[next : next+r.Len()]
		next += r.Len()
		col, ok := r.Column(num)
		if !ok {
			continue
		}
		plan := r.Plan()
		period := plan.Periods[plan.Columns[bess.Find(plan.Columns, num)].Tier].Microseconds()
		var at bess.Texts
		hasAt := false
		if s.at != 0 {
			at, hasAt = r.Text(s.at)
		}
		for i := range rows {
			v := col.At(i)
			if v == bess.Absent || !rows[i].counts {
				continue
			}
			ts := rows[i].ts
			if w.open > 0 && (ts < w.minute || ts >= w.minute+minuteUS) {
				w.close(s, site, device)
			}
			if w.open == 0 {
				w.minute = floorMinute(ts)
			}
			text := ""
			if hasAt {
				text = at.At(i)
			}
			w.cell(rows[i].epoch).add(s, r.Kind(), ts, v, col.Decimals, period, text)
		}
	}
	w.close(s, site, device)
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

// close turns the open minute's cells into parts.
func (w *worker) close(s *shape, site, device string) {
	open := w.cells[:w.open]
	if len(open) > 1 {
		slices.SortFunc(open, func(a, b cell) int { return cmp.Compare(a.epoch, b.epoch) })
	}
	for i := range open {
		w.out = append(w.out, open[i].part(s, site, device, w.minute))
	}
	w.open = 0
}

func floorMinute(ts int64) int64 {
	m := ts % minuteUS
	if m < 0 {
		m += minuteUS
	}
	return ts - m
}
