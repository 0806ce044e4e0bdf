package sdf

import (
	"context"
	"log/slog"
	"math"
	"time"

	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/internal/tracing"
	"example.com/beamredis/redisio/message"
)

// phase is what a reader is doing.
type phase int

const (
	cold         phase = iota // knows nothing but the restriction
	redelivering              // entries at or before Start that are pending
	rereading                 // entries up to rereadTo, by XRANGE
	live                      // new entries, by XREADGROUP
)

// reader reads one partition. Between bundles it keeps what it has fetched,
// and it is leased by one bundle at a time, so it needs no lock. Everything it
// knows is only good for the restriction that follows the one it was left
// with; for any other it is reset and starts cold.
type reader struct {
	client *rdb.Client
	cfg    *Config
	stream string
	hub    *hub
	spot   *spot
	acks   *ledger
	log    *slog.Logger
	origin origins
	spans  *tracing.Source // nil: the read is not traced
	of     telemetry.Of
	where  telemetry.Where

	leased bool      // guarded by the memory's lock
	usedAt time.Time // likewise
	next   expected

	phase    phase
	queue    []*batch
	inflight chan fetchReply
	reserved int // bytes of the budget that inflight is expected to take
	size     entrySize
	held     holding

	seen     message.EntryID // everything up to here was fetched or passed by
	rereadTo message.EntryID
	rereadAs batchKind
	onlyPend bool   // rereading takes only what is pending
	after    *batch // what XREADGROUP gave along with the discovery of a gap
	tally    tally
	old      redelivery
	repair   idRange           // pending entries that the next finalization clears
	skipped  []message.EntryID // delivered again at or before seen: to be acknowledged

	serverMs    int64 // the server's latest clock
	latestMs    int64 // the latest event time that was emitted
	emptyMs     int64 // the server's clock from before the last read that found nothing
	lastFetch   time.Time
	lastGen     message.EntryID // the stream's last-generated ID at the last fetch
	backlog     int64           // entries known to wait in the stream
	failedSince time.Time       // since when Redis has been out of reach
	doubt       bool            // a fetch failed: it may have been carried out all the same
	shaken      bool            // Redis was out of reach: acknowledgements may have been lost in a failover
	begun       message.EntryID // the position at the beginning of this turn
	finishing   time.Time       // since when the read is over and waits for its acknowledgements
	drained     bool            // the last fetch found nothing after seen
	stopped     bool            // an entry beyond what may be read has come
	afresh      bool            // the stream was replaced: what this reader fetched of it was emitted by nobody
}

// expected identifies the restriction for which a reader's memory is good.
type expected struct {
	turn     uint64
	epoch    uint32
	position message.EntryID
}

func expectedOf(r Restriction) expected {
	return expected{turn: r.Turn, epoch: r.Epoch, position: r.Position}
}

// batch is a run of fetched entries in the order of their IDs.
type batch struct {
	entries []rdb.Entry
	next    int // index of the first entry that is not emitted
	bytes   int // size of the reply
	kind    batchKind
	// deliveries holds, for batches that are read again under a delivery limit,
	// how often each entry was delivered before.
	deliveries []int64
}

type batchKind int

const (
	fresh         batchKind = iota // never emitted before, as far as anybody knows
	reread                         // after the position, and delivered before
	gap                            // delivered to somebody else in between
	pendingBefore                  // at or before Start, emitted without a claim
)

func (b *batch) left() int { return len(b.entries) - b.next }

func newReader(client *rdb.Client, cfg *Config, stream string) *reader {
	r := &reader{client: client, cfg: cfg, stream: stream, hub: hubOf(client), spot: &spot{stream: stream}, of: telemetry.Of{Stream: stream, Group: cfg.Group}}
	r.where, r.log = r.of.Where(), logs.Of(stream, cfg.Group)
	telemetry.Begin(context.Background(), r.where, telemetry.Rare...)
	r.acks = r.newLedger()
	r.held = newHolding(r)
	r.clear()
	return r
}

// reset forgets everything, so that the reader starts cold.
func (r *reader) reset() {
	r.letGo()
	if r.inflight != nil {
		r.held.add(-r.reserved)
	}
	r.clear()
}

func (r *reader) dropQueue() {
	for _, b := range r.queue {
		r.held.add(-b.bytes)
	}
	r.queue = nil
}

func (r *reader) clear() {
	r.phase, r.queue, r.inflight, r.after = cold, nil, nil, nil
	r.seen, r.rereadTo, r.onlyPend = message.EntryID{}, message.EntryID{}, false
	r.tally = tally{index: rdb.Unknown, delivered: rdb.Unknown}
	r.old = redelivery{holdMs: math.MaxInt64}
	r.repair, r.skipped = idRange{}, nil
	r.serverMs, r.emptyMs, r.latestMs = noWatermark, noWatermark, noWatermark
	r.failedSince, r.finishing = time.Time{}, time.Time{}
	r.origin = origins{}
	r.drained, r.stopped, r.doubt, r.shaken, r.afresh = false, false, false, false, false
	r.hub.forget(r.spot)
}

// nowhere is what is expected while a turn is under way: if it ends without
// [reader.end], by an error or by a panic of what consumes the entries, then
// nothing that the reader knows is good any more.
var nowhere = expected{turn: math.MaxUint64}

// begin prepares the reader for a restriction: it is warm only if it was left
// exactly there. A cold one has nothing to do with the bundles before: those
// that failed or were rolled back will never be final.
func (r *reader) begin(rest Restriction) {
	if r.next != expectedOf(rest) {
		r.reset()
		r.acks = r.newLedger()
	}
	r.next = nowhere
	r.begun = rest.Position
}

// end remembers the restriction that follows.
func (r *reader) end(rest Restriction) {
	rest.Turn++
	r.next = expectedOf(rest)
}

// ready returns the batch to emit from, or nil if nothing new is there. most
// bounds what may be fetched where all of it has to be emitted at once.
func (r *reader) ready(ctx context.Context, tr *Tracker, most int) (*batch, error) {
	for {
		if b := r.head(); b != nil {
			return b, nil
		}
		again, err := r.advance(ctx, tr, most)
		if err == nil {
			r.failedSince = time.Time{}
		}
		if err != nil || !again {
			return r.head(), err
		}
	}
}

// advance takes one step towards more entries. It reports whether another step
// may bring some at once.
func (r *reader) advance(ctx context.Context, tr *Tracker, most int) (again bool, err error) {
	switch r.phase {
	case cold:
		return true, r.open(ctx, tr)
	case redelivering:
		return true, r.redeliver(ctx, tr.Restriction())
	case rereading:
		return true, r.rereadPage(ctx)
	}
	if r.scanDue() {
		if err := r.scanOthers(ctx, tr.Restriction()); err != nil || r.head() != nil {
			return false, err
		}
	}
	if r.inflight == nil && r.drained && time.Since(r.lastFetch) < fetchEvery {
		if ms, ok := r.hub.empty(r.spot, r.seen); ok {
			r.emptyMs, r.serverMs = ms, max(r.serverMs, ms)
			return false, nil
		}
	}
	err = r.readLive(ctx, tr, most)
	return r.phase != live, err
}

// fetchEvery is how often an idle partition is fetched all the same, to see
// what has become of its group and its stream.
const fetchEvery = 2 * time.Second

// head drops what is used up and returns the first batch that has entries.
func (r *reader) head() *batch {
	for len(r.queue) > 0 {
		if r.queue[0].left() > 0 {
			return r.queue[0]
		}
		r.held.add(-r.queue[0].bytes)
		r.queue[0] = nil
		r.queue = r.queue[1:]
	}
	r.queue = nil
	return nil
}

// holdsDelivered reports whether the reader has, or has still to fetch, entries
// that the group counts as delivered.
func (r *reader) holdsDelivered() bool {
	return r.head() != nil || r.phase == rereading || r.after != nil
}

func (r *reader) push(b *batch) {
	if b.left() == 0 {
		return
	}
	r.held.add(b.bytes)
	r.queue = append(r.queue, b)
}

// open brings a cold reader to where it can read: it makes sure that the group
// exists, takes stock, and decides what has to be read again.
func (r *reader) open(ctx context.Context, tr *Tracker) error {
	st, err := r.client.State(ctx, r.stream, r.cfg.Group)
	if err != nil {
		return err
	}
	if st, _, err = r.mend(ctx, tr, st); err != nil {
		return err
	}
	if err := r.learnOrigin(ctx, tr); err != nil {
		return err
	}
	rest := tr.Restriction()
	delivered := st.Group.LastDelivered
	if r.cfg.Ack == NoAck && !r.afresh {
		tr.Pass(delivered)
		rest = tr.Restriction()
	}
	r.seen, r.rereadTo = rest.Position, delivered
	r.rereadAs, r.onlyPend = reread, r.cfg.Ack == AckOnEmit
	r.serverMs = st.Now
	r.tally = tallyAt(st, rest.Position)
	r.repair = idRange{after: rest.Start, to: rest.Position}
	r.note(st)
	if st.Group.Pending == 0 {
		r.repair = idRange{}
		r.old.done()
	}
	r.phase = redelivering
	return nil
}

// note keeps what a look at the server told.
func (r *reader) note(st rdb.State) {
	r.serverMs = max(r.serverMs, st.Now)
	r.lastGen = st.Stream.LastGenerated
	r.size.look(st.Stream.EntryBytes)
	r.backlog = st.Group.Lag
	if r.backlog < 0 {
		r.backlog = st.Stream.Length
	}
}

// startLive goes over to new entries.
func (r *reader) startLive() {
	r.phase, r.onlyPend = live, false
	if b := r.after; b != nil {
		r.after = nil
		r.held.add(-b.bytes) // push takes it again
		r.push(b)
	}
}
