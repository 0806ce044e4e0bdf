package sdf

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

var compareAcks = cmp.AllowUnexported(idRange{}, leftovers{})

// ids are the entry IDs from-0 to to-0.
func ids(from, to uint64) []message.EntryID {
	var list []message.EntryID
	for ms := from; ms <= to; ms++ {
		list = append(list, id(ms, 0))
	}
	return list
}

// spanOf is the range of the entries from-0 to to-0.
func spanOf(from, to uint64) idRange { return idRange{after: id(from, 0).Prev(), to: id(to, 0)} }

// crowd fills the process's room for waiting IDs until the test ends.
func crowd(t *testing.T) {
	waitingIDs.Add(maxWaitingIDs)
	t.Cleanup(func() { waitingIDs.Add(-maxWaitingIDs) })
}

func TestRangesJoinToTheSmallestThatHoldsBoth(t *testing.T) {
	empty := idRange{after: id(9, 0), to: id(9, 0)}
	for name, tc := range map[string]struct{ a, b, want idRange }{
		"apart":       {spanOf(1, 2), spanOf(7, 9), spanOf(1, 9)},
		"overlapping": {spanOf(1, 5), spanOf(3, 9), spanOf(1, 9)},
		"within":      {spanOf(1, 9), spanOf(3, 5), spanOf(1, 9)},
		"with empty":  {spanOf(3, 5), empty, spanOf(3, 5)},
		"with zero":   {spanOf(3, 5), idRange{}, spanOf(3, 5)},
	} {
		for _, got := range []idRange{tc.a.join(tc.b), tc.b.join(tc.a)} {
			if diff := cmp.Diff(tc.want, got, compareAcks); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	if !empty.join(idRange{}).empty() {
		t.Error("two empty ranges join to something")
	}
}

func TestLeftoversNeverSpanRedeliveredEntries(t *testing.T) {
	redelivered := []message.EntryID{id(2, 0), id(9, 5)}
	for name, tc := range map[string]struct {
		claimed []message.EntryID
		spans   []idRange
		want    leftovers
	}{
		"nothing":              {nil, nil, leftovers{}},
		"redelivered alone":    {nil, nil, leftovers{ids: redelivered, count: 2}},
		"claimed":              {ids(20, 23), nil, leftovers{span: spanOf(20, 23), ids: redelivered, count: 6}},
		"claimed after a span": {ids(20, 23), []idRange{spanOf(11, 15)}, leftovers{span: spanOf(11, 23), ids: redelivered, count: 6}},
		"spans":                {nil, []idRange{spanOf(11, 12), {}, spanOf(14, 15)}, leftovers{span: spanOf(11, 15), ids: redelivered, count: 2}},
	} {
		rc := newReceipt(tc.claimed, tc.want.ids, tc.spans...)
		if diff := cmp.Diff(tc.want, rc.leftovers(), compareAcks); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		rc.settle()
	}
}

func TestReceiptBeyondTheRoomKeepsARange(t *testing.T) {
	crowd(t)
	before := waitingIDs.Load()
	rc := newReceipt(ids(20, 23), ids(1, 2), spanOf(11, 15))
	if len(rc.claimed) != 0 || !cmp.Equal(rc.spans, []idRange{spanOf(11, 15), spanOf(20, 23)}, compareAcks) {
		t.Errorf("claimed %v, spans %v; want the claimed IDs as a range", rc.claimed, rc.spans)
	}
	if !cmp.Equal(rc.others, ids(1, 2)) || waitingIDs.Load() > before+2 {
		t.Errorf("others %v, %d IDs more than before; want the redelivered ones one by one", rc.others, waitingIDs.Load()-before)
	}
	rc.settle()
}

func TestWaitingIDsAreGivenBackOnce(t *testing.T) {
	drainGarbage(t)
	before := waitingIDs.Load()
	rc := newReceipt(ids(1, 50), nil)
	if got := waitingIDs.Load() - before; got != 50 {
		t.Fatalf("%d IDs wait, want 50", got)
	}
	rc.settle()
	rc.settle()
	if got := waitingIDs.Load() - before; got != 0 {
		t.Errorf("%d IDs wait after settling twice, want 0", got)
	}
	func() { newReceipt(ids(1, 60), nil) }() // its bundle is never finalized
	pollUntil(t, "the IDs of a receipt that is garbage are given back", func() bool {
		runtime.GC()
		return waitingIDs.Load() == before
	})
}

// drainGarbage waits until no receipt of an earlier test is given back any more.
func drainGarbage(t *testing.T) {
	t.Helper()
	quiet, last := 0, waitingIDs.Load()
	pollUntil(t, "the receipts of earlier tests are collected", func() bool {
		runtime.GC()
		if now := waitingIDs.Load(); now != last {
			quiet, last = 0, now
		} else {
			quiet++
		}
		return quiet > 5
	})
}

func pollUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s not true: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// ledgerBench is a ledger of a stream whose entries 1-0 to n-0 are pending.
type ledgerBench struct {
	*ledger
	t      *testing.T
	server *redistest.Server
}

func newLedgerBench(t *testing.T, n uint64) ledgerBench {
	t.Helper()
	s := redistest.Start(t, redistest.Durable())
	cfg := s.Config()
	cfg.ReadTimeout = time.Second
	client, err := rdb.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := ledgerBench{ledger: newLedger(client, "in:0", "g"), t: t, server: s}
	pipe := s.Client().Pipeline()
	for ms := range n {
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "in:0", ID: id(ms+1, 0).String(), Values: []string{"f", "v"}})
	}
	pipe.XGroupCreateMkStream(t.Context(), "in:0", "g", "0")
	pipe.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"in:0", ">"}, Count: int64(n), Block: -1})
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// pending lists what is pending still.
func (b ledgerBench) pending() []message.EntryID {
	b.t.Helper()
	rows, err := b.client.Pending(b.t.Context(), b.stream, b.group, rdb.PendingQuery{To: message.MaxID, Count: 10_000})
	if err != nil {
		b.t.Fatal(err)
	}
	return pendingIDs(rows)
}

func (b ledgerBench) wantPending(want ...message.EntryID) {
	b.t.Helper()
	if got := b.pending(); !cmp.Equal(got, append([]message.EntryID{}, want...)) {
		b.t.Errorf("%d pending, first %v; want %d: %v", len(got), got[:min(len(got), 5)], len(want), want)
	}
}

func TestCommitAcknowledgesWhatTheReceiptHolds(t *testing.T) {
	b := newLedgerBench(t, 12)
	rc := newReceipt(ids(7, 9), ids(2, 2), spanOf(4, 5))
	b.opened(rc)
	if b.settled(t.Context(), time.Millisecond) {
		t.Error("settled while a receipt is open")
	}
	if n := b.unacknowledged(); n != 4 {
		t.Errorf("%d entries wait, want 3 claimed and 1 redelivered", n)
	}
	b.commit(t.Context(), rc)
	b.wantPending(id(1, 0), id(3, 0), id(6, 0), id(10, 0), id(11, 0), id(12, 0))
	if b.hasFailed() || !b.settled(t.Context(), time.Second) || b.unacknowledged() != 0 {
		t.Error("not settled after a commit that went well")
	}
}

func TestRangesOfAnyLengthAreAcknowledged(t *testing.T) {
	const n = 2*pendingPage + 500
	b := newLedgerBench(t, n)
	crowd(t)
	rc := newReceipt(ids(2, n-1), nil)
	b.opened(rc)
	b.commit(t.Context(), rc)
	b.wantPending(id(1, 0), id(n, 0))
}

func TestAcknowledgingWhereTheGroupVanishedIsNoFailure(t *testing.T) {
	b := newLedgerBench(t, 3)
	if err := b.server.Client().XGroupDestroy(t.Context(), "in:0", "g").Err(); err != nil {
		t.Fatal(err)
	}
	rc := newReceipt(ids(1, 1), ids(2, 2), spanOf(3, 3))
	b.opened(rc)
	if b.commit(t.Context(), rc); b.hasFailed() {
		t.Errorf("left over: %+v", b.takeFailed())
	}
}

// TestALaterBundleRepairsWhatCouldNotBeAcknowledged: and leaves alone what waits
// for its redelivery between two entries that were redelivered.
func TestALaterBundleRepairsWhatCouldNotBeAcknowledged(t *testing.T) {
	b := newLedgerBench(t, 12)
	b.server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	rc := newReceipt(ids(7, 9), []message.EntryID{id(1, 0), id(3, 0)})
	b.opened(rc)
	b.commit(ctx, rc)
	if !b.hasFailed() || b.unacknowledged() != 5 {
		t.Fatalf("a commit that could not reach the server left over: %v, of %d entries", b.hasFailed(), b.unacknowledged())
	}
	b.server.Restart()
	b.wantPending(ids(1, 12)...)
	failed := b.takeFailed()
	if b.hasFailed() {
		t.Error("handed over twice")
	}
	rc = newReceipt(ids(10, 11), failed.ids, failed.span)
	b.opened(rc)
	b.commit(t.Context(), rc)
	b.wantPending(id(2, 0), id(4, 0), id(5, 0), id(6, 0), id(12, 0))
}

func TestOnEmitAcknowledgesInTheBackground(t *testing.T) {
	b := newLedgerBench(t, 30)
	b.ackNow(t.Context(), nil, nil)
	for ms := uint64(1); ms <= 29; ms++ {
		b.ackNow(t.Context(), ids(ms, ms), nil)
	}
	if !b.settled(t.Context(), 5*time.Second) {
		t.Fatal("not settled in time")
	}
	b.wantPending(id(30, 0))
}

func TestOnEmitLeavesItsFailuresToALaterBundle(t *testing.T) {
	b := newLedgerBench(t, 5)
	b.server.Kill()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("ignored: the acknowledgement outlives its bundle"))
	b.sendOnEmitUntil(ctx, ids(2, 4))
	want := leftovers{span: spanOf(2, 4), count: 3}
	if diff := cmp.Diff(want, b.takeFailed(), compareAcks); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !b.settled(t.Context(), time.Second) {
		t.Error("not settled: the failure would never be taken over")
	}
}

// sendOnEmitUntil is ackNow under a context that has ended, so that it need not
// be waited for that the retries give up.
func (b ledgerBench) sendOnEmitUntil(ctx context.Context, list []message.EntryID) {
	b.mu.Lock()
	b.onEmit, b.sending, b.owed = list, true, int64(len(list))
	b.mu.Unlock()
	b.sendOnEmit(ctx)
}

func TestSettledEndsWithItsContext(t *testing.T) {
	l := newLedger(nil, "in:0", "g")
	rc := newReceipt(nil, nil)
	l.opened(rc)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() { done <- l.settled(ctx, time.Hour) }()
	cancel()
	if <-done {
		t.Error("settled while a receipt is open")
	}
	go func() { done <- l.settled(t.Context(), time.Hour) }()
	l.closed(rc)
	if !<-done {
		t.Error("not settled when the last receipt is closed")
	}
}
