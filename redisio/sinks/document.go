package sinks

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/internal/tracing"
	"example.com/beamredis/redisio/message"
)

func init() {
	register.DoFn4x1[context.Context, beam.EventTime, beam.X, func(beam.EventTime, message.DeadLetter), error](&DocumentFn{})
	register.DoFn5x1[context.Context, beam.EventTime, string, beam.X, func(beam.EventTime, message.DeadLetter), error](&KeyedDocumentFn{})
}

// Format is what a document is written as.
type Format string

// The formats of [DocumentConfig].
const (
	JSON Format = "json" // a value at a path of a JSON document, by JSON.SET
	Hash Format = "hash" // fields of a hash, by HSET
)

// DefaultPath is the path of a whole JSON document.
const DefaultPath = "$"

// DocumentConfig says where and how [WriteDocuments] writes. It is taken as it
// is. T is the type of the elements.
type DocumentConfig struct {
	Conn   conn.Config
	Format Format
	// Key is a func(T) string; nil: the key is that of the pair or message.
	Key *beam.EncodedFunc
	// KeyPrefix goes before every key.
	KeyPrefix string
	// Serializer is, for JSON, a func(T) ([]byte, error); for hashes a func(T)
	// (map[string]string, error) or func(T) ([]message.Field, error); nil: the
	// default.
	Serializer *beam.EncodedFunc
	// Path is where in a JSON document the value goes.
	Path string
	// TTL is the time to live that is set with every write; 0: none.
	TTL time.Duration
	// Replace has a hash hold no other fields than those written.
	Replace bool
	// ErrorStream is the stream key that dead letters are added to; empty: none.
	ErrorStream string
	Batch       BatchOptions
	// Concurrency is how many batches, of different keys, may be on their way at
	// once; 0 means 1.
	Concurrency int
	// Trace says what is traced; zero: nothing.
	Trace TraceOptions
}

// WriteDocuments writes the elements of col, values or pairs of a string and a
// value, each as the document of its key.
//
// The documents of one key are written in the order in which they come to one
// instance of the sink. After an error that left the outcome of a batch
// unknown the batch is written again, which changes nothing.
func WriteDocuments(s beam.Scope, cfg DocumentConfig, col beam.PCollection) Result {
	finalize.Enable() // bundles learn of their end
	col = globally(s, col)
	if typex.IsKV(col.Type()) {
		fn := &KeyedDocumentFn{DocumentFn{DocumentConfig: cfg}}
		return Result{failed: beam.ParDo(s, fn, col), collect: []*bool{&fn.CollectFailed}}
	}
	fn := &DocumentFn{DocumentConfig: cfg}
	return Result{failed: beam.ParDo(s, fn, col), collect: []*bool{&fn.CollectFailed}}
}

// DocumentFn is the DoFn that writes values as documents. Its output are the
// dead letters.
type DocumentFn struct {
	DocumentConfig
	// CollectFailed has dead letters emitted. Without it and without an
	// ErrorStream, an element that cannot be written fails the bundle.
	CollectFailed bool

	keyOf    func(elem any) (string, error)
	encode   encoder
	lanes    []*documentLane
	bundle   *bundle
	doc      document // the one that is being made: it would not be on the stack
	burial   burial
	reported tally
	where    telemetry.Where
	spans    *tracing.Sink // nil: no write is traced
}

// KeyedDocumentFn is [DocumentFn] for pairs of a key and a value.
type KeyedDocumentFn struct{ DocumentFn }

// document is an element on its way.
type document struct {
	rdb.Document
	ts beam.EventTime
	// message is the element, if it is a message.Message, for its dead letter: as
	// the runner handed it over, since a copy would be one more on the heap.
	message any
	// letter is an entry for the error stream, in place of the document.
	letter []message.Field
	span   *tracing.Span // nil: there is none, or it has ended
}

// size is the number of payload bytes.
func (d *document) size() int {
	n := len(d.Key) + len(d.JSON)
	for _, fields := range [][]message.Field{d.Fields, d.letter} {
		for i := range fields {
			n += len(fields[i].Name) + len(fields[i].Value)
		}
	}
	return n
}

// Setup prepares the writer. It does not connect.
func (d *DocumentFn) Setup() error {
	client, err := rdb.Open(d.Conn)
	if err != nil {
		return err
	}
	d.keyOf, d.encode = d.keyFunc(), d.encoder()
	d.where, d.spans = telemetry.ByCommand(commands[d.Format]), d.Trace.Open(d.Conn, commands[d.Format], rdb.ErrorCode)
	d.burial = burial{collect: d.CollectFailed, errorStream: d.ErrorStream}
	telemetry.Begin(context.Background(), d.where, telemetry.WriteRare...)
	d.lanes = nil
	for range max(1, d.Concurrency) {
		d.lanes = append(d.lanes, newDocumentLane(d, client))
	}
	return nil
}

func (d *DocumentFn) encoder() encoder {
	switch {
	case d.Serializer == nil && d.Format == Hash:
		return hashEncoder()
	case d.Serializer == nil:
		return jsonEncoder()
	}
	fn := reflectx.ToFunc1x2(d.Serializer.Fn)
	if d.Format == Hash {
		return customHash(fn)
	}
	return customJSON(fn)
}

// keyFunc returns what tells the key of an element that is not a pair.
func (d *DocumentFn) keyFunc() func(any) (string, error) {
	if d.Key == nil {
		return messageKey
	}
	fn := reflectx.ToFunc1x1(d.Key.Fn)
	return func(elem any) (string, error) { return fn.Call1x1(elem).(string), nil }
}

// StartBundle begins a bundle.
func (d *DocumentFn) StartBundle(ctx context.Context, _ func(beam.EventTime, message.DeadLetter)) {
	d.bundle = beginBundle(ctx)
	for _, l := range d.lanes {
		l.batcher.Start(d.bundle)
	}
	d.burial.take()
}

// ProcessElement queues elem, and emits the dead letters that are known by now.
// It returns the error of an earlier batch as soon as there is one.
func (d *DocumentFn) ProcessElement(_ context.Context, ts beam.EventTime, elem beam.X, emit func(beam.EventTime, message.DeadLetter)) error {
	key, err := d.keyOf(elem)
	return d.process(ts, key, err, elem, emit)
}

// ProcessElement queues the value under the pair's key; see
// [DocumentFn.ProcessElement].
func (d *KeyedDocumentFn) ProcessElement(_ context.Context, ts beam.EventTime, key string, elem beam.X, emit func(beam.EventTime, message.DeadLetter)) error {
	return d.process(ts, key, nil, elem, emit)
}

func (d *DocumentFn) process(ts beam.EventTime, key string, fault error, elem any, emit func(beam.EventTime, message.DeadLetter)) error {
	if d.burial.some.Load() {
		d.burial.emit(emit)
	}
	doc := &d.doc
	*doc = document{Document: rdb.Document{Key: d.KeyPrefix + key}, ts: ts}
	if _, ok := elem.(message.Message); ok {
		doc.message = elem
	}
	if fault == nil {
		fault = d.fill(doc, key, elem)
	}
	if d.spans != nil {
		doc.span = d.spans.Begin(doc.asTraced())
	}
	lane := laneOf(d.lanes, doc.Key)
	if fault != nil {
		instead, ok, err := lane.bury(*doc, fault, 0)
		if err != nil || !ok {
			return err
		}
		*doc = instead
	}
	return lane.batcher.Add(*doc, doc.size())
}

// FinishBundle returns when every element of the bundle is written or a dead
// letter; its error says what was lost.
func (d *DocumentFn) FinishBundle(ctx context.Context, emit func(beam.EventTime, message.DeadLetter)) error {
	d.doc = document{} // lets go of the element's memory
	err := finishAll(d.lanes, func(l *documentLane) error { return l.batcher.Finish(ctx) })
	d.bundle.close()
	d.report(ctx)
	d.Trace.FlushSoon()
	if err != nil {
		return err
	}
	d.burial.emit(emit)
	return nil
}

// Teardown ends whatever a failed bundle left running, and exports what was
// measured. The client stays: it is shared by the process.
func (d *DocumentFn) Teardown() {
	for _, l := range d.lanes {
		l.batcher.Stop()
	}
	d.Trace.Flush(context.Background())
}
