//go:build integration

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bessd/internal/testenv"
)

const topic = "bess.telemetry"

// bessd builds the program once per run of the tests, with the tags that the tests themselves have.
var bessd = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(binDir, "bessd")
	args := []string{"build", "-o", bin}
	if buildTags != "" {
		args = append(args, "-tags", buildTags)
	}
	cmd := exec.Command("go", append(args, "bessd")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building bessd: %w\n%s", err, out)
	}
	return bin, nil
})

var binDir string // set by TestMain

func program(t testing.TB) string {
	t.Helper()
	bin, err := bessd()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bessd-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// part is one of our processes: it is started from its configuration file, killed, and started again.
type part struct {
	t       testing.TB
	name    string
	command func() *exec.Cmd
	*testenv.Process
}

func (p *part) start(env ...string) {
	p.t.Helper()
	cmd := p.command()
	cmd.Env = append(os.Environ(), env...)
	p.Process = testenv.StartProcess(p.t, p.name, cmd)
}

// stop ends the part in good order and fails the test if it does not.
func (p *part) stop() {
	p.t.Helper()
	if err := p.Process.Stop(p.t); err != nil {
		p.t.Fatalf("%s did not stop in good order: %v\n%s", p.name, err, p.LogTail(30))
	}
}

// chain is devices, agents, a real Kafka, a central and a lake.
type chain struct {
	t     testing.TB
	dir   string
	kafka *testenv.Kafka
	s3    *testenv.S3
	proxy *testenv.HTTPProxy // before s3
	lake  string             // store.url
	http  string             // central's metrics
	flush string
	minIO bool
}

type chainOptions struct {
	partitions int
	flush      string // central's archive.flush_every
	minIO      bool
}

// newChain starts the servers; parts are made by its methods.
func newChain(t testing.TB, o chainOptions) *chain {
	t.Helper()
	if o.partitions == 0 {
		o.partitions = 2
	}
	if o.flush == "" {
		o.flush = "5s"
	}
	c := &chain{t: t, dir: t.TempDir(), http: testenv.FreeAddr(t), flush: o.flush, minIO: o.minIO}
	c.kafka = testenv.StartKafka(t, testenv.KafkaOptions{})
	c.kafka.CreateTopic(t, topic, o.partitions, nil)
	c.s3 = testenv.StartS3(t, testenv.S3Options{MinIO: o.minIO})
	c.proxy = testenv.NewHTTPProxy(t, c.s3.Endpoint)
	c.lake = "s3://" + c.s3.Bucket + "/bess"
	c.write("access-key", c.s3.AccessKey+"\n")
	c.write("secret-key", c.s3.SecretKey+"\n")
	return c
}

func (c *chain) write(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// part makes a process of a subcommand and its configuration.
func (c *chain) part(name, subcommand, config string) *part {
	c.t.Helper()
	bin, file := program(c.t), c.write(name+".yaml", config)
	return &part{t: c.t, name: name, command: func() *exec.Cmd { return exec.Command(bin, subcommand, "--config", file) }}
}

// central makes the central; its S3 goes through the fault proxy.
func (c *chain) central() *part {
	return c.part("central", "central", fmt.Sprintf(`
data_dir: %s
kafka: {brokers: [%q], topic: %s}
store:
  url: %s
  s3: {endpoint: %q, region: %s, path_style: true, credentials: files, access_key_file: access-key, secret_key_file: secret-key}
archive: {flush_every: %s}
http: {listen: %q}
`, c.subdir("central"), c.kafka.Addr, topic, c.lake, c.proxy.URL, c.s3.Region, c.flush, c.http))
}

// agent makes an agent of a site; endpoints is the YAML below `endpoints:`, extra goes to the end of the file.
func (c *chain) agent(name, site, endpoints, extra string) *part {
	return c.part(name, "agent", fmt.Sprintf(`
site: %s
data_dir: %s
kafka: {brokers: [%q], topic: %s}
endpoints:
%s
%s
`, site, c.subdir(name), c.kafka.Addr, topic, endpoints, extra))
}

func (c *chain) subdir(name string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// table is the URL of a table for the judges that come through S3.
func (c *chain) table(name string) string { return c.lake + "/" + name }

// local is a table's directory below the S3 server, for judges that read directories (versitygw only).
func (c *chain) local(name string) string { return filepath.Join(c.s3.Dir, "bess", name) }

// judges sets the environment by which the Python judges reach the bucket, without the fault proxy.
func (c *chain) judges(t *testing.T) *testenv.Python {
	t.Setenv("AWS_ENDPOINT_URL", c.s3.Endpoint)
	t.Setenv("AWS_ACCESS_KEY_ID", c.s3.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", c.s3.SecretKey)
	t.Setenv("AWS_REGION", c.s3.Region)
	t.Setenv("AWS_ALLOW_HTTP", "true")
	t.Setenv("AWS_CONDITIONAL_PUT", "etag")
	return testenv.LakePython(t)
}

// metric sums a metric of central over its labels.
func metric(addr, name string) (float64, error) {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	sum, found := 0.0, false
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		line := s.Text()
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s", name)
	}
	return sum, nil
}

// caughtUp waits until central has read every message there is. Central learns the log's end with each fetch, and a fetch
// at the end takes half a second: only a lag that stays away for longer says that nothing is left.
func (c *chain) caughtUp(central *part) {
	c.t.Helper()
	const stays = 2 * time.Second
	var since time.Time
	testenv.Await(c.t, 2*time.Minute, func() error {
		if !central.Running() {
			return fmt.Errorf("central has ended: %s", central.LogTail(20))
		}
		lag, err := metric(c.http, "bessd_process_lag_messages")
		if err == nil && lag != 0 {
			err = fmt.Errorf("%v messages behind", lag)
		}
		if err != nil {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < stays {
			return fmt.Errorf("caught up for less than %v", stays)
		}
		return nil
	})
}

// epochRows is one device and epoch as exactly_once.py counts it.
type epochRows struct {
	Site      string
	Device    string
	Epoch     int64
	Rows      int64
	Distinct  int64
	First     int64
	Last      int64
	FirstTS   int64 `json:"first_ts"`
	LastTS    int64 `json:"last_ts"`
	Qualities map[string]int64
	Named     int64 // the highest seq that a heartbeat of the agent names
	Stopped   bool  // the agent said that it stopped in order
}

type counted struct {
	Rows, Distinct int64
	Epochs         []epochRows
}

// exactlyOnce has delta-rs count table telemetry and fails the test for a scan that is there twice or missing within
// its epoch, up to the last one that the agent had taken. It returns the counts; rows go to file as CSV when it is not
// empty.
//
// A heartbeat comes behind the scans that it names on every way to Kafka: where one is in the tables, they must be, however
// the agent ended. After an orderly stop the last heartbeat names all there are.
func (c *chain) exactlyOnce(t *testing.T, py *testenv.Python, file string) counted {
	t.Helper()
	args := []string{c.table("telemetry"), "--events", c.table("agent_events")}
	if file != "" {
		args = append(args, "--rows", file)
	}
	var n counted
	py.JSON(t, &n, "exactly_once.py", args...)
	if n.Rows == 0 {
		t.Fatal("table telemetry is empty")
	}
	named := 0
	for _, e := range n.Epochs {
		if e.Rows != e.Distinct {
			t.Errorf("%s %s epoch %d: %d rows of %d scans", e.Site, e.Device, e.Epoch, e.Rows, e.Distinct)
		}
		if e.Distinct != e.Last-e.First+1 || e.First != 1 {
			t.Errorf("%s %s epoch %d: %d scans between seq %d and %d", e.Site, e.Device, e.Epoch, e.Distinct, e.First, e.Last)
		}
		if e.Last < e.Named || e.Stopped && e.Last != e.Named {
			t.Errorf("%s %s epoch %d (stopped in order: %v): the last scan is %d, the agent's last heartbeat names %d", e.Site, e.Device, e.Epoch, e.Stopped, e.Last, e.Named)
		}
		if e.Named > 0 {
			named++
		}
	}
	if named == 0 {
		t.Error("no heartbeat names a scan")
	}
	return n
}
