package sinks

import (
	"context"

	"example.com/beamredis/redisio/internal/rdb"
)

// documentLane writes the documents of a part of the keys, one batch at a time.
// The lanes of a sink write at the same time; a key always has the same one, so
// that its documents keep their order.
type documentLane struct {
	fn       *DocumentFn
	writer   documentWriter
	batcher  *batcher[document]
	delivery *delivery[document]
}

func newDocumentLane(d *DocumentFn, client *rdb.Client) *documentLane {
	l := &documentLane{fn: d, writer: documentWriter{letters: rdb.NewAdder(client), errorStream: d.ErrorStream}}
	if d.Format == Hash {
		l.writer.documents = rdb.NewHashWriter(client, d.TTL, d.Replace)
	} else {
		l.writer.documents = rdb.NewJSONWriter(client, d.Path, d.TTL)
	}
	l.delivery = newDelivery[document](d.Conn, d.Batch, d.where)
	l.delivery.try, l.delivery.bury, l.delivery.destination = l.write, l.bury, d.destination
	l.batcher = newBatcher(d.Batch, l.delivery.run)
	l.delivery.lose, l.batcher.lose = l.lose, l.lose
	return l
}

// write writes one batch.
func (l *documentLane) write(ctx context.Context, items []document) []error {
	errs := l.writer.write(ctx, items)
	if l.fn.spans != nil {
		l.traceWritten(items, errs)
	}
	return errs
}

// documentWriter writes batches of documents, and the dead letters among them.
type documentWriter struct {
	documents   *rdb.DocumentWriter
	letters     *rdb.Adder
	errorStream string

	docs []rdb.Document
	adds []rdb.Add
}

// write writes one batch.
func (w *documentWriter) write(ctx context.Context, items []document) []error {
	w.docs, w.adds = w.docs[:0], w.adds[:0]
	for i := range items {
		if items[i].letter == nil {
			w.docs = append(w.docs, items[i].Document)
		} else {
			w.adds = append(w.adds, rdb.Add{Stream: w.errorStream, Fields: items[i].letter})
		}
	}
	errs := w.documents.Write(ctx, w.docs)
	if len(w.adds) > 0 {
		errs = mergeErrors(items, errs, w.letters.Write(ctx, w.adds))
	}
	clear(w.docs) // lets go of the elements' memory
	clear(w.adds)
	return errs
}

// mergeErrors puts the errors of documents and of letters into the order of
// items.
func mergeErrors(items []document, documents, letters []error) []error {
	errs := make([]error, len(items))
	for i := range items {
		from := &documents
		if items[i].letter != nil {
			from = &letters
		}
		errs[i], *from = (*from)[0], (*from)[1:]
	}
	return errs
}
