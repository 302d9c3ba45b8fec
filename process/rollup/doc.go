// Package rollup condenses the scans of one flush into additive partials: one row per site, device, epoch, point and
// minute of ts. docs/format/rollup.md says what each figure means.
//
//	Section -> Day -> runs of one device -> cells (point, epoch, minute) -> bess.RollupPart, sorted
//
// It is a pure function of the set of scans: no order of arrival, no clock, no state between flushes. Figures that add
// up are kept as 128-bit integers in the resolution of the column, so the order of addition cannot show; a double
// appears only when a part leaves the package, correctly rounded. Parts are made range by range as they are written, for
// a flush may have a hundred of them per scan. Parts of several flushes merge by Merge, which is what
// the view rollup_1m does in SQL.
package rollup
