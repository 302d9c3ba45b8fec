package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/segmentio/kafka-go"
)

// Kind says what a caller may do about an error.
type Kind uint8

// The kinds of error.
const (
	// Transient: the same call may succeed later.
	Transient Kind = iota + 1
	// Permanent: it will not succeed until somebody changes the configuration or the cluster.
	Permanent
	// TooLarge: the broker refuses this one message for its size.
	TooLarge
)

// String is the kind in words.
func (k Kind) String() string {
	switch k {
	case Transient:
		return "transient"
	case Permanent:
		return "permanent"
	case TooLarge:
		return "too large"
	}
	return "unknown"
}

// Error is a failed request to Kafka.
type Error struct {
	Op     string // what we were doing, as in "producing to bess.telemetry/3"
	Kind   Kind
	Remedy string // what a person can do; empty when waiting is all
	Err    error
}

// Error is the message with its remedy.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %v", e.Op, e.Err)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err, Transient when it is not an *Error.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Transient
}

// ErrBeforeStart and ErrBeyondEnd tell apart the two ways in which an offset
// can lie outside a partition's log.
var (
	ErrBeforeStart = errors.New("offset lies before the start of the log")
	ErrBeyondEnd   = errors.New("offset lies beyond the end of the log")
)

// OffsetError is an offset outside a partition's log: retention removed what
// was there, or the topic was created anew. It wraps ErrBeforeStart or
// ErrBeyondEnd.
type OffsetError struct {
	Topic      string
	Partition  int
	Offset     int64
	Start, End int64 // the log holds [Start, End) at the time of asking
}

// Error says where the log is.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("reading %s/%d at offset %d: %v, which holds [%d, %d)", e.Topic, e.Partition, e.Offset, e.Unwrap(), e.Start, e.End)
}

// Unwrap returns ErrBeforeStart or ErrBeyondEnd.
func (e *OffsetError) Unwrap() error {
	if e.Offset < e.Start {
		return ErrBeforeStart
	}
	return ErrBeyondEnd
}

// ErrNoMessage is returned by FetchAt for an offset inside the log that holds
// no message (compaction or a transaction marker).
var ErrNoMessage = errors.New("no message at this offset")

// wrap classifies err. It returns nil for nil and leaves an *Error,
// an *OffsetError and the end of a context the caller ended alone.
func wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[*OffsetError](err); ok {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	kind, remedy := classify(err)
	return &Error{Op: op, Kind: kind, Remedy: remedy, Err: err}
}

func classify(err error) (Kind, string) {
	if code, ok := errors.AsType[kafka.Error](err); ok {
		return classifyCode(code)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Permanent, "check tls: ca_file and the names in the broker's certificate"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return Permanent, "check tls: ca_file must hold the authority of the broker's certificate"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return Permanent, "the broker's port does not speak TLS: check the port or remove tls"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return Transient, "check the broker's host name and this machine's DNS"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return Transient, "check that the broker runs and that its address and port are right"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Transient, "the broker closed the connection: if this lasts, check whether its port wants tls or sasl"
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return Transient, "the broker did not answer in time: check the network, and whether its port needs tls or sasl"
	}
	return Transient, ""
}

func classifyCode(code kafka.Error) (Kind, string) {
	switch code {
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		return TooLarge, "raise the topic's max.message.bytes"
	case kafka.UnknownTopicOrPartition, kafka.UnknownTopicID:
		return Transient, "create the topic (a central does that with create_topic in its configuration), or allow this user to see it"
	case kafka.TopicAuthorizationFailed:
		return Permanent, "allow this user to describe, read or write the topic"
	case kafka.ClusterAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.BrokerAuthorizationFailed:
		return Permanent, "allow this user the operation on the cluster"
	case kafka.SASLAuthenticationFailed:
		return Permanent, "check the sasl username and password"
	case kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState:
		return Permanent, "check the sasl mechanism and that this port wants it"
	case kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend:
		return Transient, "too few replicas of the partition are in sync: see to the cluster"
	}
	switch code {
	case kafka.InvalidTopic, kafka.InvalidRequiredAcks, kafka.UnsupportedVersion, kafka.InvalidPartitionNumber,
		kafka.InvalidReplicationFactor, kafka.InvalidConfiguration, kafka.InvalidRequest, kafka.PolicyViolation,
		kafka.InvalidRecord, kafka.InvalidTimestamp, kafka.UnsupportedForMessageFormat, kafka.UnsupportedCompressionType:
		return Permanent, ""
	}
	return Transient, ""
}

// blamesRecords reports whether a broker's answer is about the content of a
// batch, so that sending the rest without the culprit can succeed.
func blamesRecords(err error) bool {
	code, ok := errors.AsType[kafka.Error](err)
	if !ok {
		return false
	}
	switch code {
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge, kafka.InvalidRecord, kafka.InvalidTimestamp:
		return true
	}
	return false
}
