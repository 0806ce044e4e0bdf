// Package sinks holds the DoFns that write to Redis, and the batcher that they
// share. Pipelines use them through package redisio, which validates options.
package sinks

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/finalize"
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
	// KeepIDs adds messages with the ID that they have.
	KeepIDs  bool
	Replicas ReplicaOptions
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
	// Trace says what is traced; zero: nothing.
	Trace TraceOptions
	// TopicOf, func(message.Message) topic.Topic, gives a message's topic; nil:
	// Topic is that of all.
	TopicOf *beam.EncodedFunc
}

// Result is what became of a write.
type Result struct {
	failed, written beam.PCollection
	// collect are the marks of the DoFns that have dead letters emitted, and
	// collectWritten that of the one that has what was written emitted; nil: none.
	collect        []*bool
	collectWritten *bool
}

// Failed returns the dead letters, a PCollection of message.DeadLetter in the
// global window with the timestamps of the elements. An element that cannot be
// written fails its bundle unless Failed is called before the pipeline runs,
// or an error stream is named: what nobody looks at must not vanish.
func (r Result) Failed() beam.PCollection {
	// The graph keeps the DoFn's pointer and encodes it when the pipeline runs.
	for _, mark := range r.collect {
		*mark = true
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
//
// Documents have no entries: Written panics for what writes them.
func (r Result) Written() beam.PCollection {
	if r.collectWritten == nil {
		panic("Result.Written: documents have no entries; it is for Write and WriteValues")
	}
	*r.collectWritten = true
	return r.written
}

// With returns r with more dead letters, those of another DoFn, whose mark is
// collect.
func (r Result) With(s beam.Scope, failed beam.PCollection, collect *bool) Result {
	r.failed = beam.Flatten(s, globally(s, failed), r.failed)
	r.collect = append(r.collect, collect)
	return r
}

// WriteStream adds the messages of col, a PCollection of message.Message, to
// the streams of a topic, each to the partition that its key says.
//
// Messages of one key are added in the order in which they come to one
// instance of the sink. After an error that left the outcome of a batch
// unknown the batch is written again, so that entries may be there twice.
func WriteStream(s beam.Scope, cfg WriteConfig, col beam.PCollection) Result {
	finalize.Enable() // bundles learn of their end
	s = s.Scope("redisio.Write")
	fn := &WriteFn{WriteConfig: cfg}
	res := Result{collect: []*bool{&fn.CollectFailed}, collectWritten: &fn.CollectWritten}
	col = globally(s, col)
	var unserialized beam.PCollection
	if cfg.Serializer != nil {
		var serializer *SerializeFn
		col, unserialized, serializer = serialize(s, cfg, col)
		res.collect = append(res.collect, &serializer.CollectFailed)
	}
	res.failed, res.written = beam.ParDo2(s, fn, col)
	if cfg.Serializer != nil {
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
