package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// ConsumerConfig describes a Consumer.
type ConsumerConfig struct {
	Topic string
	// MaxBytes bounds one fetch as it is on the wire; 0 is 1 MiB. A batch larger
	// than this still comes whole. Compressed telemetry grows about tenfold in
	// memory.
	MaxBytes int
	// MinBytes makes the broker hold back until there is this much; 0 is 1.
	MinBytes int
	// MaxWait is how long a fetch at the log's end waits for messages; 0 is 500 ms.
	MaxWait time.Duration
}

// Consumer reads explicit partitions of one topic. It keeps no position: not
// fetching is pausing. It is safe for concurrent use.
type Consumer struct {
	c   *Client
	cfg ConsumerConfig
}

// NewConsumer returns a consumer on c, which the caller closes afterwards.
func NewConsumer(c *Client, cfg ConsumerConfig) (*Consumer, error) {
	if cfg.Topic == "" {
		return nil, errors.New("a consumer needs a topic")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 20
	}
	if cfg.MinBytes == 0 {
		cfg.MinBytes = 1
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = 500 * time.Millisecond
	}
	// The library tells the broker at most half of the request's time limit.
	cfg.MaxWait = min(cfg.MaxWait, c.cfg.RequestTimeout/2)
	return &Consumer{c: c, cfg: cfg}, nil
}

// Message is one record of a partition.
type Message struct {
	Partition int
	Offset    int64
	Time      time.Time // when the producer sent it, milliseconds, UTC
	Key       []byte
	Value     []byte
}

// Fetched is the answer to one Fetch. It belongs to the caller; keys and values
// of one answer share memory, so keeping one of them keeps all.
type Fetched struct {
	Messages []Message // ascending offsets from the one asked for; may be empty
	// Next is the offset to ask for next. It moves even where the log holds no
	// message for us, as over transaction markers.
	Next          int64
	HighWatermark int64 // end of what all replicas hold: Next == HighWatermark is caught up
	LogStart      int64 // first offset that retention has left
	Bytes         int   // keys and values, decompressed
}

// Partitions is the topic's number of partitions, as of at most
// Config.MetadataEvery ago.
func (c *Consumer) Partitions(ctx context.Context) (int, error) {
	info, err := c.c.Topic(ctx, c.cfg.Topic)
	return info.Partitions, err
}

// Fetch reads messages of a partition from offset on. At the end of the log it
// waits up to MaxWait and returns an empty answer; offset outside the log is an
// *OffsetError.
func (c *Consumer) Fetch(ctx context.Context, partition int, offset int64) (Fetched, error) {
	return c.fetch(ctx, partition, offset, c.cfg.MaxBytes)
}

func (c *Consumer) fetch(ctx context.Context, partition int, offset int64, maxBytes int) (Fetched, error) {
	if offset < 0 { // the library gives negative offsets a meaning of their own
		return Fetched{}, c.offsetError(ctx, partition, offset)
	}
	res, err := c.c.kafka.Fetch(ctx, &kafka.FetchRequest{
		Topic:     c.cfg.Topic,
		Partition: partition,
		Offset:    offset,
		MinBytes:  int64(c.cfg.MinBytes),
		MaxBytes:  int64(maxBytes),
		MaxWait:   c.cfg.MaxWait,
	})
	if err == nil {
		err = res.Error
	}
	if errors.Is(err, kafka.OffsetOutOfRange) {
		return Fetched{}, c.offsetError(ctx, partition, offset)
	}
	if err != nil {
		return Fetched{}, c.c.fail(ctx, c.op(partition, offset), err)
	}
	out := Fetched{Next: offset, HighWatermark: res.HighWatermark, LogStart: res.LogStartOffset}
	if err := collect(&out, res.Records, partition, offset); err != nil {
		return Fetched{}, c.c.fail(ctx, c.op(partition, offset), err)
	}
	return out, nil
}

// Offsets returns where a partition's log starts and ends: it holds [start, end).
func (c *Consumer) Offsets(ctx context.Context, partition int) (start, end int64, err error) {
	op := fmt.Sprintf("listing offsets of %s/%d", c.cfg.Topic, partition)
	res, err := c.c.kafka.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{c.cfg.Topic: {kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition)}},
	})
	if err != nil {
		return 0, 0, c.c.fail(ctx, op, err)
	}
	for _, p := range res.Topics[c.cfg.Topic] {
		if p.Partition != partition {
			continue
		}
		if p.Error != nil {
			return 0, 0, c.c.fail(ctx, op, p.Error)
		}
		if p.FirstOffset < 0 || p.LastOffset < p.FirstOffset {
			return 0, 0, c.c.fail(ctx, op, fmt.Errorf("the broker answered [%d, %d)", p.FirstOffset, p.LastOffset))
		}
		return p.FirstOffset, p.LastOffset, nil
	}
	return 0, 0, c.c.fail(ctx, op, kafka.UnknownTopicOrPartition)
}

// FetchAt reads the one message at offset. Outside the log it returns an
// *OffsetError, also at the log's very end, and ErrNoMessage where the log has
// a hole.
func (c *Consumer) FetchAt(ctx context.Context, partition int, offset int64) (Message, error) {
	start, end, err := c.Offsets(ctx, partition)
	if err != nil {
		return Message{}, err
	}
	if offset < start || offset >= end {
		return Message{}, &OffsetError{Topic: c.cfg.Topic, Partition: partition, Offset: offset, Start: start, End: end}
	}
	f, err := c.fetch(ctx, partition, offset, 1) // the broker sends the whole batch anyhow
	if err != nil {
		return Message{}, err
	}
	if len(f.Messages) == 0 && f.Next == offset {
		return Message{}, c.c.fail(ctx, c.op(partition, offset), errors.New("the broker sent nothing, though the log reaches further"))
	}
	if len(f.Messages) == 0 || f.Messages[0].Offset != offset {
		return Message{}, fmt.Errorf("%s: %w", c.op(partition, offset), ErrNoMessage)
	}
	m := f.Messages[0]
	m.Key, m.Value = append([]byte(nil), m.Key...), append([]byte(nil), m.Value...)
	return m, nil
}

// offsetError asks where the log is. A log that holds offset after all was
// just changing, which is a reason to try again.
func (c *Consumer) offsetError(ctx context.Context, partition int, offset int64) error {
	start, end, err := c.Offsets(ctx, partition)
	if err != nil {
		return err
	}
	if offset >= start && offset <= end {
		return c.c.fail(ctx, c.op(partition, offset), kafka.OffsetOutOfRange)
	}
	return &OffsetError{Topic: c.cfg.Topic, Partition: partition, Offset: offset, Start: start, End: end}
}

func (c *Consumer) op(partition int, offset int64) string {
	return fmt.Sprintf("fetching %s/%d at offset %d", c.cfg.Topic, partition, offset)
}

// collect copies the records from offset on out of the library's page buffers
// and moves out.Next behind everything that the broker sent.
func collect(out *Fetched, rr kafka.RecordReader, partition int, offset int64) error {
	stream, ok := rr.(*protocol.RecordStream)
	if !ok {
		return nil // an empty answer has another type
	}
	sent := false
	var slab []byte
	for _, batch := range stream.Records {
		_, control := batch.(*protocol.ControlBatch)
		for {
			rec, err := batch.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			sent = true
			if rec.Offset >= out.Next && !control {
				m := Message{Partition: partition, Offset: rec.Offset, Time: rec.Time.UTC()}
				if slab, m.Key, err = appendBytes(slab, rec.Key); err != nil {
					return err
				}
				if slab, m.Value, err = appendBytes(slab, rec.Value); err != nil {
					return err
				}
				out.Messages = append(out.Messages, m)
				out.Bytes += len(m.Key) + len(m.Value)
			}
			out.Next = max(out.Next, rec.Offset+1)
			if rec.Key != nil {
				rec.Key.Close()
			}
			if rec.Value != nil {
				rec.Value.Close()
			}
		}
	}
	if sent && out.Next == offset {
		// The broker sent the batch around offset, and compaction has taken offset out of it.
		out.Next = offset + 1
	}
	return nil
}

// Slabs start small, for the fetch of a single message, and double up to a size
// with which few allocations carry a large one.
const (
	firstSlab = 4 << 10
	lastSlab  = 256 << 10
)

// appendBytes reads b into the slab, starting a new one when it is full.
func appendBytes(slab []byte, b kafka.Bytes) ([]byte, []byte, error) {
	if b == nil {
		return slab, nil, nil
	}
	n := b.Len()
	if cap(slab)-len(slab) < n {
		slab = make([]byte, 0, max(n, min(max(2*cap(slab), firstSlab), lastSlab)))
	}
	start := len(slab)
	slab = slab[:start+n]
	out := slab[start : start+n : start+n]
	if _, err := io.ReadFull(b, out); err != nil {
		return slab, nil, err
	}
	return slab, out, nil
}
