package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
)

// ProducerConfig describes a Producer.
type ProducerConfig struct {
	Topic string
	// Key is the key of every message and decides the partition: the site.
	Key []byte
	// MaxBatchBytes bounds one request before compression; 0 is 900 kB, below
	// the broker's default limit of 1 MiB even when nothing compresses.
	MaxBatchBytes int
}

// Producer writes messages of one key to one topic: acknowledged by all in-sync
// replicas, zstd, in the order given. It is safe for concurrent use; order
// holds between calls that follow each other.
type Producer struct {
	c   *Client
	cfg ProducerConfig
}

// NewProducer returns a producer on c, which the caller closes afterwards.
func NewProducer(c *Client, cfg ProducerConfig) (*Producer, error) {
	if cfg.Topic == "" || len(cfg.Key) == 0 {
		return nil, errors.New("a producer needs a topic and a key")
	}
	if cfg.MaxBatchBytes == 0 {
		cfg.MaxBatchBytes = 900_000
	}
	return &Producer{c: c, cfg: cfg}, nil
}

// Rejected is a message that the broker will never take.
type Rejected struct {
	Index int // in the slice given to Produce
	Err   error
}

// Produced is how far Produce got.
type Produced struct {
	// Done counts messages from the front that are settled: acknowledged, or listed in Rejected.
	Done int
	// Rejected are in ascending order of Index.
	Rejected []Rejected
}

// Partitions is the topic's number of partitions, as of at most
// Config.MetadataEvery ago.
func (p *Producer) Partitions(ctx context.Context) (int, error) {
	info, err := p.c.Topic(ctx, p.cfg.Topic)
	return info.Partitions, err
}

// Produce sends values in order to the key's partition among partitions, which
// must not exceed what the topic has; a message that was sent once must keep
// its count when it is sent again. The record time is the time of sending.
//
// The answer counts what is settled, also beside an error. Messages after Done
// may or may not have been stored: send them again. Produce splits what exceeds
// MaxBatchBytes or the broker's limit, and does not retry. values are read
// until it returns and not kept.
func (p *Producer) Produce(ctx context.Context, partitions int, values [][]byte) (Produced, error) {
	var out Produced
	if partitions < 1 {
		return out, fmt.Errorf("producing to %s among %d partitions: the count must be at least 1", p.cfg.Topic, partitions)
	}
	partition := Partition(p.cfg.Key, partitions)
	for out.Done < len(values) {
		n := p.fit(values[out.Done:])
		if err := p.send(ctx, partition, values[out.Done:out.Done+n], out.Done, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// fit is how many leading values make one request, at least one.
func (p *Producer) fit(values [][]byte) int {
	bytes := 0
	for i, v := range values {
		bytes += len(v) + len(p.cfg.Key) + recordOverhead
		if bytes > p.cfg.MaxBatchBytes && i > 0 {
			return i
		}
	}
	return len(values)
}

// recordOverhead bounds what the format adds to one record's key and value.
const recordOverhead = 24

// send stores values in one request, and in halves when the broker blames the
// content, so that one bad message does not stop the others.
func (p *Producer) send(ctx context.Context, partition int, values [][]byte, base int, out *Produced) error {
	err := p.request(ctx, partition, values)
	switch {
	case err == nil:
		out.Done = base + len(values)
		return nil
	case !blamesRecords(err):
		return p.c.fail(ctx, p.op(partition), err)
	case len(values) == 1:
		out.Rejected = append(out.Rejected, Rejected{Index: base, Err: wrap(ctx, p.op(partition), err)})
		out.Done = base + 1
		return nil
	}
	half := len(values) / 2
	if err := p.send(ctx, partition, values[:half], base, out); err != nil {
		return err
	}
	return p.send(ctx, partition, values[half:], base+half, out)
}

func (p *Producer) request(ctx context.Context, partition int, values [][]byte) error {
	res, err := p.c.kafka.Produce(ctx, &kafka.ProduceRequest{
		Topic:        p.cfg.Topic,
		Partition:    partition,
		RequiredAcks: kafka.RequireAll,
		Compression:  kafka.Zstd,
		Records:      &records{key: p.cfg.Key, values: values, at: time.Now()},
	})
	if err != nil {
		return err
	}
	return res.Error
}

func (p *Producer) op(partition int) string {
	return fmt.Sprintf("producing to %s/%d", p.cfg.Topic, partition)
}

// records hands values to the encoder one by one.
type records struct {
	key    []byte
	values [][]byte
	at     time.Time
	next   int
	rec    kafka.Record
}

func (r *records) ReadRecord() (*kafka.Record, error) {
	if r.next == len(r.values) {
		return nil, io.EOF
	}
	r.rec = kafka.Record{Time: r.at, Key: kafka.NewBytes(r.key), Value: kafka.NewBytes(r.values[r.next])}
	r.next++
	return &r.rec, nil
}
