package process

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"bessd/bess"
)

// mark names one message so that it can be recognised: its offset and a hash.
type mark struct {
	offset int64
	sum    string
}

// markOf hashes timestamp, key and value: a topic that was created anew has another message at the offset.
func markOf(m *Message) mark {
	h := sha256.New()
	var n [8]byte
	for _, v := range []uint64{uint64(m.TimeUS), uint64(len(m.Key)), uint64(len(m.Value))} {
		binary.BigEndian.PutUint64(n[:], v)
		h.Write(n[:])
	}
	h.Write(m.Key)
	h.Write(m.Value)
	return mark{m.Offset, hex.EncodeToString(h.Sum(nil)[:16])}
}

// batch is what a reader hands over: messages, or the news that the topic is another one now.
type batch struct {
	partition  int
	generation int64
	from       int64 // offset asked for
	fetched    Fetched

	reset bool              // a new generation begins at offset from; no messages
	gap   *bess.OffsetRange // offsets of the old generation that were never read
}

// reader reads one partition and watches its generation: whenever it cannot be sure that the log is still the one that
// it read before (at the start, and after any error), it reads its last message again and compares.
type reader struct {
	src       Source
	log       *slog.Logger
	partition int

	pos     bess.Position
	last    *mark // the last message before pos; nil when none was ever seen in this generation
	checked bool
	short   time.Time // since when the log ends before where it should reach; zero = it does not
}

// endPatience is how long a log may end before what was read from it: after a change of its leader the end lags behind
// for a moment, and that is no other topic.
const endPatience = 10 * time.Second

// reaches tells whether a log that ends at `end` reaches to offset. A log that does not is given time: until that is over
// the answer is an error.
func (r *reader) reaches(offset, end int64) (bool, error) {
	now := time.Now()
	switch {
	case offset <= end:
		r.short = time.Time{}
		return true, nil
	case r.short.IsZero():
		r.short = now
	case now.Sub(r.short) >= endPatience:
		r.short = time.Time{}
		return false, nil
	}
	return false, fmt.Errorf("partition %d ends at offset %d, before the next offset %d", r.partition, end, offset)
}

// fetch gives the next batch. After an error the same call may be repeated.
func (r *reader) fetch(ctx context.Context) (batch, error) {
	if !r.checked {
		b, err := r.check(ctx)
		if err != nil || b.reset {
			return b, err
		}
	}
	b := batch{partition: r.partition, generation: r.pos.Generation, from: r.pos.Offset}
	var err error
	b.fetched, err = r.src.Fetch(ctx, r.partition, r.pos.Offset)
	if err == nil && b.fetched.HighWatermark < r.pos.Offset {
		err = fmt.Errorf("partition %d ends at offset %d, before the next offset %d", r.partition, b.fetched.HighWatermark, r.pos.Offset)
	}
	if err != nil {
		r.checked = false
		return batch{}, err
	}
	if n := len(b.fetched.Messages); n > 0 {
		m := markOf(&b.fetched.Messages[n-1])
		r.last = &m
	}
	r.pos.Offset = max(r.pos.Offset, b.fetched.Next)
	return b, nil
}

// check compares the log with what was read from it, and begins a new generation at the log's start when it is another
// one or cannot be recognised. Reading everything again is harmless: scans are deduplicated by name.
func (r *reader) check(ctx context.Context) (batch, error) {
	start, end, err := r.src.Bounds(ctx, r.partition)
	if err != nil {
		return batch{}, err
	}
	reaches, err := r.reaches(r.pos.Offset, end)
	if err != nil {
		return batch{}, err
	}
	why := ""
	switch {
	case !reaches:
		why = fmt.Sprintf("the log ends at offset %d", end)
	case r.pos.Offset == start:
		// Whatever log it is, nothing in it comes before the next message: an idle partition's messages have expired.
	case r.last == nil && r.pos.Offset < start, r.last != nil && r.last.offset < start:
		why = fmt.Sprintf("the log starts at offset %d", start)
	case r.last != nil:
		f, err := r.src.Fetch(ctx, r.partition, r.last.offset)
		if err != nil {
			return batch{}, fmt.Errorf("re-reading partition %d at offset %d: %w", r.partition, r.last.offset, err)
		}
		switch {
		case len(f.Messages) == 0 || f.Messages[0].Offset != r.last.offset:
			why = "the message is not there"
		case markOf(&f.Messages[0]) != *r.last:
			why = "the message is another one"
		}
	}
	r.checked = true
	if why == "" {
		return batch{}, nil
	}
	return r.renew(start, why), nil
}

// renew begins the next generation at the log's start.
func (r *reader) renew(start int64, why string) batch {
	old := r.pos
	b := batch{partition: r.partition, generation: old.Generation + 1, from: start, reset: true}
	if start > old.Offset {
		b.gap = &bess.OffsetRange{Partition: r.partition, Generation: old.Generation, From: old.Offset, To: start}
		r.log.Error("messages were lost from the log before they were read", "partition", r.partition, "generation", old.Generation, "from", old.Offset, "to", start)
	}
	r.log.Warn("the topic is not the one that was read before, reading it again from its start", "partition", r.partition,
		"generation", b.generation, "start", start, "next_before", old.Offset, "why", why)
	r.pos, r.last, r.checked = bess.Position{Generation: b.generation, Offset: start}, nil, true
	return b
}
