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
}

// Result is what became of a write.
type Result struct {
	failed beam.PCollection
	// collect are the marks of the DoFns that have dead letters emitted.
	collect []*bool
}

func resultOf(failed beam.PCollection, collect ...*bool) Result {
	return Result{failed: failed, collect: collect}
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

// With returns r with more dead letters, those of another DoFn, whose mark is
// collect.
func (r Result) With(s beam.Scope, failed beam.PCollection, collect *bool) Result {
	return resultOf(beam.Flatten(s, globally(s, failed), r.failed), append(r.collect, collect)...)
}

// WriteStream adds the messages of col, a PCollection of message.Message, to
// the streams of a topic, each to the partition that its key says.
//
// Messages of one key are added in the order in which they come to one
// instance of the sink. After an error that left the outcome of a batch
// unknown the batch is written again, so that entries may be there twice.
func WriteStream(s beam.Scope, cfg WriteConfig, col beam.PCollection) Result {
	s = s.Scope("redisio.Write")
	fn := newWriteFn(cfg)
	return resultOf(beam.ParDo(s, fn, globally(s, col)), &fn.CollectFailed)
}

func newWriteFn(cfg WriteConfig) *WriteFn {
	return &WriteFn{
		Conn:        cfg.Conn,
		Topic:       cfg.Topic,
		KeyField:    cfg.KeyField,
		ErrorStream: cfg.ErrorStream,
		Batch:       cfg.Batch,
	}
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
