package sdf

import (
	"context"
	"fmt"
	"sync"
	"time"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// MinDeliveryLimit is the smallest limit: one delivery in company, two alone.
const MinDeliveryLimit = 3

// aloneDeliveries is how many of the deliveries up to the limit happen with the
// entry alone in its bundle. Once would not do: a worker that is killed for
// another reason while the entry happens to be alone would condemn it.
const aloneDeliveries = 2

// verdict says how an entry that was delivered before may be delivered again.
type verdict int

const (
	inCompany verdict = iota
	alone
	dead
)

// judge decides from the deliveries so far. The counter of an entry that is
// delivered alone goes up before it is emitted and back down when its bundle
// ends well, so from limit-aloneDeliveries on it counts only bundles that
// failed with that entry alone in them, whatever the runner rolls back.
func judge(deliveries, limit int64) verdict {
	switch {
	case limit == 0 || deliveries < limit-aloneDeliveries:
		return inCompany
	case deliveries < limit:
		return alone
	}
	return dead
}

// countDeliveries notes how often each entry of b was delivered before, and
// counts one more delivery for those that are about to be emitted in company.
func (r *reader) countDeliveries(ctx context.Context, b *batch, pending []rdb.PendingEntry) error {
	b.deliveries = deliveriesOf(b.entries, pending)
	counted := map[int64][]message.EntryID{}
	for i, d := range b.deliveries {
		if d > 0 && judge(d, r.cfg.DeliveryLimit) == inCompany {
			counted[d+1] = append(counted[d+1], b.entries[i].ID)
		}
	}
	return r.setDeliveries(ctx, counted)
}

// countsAfterClaim groups rows by what their counters have to be once they are
// claimed: one more for what is delivered in company, the same for the others,
// which are counted when they are delivered alone.
func countsAfterClaim(rows []rdb.PendingEntry, limit int64) map[int64][]message.EntryID {
	counts := map[int64][]message.EntryID{}
	for _, row := range rows {
		n := row.Deliveries
		if judge(n, limit) == inCompany {
			n++
		}
		counts[n] = append(counts[n], row.ID)
	}
	return counts
}

func (r *reader) setDeliveries(ctx context.Context, byCount map[int64][]message.EntryID) error {
	for n, ids := range byCount {
		if err := r.client.SetDeliveries(ctx, r.stream, r.cfg.Group, r.cfg.Consumer, ids, n); err != nil {
			return err
		}
	}
	return nil
}

// deliveriesOf looks up entries in pending; both are in order. An entry that
// is not pending has 0.
func deliveriesOf(entries []rdb.Entry, pending []rdb.PendingEntry) []int64 {
	counts := make([]int64, len(entries))
	for i, e := range entries {
		for len(pending) > 0 && pending[0].ID.Less(e.ID) {
			pending = pending[1:]
		}
		if len(pending) > 0 && pending[0].ID == e.ID {
			counts[i] = pending[0].Deliveries
		}
	}
	return counts
}

// countAlone counts the delivery of an entry that is alone in its bundle, and
// takes it back when the bundle ends well; also if it fails, because then only
// the reply may be missing.
func (r *reader) countAlone(ctx context.Context, b *finalize.Bundle, id message.EntryID, deliveries int64) error {
	ids := []message.EntryID{id}
	set := func(ctx context.Context, n int64) error {
		return r.client.SetDeliveries(ctx, r.stream, r.cfg.Group, r.cfg.Consumer, ids, n)
	}
	after := context.WithoutCancel(ctx)
	b.OnEnd(func(failed bool) {
		if failed {
			return
		}
		ctx, cancel := context.WithTimeout(after, 5*time.Second)
		defer cancel()
		if err := set(ctx, deliveries); err != nil {
			r.log.WarnContext(ctx, "a delivery that went well stays counted", "id", id, "error", err)
		}
	})
	return set(ctx, deliveries+1)
}

func limitReason(deliveries, limit int64) string {
	return fmt.Sprintf("delivered %d times and never acknowledged, the last %d times alone in its bundle (delivery limit %d)",
		deliveries, aloneDeliveries, limit)
}

// quarantine lets one reader of a connection have a bundle for itself: while
// it is wanted, the others emit nothing.
type quarantine struct {
	mu     sync.Mutex
	wanted *reader
	until  time.Time
}

// quarantineFor bounds how long the others wait for a reader that may never get
// a bundle again, because its partition moved to another worker.
const quarantineFor = 5 * time.Second

type quarantineKey struct{}

func quarantineOf(c *finalize.Connection) *quarantine {
	return c.Value(quarantineKey{}, func() any { return new(quarantine) }).(*quarantine)
}

func (q *quarantine) want(r *reader) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wanted == nil || q.wanted == r || time.Now().After(q.until) {
		q.wanted, q.until = r, time.Now().Add(quarantineFor)
	}
}

func (q *quarantine) done(r *reader) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wanted == r {
		q.wanted = nil
	}
}

// blocks reports whether r has to hold back for another reader.
func (q *quarantine) blocks(r *reader) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.wanted != nil && q.wanted != r && time.Now().Before(q.until)
}
