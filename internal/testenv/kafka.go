package testenv

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// kafkaStart is how long a broker may take; three seconds are usual, a recovery on a busy machine takes longer.
	kafkaStart = 90 * time.Second
	// kafkaAttempts is how often StartKafka tries other ports when somebody took the ones it had found free.
	kafkaAttempts = 3
	// kafkaClusterID is any 16 bytes in base64url; data directories of one test never meet those of another.
	kafkaClusterID = "YmVzc2QtdGVzdC1rYWZrYQ"
)

// KafkaOptions are what a test may want different.
type KafkaOptions struct {
	// Properties are added to the broker's configuration and win over the defaults.
	Properties map[string]string
	// HeapMB is the broker's heap in MB; default 512.
	HeapMB int
}

// Kafka is one real Apache Kafka broker (KRaft, broker and controller in one process) with its data in the test's
// directory.
type Kafka struct {
	// Addr is the broker's own address, for bootstrap without faults.
	Addr string
	// Proxy stands before a second listener, which tells clients to come back through the proxy: bootstrap with
	// Proxy.Addr to have all traffic of a client under the proxy's faults.
	Proxy *TCPProxy

	jars    string
	dir     string
	config  string
	heapMB  int
	process *Process
}

// StartKafka starts a broker and waits until it serves metadata. Topics are not created by their first use: see
// CreateTopic.
func StartKafka(t testing.TB, o KafkaOptions) *Kafka {
	t.Helper()
	jars := Need(t, "BESSD_KAFKA_HOME", "Apache Kafka")
	if o.HeapMB == 0 {
		o.HeapMB = 512
	}
	var err error
	for range kafkaAttempts {
		inner := FreeAddr(t)
		k := &Kafka{Addr: FreeAddr(t), Proxy: NewTCPProxy(t, inner), jars: jars, dir: t.TempDir(), heapMB: o.HeapMB}
		k.config = filepath.Join(k.dir, "server.properties")
		if werr := os.WriteFile(k.config, k.properties(inner, FreeAddr(t), o.Properties), 0o600); werr != nil {
			t.Fatalf("writing Kafka's configuration: %v", werr)
		}
		k.format(t)
		if err = k.start(t); err == nil {
			return k
		}
		if !strings.Contains(k.process.Log(), "BindException") {
			break
		}
	}
	t.Fatalf("starting Kafka: %v", err)
	return nil
}

// properties is the broker's configuration: one node, small thread pools, internal topics without replicas.
func (k *Kafka) properties(inner, controller string, extra map[string]string) []byte {
	p := map[string]string{
		"process.roles":                                    "broker,controller",
		"node.id":                                          "1",
		"controller.quorum.voters":                         "1@" + controller,
		"controller.listener.names":                        "CONTROLLER",
		"inter.broker.listener.name":                       "DIRECT",
		"listeners":                                        "DIRECT://" + k.Addr + ",PROXIED://" + inner + ",CONTROLLER://" + controller,
		"advertised.listeners":                             "DIRECT://" + k.Addr + ",PROXIED://" + k.Proxy.Addr,
		"listener.security.protocol.map":                   "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                                         filepath.Join(k.dir, "data"),
		"auto.create.topics.enable":                        "false",
		"offsets.topic.replication.factor":                 "1",
		"offsets.topic.num.partitions":                     "1",
		"transaction.state.log.replication.factor":         "1",
		"transaction.state.log.min.isr":                    "1",
		"transaction.state.log.num.partitions":             "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr":            "1",
		// A broker that was killed may register again when its old session is over: nine seconds by default. Much shorter,
		// and a busy machine fences a living broker.
		"broker.session.timeout.ms":        "5000",
		"broker.heartbeat.interval.ms":     "1000",
		"group.initial.rebalance.delay.ms": "0",
		"num.network.threads":              "2",
		"num.io.threads":                   "2",
		"log.cleaner.dedupe.buffer.size":   "16777216",
	}
	maps.Copy(p, extra)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", key, p[key])
	}
	return []byte(b.String())
}

// java builds a command that runs one of Kafka's main classes.
func (k *Kafka) java(heapMB int, args ...string) *exec.Cmd {
	log4j := filepath.Join(k.dir, "log4j2.properties")
	all := []string{
		fmt.Sprintf("-Xmx%dm", heapMB), "-XX:+UseSerialGC", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + log4j, "-cp", filepath.Join(k.jars, "*"),
	}
	return exec.Command("java", append(all, args...)...)
}

// format writes the cluster's id into the empty data directory, which KRaft asks for.
func (k *Kafka) format(t testing.TB) {
	t.Helper()
	const log4j = "rootLogger.level = WARN\nrootLogger.appenderRef.a.ref = A\nappender.a.type = Console\nappender.a.name = A\n" +
		"appender.a.layout.type = PatternLayout\nappender.a.layout.pattern = %d %p %c: %m%n\n"
	if err := os.WriteFile(filepath.Join(k.dir, "log4j2.properties"), []byte(log4j), 0o600); err != nil {
		t.Fatalf("writing Kafka's log configuration: %v", err)
	}
	cmd := k.java(128, "kafka.tools.StorageTool", "format", "-t", kafkaClusterID, "-c", k.config)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("formatting Kafka's storage: %v\n%s", err, out)
	}
}

// start runs the broker and waits until it names itself in an answer to a metadata request.
func (k *Kafka) start(t testing.TB) error {
	k.process = StartProcess(t, "kafka", k.java(k.heapMB, "kafka.Kafka", k.config))
	var gone error
	err := poll(kafkaStart, func() error {
		if !k.process.Running() {
			gone = fmt.Errorf("the broker ended at once:\n%s", k.process.LogTail(10))
			return nil
		}
		m, err := k.metadata()
		if err == nil && m.brokers == 0 {
			err = fmt.Errorf("broker %s answers, but is not yet part of the cluster", k.Addr)
		}
		return err
	})
	if gone != nil {
		return gone
	}
	return err
}

// Stop ends the broker in order (SIGTERM).
func (k *Kafka) Stop(t testing.TB) {
	t.Helper()
	_ = k.process.Stop(t) // Java ends with 143 after SIGTERM
}

// Kill9 ends the broker with SIGKILL. Safe from any goroutine.
func (k *Kafka) Kill9() { k.process.Kill9() }

// Restart starts the broker again on the same data and the same addresses, after stopping it if it still runs.
func (k *Kafka) Restart(t testing.TB) {
	t.Helper()
	if k.process.Running() {
		k.Stop(t)
	}
	if err := k.start(t); err != nil {
		t.Fatalf("restarting Kafka: %v", err)
	}
}

// PID returns the broker's process id.
func (k *Kafka) PID() int { return k.process.PID() }

// CreateTopic creates a topic with its configuration (nil for the defaults) and waits until each partition has a
// leader.
func (k *Kafka) CreateTopic(t testing.TB, topic string, partitions int, config map[string]string) {
	t.Helper()
	if err := k.request(createTopics(topic, partitions, config), topicResult); err != nil {
		t.Fatalf("creating topic %s: %v", topic, err)
	}
	Await(t, 15*time.Second, func() error {
		m, err := k.metadata(topic)
		if err == nil && m.leaders != partitions {
			err = fmt.Errorf("topic %s has %d of %d leaders", topic, m.leaders, partitions)
		}
		return err
	})
}

// DeleteTopic deletes a topic and waits until the broker no longer knows it.
func (k *Kafka) DeleteTopic(t testing.TB, topic string) {
	t.Helper()
	if err := k.request(deleteTopics(topic), topicDeleted); err != nil {
		t.Fatalf("deleting topic %s: %v", topic, err)
	}
	Await(t, 15*time.Second, func() error {
		m, err := k.metadata(topic)
		if err == nil && m.leaders > 0 {
			err = fmt.Errorf("topic %s is still there", topic)
		}
		return err
	})
}

// metadata asks for the cluster and the topics named.
func (k *Kafka) metadata(topics ...string) (kafkaMetadata, error) {
	var m kafkaMetadata
	err := k.request(metadataRequest(topics), func(r *kafkaReader) error { m = readMetadata(r); return nil })
	return m, err
}

// request makes one round trip on a connection of its own.
func (k *Kafka) request(q kafkaRequest, read func(*kafkaReader) error) error {
	c, err := net.DialTimeout("tcp", k.Addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return q.roundTrip(c, read)
}
