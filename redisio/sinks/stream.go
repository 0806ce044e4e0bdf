package sinks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

func init() {
	register.DoFn4x1[context.Context, beam.EventTime, message.Message, func(beam.EventTime, message.DeadLetter), error](&WriteFn{})
	register.Emitter2[beam.EventTime, message.DeadLetter]()
}

// DefaultKeyField is the field of an entry that holds the message's key.
const DefaultKeyField = "_key"

// WriteFn is the DoFn that adds messages to the streams of a topic. Its output
// are the dead letters. Use [WriteStream] to place it into a pipeline.
type WriteFn struct {
	Conn  conn.Config
	Topic topic.Topic
	// KeyField is the field that holds the message's key, the first of the
	// entry; empty: the key is not written.
	KeyField string
	// ErrorStream is the stream key that dead letters are added to; empty: none.
	ErrorStream string
	Batch       BatchOptions
	// CollectFailed has dead letters emitted. Without it and without an
	// ErrorStream, an element that cannot be written fails the bundle.
	CollectFailed bool

	streams  []string
	adder    *rdb.Adder
	adds     []rdb.Add
	batcher  *batcher[entry]
	delivery *delivery[entry]
	failed   failures
	reported tally
}

// entry is a message on its way.
type entry struct {
	msg    message.Message
	ts     beam.EventTime
	stream string
	// isDeadLetter: the entry goes to the error stream.
	isDeadLetter bool
}

// Setup prepares the writer. It does not connect.
func (w *WriteFn) Setup() error {
	client, err := rdb.Open(w.Conn)
	if err != nil {
		return err
	}
	w.streams = make([]string, w.Topic.Len())
	for i := range w.streams {
		w.streams[i] = w.Topic.Key(i)
	}
	w.adder = rdb.NewAdder(client)
	w.delivery = &delivery[entry]{
		try:         w.write,
		bury:        w.bury,
		destination: func(e entry) string { return e.stream },
		explain:     func(err error) error { return rdb.Explain(err, w.Conn.Addr) },
		deadline:    w.Batch.WithDefaults().Deadline,
		now:         time.Now,
		sleep:       sleepContext,
	}
	w.batcher = newBatcher(w.Batch, w.delivery.run)
	return nil
}

// StartBundle begins a bundle.
func (w *WriteFn) StartBundle(ctx context.Context, _ func(beam.EventTime, message.DeadLetter)) {
	w.batcher.Start(ctx)
	w.failed.take()
}

// ProcessElement queues m, and emits the dead letters that are known by now.
// It returns the error of an earlier batch as soon as there is one.
func (w *WriteFn) ProcessElement(_ context.Context, ts beam.EventTime, m message.Message, emit func(beam.EventTime, message.DeadLetter)) error {
	if w.failed.some.Load() {
		w.failed.emit(emit)
	}
	e := entry{msg: m, ts: ts, stream: w.streams[w.Topic.PartitionOf(&m)]}
	if fault := w.faultOf(&e.msg); fault != nil {
		instead, ok, err := w.bury(e, fault, 0)
		if err != nil || !ok {
			return err
		}
		e = instead
	}
	return w.batcher.Add(e, e.msg.Size())
}

// FinishBundle returns when every element of the bundle is written or a dead
// letter; its error says what was lost.
func (w *WriteFn) FinishBundle(ctx context.Context, emit func(beam.EventTime, message.DeadLetter)) error {
	err := w.batcher.Finish(ctx)
	w.report(ctx)
	if err != nil {
		return err
	}
	w.failed.emit(emit)
	return nil
}

// Teardown ends whatever a failed bundle left running. The client stays: it is
// shared by the process.
func (w *WriteFn) Teardown() {
	if w.batcher != nil {
		w.batcher.Stop()
	}
}

// write adds one batch.
func (w *WriteFn) write(ctx context.Context, entries []entry) []error {
	w.adds = w.adds[:0]
	for i := range entries {
		w.adds = append(w.adds, w.add(&entries[i]))
	}
	errs := w.adder.Write(ctx, w.adds)
	clear(w.adds) // lets go of the elements' memory
	return errs
}

func (w *WriteFn) add(e *entry) rdb.Add {
	add := rdb.Add{Stream: e.stream, Fields: e.msg.Fields}
	if e.msg.HasKey() && !e.isDeadLetter {
		add.KeyField, add.Key = w.KeyField, e.msg.Key
	}
	return add
}

// maxValue is the most bytes that Redis takes as one argument by default
// (proto-max-bulk-len). It answers a larger one by closing the connection, and
// so would fail everything else that is on it.
const maxValue = 512 << 20

var errNothingToWrite = errors.New("the message has neither fields nor a key to write: an entry has at least one field")

// faultOf returns why m can never be written, as far as that can be told
// without the server.
func (w *WriteFn) faultOf(m *message.Message) error {
	if len(m.Fields) == 0 && (w.KeyField == "" || !m.HasKey()) {
		return errNothingToWrite
	}
	return tooLarge(m, maxValue)
}

func tooLarge(m *message.Message, limit int) error {
	if len(m.Key) > limit {
		return fmt.Errorf("the key has %d bytes, Redis takes %d", len(m.Key), limit)
	}
	for i := range m.Fields {
		f := &m.Fields[i]
		if n := max(len(f.Name), len(f.Value)); n > limit {
			return fmt.Errorf("field %d has %d bytes, Redis takes %d", i, n, limit)
		}
	}
	return nil
}

// bury makes a dead letter of e: emitted, written to the error stream, or
// both. With neither, the element fails the bundle.
func (w *WriteFn) bury(e entry, reason error, attempts int) (instead entry, ok bool, err error) {
	switch {
	case e.isDeadLetter:
		return entry{}, false, fmt.Errorf("error stream %q cannot take dead letters: %w", e.stream, reason)
	case !w.CollectFailed && w.ErrorStream == "":
		return entry{}, false, fmt.Errorf("message with %s cannot be written to %q: %w"+
			" (to keep such messages aside, name an error stream or consume Failed)", describeKey(&e.msg), e.stream, reason)
	}
	letter := message.DeadLetter{
		Message:     e.msg,
		Destination: e.stream,
		Reason:      oneLine(reason.Error()),
		Attempts:    int64(attempts),
	}
	w.failed.add(e.ts, letter, w.CollectFailed)
	if w.ErrorStream == "" {
		return entry{}, false, nil
	}
	return entry{
		msg:          message.Message{Fields: letter.ErrorEntry()},
		ts:           e.ts,
		stream:       w.ErrorStream,
		isDeadLetter: true,
	}, true, nil
}

// failures holds dead letters between the goroutine that writes and the
// bundle's, the only one that may emit.
type failures struct {
	count atomic.Int64
	some  atomic.Bool // there are letters

	mu      sync.Mutex
	letters []timedLetter
}

type timedLetter struct {
	ts     beam.EventTime
	letter message.DeadLetter
}

func (f *failures) add(ts beam.EventTime, letter message.DeadLetter, keep bool) {
	f.count.Add(1)
	if !keep {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.letters = append(f.letters, timedLetter{ts, letter})
	f.some.Store(true)
}

func (f *failures) take() []timedLetter {
	f.mu.Lock()
	defer f.mu.Unlock()
	letters := f.letters
	f.letters = nil
	f.some.Store(false)
	return letters
}

func (f *failures) emit(emit func(beam.EventTime, message.DeadLetter)) {
	for _, l := range f.take() {
		emit(l.ts, l.letter)
	}
}
