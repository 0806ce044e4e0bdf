// Package redisio reads and writes Redis from Apache Beam pipelines: topics,
// each a number of Redis streams, are read through consumer groups and written
// by the hash of a key.
//
// # Topics
//
// A [Topic] is a name and a number of partitions: "orders" with 4 partitions is
// the streams orders:0 to orders:3. Streams that exist already make up a topic
// by their keys. A [Message] goes to the partition that Java's hash of its key
// says, so that Go and Java writers of a topic agree.
//
// # Reading
//
// [Read] makes an unbounded PCollection of messages. What the runner has
// committed decides what is read next, and entries are acknowledged when the
// bundle that emitted them is final; see [AckStrategy] for the choices.
//
// # Writing
//
// [Write] adds messages to the streams of a topic. Nothing is dropped: an
// element that cannot be written becomes a dead letter, or fails the bundle.
//
// # Errors
//
// Read and Write panic on a mistaken configuration, like package beam; TryRead
// and TryWrite return the error instead, which lists all mistakes.
package redisio

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/sdf"
	"example.com/beamredis/redisio/sinks"
	"example.com/beamredis/redisio/topic"
)

// The vocabulary, so that a pipeline imports one package.
type (
	// Topic names the streams that belong together.
	Topic = topic.Topic
	// Partition is one stream of a topic.
	Partition = topic.Partition
	// Message is a stream entry as the pipeline sees it.
	Message = message.Message
	// Field is one name and value of a message.
	Field = message.Field
	// EntryID is the ID of an entry in a stream.
	EntryID = message.EntryID
	// DeadLetter is an element that could not be read or written.
	DeadLetter = message.DeadLetter
	// Conn says how to reach Redis.
	Conn = conn.Config
	// Result is what became of a write.
	Result = sinks.Result
)

// ParseURL reads a connection from a URL such as redis://user@host:6379/0; see
// [conn.ParseURL] for all forms. Passwords are referred to, not written down:
// redis://user@host?password_env=REDIS_PASSWORD.
func ParseURL(url string, opts ...conn.Option) (Conn, error) { return conn.ParseURL(url, opts...) }

// JoinTopics returns one topic of the streams of several, so that one [Read] or
// [ReadRange] reads them at once: all of their partitions belong to one consumer
// group name then. A message tells by its Stream where it comes from. The error
// says what is wrong with the topics, or that two of them share a stream.
func JoinTopics(topics ...Topic) (Topic, error) { return topic.Join(topics...) }

// ParseEntryID reads "ms-seq", or "ms" alone.
func ParseEntryID(s string) (EntryID, error) { return message.ParseEntryID(s) }

// Check connects to Redis and finds out what would fail later: whether the
// server answers, lets us in and is recent enough, and whether the keys of the
// topics are streams where they exist. Call it before a pipeline is submitted,
// if the submitting machine can reach Redis. The error is one line for each
// thing that is wrong.
func Check(ctx context.Context, c Conn, topics ...Topic) error {
	client, err := rdb.Open(c)
	if err != nil {
		return err
	}
	var streams []string
	for _, t := range topics {
		if err := t.Validate(); err != nil {
			return err
		}
		for _, p := range t.Parts() {
			streams = append(streams, p.Stream)
		}
	}
	_, err = client.Preflight(ctx, streams...)
	return err
}

// CheckJSON finds out whether the server knows JSON.SET, for programs that write
// by [WriteJSON]: its error says what the server needs. A user that may not ask
// learns it from the first document.
func CheckJSON(ctx context.Context, c Conn) error {
	client, err := rdb.Open(c)
	if err != nil {
		return err
	}
	return client.RequireJSON(ctx)
}

// Drain waits until the acknowledgements that are due in this process have
// been carried out, or ctx ends, and exports the telemetry, for a second at
// most. Call it after the pipeline has run, where the worker runs in the
// submitting process (Prism, LOOPBACK).
func Drain(ctx context.Context) error {
	err := finalize.Drain(ctx)
	telemetry.FlushAll(ctx)
	return err
}

// StopReads ends every Read that runs in this process, for good, as if it had
// come to its stop bound: what was emitted is acknowledged, what was only
// fetched is given back to the group, and the pipeline then ends by itself.
// For programs whose worker runs in the submitting process (Prism, LOOPBACK)
// and that are told to stop.
func StopReads() { sdf.Stop() }

// must panics like package beam does.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// inOption puts the option's name before what is wrong with it.
func inOption(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

func positive[T int | int64 | time.Duration](name string, v T) error {
	if v <= 0 {
		return fmt.Errorf("%s: %v is not positive", name, v)
	}
	return nil
}

var errEmpty = errors.New("is empty")

func notEmpty(name, v string) error {
	if v == "" {
		return fmt.Errorf("%s: %w", name, errEmpty)
	}
	return nil
}

// ErrorStream is the option of both directions that names the stream key to
// which dead letters are added.
type errorStream string

// WithErrorStream has dead letters added to the stream of this key, in the
// layout of [DeadLetter.ErrorEntry], before their bundle ends. Default: none.
func WithErrorStream(key string) interface {
	ReadOption
	RangeOption
	WriteOption
} {
	return errorStream(key)
}

// checkErrorStream refuses to mix dead letters with the data of t.
func checkErrorStream(key string, t Topic, how string) error {
	for _, p := range t.Parts() {
		if key == p.Stream {
			return fmt.Errorf("WithErrorStream: %q is a partition of the topic that is %s", key, how)
		}
	}
	return nil
}

type keyField string

// WithKeyField names the field of an entry that carries the message's key.
// Write puts it before the others, Read takes it out of them. Default: "_key".
// Empty: keys are neither written nor read.
func WithKeyField(name string) interface {
	ReadOption
	RangeOption
	WriteOption
} {
	return keyField(name)
}

func validScope(s beam.Scope) error {
	if !s.IsValid() {
		return errors.New("s: not a valid scope; take it from beam.Pipeline.Root")
	}
	return nil
}

// scope gives the transform a scope of its own.
func scope(s beam.Scope, name string) beam.Scope { return s.Scope("redisio." + name) }
