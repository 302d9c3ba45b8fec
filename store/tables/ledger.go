package tables

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"bessd/bess"
	"bessd/bess/columns"
	"bessd/store"
	"bessd/store/delta"
)

type ledgerRow = bess.LedgerRow

func ledgerLayout() layout[ledgerRow] {
	num := func(name, comment string, get func(*ledgerRow) int64) field[ledgerRow] {
		return intField(name, comment, get)
	}
	seq := func(get func([]bess.SeqRange) int64) func(*ledgerRow) (int64, bool) {
		return func(r *ledgerRow) (int64, bool) {
			if len(r.Ranges) == 0 {
				return 0, false
			}
			return get(r.Ranges), true
		}
	}
	return layout[ledgerRow]{
		timeField("commit_ts", "central's clock when the flush was cut, UTC", func(r *ledgerRow) int64 { return r.CommitTS }),
		nullInt("epoch", "one run of the agent", func(r *ledgerRow) (int64, bool) { return r.Epoch, r.Site != "" }),
		textField("stream", "scan, record, letter, position or gap", func(r *ledgerRow) string { return r.Stream }),
		nullText("site", "site id", func(r *ledgerRow) string { return r.Site }),
		nullText("device", "device path inside the site; scan only", func(r *ledgerRow) string { return r.Device }),
		num("kafka_partition", "", func(r *ledgerRow) int64 { return int64(r.Partition) }),
		num("generation", "of the topic", func(r *ledgerRow) int64 { return r.Generation }),
		num("first_offset", "first offset of the flush in the partition", func(r *ledgerRow) int64 { return r.FirstOffset }),
		num("next_offset", "offset after the last of the flush", func(r *ledgerRow) int64 { return r.NextOffset }),
		nullText("seqs", "accepted seq (or rec): intervals first..last and single numbers, joined by commas", func(r *ledgerRow) string { return formatRanges(r.Ranges) }),
		nullInt("first_seq", "lowest accepted", seq(func(rs []bess.SeqRange) int64 { return rs[0].First })),
		nullInt("last_seq", "highest accepted", seq(func(rs []bess.SeqRange) int64 { return rs[len(rs)-1].Last })),
		nullTime("first_ts", "first accepted tick, UTC; position: first record time", func(r *ledgerRow) int64 { return r.FirstTS }),
		nullTime("last_ts", "last accepted tick, UTC; position: last record time", func(r *ledgerRow) int64 { return r.LastTS }),
		num("good", "accepted scans of this quality", func(r *ledgerRow) int64 { return r.Good }),
		num("partial", "accepted scans of this quality", func(r *ledgerRow) int64 { return r.Partial }),
		num("stale", "accepted scans of this quality", func(r *ledgerRow) int64 { return r.Stale }),
		num("bad", "accepted scans of this quality", func(r *ledgerRow) int64 { return r.Bad }),
		num("duplicates", "came again and were not stored", func(r *ledgerRow) int64 { return r.Duplicates }),
		num("conflicts", "came again with another payload; in dead_letters", func(r *ledgerRow) int64 { return r.Conflicts }),
		nullInt("fingerprint_offset", "position: offset of the last message", func(r *ledgerRow) (int64, bool) { return r.FingerprintOffset, r.Fingerprint != "" }),
		nullText("fingerprint", "position: hash of the last message", func(r *ledgerRow) string { return r.Fingerprint }),
		nullText("digest", "hash of the accepted rows; not filled yet", func(*ledgerRow) string { return "" }),
		nullText("chain", "hash over the flush and the one before; not filled yet", func(*ledgerRow) string { return "" }),
	}
}

// formatRanges writes intervals as 0..59,61,70..75.
func formatRanges(rs []bess.SeqRange) string {
	var b []byte
	for i, r := range rs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, r.First, 10)
		if r.Last != r.First {
			b = append(b, ".."...)
			b = strconv.AppendInt(b, r.Last, 10)
		}
	}
	return string(b)
}

// parseRanges is the inverse of formatRanges.
func parseRanges(s string) ([]bess.SeqRange, error) {
	var out []bess.SeqRange
	for s != "" {
		var one string
		one, s, _ = strings.Cut(s, ",")
		first, last, isRange := strings.Cut(one, "..")
		a, err := strconv.ParseInt(first, 10, 64)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseInt(last, 10, 64)
		}
		if err != nil || b < a {
			return nil, fmt.Errorf("intervals %q: %q is none", s, one)
		}
		out = append(out, bess.SeqRange{First: a, Last: b})
	}
	return out, nil
}

// ledgerNames are the columns that are read back.
var ledgerNames = []string{"commit_ts", "stream", "site", "device", "epoch", "kafka_partition", "generation", "first_offset", "next_offset", "seqs",
	"first_ts", "last_ts", "good", "partial", "stale", "bad", "duplicates", "conflicts", "fingerprint_offset", "fingerprint"}

// Rows calls fn with every row of the ledger that matches, in the order of the files. The row is fn's own.
func (l *Lake) Rows(ctx context.Context, q bess.LedgerQuery, fn func(*bess.LedgerRow) error) error {
	s := store.Scan{Columns: ledgerNames}
	if q.Stream != "" {
		s.Where = append(s.Where, store.Equal{Column: "stream", Value: q.Stream})
	}
	if q.Site != "" {
		s.Where = append(s.Where, store.Equal{Column: "site", Value: q.Site})
	}
	if q.Epoch != 0 {
		s.Where = append(s.Where, store.Equal{Column: "epoch", Value: q.Epoch})
	}
	if q.FromUS != 0 || q.ToUS != 0 {
		to := q.ToUS
		if to == 0 {
			to = 1<<63 - 1
		}
		s.Keep = func(_ delta.File, st delta.Stats) bool { return st.MayHoldTime("commit_ts", q.FromUS, to) }
	}
	return l.table(bess.TableLedger).Scan(ctx, s, func(b store.Batch) error {
		for _, i := range b.Rows {
			r, err := readLedgerRow(b.Vectors, i)
			if err != nil {
				return fmt.Errorf("reading the ledger, file %s: %w", b.File.Path, err)
			}
			if !q.Match(r) {
				continue
			}
			if err := fn(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// readLedgerRow reads row i of the columns ledgerNames.
func readLedgerRow(vec []columns.Vector, i int) (*bess.LedgerRow, error) {
	c := 0
	num := func() int64 {
		v := &vec[c]
		c++
		if v.Null(i) {
			return 0
		}
		return v.Int64[i]
	}
	text := func() string {
		v := &vec[c]
		c++
		if v.Null(i) {
			return ""
		}
		return strings.Clone(v.String[i])
	}
	r := &bess.LedgerRow{CommitTS: num(), Stream: text(), Site: text(), Device: text(), Epoch: num(), Partition: int(num()), Generation: num(), FirstOffset: num(), NextOffset: num()}
	var err error
	if r.Ranges, err = parseRanges(text()); err != nil {
		return nil, err
	}
	r.FirstTS, r.LastTS = num(), num()
	r.Good, r.Partial, r.Stale, r.Bad = num(), num(), num(), num()
	r.Duplicates, r.Conflicts, r.FingerprintOffset = num(), num(), num()
	r.Fingerprint = text()
	return r, nil
}
