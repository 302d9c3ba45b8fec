package ingest

import (
	"context"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
)

// Client holds the connections to one cluster. It is safe for concurrent use
// and connects when it is first needed.
type Client struct {
	cfg       Config
	kafka     *kafka.Client
	transport *kafka.Transport
}

// NewClient checks cfg and reads its files. It does not connect. Close it when
// everything that uses it has ended.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	tlsConfig, err := cfg.TLS.config()
	if err != nil {
		return nil, err
	}
	mechanism, err := cfg.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	tr := &kafka.Transport{
		Dial:           (&net.Dialer{Timeout: cfg.RequestTimeout, KeepAlive: 15 * time.Second}).DialContext,
		DialTimeout:    cfg.RequestTimeout,
		IdleTimeout:    5 * time.Minute,
		MetadataTTL:    cfg.MetadataEvery,
		MetadataTopics: cfg.Topics,
		ClientID:       cfg.ClientID,
		TLS:            tlsConfig,
		SASL:           mechanism,
	}
	return &Client{
		cfg:       cfg,
		transport: tr,
		// The time limit of the client is also what it tells the broker to wait
		// for the replicas, halved; without it that would be 500 ms.
		kafka: &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: tr, Timeout: cfg.RequestTimeout},
	}, nil
}

// Close drops the connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// refresh makes the next request learn the cluster's layout anew. The library
// caches the layout and has no call for this; dropping its pools, with their
// connections, is the way. Requests under way finish.
func (c *Client) refresh() { c.transport.CloseIdleConnections() }

// fail classifies err, and forgets the layout where it may be what was wrong.
func (c *Client) fail(ctx context.Context, op string, err error) error {
	if err != nil && !blamesRecords(err) {
		c.refresh()
	}
	return wrap(ctx, op, err)
}
