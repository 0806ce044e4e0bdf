package sdf

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/rdb"
)

func TestJudgementByDeliveries(t *testing.T) {
	for _, tc := range []struct {
		deliveries, limit int64
		want              verdict
	}{
		{0, 0, inCompany}, {1000, 0, inCompany}, // no limit
		{0, 3, inCompany}, {1, 3, alone}, {2, 3, alone}, {3, 3, dead}, {4, 3, dead},
		{0, 5, inCompany}, {2, 5, inCompany}, {3, 5, alone}, {4, 5, alone}, {5, 5, dead}, {6, 5, dead},
	} {
		if got := judge(tc.deliveries, tc.limit); got != tc.want {
			t.Errorf("%d deliveries, limit %d: %v, want %v", tc.deliveries, tc.limit, got, tc.want)
		}
	}
}

// TestEveryEntryIsDeliveredAloneBeforeItDies counts deliveries up one by one.
func TestEveryEntryIsDeliveredAloneBeforeItDies(t *testing.T) {
	for limit := int64(MinDeliveryLimit); limit < 20; limit++ {
		times := map[verdict]int64{}
		for d := range limit {
			times[judge(d, limit)]++
		}
		if times[dead] != 0 || times[alone] != aloneDeliveries || times[inCompany] != limit-aloneDeliveries || times[inCompany] == 0 {
			t.Errorf("limit %d: %v", limit, times)
		}
	}
}

func TestDeliveriesAreLookedUpInOrder(t *testing.T) {
	entries := []rdb.Entry{{ID: id(2, 0)}, {ID: id(4, 0)}, {ID: id(5, 0)}, {ID: id(9, 0)}}
	for name, tc := range map[string]struct {
		pending []rdb.PendingEntry
		want    []int64
	}{
		"none pending": {nil, []int64{0, 0, 0, 0}},
		"gaps on both sides": {[]rdb.PendingEntry{{ID: id(1, 0), Deliveries: 7}, {ID: id(4, 0), Deliveries: 2}, {ID: id(6, 0), Deliveries: 7},
			{ID: id(9, 0), Deliveries: 3}}, []int64{0, 2, 0, 3}},
		"all of them": {[]rdb.PendingEntry{{ID: id(2, 0), Deliveries: 1}, {ID: id(4, 0), Deliveries: 2}, {ID: id(5, 0), Deliveries: 3},
			{ID: id(9, 0), Deliveries: 4}, {ID: id(10, 0), Deliveries: 5}}, []int64{1, 2, 3, 4}},
	} {
		if diff := cmp.Diff(tc.want, deliveriesOf(entries, tc.pending)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOnlyPendingEntriesAreKept(t *testing.T) {
	entries := []rdb.Entry{{ID: id(2, 0)}, {ID: id(4, 0)}, {ID: id(5, 0)}}
	pending := []rdb.PendingEntry{{ID: id(1, 0)}, {ID: id(4, 0)}, {ID: id(9, 0)}}
	if diff := cmp.Diff([]rdb.Entry{{ID: id(4, 0)}}, keepPending(entries, pending)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReasonOfADeadLetterTellsItsDeliveries(t *testing.T) {
	if got := limitReason(7, 5); !strings.Contains(got, "delivered 7 times") || !strings.Contains(got, "delivery limit 5") {
		t.Errorf("reason %q", got)
	}
}

func TestQuarantineBlocksTheOthersUntilItIsOver(t *testing.T) {
	suspect, other, third := &reader{}, &reader{}, &reader{}
	q := &quarantine{}
	if q.blocks(other) {
		t.Error("a quarantine that nobody wants blocks")
	}
	q.want(suspect)
	q.want(third) // has to wait its turn
	if !q.blocks(other) || !q.blocks(third) || q.blocks(suspect) {
		t.Error("want: the suspect alone may go on")
	}
	q.done(third)
	if !q.blocks(other) {
		t.Error("ended by a reader that does not hold it")
	}
	q.done(suspect)
	if q.blocks(other) {
		t.Error("still blocks after its end")
	}
}

func TestQuarantineOfAVanishedReaderRunsOut(t *testing.T) {
	gone, other := &reader{}, &reader{}
	q := &quarantine{}
	q.want(gone)
	q.until = time.Now().Add(-time.Millisecond)
	if q.blocks(other) {
		t.Error("blocks beyond its time")
	}
	q.want(other)
	if !q.blocks(gone) {
		t.Error("cannot be taken over when its time is up")
	}
}
