package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"bessd/internal/backoff"
)

// TopicInfo is what the cluster says about a topic.
type TopicInfo struct {
	Name       string
	Partitions int // numbered from 0 without gaps
	// Leaderless counts partitions that have no leader at the moment.
	Leaderless int
}

// Topic describes a topic. Its answer may be as old as Config.MetadataEvery,
// but never older than the last error. A missing topic is an *Error with
// kafka's "unknown topic".
func (c *Client) Topic(ctx context.Context, name string) (TopicInfo, error) {
	op := "describing topic " + name
	meta, err := c.kafka.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{name}})
	if err != nil {
		return TopicInfo{}, c.fail(ctx, op, err)
	}
	if len(meta.Topics) != 1 {
		return TopicInfo{}, c.fail(ctx, op, fmt.Errorf("the answer names %d topics", len(meta.Topics)))
	}
	t := meta.Topics[0]
	if t.Error != nil {
		return TopicInfo{}, c.fail(ctx, op, t.Error)
	}
	info := TopicInfo{Name: name, Partitions: len(t.Partitions)}
	for _, p := range t.Partitions {
		if p.Error != nil || p.Leader.Host == "" {
			info.Leaderless++
		}
	}
	if info.Partitions == 0 {
		return TopicInfo{}, c.fail(ctx, op, kafka.UnknownTopicOrPartition)
	}
	return info, nil
}

// TopicSpec is how EnsureTopic creates a missing topic.
type TopicSpec struct {
	Name        string
	Partitions  int               // 0 leaves it to the broker
	Replication int               // 0 leaves it to the broker
	Config      map[string]string // topic settings such as retention.ms
}

// EnsureTopic returns the topic, created if it was missing. An existing topic
// is left as it is, whatever its partitions. It waits until every partition
// has a leader, as long as ctx allows.
func (c *Client) EnsureTopic(ctx context.Context, spec TopicSpec) (TopicInfo, error) {
	info, err := c.Topic(ctx, spec.Name)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		if err := c.createTopic(ctx, spec); err != nil {
			return TopicInfo{}, err
		}
		c.refresh()
		info, err = c.Topic(ctx, spec.Name)
	}
	b := backoff.New(backoff.Config{Min: 20 * time.Millisecond, Max: time.Second})
	for err == nil && info.Leaderless > 0 || errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, kafka.LeaderNotAvailable) {
		if waitErr := b.Wait(ctx); waitErr != nil {
			return info, fmt.Errorf("waiting for topic %s to have leaders: %w", spec.Name, errors.Join(waitErr, err))
		}
		c.refresh()
		info, err = c.Topic(ctx, spec.Name)
	}
	return info, err
}

func (c *Client) createTopic(ctx context.Context, spec TopicSpec) error {
	t := kafka.TopicConfig{Topic: spec.Name, NumPartitions: orUnset(spec.Partitions), ReplicationFactor: orUnset(spec.Replication)}
	for k, v := range spec.Config {
		t.ConfigEntries = append(t.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
	}
	op := "creating topic " + spec.Name
	res, err := c.kafka.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{t}})
	if err == nil {
		err = res.Errors[spec.Name]
	}
	switch {
	case errors.Is(err, kafka.TopicAlreadyExists):
		return nil
	case errors.Is(err, kafka.TopicAuthorizationFailed), errors.Is(err, kafka.ClusterAuthorizationFailed):
		return &Error{Op: op, Kind: Permanent, Err: err, Remedy: "create it by hand, or allow this user to create topics"}
	}
	return c.fail(ctx, op, err)
}

func orUnset(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
