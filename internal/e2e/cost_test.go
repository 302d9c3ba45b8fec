//go:build integration && judges && linux

package e2e

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bessd/bess/wire"
	"bessd/ingest"
	"bessd/internal/testenv"
)

const (
	costBanks  = 20
	costWindow = 60 * time.Second
	// costFlush divides costWindow, so that a window that begins between two flushes holds whole ones only.
	costFlush = 5 * time.Second
)

// TestCost measures what the path costs: 20 banks on 20 endpoints, each some 700 registers read every second by one
// agent, through Apache Kafka into tables on S3. It logs the figures of docs/PERFORMANCE.md and asserts only that all
// scans became rows, twice: once by a central that followed live, once by one that read the whole topic as a backlog.
//
// CPU is user plus system time of the process from /proc. A value is a present value as it stands in the messages, list
// elements included; derived values, which central adds, do not count.
func TestCost(t *testing.T) {
	c := newChain(t, chainOptions{flush: costFlush.String(), partitions: 1})
	served := filepath.Join(c.dir, "served.csv")
	sim, devices := costSim(c, served)
	sim.start()
	central := c.central()
	central.start()
	// The backlog's central gets tables of its own, now, so that making them is not in its figure.
	backlog := c.beside("backlog")
	late := backlog.central()
	ended := keepCommand(late)
	late.start()
	backlog.caughtUp(late)
	late.stop()
	agentHTTP := testenv.FreeAddr(t)
	agent := c.agent("agent", "alfa", devices, fmt.Sprintf("http: {listen: %q}", agentHTTP))
	agent.start()
	reader := startCostReader(t, c.kafka.Addr)
	testenv.Await(t, time.Minute, func() error {
		if up, err := metric(agentHTTP, "bessd_agent_units_up"); err != nil || up < costBanks {
			return fmt.Errorf("%v of %d banks answer: %v", up, costBanks, err)
		}
		return nil
	})
	c.wait(10*time.Second, "sizes of memory and batches settle")
	c.wait(time.Until(time.Now().Truncate(costFlush).Add(costFlush+costFlush/2)), "the middle between two flushes")

	w := look(t, agent, central, agentHTTP)
	c.wait(costWindow, "the window")
	till := look(t, agent, central, agentHTTP)
	agent.stop()
	c.caughtUp(central)
	central.stop()
	sim.stop()
	all := reader.stop(t)
	live := all.between(w.at, till.at)
	seconds := till.at.Sub(w.at).Seconds()
	registers := registersServed(t, served, w.at, till.at)

	t.Logf("load: %d registers/s, %.0f values/s, %.0f scans/s for %.0f s; machine %.0f %% busy, load average %s",
		int(float64(registers)/seconds), float64(live.values)/seconds, float64(live.scans)/seconds, seconds, 100*(till.busy-w.busy)/seconds, loadAverage(t))
	agentCPU := till.agent.cpu - w.agent.cpu
	t.Logf("agent: %.2f CPU-s per million registers (%.2f CPU-s, %.1f %% of a core)", perMillion(t, agentCPU, registers), agentCPU, 100*agentCPU/seconds)
	t.Logf("agent: RSS %.1f MB, %.1f of them anonymous, peak %.1f MB", till.agent.rssMB, till.agent.anonMB, till.agent.peakMB)
	t.Logf("agent: %.0f records to the spool, %d bytes to disk; %.0f ticks missed", till.spooled-w.spooled, till.agent.wrote-w.agent.wrote, till.missed-w.missed)
	centralCPU := till.central.cpu - w.central.cpu
	t.Logf("central, live, flush every %v: %.2f CPU-s per million values (%.2f CPU-s, %.1f %% of a core)", costFlush, perMillion(t, centralCPU, live.values), centralCPU, 100*centralCPU/seconds)
	t.Logf("central, live: RSS %.1f MB, %.1f of them anonymous, peak %.1f MB", till.central.rssMB, till.central.anonMB, till.central.peakMB)
	t.Logf("last reply of the device to record time in Kafka: p50 %.1f ms, p95 %.1f ms; to a consumer: p50 %.1f ms, p95 %.1f ms; %d scans",
		percentile(live.sentMS, 50), percentile(live.sentMS, 95), percentile(live.gotMS, 50), percentile(live.gotMS, 95), live.scans)
	inKafka := topicBytes(t, c.kafka.PID())
	t.Logf("Kafka: %.3f bytes per value (log of %d bytes, %d values, %.0f bytes a scan, %d scans sent twice), messages alone %.2f before compression",
		ratio(t, inKafka, all.values), inKafka, all.values, ratio(t, inKafka, all.scans), all.again, ratio(t, all.bytes, all.values))

	late.start()
	for try := 0; ; try++ {
		c.wait(time.Second, "the backlog's flush") // seldom: each look costs central some of what is measured
		rows, err := metric(backlog.http, "bessd_process_rows_total")
		if err == nil && int64(rows) == all.scans {
			break
		}
		if !late.Running() || try == 60 {
			t.Fatalf("central has committed %v of %d rows of the backlog: %v\n%s", rows, all.scans, err, late.LogTail(30))
		}
	}
	atEnd := sample(t, late)
	late.stop()
	lateCPU := total(ended())
	// What a start and a stop cost by themselves.
	late.start()
	c.wait(3*time.Second, "a start with nothing to read")
	late.stop()
	idleCPU := total(ended())
	t.Logf("central, backlog: %.2f CPU-s per million values (%.2f CPU-s for %d values); %.2f without start and stop (%.2f CPU-s)",
		perMillion(t, lateCPU, all.values), lateCPU, all.values, perMillion(t, lateCPU-idleCPU, all.values), idleCPU)
	t.Logf("central, backlog: RSS %.1f MB, %.1f of them anonymous, peak %.1f MB", atEnd.rssMB, atEnd.anonMB, atEnd.peakMB)
	for _, lake := range []struct{ name, dir string }{{"flush every " + costFlush.String(), "bess"}, {"backlog, one flush", "bess-backlog"}} {
		files := func(table string) (n int, size int64) { return parquet(t, filepath.Join(c.s3.Dir, lake.dir, table)) }
		n, rows := files("telemetry")
		_, parts := files("rollup_1m_parts")
		t.Logf("Parquet, %s: %.3f bytes per value in telemetry (%d files), %.3f in rollup_1m_parts", lake.name, ratio(t, rows, all.values), n, ratio(t, parts, all.values))
	}

	py := c.judges(t)
	for _, lake := range []*chain{c, backlog} {
		if n := lake.exactlyOnce(t, py, ""); n.Rows != all.scans {
			t.Errorf("%s: %d rows of %d scans in Kafka", lake.lake, n.Rows, all.scans)
		}
	}
	if registers < int64(costBanks*400*seconds) {
		t.Errorf("%d registers in %.0f s are not what this test is about", registers, seconds)
	}
}

// beside is the same chain with tables and a central of its own that flushes rarely.
func (c *chain) beside(name string) *chain {
	b := *c
	b.dir, b.lake, b.http, b.flush = c.subdir(name), c.lake+"-"+name, testenv.FreeAddr(c.t), "20s"
	b.write("access-key", c.s3.AccessKey+"\n")
	b.write("secret-key", c.s3.SecretKey+"\n")
	return &b
}

// costSim is 20 sites of one bank, each on an endpoint of its own, and the agent's list of them.
func costSim(c *chain, served string) (sim *part, endpoints string) {
	yaml := "sites:\n"
	for i := range costBanks {
		p := port(c.t)
		yaml += fmt.Sprintf("  - {id: bank%02d, port: %d, racks: 2, modules_per_rack: 2, cells_per_module: 14, pcs: 0, meter: false}\n", i+1, p)
		endpoints += fmt.Sprintf("  - address: 127.0.0.1:%d\n    devices:\n"+
			"      - {id: bank%02d, unit: 1, map: sunspec, every: 1s, tiers: {slow: 1s, cells: 1s, nameplate: 1h}}\n", p, i+1)
	}
	return c.part("sim", "sim", yaml+fmt.Sprintf("ledger: {file: %q}\n", served)), endpoints
}

// usage is what the kernel says about a process.
type usage struct {
	cpu           float64 // seconds, user and system
	rssMB, peakMB float64
	anonMB        float64 // part of rssMB that is not the program's file
	wrote         int64   // bytes sent to disks
}

// moment is everything that is compared between the window's ends.
type moment struct {
	at              time.Time
	agent, central  usage
	busy            float64 // seconds of all cores
	spooled, missed float64
}

func look(t *testing.T, agent, central *part, agentHTTP string) moment {
	t.Helper()
	m := moment{at: time.Now(), agent: sample(t, agent), central: sample(t, central), busy: machineBusy(t)}
	for name, to := range map[string]*float64{"bessd_forward_spooled_records_total": &m.spooled, "bessd_agent_missed_ticks_total": &m.missed} {
		v, err := metric(agentHTTP, name)
		if err != nil {
			t.Fatal(err)
		}
		*to = v
	}
	return m
}

// clockTick is the unit of /proc's times, the same on every Linux that Go runs on.
const clockTick = 100

func sample(t *testing.T, p *part) usage {
	t.Helper()
	if !p.Running() {
		t.Fatalf("%s has ended: %v\n%s", p.name, p.Err(), p.LogTail(30))
	}
	dir := fmt.Sprintf("/proc/%d/", p.PID())
	stat := read(t, dir+"stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // from the third on
	u := usage{cpu: float64(number(t, fields[11])+number(t, fields[12])) / clockTick}
	status := read(t, dir+"status")
	u.rssMB, u.peakMB = float64(kernelLine(t, status, "VmRSS:"))*1024/1e6, float64(kernelLine(t, status, "VmHWM:"))*1024/1e6
	u.anonMB = float64(kernelLine(t, status, "RssAnon:")) * 1024 / 1e6
	u.wrote = kernelLine(t, read(t, dir+"io"), "write_bytes:")
	return u
}

func kernelLine(t *testing.T, text, key string) int64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key {
			return number(t, f[1])
		}
	}
	t.Fatalf("no %s in %s", key, text)
	return 0
}

// machineBusy is how many seconds all cores together were not idle.
func machineBusy(t *testing.T) float64 {
	t.Helper()
	line, _, _ := strings.Cut(read(t, "/proc/stat"), "\n")
	var sum int64
	for i, f := range strings.Fields(line)[1:] {
		if i != 3 && i != 4 && i < 8 { // idle, iowait; guests count as user already
			sum += number(t, f)
		}
	}
	return float64(sum) / clockTick
}

func loadAverage(t *testing.T) string {
	t.Helper()
	return strings.Join(strings.Fields(read(t, "/proc/loadavg"))[:2], " ")
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// keepCommand gives access to the command that the part starts next.
func keepCommand(p *part) func() *exec.Cmd {
	var cmd *exec.Cmd
	inner := p.command
	p.command = func() *exec.Cmd { cmd = inner(); return cmd }
	return func() *exec.Cmd { return cmd }
}

// total is what a process used in all its life; it has ended.
func total(cmd *exec.Cmd) float64 {
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}

// registersServed sums what the simulator answered between two moments.
func registersServed(t *testing.T, file string, from, till time.Time) int64 {
	t.Helper()
	var sum int64
	for _, r := range records(t, file) {
		if at := time.UnixMicro(number(t, r["unix_us"])); r["outcome"] == "ok" && !at.Before(from) && at.Before(till) {
			sum += number(t, r["count"])
		}
	}
	return sum
}

// topicBytes is the size of the topic's log, which the broker keeps open.
func topicBytes(t *testing.T, broker int) int64 {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", broker))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	for _, l := range links {
		if name, err := os.Readlink(l); err == nil && strings.Contains(name, "/"+topic+"-") && strings.HasSuffix(name, ".log") {
			files[name] = true
		}
	}
	var sum int64
	for name := range files {
		if info, err := os.Stat(name); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// parquet counts a table's files and their bytes.
func parquet(t *testing.T, dir string) (files int, size int64) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && strings.HasSuffix(path, ".parquet") && !strings.Contains(path, "_delta_log") {
			files, size = files+1, size+info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, size
}

func perMillion(t *testing.T, seconds float64, n int64) float64 {
	t.Helper()
	if seconds <= 0 || n <= 0 {
		t.Fatalf("%v CPU-s for %d: nothing was measured", seconds, n)
	}
	return seconds / float64(n) * 1e6
}

func ratio(t *testing.T, a, b int64) float64 {
	t.Helper()
	if a <= 0 || b <= 0 {
		t.Fatalf("%d of %d: nothing was measured", a, b)
	}
	return float64(a) / float64(b)
}

func percentile(sorted []float64, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// costScan is one scan as a consumer saw it.
type costScan struct {
	values        int64
	record        time.Time
	sentMS, gotMS float64 // from the device's last reply
	valueBytes    int64
	isScan        bool
	again         bool // a scan that the agent had sent before: its acknowledgement was late
}

// costs sums messages.
type costs struct {
	scans, values, bytes, again int64
	sentMS, gotMS               []float64 // sorted
	messages                    []costScan
}

func sumUp(messages []costScan) costs {
	c := costs{messages: messages}
	for _, m := range messages {
		c.bytes += m.valueBytes
		switch {
		case m.again:
			c.again++
		case m.isScan:
			c.scans++
			c.values += m.values
			c.sentMS, c.gotMS = append(c.sentMS, m.sentMS), append(c.gotMS, m.gotMS)
		}
	}
	slices.Sort(c.sentMS)
	slices.Sort(c.gotMS)
	return c
}

// between sums the messages that were sent in [from, till).
func (c costs) between(from, till time.Time) costs {
	var in []costScan
	for _, m := range c.messages {
		if !m.record.Before(from) && m.record.Before(till) {
			in = append(in, m)
		}
	}
	return sumUp(in)
}

// costReader consumes the topic as anybody would and notes when each scan was there.
type costReader struct {
	consumer *ingest.Consumer
	until    atomic.Int64 // offset at which to end
	done     chan error
	messages []costScan // after done
}

func startCostReader(t *testing.T, broker string) *costReader {
	t.Helper()
	client, err := ingest.NewClient(ingest.Config{Brokers: []string{broker}, Topics: []string{topic}, ClientID: "cost-reader"})
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := ingest.NewConsumer(client, ingest.ConsumerConfig{Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &costReader{consumer: consumer, done: make(chan error, 1)}
	r.until.Store(math.MaxInt64)
	t.Cleanup(func() {
		cancel()
		<-r.done
		client.Close()
	})
	go func() {
		defer close(r.done)
		r.done <- r.run(ctx)
	}()
	return r
}

func (r *costReader) run(ctx context.Context) error {
	type name struct {
		device     string
		epoch, seq int64
	}
	d, seen := wire.NewDecoder(), map[name]bool{}
	for next := int64(0); next < r.until.Load(); {
		f, err := r.consumer.Fetch(ctx, 0, next)
		now := time.Now()
		if err != nil {
			return fmt.Errorf("reading the topic: %w", err)
		}
		for _, m := range f.Messages {
			e, err := d.Decode(m.Value)
			if err != nil {
				return fmt.Errorf("decoding offset %d: %w", m.Offset, err)
			}
			s := costScan{record: m.Time, valueBytes: int64(len(m.Value)), isScan: e.Arm == wire.ArmScan}
			if s.isScan {
				n := name{e.Scan.Device, e.Scan.Epoch, e.Scan.Seq}
				s.again, seen[n] = seen[n], true
				reply := time.UnixMicro(e.Scan.TS + e.Scan.ScanUS)
				s.values = int64(e.Scan.PresentValues())
				s.sentMS, s.gotMS = ms(m.Time.Sub(reply)), ms(now.Sub(reply))
			}
			r.messages = append(r.messages, s)
		}
		next = max(next, f.Next)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// stop waits until the reader has reached the log's end, to which nobody writes any more, and sums up.
func (r *costReader) stop(t *testing.T) costs {
	t.Helper()
	_, end, err := r.consumer.Offsets(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	r.until.Store(end)
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	if int64(len(r.messages)) != end {
		t.Fatalf("the reader saw %d messages of %d", len(r.messages), end)
	}
	return sumUp(r.messages)
}
