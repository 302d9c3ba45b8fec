package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// API is the key of a Kafka request (https://kafka.apache.org/protocol#protocol_api_keys).
type API int16

// The requests that tests meddle with; AnyAPI stands for all of them.
const (
	AnyAPI      API = -1
	Produce     API = 0
	Fetch       API = 1
	ListOffsets API = 2
	Metadata    API = 3
)

// Action is what the broker does with an intercepted request. The zero Action
// lets it pass.
type Action struct {
	// Delay holds the request back. Requests on one connection are answered in
	// order, so those behind it wait too.
	Delay time.Duration
	// Drop closes the connection without handling the request.
	Drop bool
}

// Intercept calls fn for every request of the given kind before the broker
// handles it, until the returned function is called. fn must not block.
func (b *Broker) Intercept(api API, fn func() Action) (remove func()) {
	ctx, cancel := context.WithCancel(context.Background())
	b.cluster.ControlKey(int16(api), func(kmsg.Request) (kmsg.Response, error, bool) {
		if ctx.Err() != nil {
			b.cluster.DropControl()
			return nil, nil, false
		}
		b.cluster.KeepControl()
		a := fn()
		if a.Delay > 0 {
			b.cluster.SleepControl(func() {
				t := time.NewTimer(a.Delay)
				defer t.Stop()
				select {
				case <-t.C:
				case <-ctx.Done():
				}
			})
		}
		if a.Drop {
			return nil, fmt.Errorf("connection dropped on request"), true
		}
		return nil, nil, false
	})
	return cancel
}

// Failure answers matching requests with a Kafka error code.
type Failure struct {
	API   API
	Topic string // "" is every topic
	// Code is the Kafka error code. RequestTimedOut (7) on a Produce is special
	// as in a real cluster: the records are appended all the same, so it stands
	// for a lost acknowledgement. Other codes leave the request undone.
	Code  int16
	Count int // how many requests; 0 is one, negative is until removed
}

// RequestTimedOut is the code of a Failure that appends and yet reports failure.
const RequestTimedOut int16 = 7

// Fail installs f until the returned function is called or its count is used up.
func (b *Broker) Fail(f Failure) (remove func()) {
	fault := kfake.Fault{Topic: f.Topic, Err: kerr.TypedErrorForCode(f.Code), Count: f.Count}
	if f.API != AnyAPI {
		fault.Keys = []kmsg.Key{kmsg.Key(f.API)}
	}
	return b.cluster.Fault(fault).Remove
}
