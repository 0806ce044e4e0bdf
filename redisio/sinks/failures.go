package sinks

import (
	"sync"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/message"
)

// outbox holds what is to be emitted between the goroutines that write and the
// bundle's, the only one that may emit.
type outbox[T any] struct {
	some atomic.Bool

	mu    sync.Mutex
	items []timed[T]
}

type timed[T any] struct {
	ts    beam.EventTime
	value T
}

func (o *outbox[T]) put(ts beam.EventTime, value T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.items = append(o.items, timed[T]{ts, value})
	o.some.Store(true)
}

func (o *outbox[T]) take() []timed[T] {
	o.mu.Lock()
	defer o.mu.Unlock()
	items := o.items
	o.items = nil
	o.some.Store(false)
	return items
}

func (o *outbox[T]) emit(emit func(beam.EventTime, T)) {
	for _, i := range o.take() {
		emit(i.ts, i.value)
	}
}

// failures are the dead letters.
type failures struct {
	outbox[message.DeadLetter]
	count atomic.Int64
}

func (f *failures) add(ts beam.EventTime, letter message.DeadLetter, keep bool) {
	f.count.Add(1)
	if keep {
		f.put(ts, letter)
	}
}

// writtenMessages are what was written, as a reader of the destination sees it.
type writtenMessages struct{ outbox[message.Message] }

func (w *writtenMessages) collect(entries []entry, errs []error, ids []message.EntryID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		if errs[i] != nil || e.isDeadLetter {
			continue
		}
		m := message.Message{Stream: e.stream, ID: ids[i], Key: e.msg.Key, EmptyKey: e.msg.EmptyKey, Fields: e.msg.Fields}
		w.items = append(w.items, timed[message.Message]{e.ts, m})
	}
	w.some.Store(true)
}
