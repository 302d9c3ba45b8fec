package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bessd/agent"
	"bessd/bess"
	"bessd/bess/wire"
	"bessd/internal/broker"
	"bessd/internal/run"
	"bessd/internal/testenv"
	"bessd/store"
	"bessd/store/fsdir"
	"bessd/store/tables"
)

// scanName names a scan, but for its seq.
type scanName struct {
	site, device string
	epoch        int64
}

// readTable visits the rows of a table's columns in the lake.
func readTable(t *testing.T, dir string, table bess.Table, columns []string, visit func(cells []any)) {
	t.Helper()
	b, err := fsdir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := store.Open(t.Context(), b, store.Config{StageDir: t.TempDir(), Engine: "test"}, tables.Specs())
	if err != nil {
		t.Fatal(err)
	}
	err = l.Table(table.String()).Scan(t.Context(), store.Scan{Columns: columns}, func(b store.Batch) error {
		for _, row := range b.Rows {
			cells := make([]any, len(columns))
			for i := range cells {
				cells[i] = b.Vectors[i].Cell(row)
			}
			visit(cells)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// readTelemetry gives how often each seq of each device and epoch is in the lake.
func readTelemetry(t *testing.T, dir string) map[scanName]map[int64]int {
	t.Helper()
	out := map[scanName]map[int64]int{}
	readTable(t, dir, bess.TableTelemetry, []string{"site", "device", "epoch", "seq"}, func(c []any) {
		n := scanName{c[0].(string), c[1].(string), c[2].(int64)}
		if out[n] == nil {
			out[n] = map[int64]int{}
		}
		out[n][c[3].(int64)]++
	})
	return out
}

// lastSeqs gives the seqs that the last heartbeats of the agents' runs name, of runs that ended in order.
func lastSeqs(t *testing.T, dir string) map[scanName]int64 {
	t.Helper()
	type runName struct {
		site  string
		epoch int64
	}
	stopped, recs, seqs := map[runName]bool{}, map[runName]int64{}, map[runName]map[string]float64{}
	readTable(t, dir, bess.TableAgentEvents, []string{"site", "epoch", "event", "rec", "last_seq"}, func(c []any) {
		n, rec := runName{c[0].(string), c[1].(int64)}, c[3].(int64)
		switch c[2] {
		case "stop":
			stopped[n] = true
		case "heartbeat":
			if rec > recs[n] {
				recs[n] = rec
				seqs[n], _ = c[4].(map[string]float64) // null when nothing has been read yet
			}
		}
	})
	out := map[scanName]int64{}
	for n := range stopped {
		for device, seq := range seqs[n] {
			out[scanName{n.site, device, n.epoch}] = int64(seq)
		}
	}
	return out
}

// isComplete demands that each scan is in the rows once, up to the last one that the agents had taken when they stopped in
// order. It returns how many devices and epochs they name.
func isComplete(t *testing.T, rows map[scanName]map[int64]int, dir string) int {
	t.Helper()
	for name, seqs := range rows {
		for seq, n := range seqs {
			if n != 1 {
				t.Errorf("%v: seq %d is there %d times", name, seq, n)
			}
		}
		for seq := int64(1); seq <= int64(len(seqs)); seq++ {
			if seqs[seq] == 0 {
				t.Errorf("%v: %d scans, but seq %d is missing", name, len(seqs), seq)
				break
			}
		}
	}
	last := lastSeqs(t, dir)
	for name, seq := range last {
		if int64(len(rows[name])) != seq {
			t.Errorf("%v: %d scans, the agent has taken %d", name, len(rows[name]), seq)
		}
	}
	return len(last)
}

// runDemoUntil prepares a demo, runs it until everything has started and enough says so, and stops it in order.
func runDemoUntil(t *testing.T, o demoOptions, prepare func(d *demo), enough func(f demoFigures) bool) (stages string) {
	t.Helper()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	d, err := newDemo(t.Context(), o, logger)
	if err != nil {
		t.Fatal(err)
	}
	prepare(d)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var order []string
	var polls atomic.Bool
	done := make(chan error, 1)
	go func() {
		done <- d.run(ctx, nil, logger, func(stage string, phase run.Phase, _ time.Duration) {
			switch {
			case phase == run.Stopped:
				order = append(order, stage)
			case phase == run.Started && stage == "agents: devices":
				polls.Store(true)
			}
		})
	}()
	testenv.Await(t, 30*time.Second, func() error {
		if f := d.figures(); !polls.Load() || !enough(f) {
			return fmt.Errorf("figures %+v", f)
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if left := d.left.Load(); left > 0 {
		t.Errorf("%d messages left on the way\n%s", left, log.String())
	}
	for _, n := range d.agents {
		if s := n.agent.Stats(); s.Lost > 0 {
			t.Errorf("%s: %d records lost", n.site, s.Lost)
		}
	}
	return strings.Join(order, " < ")
}

// The whole path in one process: rows are in the tables, each scan once, none missing, also over a restart.
func TestDemoFillsTheTables(t *testing.T) {
	o := demoOptions{Sites: demoTestSites, Racks: 1, Dir: t.TempDir(), Listen: "127.0.0.1:0", FlushEvery: time.Second, Every: 200 * time.Millisecond}
	enough := func(f demoFigures) bool { return f.rows > 200 && f.unitsUp == f.units && f.units == 3*demoTestSites }
	stages := runDemoUntil(t, o, func(*demo) {}, enough)
	want := "agents: devices < messages on the way < agents: forwarder < agents: disk < simulated sites < central: archive < central: disk < broker"
	if stages != want {
		t.Errorf("stopped %s\nwant    %s", stages, want)
	}
	first := readTelemetry(t, o.Dir+"/lake")
	runDemoUntil(t, o, func(*demo) {}, enough)
	second := readTelemetry(t, o.Dir+"/lake")
	if len(first) == 0 || len(second) != 2*len(first) {
		t.Errorf("%d devices and epochs after the first run, %d after the second; want twice as many", len(first), len(second))
	}
	if n := isComplete(t, second, o.Dir+"/lake"); n != len(second) {
		t.Errorf("the heartbeats before the stops name %d devices and epochs, the tables have %d", n, len(second))
	}
	for name, seqs := range second {
		if before, ok := first[name]; ok && len(before) != len(seqs) {
			t.Errorf("%v: %d scans after the first run, %d after the second", name, len(before), len(seqs))
		}
	}
}

// A stop of the demo waits for the messages on the way: a backlog that has hardly moved when the stop begins is in the
// tables when it has ended.
func TestDemoStopsWithEveryRowInTheTables(t *testing.T) {
	const backlog = 20_000
	o := demoOptions{Sites: 1, Racks: 1, Dir: t.TempDir(), FlushEvery: time.Hour, Every: 200 * time.Millisecond}
	plan, err := bess.NewPlan(bess.Plan{Map: "test@1", Periods: []time.Duration{time.Second}, Columns: []bess.Column{{Num: bess.NumSocPct, Decimals: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	filled := scanName{"alfa", "bank9", bess.NewEpoch(0, time.Now().Unix()-10, 1)}
	prepare := func(d *demo) {
		s := bess.Scan{Site: filled.site, Device: filled.device, Kind: bess.Bank, Epoch: filled.epoch, Quality: bess.Good}
		for s.Seq = 1; s.Seq <= backlog; s.Seq++ {
			s.Reset(plan)
			s.TS, s.Values[0] = filled.epoch>>20*1e6+s.Seq*1e3, s.Seq
			r := agent.Record{Kind: agent.KindScan, Device: s.Device, Epoch: s.Epoch, Seq: s.Seq, TickUS: s.TS, Data: wire.AppendScan(nil, &s)}
			if err := (sinkAdapter{d.agents[0].forward}).Put(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	runDemoUntil(t, o, prepare, func(demoFigures) bool { return true })
	rows := readTelemetry(t, o.Dir+"/lake")
	if n := int64(len(rows[filled])); n != backlog {
		t.Errorf("%d scans of the backlog in the tables, want %d", n, backlog)
	}
	isComplete(t, rows, o.Dir+"/lake")
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := int64(5)
		left, err := drain(ctx, func(context.Context) (int64, error) {
			if n--; n == 3 {
				return 0, errors.New("away")
			}
			return n, nil
		})
		if left != 0 || err != nil || n != 0 {
			t.Errorf("%d left of %d, %v", left, n, err)
		}
		left, err = drain(ctx, func(context.Context) (int64, error) { return 7, nil })
		if left != 7 || err != nil || ctx.Err() == nil {
			t.Errorf("%d left, %v", left, err)
		}
		if left, err = drain(ctx, func(context.Context) (int64, error) { return 0, errors.New("away") }); left == 0 {
			t.Errorf("%d left, %v, although nobody knows", left, err)
		}
	})
}

func TestDemoRefusesASecondOne(t *testing.T) {
	o := demoOptions{Sites: 1, Racks: 1, Dir: t.TempDir(), FlushEvery: time.Second, Every: time.Second}
	lock, err := openDataDir(o.Dir, "demo", "--data")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.close()
	_, err = newDemo(t.Context(), o, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "another bessd demo runs on "+o.Dir+"; stop it, or set another --data") {
		t.Errorf("got %v", err)
	}
}

func TestDemoOptions(t *testing.T) {
	code, _, errs := bessd(t, "demo", "--sites", "0", "--racks", "61", "--listen", "0.0.0.0:80", "--data", t.TempDir())
	for _, want := range []string{"--sites 0; want 1 to 50", "--racks 61; want 1 to 60", "is not a loopback address"} {
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("exit %d, no %q in %s", code, want, errs)
		}
	}
}

// The command itself: it tells how to look into the tables, shows figures, and stops when asked.
func TestDemoCommand(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	out := newWatched(cancel, "scans/s=")
	var errs bytes.Buffer
	p := program{name: "./bessd", args: []string{"demo", "--sites", "1", "--racks", "1", "--data", dir, "--listen", "", "--flush", "1s"}, stdout: out, stderr: &errs, env: testEnv}
	if code := p.run(ctx); code != exitFine {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	for _, want := range []string{"  ./bessd lake describe telemetry --store file://" + dir + "/lake\n", "DeltaTable('" + dir + "/lake/telemetry')", "delta_scan('file://" + dir + "/lake/telemetry')", "stopped  broker", "a restart goes on there"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	code, list, errText := bessd(t, "lake", "ls", "--store", "file://"+dir+"/lake")
	if code != exitFine || !strings.Contains(list, "telemetry") || !strings.Contains(list, "ledger") {
		t.Errorf("exit %d: %s%s", code, list, errText)
	}
	code, list, errText = bessd(t, "lake", "describe", "telemetry", "--store", "file://"+dir+"/lake")
	if code != exitFine || !strings.Contains(list, "soc_pct") || !strings.Contains(list, "partitioned by dt") || !strings.Contains(list, "position bessd/bess.telemetry/0/") {
		t.Errorf("exit %d: %s%s", code, list, errText)
	}
}

func TestLakeCommandSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"lake ls", exitUsage, "want one of --store URL and --config FILE"},
		{"lake ls --store gs://x", exitUsage, "want s3://bucket/prefix or file:///directory"},
		{"lake ls --store file://" + dir + "/none", exitFailed, "there is no directory"},
		{"lake ls --store file://" + dir, exitFailed, "no tables in"},
		{"lake describe telemetry --store file://" + dir, exitFailed, "no table telemetry in"},
		{"lake describe frobs --store file://" + dir, exitUsage, "known: "},
	} {
		if code, _, errs := bessd(t, strings.Fields(c.args)...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, want %d with %q\n%s", c.args, code, c.code, c.want, errs)
		}
	}
}

func TestCentralSaysWhatIsWrong(t *testing.T) {
	const topic = "bess.telemetry"
	withTopic, err := broker.New(broker.Config{Topics: []broker.Topic{{Name: topic, Partitions: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer withTopic.Close()
	without, err := broker.New(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer without.Close()
	noBucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>`)
	}))
	defer noBucket.Close()
	keys := t.TempDir()
	for _, name := range []string{"access", "secret"} {
		if err := os.WriteFile(filepath.Join(keys, name), []byte("key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bucket := fmt.Sprintf(`{url: "s3://nowhere/x", s3: {endpoint: %q, path_style: true, credentials: files, access_key_file: %s, secret_key_file: %s}}`,
		noBucket.URL, keys+"/access", keys+"/secret")
	lake := "{url: file:lake}"
	for _, c := range []struct{ name, kafka, store, want string }{
		{"no broker", "127.0.0.1:1", lake, "check that the broker runs and that its address and port are right"},
		{"no topic", without.Addrs()[0], lake, "a central does that with create_topic in its configuration"},
		{"no bucket", withTopic.Addrs()[0], bucket, "create the bucket"},
		{"no directory", withTopic.Addrs()[0], "{url: file:///proc/lake}", "make it writable for the user that runs bessd, or set another store.url"},
	} {
		text := fmt.Sprintf("data_dir: data\nkafka: {brokers: [%q], topic: %s}\nstore: %s\nstart_wait: 1s\nhttp: {listen: \"\"}\n", c.kafka, topic, c.store)
		code, _, errs := bessd(t, "central", "--config", writeFile(t, "central.yaml", text))
		last := errs[strings.LastIndex(strings.TrimSpace(errs), "\n")+1:]
		if code != exitFailed || !strings.HasPrefix(last, "bessd: ") || !strings.Contains(last, c.want) {
			t.Errorf("%s: exit %d, want one sentence with %q\n%s", c.name, code, c.want, errs)
		}
	}
}

// Rates are taken over the period of the cell tier, however often the screen is drawn.
func TestRatesCoverTheCellTier(t *testing.T) {
	for _, every := range []time.Duration{refreshEvery, lineEvery} {
		f := demoFigures{at: time.Unix(1000, 0)}
		w := newRateWindow(f)
		for range 60 / int(every.Seconds()) {
			f.at = f.at.Add(every)
			f.values += 10 * int64(every.Seconds())
			if f.at.Unix()%10 == 5 {
				f.values += 1000 // the cells
			}
			before := w.before(f)
			if got := rate(f.values, before.values, f.at.Sub(before.at)); f.at.Unix() >= 1010 && got != 110 {
				t.Errorf("every %s, at %d: %v values/s, want 110", every, f.at.Unix(), got)
			}
		}
		if len(w.past) > 12 {
			t.Errorf("keeps %d figures", len(w.past))
		}
	}
}

func TestScreenRedrawsItsBlock(t *testing.T) {
	var out bytes.Buffer
	s := &demoScreen{w: &out, terminal: true, warnings: newLastWarning(slog.NewTextHandler(io.Discard, nil))}
	f := demoFigures{at: time.Unix(100, 0), devices: 5, scans: 50, values: 500, rows: 7, lastAt: time.Unix(97, 0)}
	before := demoFigures{at: time.Unix(98, 0)}
	s.show(f, before)
	if text := out.String(); strings.Count(text, "\n") != 3 || !strings.Contains(text, "25 scans/s   250 values/s") || !strings.Contains(text, "last commit 3 s ago") {
		t.Errorf("%q", text)
	}
	out.Reset()
	slog.New(s.warnings).With("site", "x").Warn("store: failing", "err", "refused")
	s.show(f, before)
	if text := out.String(); !strings.HasPrefix(text, "\x1b[3A") || !strings.Contains(text, "warning   store: failing refused") {
		t.Errorf("%q", text)
	}
	out.Reset()
	s.stage("agents", run.Stopping, 0)
	s.show(f, before)
	if got := out.String(); got != "stopping agents ...\n" {
		t.Errorf("%q", got)
	}
}
