package sinks

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/internal/tracing"
	"example.com/beamredis/redisio/message"
)

func init() {
	register.DoFn5x1[context.Context, beam.EventTime, message.Message,
		func(beam.EventTime, message.DeadLetter), func(beam.EventTime, message.Message), error](&WriteFn{})
	register.Emitter2[beam.EventTime, message.DeadLetter]()
	register.Emitter2[beam.EventTime, message.Message]()
}

// DefaultKeyField is the field of an entry that holds the message's key.
const DefaultKeyField = "_key"

// WriteFn is the DoFn that adds messages to the streams of a topic. Its outputs
// are the dead letters and what was written. Use [WriteStream] to place it into
// a pipeline.
type WriteFn struct {
	WriteConfig
	// CollectFailed has dead letters emitted. Without it and without an
	// ErrorStream, an element that cannot be written fails the bundle.
	CollectFailed bool
	// CollectWritten has what was written emitted.
	CollectWritten bool

	route    router
	onceKey  reflectx.Func1x1 // user's idempotence key
	lanes    []*lane
	bundle   *bundle
	seq      sequencer
	failed   burial
	written  writtenMessages
	reported tally
	where    telemetry.Where
	spans    *tracing.Sink // nil: no write is traced
}

// entry is a message on its way.
type entry struct {
	msg    message.Message
	ts     beam.EventTime
	stream string
	place  place // of an output that is written once
	// isDeadLetter: the entry goes to the error stream.
	isDeadLetter bool
	span         *tracing.Span // nil: there is none, or it has ended
}

// Setup prepares the writer. It does not connect.
func (w *WriteFn) Setup() error {
	client, err := rdb.Open(w.Conn)
	if err != nil {
		return err
	}
	if w.route, err = newRouter(&w.WriteConfig); err != nil {
		return err
	}
	w.failed = burial{collect: w.CollectFailed, errorStream: w.ErrorStream}
	w.where, w.spans = telemetry.ByCommand(tracing.Add), w.Trace.Open(w.Conn, tracing.Add, rdb.ErrorCode)
	telemetry.Begin(context.Background(), w.where, telemetry.WriteRare...)
	w.lanes = nil
	for range max(1, w.Concurrency) {
		w.lanes = append(w.lanes, newLane(w, client))
	}
	return nil
}

// StartBundle begins a bundle. Its error says that the pipeline is not what
// writing once needs.
func (w *WriteFn) StartBundle(ctx context.Context, _ func(beam.EventTime, message.DeadLetter), _ func(beam.EventTime, message.Message)) error {
	w.bundle = beginBundle(ctx)
	for _, l := range w.lanes {
		l.start(w.bundle)
	}
	w.failed.take()
	w.written.take()
	if w.Once == nil {
		return nil
	}
	w.seq.reset()
	return w.checkOnce(ctx)
}

// ProcessElement queues m, and emits what is known by now of those before. It
// returns the error of an earlier batch as soon as there is one.
func (w *WriteFn) ProcessElement(_ context.Context, ts beam.EventTime, m message.Message,
	emitFailed func(beam.EventTime, message.DeadLetter), emitWritten func(beam.EventTime, message.Message)) error {
	if w.failed.some.Load() {
		w.failed.emit(emitFailed)
	}
	if w.written.some.Load() {
		w.written.emit(emitWritten)
	}
	e, ok, err := w.entry(ts, m)
	if err != nil || !ok {
		return err
	}
	return laneOf(w.lanes, e.stream).batcher.Add(e, e.msg.Size())
}

// entry makes the entry of m, or that of its dead letter.
func (w *WriteFn) entry(ts beam.EventTime, m message.Message) (e entry, ok bool, err error) {
	e = entry{msg: m, ts: ts}
	if w.Once != nil {
		// Before anything can be wrong with m: the outputs of an entry have the
		// same numbers in every run.
		if e.place, err = w.placeOf(&e.msg); err != nil {
			return e, false, err
		}
	}
	fault := w.faultOf(&e.msg)
	if e.stream, err = w.route.streamOf(&e.msg); err != nil {
		fault = err
	}
	if w.spans != nil {
		e.span = w.spans.Begin(&e.msg)
	}
	if fault != nil {
		return laneOf(w.lanes, e.stream).bury(e, fault, 0)
	}
	return e, true, nil
}

// FinishBundle returns when every element of the bundle is written or a dead
// letter; its error says what was lost.
func (w *WriteFn) FinishBundle(ctx context.Context, emitFailed func(beam.EventTime, message.DeadLetter), emitWritten func(beam.EventTime, message.Message)) error {
	err := finishAll(w.lanes, func(l *lane) error { return l.batcher.Finish(ctx) })
	w.bundle.close()
	w.report(ctx)
	w.Trace.FlushSoon()
	if err != nil {
		return err
	}
	w.failed.emit(emitFailed)
	w.written.emit(emitWritten)
	return nil
}

// Teardown ends whatever a failed bundle left running, and exports what was
// measured. The client stays: it is shared by the process.
func (w *WriteFn) Teardown() {
	for _, l := range w.lanes {
		l.batcher.Stop()
	}
	w.Trace.Flush(context.Background())
}

func (w *WriteFn) add(e *entry) rdb.Add {
	add := rdb.Add{Stream: e.stream, Fields: e.msg.Fields, Untrimmed: e.isDeadLetter}
	if e.msg.HasKey() && !e.isDeadLetter {
		add.KeyField, add.Key = w.KeyField, e.msg.Key
	}
	if w.KeepIDs && !e.isDeadLetter {
		add.ID = e.msg.ID
	}
	return add
}

var errNothingToWrite = errors.New("the message has neither fields nor a key to write: an entry has at least one field")

var errNoID = errors.New("the message has no entry ID that could be kept (WithEntryIDs)")

// faultOf returns why m can never be written, as far as that can be told
// without the server.
func (w *WriteFn) faultOf(m *message.Message) error {
	if len(m.Fields) == 0 && (w.KeyField == "" || !m.HasKey()) {
		return errNothingToWrite
	}
	if w.KeepIDs && m.ID.IsZero() {
		return errNoID
	}
	if w.Once != nil && 2*len(m.Fields)+2 > rdb.MostOnceArgs {
		return fmt.Errorf("the message has %d fields, idempotent writing takes %d", len(m.Fields), rdb.MostOnceArgs/2-1)
	}
	return nil
}

// bury makes a dead letter of e; see [burial.bury].
func (w *WriteFn) bury(e entry, reason error, attempts int) (instead entry, ok bool, err error) {
	if e.isDeadLetter {
		return entry{}, false, fmt.Errorf("error stream %q cannot take dead letters: %w", e.stream, reason)
	}
	fields, err := w.failed.bury(e.ts, message.DeadLetter{Message: e.msg, Destination: e.stream, Attempts: int64(attempts)}, reason)
	if err != nil || fields == nil {
		return entry{}, false, err
	}
	return entry{
		msg:          message.Message{Fields: fields},
		ts:           e.ts,
		stream:       w.ErrorStream,
		isDeadLetter: true,
	}, true, nil
}
