package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"bessd/internal/obs"
)

func (p program) demoCommand() *cobra.Command {
	o := demoOptions{FlushEvery: 10 * time.Second, Every: time.Second}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run simulated sites, agents, a broker and central on this machine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.runDemo(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.Sites, "sites", 2, "simulated sites, with an agent each")
	cmd.Flags().IntVar(&o.Racks, "racks", 4, "racks in each site's battery")
	cmd.Flags().StringVar(&o.Dir, "data", "./demo-data", "directory of everything that the demo keeps; a restart goes on there")
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8080", "loopback address of /metrics, /healthz and /readyz; \"\" for none")
	cmd.Flags().DurationVar(&o.FlushEvery, "flush", o.FlushEvery, "longest time before rows are in the tables")
	return cmd
}

func (p program) runDemo(ctx context.Context, o demoOptions) error {
	terminal := obs.IsTerminal(p.stdout)
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return dataDirError(o.Dir, "--data", err)
	}
	logFile, err := os.OpenFile(filepath.Join(o.Dir, "demo.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return dataDirError(o.Dir, "--data", err)
	}
	defer logFile.Close()
	warnings := newLastWarning(slog.NewTextHandler(logFile, &slog.HandlerOptions{Level: slog.LevelInfo}))
	log := slog.New(warnings)
	d, err := newDemo(ctx, o, log)
	if err != nil {
		return err
	}
	p.introduce(d)
	screen := &demoScreen{w: p.stdout, terminal: terminal, warnings: warnings}
	sctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { screen.run(sctx, d.figures) })
	err = d.run(ctx, p.abort, log, screen.stage)
	cancel()
	wg.Wait()
	if err != nil {
		return err
	}
	f := d.figures()
	if left := d.left.Load(); left > 0 {
		fmt.Fprintf(p.stdout, "%d messages were still on the way; they are kept, and a restart goes on with them\n", left)
	}
	fmt.Fprintf(p.stdout, "%d rows of telemetry committed in this run; everything is in %s, a restart goes on there\n", f.rows, d.dir.path)
	return nil
}

// introduce tells what runs and how to look into the tables.
func (p program) introduce(d *demo) {
	w, lake := p.stdout, filepath.ToSlash(d.dir.sub("lake"))
	fmt.Fprintf(w, "bessd %s: %d simulated sites, an agent each, a Kafka-protocol broker and central, all in this process\n", version(), len(d.agents))
	for _, e := range d.sim.Endpoints() {
		fmt.Fprintf(w, "  site %-8s Modbus TCP on %s, %d units\n", e.Site, e.Address, len(e.Units))
	}
	fmt.Fprintf(w, "  broker        %s, topic %s\n", d.broker.Addrs()[0], demoTopic)
	if d.serve != nil {
		fmt.Fprintf(w, "  watch         http://%s/metrics and /readyz\n", d.serve.Addr())
	}
	fmt.Fprintf(w, "  log           %s\n", d.dir.sub("demo.log"))
	fmt.Fprintf(w, "  tables        %s; new rows about every %s\n\nLook into the tables, also while this runs:\n", lake, d.opt.FlushEvery)
	writeLookInto(w, p.name, lake)
	fmt.Fprintln(w, "\nCtrl-C stops in stages and loses nothing; a second one does not wait.")
	fmt.Fprintln(w)
}

// writeLookInto writes how foreign readers open the tables of a local lake, and the program that is called name.
func writeLookInto(w io.Writer, name, lake string) {
	fmt.Fprintf(w, `  %[2]s lake describe telemetry --store file://%[1]s
  python3 -c "from deltalake import DeltaTable; print(DeltaTable('%[1]s/telemetry').to_pandas(columns=['site','device','ts','soc_pct'], filters=[('kind','=','bank')]).sort_values('ts').tail())"
  duckdb -c "INSTALL delta; LOAD delta; SELECT site, kind, count(*), max(ts) FROM delta_scan('file://%[1]s/telemetry') GROUP BY ALL ORDER BY ALL"
Python needs deltalake and pandas; DuckDB fetches its extension delta from the internet at the first INSTALL.
`, lake, name)
}
