package sdf

import (
	"context"
	"math"
	"slices"
	"time"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// redelivery is the state of delivering again what is pending at or before
// Start: under this consumer's own name at every cold start, under other names
// after they have been idle for long enough.
type redelivery struct {
	ownDone  bool
	ownAfter message.EntryID
	// others is the number of entries at or before Start that are pending for
	// other consumers, as far as was looked. If it is 0, none can become so.
	others int
	scanAt time.Time
	// waitingSince is when nothing was left to read but those.
	waitingSince time.Time
	// unsure holds entries of other consumers whose take-over was not answered:
	// they may be this consumer's own by now.
	unsure map[message.EntryID]bool
	// holdMs is the time of the oldest entry that is still to be delivered
	// again; MaxInt64 when there is none.
	holdMs int64
}

func (o *redelivery) done() {
	o.ownDone, o.others, o.holdMs = true, 0, math.MaxInt64
}

const claimPage = 200

// redeliver queues pending entries at or before Start, or goes on to what
// comes after the position when none is left.
func (r *reader) redeliver(ctx context.Context, rest Restriction) error {
	if !r.old.ownDone {
		return r.redeliverOwn(ctx, rest)
	}
	if err := r.scanOthers(ctx, rest); err != nil {
		return err
	}
	r.phase = rereading
	return nil
}

func (r *reader) redeliverOwn(ctx context.Context, rest Restriction) error {
	rows, err := r.client.Pending(ctx, r.stream, r.cfg.Group, rdb.PendingQuery{
		After: r.old.ownAfter, To: rest.Start, Consumer: r.cfg.Consumer, Count: r.claimPage()})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		r.old.ownDone = true
		return nil
	}
	if err := r.claim(ctx, rows, 0); err != nil {
		return err
	}
	r.old.ownDone = len(rows) < r.claimPage()
	r.old.ownAfter = rows[len(rows)-1].ID
	r.old.holdMs = idTime(rows[0].ID.Ms)
	return nil
}

// scanOthers takes over what other consumers left pending at or before Start
// and have not touched for ClaimIdle.
func (r *reader) scanOthers(ctx context.Context, rest Restriction) error {
	left, err := r.findOthers(ctx, rest)
	if err != nil {
		return err
	}
	r.old.scanAt = time.Now().Add(r.nextScan(left))
	r.old.holdMs, r.old.others = left.holdMs, left.count
	take, minIdle := left.idle, r.cfg.ClaimIdle
	if len(left.unsure) > 0 {
		take, minIdle = left.unsure, 0
	}
	if len(take) == 0 {
		return nil
	}
	r.old.scanAt = time.Time{} // there may be more
	r.old.unsure = idSet(take)
	if err := r.claim(ctx, take, minIdle); err != nil {
		return err
	}
	r.old.unsure = nil
	return nil
}

// leftByOthers is what is pending at or before Start and was never delivered by
// this reader.
type leftByOthers struct {
	count  int
	holdMs int64              // time of the oldest of it; MaxInt64 if there is none
	soon   time.Duration      // until the next of it may be taken over
	idle   []rdb.PendingEntry // may be taken over, a page at most
	unsure []rdb.PendingEntry // was taken over, and the reply was lost
}

func (r *reader) findOthers(ctx context.Context, rest Restriction) (leftByOthers, error) {
	left := leftByOthers{holdMs: math.MaxInt64, soon: r.cfg.ClaimIdle}
	for after := (message.EntryID{}); ; {
		rows, err := r.client.Pending(ctx, r.stream, r.cfg.Group, rdb.PendingQuery{After: after, To: rest.Start, Count: pendingPage})
		if err != nil {
			return left, err
		}
		for _, row := range rows {
			r.sort(row, &left)
		}
		if len(rows) < pendingPage || len(left.idle) >= r.claimPage() {
			return left, nil
		}
		after = rows[len(rows)-1].ID
	}
}

// sort puts a pending entry where it belongs.
func (r *reader) sort(row rdb.PendingEntry, left *leftByOthers) {
	own := row.Consumer == r.cfg.Consumer
	if own && !r.old.unsure[row.ID] {
		return // delivered by this job, and not final yet
	}
	left.count++
	left.holdMs = min(left.holdMs, idTime(row.ID.Ms))
	switch {
	case own:
		left.unsure = append(left.unsure, row)
	case row.Idle < r.cfg.ClaimIdle:
		left.soon = min(left.soon, r.cfg.ClaimIdle-row.Idle)
	case len(left.idle) < r.claimPage():
		left.idle = append(left.idle, row)
	}
}

// nextScan is how long to wait before looking again: until something may be
// taken over, but neither all the time nor so rarely that what dies next is
// waited for long.
func (r *reader) nextScan(left leftByOthers) time.Duration {
	return max(r.cfg.ClaimIdle/10, min(left.soon, r.cfg.ClaimIdle/2))
}

// lastTakeOver waits, at the end of a read, for what other consumers left
// pending before Start. It returns entries of theirs to emit, or that the wait
// is over: there are none, or they are still held after ClaimIdle.
func (r *reader) lastTakeOver(ctx context.Context, rest Restriction) (b *batch, over bool, err error) {
	if b := r.head(); b != nil && b.kind == pendingBefore {
		return b, false, nil
	}
	if r.old.others == 0 {
		return nil, true, nil
	}
	r.stopped = true // what is given back now must not be fetched again
	if err := r.giveBack(ctx, rest.Position); err != nil {
		return nil, false, err
	}
	r.letGo()
	if r.old.waitingSince.IsZero() {
		r.old.waitingSince = time.Now()
	}
	late := time.Since(r.old.waitingSince) >= r.cfg.ClaimIdle
	if late || !time.Now().Before(r.old.scanAt) {
		if err := r.scanOthers(ctx, rest); err != nil {
			return nil, false, err
		}
		r.failedSince = time.Time{}
	}
	b = r.head()
	switch {
	case b != nil || r.old.scanAt.IsZero():
		return b, false, nil
	case late && r.old.others > 0:
		r.log.WarnContext(ctx, "entries stay pending: other consumers hold them, and none of them has been idle for long enough",
			"entries", r.old.others, "claim_idle", r.cfg.ClaimIdle)
		r.old.done()
	}
	r.hub.idle(r.spot, message.MaxID, r.serverMs) // no arrival concerns it
	return nil, r.old.others == 0, nil
}

func idSet(rows []rdb.PendingEntry) map[message.EntryID]bool {
	set := make(map[message.EntryID]bool, len(rows))
	for _, row := range rows {
		set[row.ID] = true
	}
	return set
}

// scanDue reports whether it is time to look for what others left.
func (r *reader) scanDue() bool {
	return r.phase == live && r.old.others > 0 && !time.Now().Before(r.old.scanAt)
}

// claim makes this consumer the owner of rows and queues their entries.
func (r *reader) claim(ctx context.Context, rows []rdb.PendingEntry, minIdle time.Duration) error {
	entries, bytes, err := r.claimEntries(ctx, rows, minIdle)
	if err != nil {
		return err
	}
	missing := missingFrom(entries, rows)
	if minIdle > 0 { // others may have been faster
		if missing, err = r.absent(ctx, missing); err != nil {
			return err
		}
	}
	r.reportGone(ctx, missing)
	b := &batch{entries: entries, bytes: bytes, kind: pendingBefore}
	if r.cfg.DeliveryLimit > 0 {
		b.deliveries = deliveriesOf(entries, rows)
	}
	r.push(b)
	return nil
}

// claimEntries claims rows. Under a delivery limit it sets their counters: one
// that the server moves goes up with every claim whose reply is lost, and would
// condemn an entry that was never emitted.
func (r *reader) claimEntries(ctx context.Context, rows []rdb.PendingEntry, minIdle time.Duration) (entries []rdb.Entry, bytes int, err error) {
	if r.cfg.DeliveryLimit == 0 {
		return r.client.Claim(ctx, r.stream, r.cfg.Group, r.cfg.Consumer, minIdle, pendingIDs(rows), rdb.CountOne)
	}
	for count, ids := range countsAfterClaim(rows, r.cfg.DeliveryLimit) {
		some, n, err := r.client.Claim(ctx, r.stream, r.cfg.Group, r.cfg.Consumer, minIdle, ids, count)
		if err != nil {
			return nil, 0, err
		}
		entries, bytes = append(entries, some...), bytes+n
	}
	slices.SortFunc(entries, func(a, b rdb.Entry) int { return a.ID.Compare(b.ID) })
	return entries, bytes, nil
}

// absent keeps those of ids that the stream no longer has. There are few, if
// any.
func (r *reader) absent(ctx context.Context, ids []message.EntryID) (gone []message.EntryID, err error) {
	for _, id := range ids {
		entries, _, err := r.client.Range(ctx, r.stream, id.Prev(), id, 1)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			gone = append(gone, id)
		}
	}
	return gone, nil
}

func pendingIDs(rows []rdb.PendingEntry) []message.EntryID {
	ids := make([]message.EntryID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}

// claimPage is small under a delivery limit: claiming counts a delivery.
func (r *reader) claimPage() int {
	if r.cfg.DeliveryLimit > 0 {
		return rereadLimitPage
	}
	return claimPage
}
