package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bessd/bess"
	"bessd/config"
	"bessd/store"
	"bessd/store/delta"
)

func (p program) lakeCommand() *cobra.Command {
	var where lakeFlags
	cmd := &cobra.Command{
		Use:   "lake",
		Short: "Look at the tables",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	ls := &cobra.Command{
		Use:   "ls",
		Short: "List the tables with version, rows, files and last commit",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withLake(cmd.Context(), where, func(ctx context.Context, b store.Backend) error { return listTables(ctx, b, p.stdout) })
		},
	}
	describe := &cobra.Command{
		Use:   "describe TABLE",
		Short: "Tell a table's columns, partitions and positions",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withLake(cmd.Context(), where, func(ctx context.Context, b store.Backend) error {
				return describeTable(ctx, b, args[0], p.stdout)
			})
		},
	}
	for _, c := range []*cobra.Command{ls, describe} {
		c.Flags().StringVar(&where.url, "store", "", "s3://bucket/prefix or file:///dir")
		c.Flags().StringVar(&where.file, "config", "", "central's configuration, instead of --store")
	}
	cmd.AddCommand(ls, describe)
	return cmd
}

// lakeFlags say which lake; one of them is set.
type lakeFlags struct{ url, file string }

// lakeTimeout bounds a look at the tables: a store that is away should not hold a person up for long.
const lakeTimeout = time.Minute

func (p program) withLake(ctx context.Context, where lakeFlags, do func(context.Context, store.Backend) error) error {
	var c config.Store
	switch {
	case (where.url == "") == (where.file == ""):
		return usageError{errors.New("want one of --store URL and --config FILE")}
	case where.file != "":
		f, err := p.loadConfig(where.file, config.ModeCentral)
		if err != nil {
			return err
		}
		c = f.Central.Store
	default:
		var err error
		if c, err = config.ParseStore(where.url); err != nil {
			return usageError{fmt.Errorf("--store: %w", err)}
		}
	}
	b, err := openBackend(c, false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lakeTimeout)
	defer cancel()
	return do(ctx, b)
}

func tableSnapshot(ctx context.Context, b store.Backend, name string) (*delta.Snapshot, error) {
	return delta.New(b, name, delta.Options{Log: slog.New(slog.DiscardHandler)}).Snapshot(ctx)
}

func listTables(ctx context.Context, b store.Backend, w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TABLE\tVERSION\tROWS\tFILES\tMB\tLAST COMMIT")
	found := 0
	for _, t := range bess.FlushTables() {
		s, err := tableSnapshot(ctx, b, t.String())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		found++
		rows, size, last := int64(0), int64(0), time.Time{}
		for _, f := range s.Files() {
			rows += max(0, f.Stats().NumRecords)
			size += f.Size
			if f.Modified.After(last) {
				last = f.Modified
			}
		}
		when := "-"
		if !last.IsZero() {
			when = last.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%.1f\t%s\n", t, s.Version(), rows, len(s.Files()), float64(size)/1e6, when)
	}
	if found == 0 {
		return fmt.Errorf("no tables in %s; check the URL, or let a central write there first", b.URL())
	}
	return tw.Flush()
}

func describeTable(ctx context.Context, b store.Backend, name string, w io.Writer) error {
	known := bess.FlushTables()
	if !slices.ContainsFunc(known, func(t bess.Table) bool { return t.String() == name }) {
		return usageError{fmt.Errorf("table %q; known: %v", name, known)}
	}
	s, err := tableSnapshot(ctx, b, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no table %s in %s; check the URL, or let a central write there first", name, b.URL())
	}
	if err != nil {
		return err
	}
	schema, err := s.Schema()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s/%s\nversion %d, %d files", b.URL(), name, s.Version(), len(s.Files()))
	if c := s.PartitionColumn(); c != "" {
		fmt.Fprintf(w, ", partitioned by %s", c)
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range schema {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", c.Name, c.Type, c.Comment)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	txns := s.Txns()
	for _, id := range slices.Sorted(maps.Keys(txns)) {
		fmt.Fprintf(w, "position %s = %d\n", id, txns[id])
	}
	return nil
}
