package testenv

import (
	"bytes"
	"errors"
	"testing"
)

// metadataReply is a reply with one broker and one topic of two partitions, the second of them without a leader.
func metadataReply() []byte {
	q := kafkaRequest{}
	q = q.int32(1).int32(1).string("127.0.0.1").int32(9092).int16(0xffff) // rack null
	q = q.int32(1).int32(1).int16(0).string("t")
	q = append(q, 0)
	q = q.int32(2)
	for i, leader := range []int32{1, -1} {
		q = q.int16(0).int32(uint32(i)).int32(uint32(leader)).int32(1).int32(1).int32(0)
	}
	return q
}

func TestReadMetadata(t *testing.T) {
	r := &kafkaReader{rest: metadataReply()}
	if m := readMetadata(r); r.err != nil || m.brokers != 1 || m.leaders != 1 || len(r.rest) != 0 {
		t.Errorf("read %+v, %v, %d bytes left", m, r.err, len(r.rest))
	}
}

func FuzzReadMetadata(f *testing.F) {
	f.Add(metadataReply())
	f.Add([]byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &kafkaReader{rest: b}
		readMetadata(r)
		if r.err != nil && !errors.Is(r.err, errShortReply) {
			t.Errorf("unexpected %v", r.err)
		}
	})
}

// wire answers a request with fixed bytes.
type wire struct {
	bytes.Buffer
	sent bytes.Buffer
}

func (w *wire) Write(b []byte) (int, error) { return w.sent.Write(b) }

func TestRoundTripRejectsBadReplies(t *testing.T) {
	for name, reply := range map[string][]byte{
		"nothing":  {},
		"cut":      {0, 0, 0, 9, 0, 0},
		"huge":     {0x7f, 0xff, 0xff, 0xff},
		"no id":    {0, 0, 0, 2, 0, 0},
		"no field": {0, 0, 0, 4, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{}
			w.Buffer.Write(reply)
			if err := deleteTopics("t").roundTrip(w, topicDeleted); err == nil {
				t.Error("it was taken for a reply")
			}
		})
	}
}
