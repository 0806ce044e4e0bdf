package sdf

import (
	"context"
	"time"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
)

type fetchReply struct {
	fetched rdb.Fetched
	err     error
}

// fetchTimeout ends a fetch that outlives its bundle.
const fetchTimeout = 30 * time.Second

// fetchAhead starts the next fetch while the last one is being emitted.
func (r *reader) fetchAhead(ctx context.Context) {
	if r.phase != live || r.stopped || r.inflight != nil || r.cfg.Ack == NoAck || len(r.queue) > 1 || !mayFetchAhead(fetchTarget) {
		return
	}
	r.reserved = int(float64(r.size.count()) * r.size.mean)
	r.held.add(r.reserved)
	reply := make(chan fetchReply, 1)
	fetch, n := r.fetcher(), r.size.count()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	go func() {
		defer cancel()
		f, err := fetch(ctx, n)
		reply <- fetchReply{f, err}
	}()
	r.inflight = reply
}

// readLive takes the fetch that is under way, or makes one, and queues what it
// brought.
func (r *reader) readLive(ctx context.Context, tr *Tracker, most int) error {
	f, err := r.fetch(ctx, most)
	if err != nil {
		r.doubt = true
		return err
	}
	defer func() { r.doubt = false }()
	return r.accept(ctx, tr, f)
}

func (r *reader) fetch(ctx context.Context, most int) (rdb.Fetched, error) {
	if reply := r.inflight; reply != nil {
		select {
		case got := <-reply:
			r.inflight = nil
			r.held.add(-r.reserved)
			return got.fetched, got.err
		case <-ctx.Done():
			return rdb.Fetched{}, context.Cause(ctx)
		}
	}
	n := r.size.count()
	if r.cfg.Ack == NoAck || !mayFetchAhead(fetchTarget) {
		n = max(1, min(n, most)) // so that all of it can be emitted in this bundle
	}
	return r.fetcher()(ctx, n)
}

// fetcher makes one XREADGROUP at a time, which may outlive the bundle.
func (r *reader) fetcher() func(context.Context, int) (rdb.Fetched, error) {
	client, stream, group, consumer, noAck := r.client, r.stream, r.cfg.Group, r.cfg.Consumer, r.cfg.Ack == NoAck
	fetch := func(ctx context.Context, n int) (rdb.Fetched, error) {
		return client.Fetch(ctx, stream, group, consumer, n, noAck)
	}
	if r.spans != nil {
		return tracedFetch(r.spans, fetch)
	}
	return fetch
}

// accept puts a fetch in its place in the partition's order, whatever happened
// to the group and the stream in the meantime.
func (r *reader) accept(ctx context.Context, tr *Tracker, f rdb.Fetched) error {
	r.lastFetch = time.Now()
	if !f.Group.Exists || f.Group.LastDelivered.Less(r.seen) || beyond(f.State) {
		switch _, mended, err := r.mend(ctx, tr, f.State); {
		case err != nil || mended:
			return err
		}
	}
	r.note(f.State)
	r.repairShaken(tr.Restriction())
	r.drained = false
	r.backlog = max(0, r.backlog-int64(len(f.Entries)))
	r.size.observe(f.Bytes, len(f.Entries))
	r.reportLoss(ctx, r.tally.look(f.State, r.seen))
	b := &batch{entries: r.dropSeen(ctx, f.Entries), bytes: f.Bytes}
	if r.seen.Less(f.Group.LastDelivered) {
		r.openGap(ctx, f, b)
		return nil
	}
	if len(f.Entries) == 0 {
		r.emptyMs, r.drained, r.backlog = f.Now, true, 0
		r.reportLoss(ctx, r.tally.drained(f.State))
		r.hub.idle(r.spot, r.seen, f.Now)
		return nil
	}
	r.take(b)
	return nil
}

// repairShaken has the next finalization acknowledge once more what earlier
// bundles have: a replica that took over may not have heard of it, and nothing
// else would clear it while this reader goes on. Entries at or before Start
// are left to their redelivery.
func (r *reader) repairShaken(rest Restriction) {
	if !r.shaken {
		return
	}
	r.shaken = false
	if r.cfg.Ack != NoAck {
		r.repair = r.repair.join(idRange{after: rest.Start, to: r.begun})
	}
}

// take queues a batch that follows everything seen.
func (r *reader) take(b *batch) {
	if n := len(b.entries); n > 0 {
		r.drained = false
		r.seen = b.entries[n-1].ID
		r.tally.read(n)
	}
	r.push(b)
}

// dropSeen leaves out what was seen before. The group was set back, or it is an
// older copy of itself; these entries are pending now, and are acknowledged
// with the next finalization.
func (r *reader) dropSeen(ctx context.Context, entries []rdb.Entry) []rdb.Entry {
	n := 0
	for n < len(entries) && !r.seen.Less(entries[n].ID) {
		r.skipped = append(r.skipped, entries[n].ID)
		n++
	}
	if n > 0 {
		telemetry.Skipped.Add(ctx, int64(n), r.where)
		r.log.WarnContext(ctx, "the group delivered entries again that were read before; they are skipped", "entries", n, "read_to", r.seen)
	}
	return entries[n:]
}

// openGap reads what somebody else took from the group, before going on with
// what this fetch brought.
func (r *reader) openGap(ctx context.Context, f rdb.Fetched, b *batch) {
	r.rereadAs = gap
	if r.doubt {
		r.rereadAs = fresh // most likely this reader's own fetch, whose reply was lost
	}
	if r.rereadAs == gap {
		r.log.WarnContext(ctx, "somebody else reads as this group; the entries that it took are read all the same",
			"stands_at", f.Group.LastDelivered, "left_at", r.seen)
	}
	r.rereadTo, r.onlyPend, r.phase = f.Group.LastDelivered, false, rereading
	if b.left() > 0 {
		r.after = b
		r.held.add(b.bytes)
	}
}
