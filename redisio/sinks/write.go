// Package sinks holds the DoFns that write to Redis, and the batcher that they
// share. Pipelines use them through package redisio, which validates options.
package sinks

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/topic"
)

// WriteConfig says where and how [WriteStream] writes. It is taken as it is.
type WriteConfig struct {
	Conn  conn.Config
	Topic topic.Topic
	// KeyField is the field that holds a message's key, usually
	// [DefaultKeyField]; empty: the key is not written.
	KeyField string
	// ErrorStream is the stream key that dead letters are added to; empty: none.
	ErrorStream string
	Batch       BatchOptions
	Trim        TrimOptions
	Replicas    ReplicaOptions
	// Concurrency is how many batches, of different streams, may be on their way
	// at once; 0 means 1.
	Concurrency int
	// Once has every output written once; nil: at least once.
	Once *OnceOptions
	// OnceKey, func(message.Message) string, identifies an output; nil: it is
	// known by the entry that it was made of.
	OnceKey *beam.EncodedFunc
	// Serializer, func(T) (message.Message, error), makes messages of elements;
	// nil: they are messages.
	Serializer *beam.EncodedFunc
	// TopicOf, func(message.Message) topic.Topic, gives a message's topic; nil:
	// Topic is that of all.
	TopicOf *beam.EncodedFunc
}

// Result is what became of a write.
type Result struct {
	failed, written beam.PCollection
	fn              *WriteFn
	serializer      *SerializeFn // nil: elements are messages
}

// Failed returns the dead letters, a PCollection of message.DeadLetter in the
// global window with the timestamps of the elements. An element that cannot be
// written fails its bundle unless Failed is called before the pipeline runs,
// or an error stream is named: what nobody looks at must not vanish.
func (r Result) Failed() beam.PCollection {
	// The graph keeps the pointer and encodes the DoFn when the pipeline runs.
	r.fn.CollectFailed = true
	if r.serializer != nil {
		r.serializer.CollectFailed = true
	}
	return r.failed
}

// Written returns what was written, a PCollection of message.Message as a
// reader of the destination sees it: Stream and ID are those of the new entry.
// It is in the global window with the timestamps of the elements. Nothing is
// collected unless Written is called before the pipeline runs.
//
// A sink that writes once also emits what it finds written by an earlier
// attempt. Its ID is not known any more, and 0-0.
func (r Result) Written() beam.PCollection {
	r.fn.CollectWritten = true
	return r.written
}

// WriteStream adds the messages of col, a PCollection of message.Message, to
// the streams of a topic, each to the partition that its key says.
//
// Messages of one key are added in the order in which they come to one
// instance of the sink. After an error that left the outcome of a batch
// unknown the batch is written again, so that entries may be there twice.
func WriteStream(s beam.Scope, cfg WriteConfig, col beam.PCollection) Result {
	s = s.Scope("redisio.Write")
	res := Result{fn: &WriteFn{WriteConfig: cfg}}
	col = globally(s, col)
	var unserialized beam.PCollection
	if cfg.Serializer != nil {
		col, unserialized, res.serializer = serialize(s, cfg, col)
	}
	res.failed, res.written = beam.ParDo2(s, res.fn, col)
	if res.serializer != nil {
		res.failed = beam.Flatten(s, res.failed, unserialized)
	}
	return res
}

// globally takes col into the global window. Beam's Go SDK puts everything
// that FinishBundle emits there, whatever the windows of the input: they could
// not even be encoded otherwise. Timestamps stay.
func globally(s beam.Scope, col beam.PCollection) beam.PCollection {
	if col.WindowingStrategy().Fn.Kind == window.GlobalWindows {
		return col
	}
	return beam.WindowInto(s, window.NewGlobalWindows(), col)
}
