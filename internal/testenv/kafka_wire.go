package testenv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The few requests of the Kafka protocol that a test needs before any client library comes in, in their last versions
// without tagged fields: big-endian integers, strings with a 16-bit length, arrays with a 32-bit count
// (Apache Kafka, "Kafka protocol guide").
const (
	apiMetadata     = 3
	apiCreateTopics = 19
	apiDeleteTopics = 20

	adminTimeoutMS = 10_000
)

// errShortReply says that a reply ended before its fields did.
var errShortReply = errors.New("kafka's reply is shorter than its fields")

// kafkaRequest is an encoded request without its length.
type kafkaRequest []byte

func newKafkaRequest(api, version uint16) kafkaRequest {
	q := kafkaRequest{}.int16(api).int16(version).int32(1) // correlation id
	return q.string("bessd-test")
}

func (q kafkaRequest) int16(v uint16) kafkaRequest { return binary.BigEndian.AppendUint16(q, v) }
func (q kafkaRequest) int32(v uint32) kafkaRequest { return binary.BigEndian.AppendUint32(q, v) }
func (q kafkaRequest) string(s string) kafkaRequest {
	return append(q.int16(uint16(len(s))), s...)
}

func metadataRequest(topics []string) kafkaRequest {
	q := newKafkaRequest(apiMetadata, 1).int32(uint32(len(topics)))
	for _, t := range topics {
		q = q.string(t)
	}
	return q
}

func createTopics(topic string, partitions int, config map[string]string) kafkaRequest {
	q := newKafkaRequest(apiCreateTopics, 2).int32(1).string(topic)
	q = q.int32(uint32(partitions)).int16(1) // one replica
	q = q.int32(0)                           // no assignments by hand
	q = q.int32(uint32(len(config)))
	for name, value := range config {
		q = q.string(name).string(value)
	}
	return append(q.int32(adminTimeoutMS), 0) // not only validate
}

func deleteTopics(topic string) kafkaRequest {
	return newKafkaRequest(apiDeleteTopics, 1).int32(1).string(topic).int32(adminTimeoutMS)
}

// roundTrip sends the request and gives the reply's fields to read.
func (q kafkaRequest) roundTrip(c io.ReadWriter, read func(*kafkaReader) error) error {
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(q))), q...)); err != nil {
		return fmt.Errorf("sending to kafka: %w", err)
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return fmt.Errorf("reading kafka's reply: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 4 || n > 1<<20 {
		return fmt.Errorf("kafka's reply claims %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		return fmt.Errorf("reading kafka's reply: %w", err)
	}
	r := &kafkaReader{rest: body[4:]} // behind the correlation id
	if err := read(r); err != nil {
		return err
	}
	return r.err
}

// kafkaReader takes fields off a reply; the first one that does not fit sets err, later ones give zero.
type kafkaReader struct {
	rest []byte
	err  error
}

func (r *kafkaReader) take(n int) []byte {
	if r.err != nil || n > len(r.rest) {
		r.err = errShortReply
		return make([]byte, max(n, 0))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *kafkaReader) int16() int { return int(int16(binary.BigEndian.Uint16(r.take(2)))) }
func (r *kafkaReader) int32() int { return int(int32(binary.BigEndian.Uint32(r.take(4)))) }

// string reads a string; null reads as empty.
func (r *kafkaReader) string() string { return string(r.take(max(r.int16(), 0))) }

// each calls item for each element of an array.
func (r *kafkaReader) each(item func()) {
	for n := r.int32(); n > 0 && r.err == nil; n-- {
		item()
	}
}

// kafkaMetadata is what the tests want to know of a metadata reply.
type kafkaMetadata struct {
	brokers int // in the cluster and not fenced
	leaders int // partitions of the topics asked for that have one
}

func readMetadata(r *kafkaReader) kafkaMetadata {
	var m kafkaMetadata
	r.each(func() { // brokers: id, host, port, rack
		m.brokers++
		r.int32()
		_ = r.string()
		r.int32()
		_ = r.string()
	})
	r.int32()       // controller
	r.each(func() { // topics: error, name, internal, partitions
		r.int16()
		_ = r.string()
		r.take(1)
		r.each(func() { // error, index, leader, replicas, in-sync replicas
			r.int16()
			r.int32()
			if r.int32() >= 0 {
				m.leaders++
			}
			r.each(func() { r.int32() })
			r.each(func() { r.int32() })
		})
	})
	return m
}

// topicResult reads the reply to CreateTopics: throttle time, then name, error and message of each topic.
func topicResult(r *kafkaReader) (err error) {
	r.int32()
	r.each(func() {
		name, code, message := r.string(), r.int16(), r.string()
		if code != 0 {
			err = fmt.Errorf("kafka refused topic %s: error %d: %s", name, code, message)
		}
	})
	return err
}

// topicDeleted reads the reply to DeleteTopics: throttle time, then name and error of each topic.
func topicDeleted(r *kafkaReader) (err error) {
	r.int32()
	r.each(func() {
		name, code := r.string(), r.int16()
		if code != 0 {
			err = fmt.Errorf("kafka refused to delete topic %s: error %d", name, code)
		}
	})
	return err
}
