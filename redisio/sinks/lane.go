package sinks

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// lane writes a part of the streams, one batch at a time. The lanes of a sink
// write at the same time; a stream always has the same one, so that its entries
// keep their order.
type lane struct {
	fn       *WriteFn
	adder    *rdb.Adder
	adds     []rdb.Add
	ids      []message.EntryID
	once     *onceWriter // nil: entries may be written again
	batcher  *batcher[entry]
	delivery *delivery[entry]
}

func newLane(fn *WriteFn, client *rdb.Client) *lane {
	l := &lane{fn: fn, adder: rdb.NewAdder(client)}
	l.adder.Trim = fn.Trim.args()
	l.adder.Replicas = rdb.Replicas(fn.Replicas)
	if fn.Once != nil {
		l.once = newOnceWriter(client, *fn.Once)
		l.once.add, l.once.trim, l.once.wantID = fn.add, l.adder.Trim, fn.CollectWritten || fn.spans.WantsID()
		l.once.adder.Replicas = l.adder.Replicas
	}
	l.delivery = newDelivery[entry](fn.Conn, fn.Batch, fn.where)
	l.delivery.try, l.delivery.bury, l.delivery.destination = l.write, l.bury, func(e entry) string { return e.stream }
	l.batcher = newBatcher(fn.Batch, l.delivery.run)
	l.delivery.lose, l.batcher.lose = l.lose, l.lose
	return l
}

func (l *lane) start(bundle *bundle) {
	l.batcher.Start(bundle)
	if l.once != nil {
		l.once.start()
	}
}

// write adds one batch.
func (l *lane) write(ctx context.Context, entries []entry) []error {
	errs := l.writeAll(ctx, entries)
	if l.fn.spans != nil {
		l.traceWritten(entries, errs)
	}
	if l.fn.CollectWritten {
		l.fn.written.collect(entries, errs, l.ids)
	}
	return errs
}

func (l *lane) writeAll(ctx context.Context, entries []entry) []error {
	if l.once == nil {
		return l.add(ctx, entries)
	}
	n := splitLetters(entries)
	errs := l.once.write(ctx, entries[:n])
	ids := l.once.ids
	if n < len(entries) {
		errs = append(errs, l.add(ctx, entries[n:])...)
		ids = append(ids, make([]message.EntryID, len(entries)-n)...)
	}
	l.ids = ids
	return errs
}

// splitLetters puts dead letters, which are written as they come, behind the
// rest, and returns the length of that. The order of either stays.
func splitLetters(entries []entry) int {
	var letters []entry
	n := 0
	for i := range entries {
		if entries[i].isDeadLetter {
			letters = append(letters, entries[i])
			continue
		}
		if n != i {
			entries[n] = entries[i]
		}
		n++
	}
	copy(entries[n:], letters)
	return n
}

// add adds entries in one transaction.
func (l *lane) add(ctx context.Context, entries []entry) []error {
	l.adds = l.adds[:0]
	for i := range entries {
		l.adds = append(l.adds, l.fn.add(&entries[i]))
	}
	errs := l.adder.Write(ctx, l.adds)
	clear(l.adds) // lets go of the elements' memory
	if l.fn.CollectWritten {
		l.ids = l.ids[:0]
		for i, err := range errs {
			id := message.EntryID{}
			switch {
			case err == nil && l.fn.KeepIDs && !entries[i].isDeadLetter:
				id = entries[i].msg.ID
			case err == nil:
				id, errs[i] = l.adder.ID(i)
			}
			l.ids = append(l.ids, id)
		}
	}
	return errs
}

// laneSeed spreads streams and keys over lanes. It need not be the same
// elsewhere.
var laneSeed = maphash.MakeSeed()

// laneOf returns the lane of what has to keep its order.
func laneOf[L any](lanes []L, ordered string) L {
	if len(lanes) == 1 {
		return lanes[0]
	}
	return lanes[maphash.String(laneSeed, ordered)%uint64(len(lanes))]
}

// finishAll ends the lanes' bundle: together, for each has its own round trips.
// Those that gave up because of another one add nothing to its error.
func finishAll[L any](lanes []L, finish func(L) error) error {
	errs := make([]error, len(lanes))
	var all sync.WaitGroup
	for i, l := range lanes {
		all.Go(func() { errs[i] = finish(l) })
	}
	all.Wait()
	if own := slices.DeleteFunc(slices.Clone(errs), gaveUp); errors.Join(own...) != nil {
		errs = own
	}
	return errors.Join(errs...)
}
