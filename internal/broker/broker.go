package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Topic is a topic that New creates when it does not exist yet.
type Topic struct {
	Name       string
	Partitions int               // at least 1
	Config     map[string]string // Kafka topic settings, such as retention.ms
}

// Config describes a Broker.
type Config struct {
	// Addr is "host:port" to listen on; empty is 127.0.0.1:0. Port 0 chooses a
	// free one. The host is what clients are told to connect to.
	Addr string
	// Nodes is the number of broker nodes, for tests of leader changes; 0 is 1.
	// Nodes above the first always choose a free port.
	Nodes int
	// DataDir keeps logs and topics across restarts; empty keeps them in memory.
	DataDir string
	// SyncWrites fsyncs each batch before it is acknowledged. Without it a
	// killed process loses nothing, but a lost machine may.
	SyncWrites bool
	// Topics are created when missing; one that exists keeps its partitions.
	Topics []Topic
	// MaxMessageBytes bounds one record batch; 0 is Kafka's default of 1 MiB.
	MaxMessageBytes int
	// RetentionEvery is how often Run applies retention; 0 is one minute.
	RetentionEvery time.Duration
	// Log receives the broker's warnings; nil discards them.
	Log *slog.Logger
}

// Broker is a running broker. All methods are safe for concurrent use.
type Broker struct {
	cfg       Config
	cluster   *kfake.Cluster
	closeOnce sync.Once
}

// New starts a broker: when it returns, clients can connect to Addrs. End it
// with Close (or let Run do it).
func New(cfg Config) (*Broker, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Nodes == 0 {
		cfg.Nodes = 1
	}
	if cfg.RetentionEvery == 0 {
		cfg.RetentionEvery = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	host, portName, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("reading broker address %q: %w; write it as host:port", cfg.Addr, err)
	}
	port, err := net.LookupPort("tcp", portName)
	if err != nil {
		return nil, fmt.Errorf("reading broker address %q: %w", cfg.Addr, err)
	}
	for _, t := range cfg.Topics {
		if t.Name == "" || t.Partitions < 1 {
			return nil, fmt.Errorf("broker topic %q with %d partitions: a topic needs a name and at least one partition", t.Name, t.Partitions)
		}
	}
	ports := make([]int, cfg.Nodes)
	ports[0] = port
	opts := []kfake.Opt{
		kfake.Ports(ports...),
		kfake.ListenFn(listenOn(host)),
		kfake.WithLogger(logAdapter{cfg.Log}),
	}
	if cfg.DataDir != "" {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("creating broker data directory: %w", err)
		}
		opts = append(opts, kfake.DataDir(cfg.DataDir))
	}
	if cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	if cfg.MaxMessageBytes > 0 {
		opts = append(opts, kfake.BrokerConfigs(map[string]string{"message.max.bytes": fmt.Sprint(cfg.MaxMessageBytes)}))
	}
	cluster, err := kfake.NewCluster(opts...)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listening on %s: %w; another program has this port: stop it or choose another address", cfg.Addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("starting broker: %w", err)
	}
	b := &Broker{cfg: cfg, cluster: cluster}
	for _, t := range cfg.Topics {
		if cluster.TopicInfo(t.Name) != nil {
			continue
		}
		if err := b.CreateTopic(t); err != nil {
			b.Close()
			return nil, err
		}
	}
	return b, nil
}

// listenOn replaces the loopback host that kfake always asks for.
func listenOn(host string) func(network, address string) (net.Listener, error) {
	return func(network, address string) (net.Listener, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return net.Listen(network, net.JoinHostPort(host, port))
	}
}

// Addrs returns the addresses of all nodes, each as host:port.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Run applies retention now and then until ctx ends, and closes the broker. It returns nil.
func (b *Broker) Run(ctx context.Context) error {
	defer b.Close()
	tick := time.NewTicker(b.cfg.RetentionEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.cluster.ApplyRetention()
		}
	}
}

// Close stops the broker and writes its state. It is safe to call twice.
func (b *Broker) Close() { b.closeOnce.Do(b.cluster.Close) }

// CreateTopic creates t; an existing topic is an error.
func (b *Broker) CreateTopic(t Topic) error {
	if err := b.cluster.CreateTopic(t.Name, int32(t.Partitions), t.Config); err != nil {
		return fmt.Errorf("creating topic %s: %w", t.Name, err)
	}
	return nil
}

// DeleteTopic deletes a topic with everything in it. A topic made again under
// the same name starts at offset 0.
func (b *Broker) DeleteTopic(name string) error {
	if err := b.cluster.DeleteTopic(name); err != nil {
		return fmt.Errorf("deleting topic %s: %w", name, err)
	}
	return nil
}

// DeleteRecords moves a partition's log start up to offset, as retention would.
func (b *Broker) DeleteRecords(topic string, partition int, offset int64) error {
	if err := b.cluster.DeleteRecords(topic, int32(partition), offset); err != nil {
		return fmt.Errorf("deleting records of %s/%d: %w", topic, partition, err)
	}
	return nil
}

// ApplyRetention enforces retention.ms and retention.bytes of every topic now.
func (b *Broker) ApplyRetention() { b.cluster.ApplyRetention() }

// MoveLeader makes node (0 up to Nodes-1) the leader of a partition.
func (b *Broker) MoveLeader(topic string, partition, node int) error {
	if err := b.cluster.MoveTopicPartition(topic, int32(partition), int32(node)); err != nil {
		return fmt.Errorf("moving the leader of %s/%d: %w", topic, partition, err)
	}
	return nil
}

// Leader returns the node that leads a partition, -1 when there is none.
func (b *Broker) Leader(topic string, partition int) int {
	return int(b.cluster.LeaderFor(topic, int32(partition)))
}

// End returns the next offset of a partition, -1 when it does not exist.
func (b *Broker) End(topic string, partition int) int64 {
	info := b.cluster.PartitionInfo(topic, int32(partition))
	if info == nil {
		return -1
	}
	return info.HighWatermark
}

// logAdapter passes kfake's warnings on to slog.
type logAdapter struct{ log *slog.Logger }

func (a logAdapter) Logf(level kfake.LogLevel, format string, args ...any) {
	l := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		l = slog.LevelError
	case kfake.LogLevelWarn:
		l = slog.LevelWarn
	}
	if !a.log.Enabled(context.Background(), l) {
		return
	}
	a.log.Log(context.Background(), l, strings.TrimSpace(fmt.Sprintf(format, args...)), "component", "broker")
}
