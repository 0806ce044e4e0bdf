// Package sdf is the source: a splittable DoFn that treats every partition of
// a topic as one restriction, reads it through a consumer group, and
// acknowledges what the runner has made durable.
package sdf

import (
	"errors"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// AckStrategy says when an entry is acknowledged.
type AckStrategy string

const (
	// AckOnCheckpoint acknowledges when the runner has made the bundle durable.
	AckOnCheckpoint AckStrategy = "on-checkpoint"
	// AckOnEmit acknowledges right after the entry was emitted.
	AckOnEmit AckStrategy = "on-emit"
	// NoAck reads entries so that they are never pending.
	NoAck AckStrategy = "no-ack"
)

// Start says where a new consumer group begins. A group that exists continues
// where it stands.
type Start struct {
	// Latest: only entries that are added after the group is created.
	Latest bool `json:"latest,omitempty"`
	// After: entries after this ID; 0-0 is the beginning.
	After message.EntryID `json:"after"`
}

// String is the start as the programs' flag takes it.
func (s Start) String() string {
	switch {
	case s.Latest:
		return "latest"
	case s.After.IsZero():
		return "earliest"
	}
	return "after " + s.After.String()
}

// Config is all that the source needs to know; it travels in the job graph.
type Config struct {
	Conn conn.Config `json:"conn"`
	// Topic is what the partitions belong to. A restored job may hand in others,
	// which are refused; the zero Topic takes any partition.
	Topic    topic.Topic `json:"topic"`
	Group    string      `json:"group"`
	Consumer string      `json:"consumer"`
	Ack      AckStrategy `json:"ack"`
	Start    Start       `json:"start"`
	// StartGiven says that somebody asked for Start, and wants to know if it has
	// no effect.
	StartGiven bool   `json:"start_given,omitempty"`
	KeyField   string `json:"key_field"`
	// ClaimIdle is how long an entry of another consumer must have been idle
	// before it is taken over.
	ClaimIdle time.Duration `json:"claim_idle"`
	// DeliveryLimit is how often an entry is delivered before it becomes a dead
	// letter; 0: for ever.
	DeliveryLimit int64 `json:"delivery_limit,omitempty"`
	// ErrorStream is the stream key that dead letters are written to as well.
	ErrorStream string `json:"error_stream,omitempty"`
	// CollectFailed says that somebody consumes the dead letters.
	CollectFailed bool `json:"collect_failed,omitempty"`
	// Skew is held back from the watermark.
	Skew time.Duration `json:"skew,omitempty"`
	// FollowEventTimes has the watermark follow the event times, OutOfOrderness
	// behind the latest, and the server's clock where nothing came for IdleAdvance.
	FollowEventTimes bool          `json:"follow_event_times,omitempty"`
	OutOfOrderness   time.Duration `json:"out_of_orderness,omitempty"`
	IdleAdvance      time.Duration `json:"idle_advance,omitempty"`
	// EventTimeField names the field that holds an entry's event time.
	EventTimeField string `json:"event_time_field,omitempty"`
	// EventTimeFn is func(message.Message) (time.Time, error).
	EventTimeFn *beam.EncodedFunc `json:"event_time_fn,omitempty"`

	// StopAtLatest ends the read at the last entry that is there when the job
	// starts.
	StopAtLatest bool `json:"stop_at_latest,omitempty"`
	// StopAt is the last entry to read; nil: none.
	StopAt *message.EntryID `json:"stop_at,omitempty"`
	// MaxEntries bounds the entries of each partition; 0: no bound.
	MaxEntries int64 `json:"max_entries,omitempty"`
	// MaxTime bounds the time that is read, from the job's start; 0: no bound.
	MaxTime time.Duration `json:"max_time,omitempty"`

	// BundleEntries, BundleBytes and BundleTime bound one turn of a partition.
	BundleEntries int           `json:"bundle_entries"`
	BundleBytes   int           `json:"bundle_bytes"`
	BundleTime    time.Duration `json:"bundle_time"`
	// IdleTime bounds the waiting of a bundle, all partitions together.
	IdleTime time.Duration `json:"idle_time"`
	// RetryFor bounds how long Redis may be out of reach before the read fails.
	RetryFor time.Duration `json:"retry_for"`

	// Service is the service name of OpenTelemetry; empty: the read is not traced.
	Service string `json:"service,omitempty"`
}

// Defaults returns the configuration that everything starts from.
func Defaults() Config {
	return Config{
		Consumer:      "beam",
		Ack:           AckOnCheckpoint,
		Start:         Start{Latest: true},
		KeyField:      "_key",
		ClaimIdle:     time.Minute,
		BundleEntries: 10_000,
		BundleBytes:   8 << 20,
		BundleTime:    500 * time.Millisecond,
		IdleTime:      200 * time.Millisecond,
		RetryFor:      2 * time.Minute,
	}
}

// Bounded reports whether the read ends by itself.
func (c *Config) Bounded() bool {
	return c.StopAtLatest || c.StopAt != nil || c.MaxEntries > 0 || c.MaxTime > 0
}

// ErrOtherPartitions says that a partition which comes out of restored state is
// none of the topic that the pipeline reads. No restart mends it.
var ErrOtherPartitions = errors.New("the restored state is of other partitions than the pipeline reads")

// owns refuses a partition that the topic does not have, or that was one of
// another number: a runner that restores state does not make the elements anew,
// so that partitions which were added since would never be read.
func (c *Config) owns(part topic.Partition) error {
	n := c.Topic.Len()
	if n == 0 || part.Count == n && part.Index < n && part.Stream == c.Topic.Key(part.Index) {
		return nil
	}
	return fmt.Errorf("%w: it has %s as partition %d of %d, the pipeline's topic has %d partitions from %s on; "+
		"restore it with the topic that it was saved with, or start without it: the consumer group goes on where it stands",
		ErrOtherPartitions, part.Stream, part.Index, part.Count, n, c.Topic.Key(0))
}

// sdk exports what is measured; nil where the read has no service name.
func (c *Config) sdk() *telemetry.SDK {
	if c.Service == "" {
		return nil
	}
	return telemetry.Open(c.Service)
}
