package sdf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
)

// quietServer stands for a server: it blocks for the whole time unless
// something is said to have arrived, and remembers what it was asked.
type quietServer struct {
	arrived chan string
	fail    error

	mu        sync.Mutex
	positions [][]rdb.Position
	depths    []int // of the contexts
}

func newQuietServer() *quietServer { return &quietServer{arrived: make(chan string, 1)} }

func (q *quietServer) waitFor(ctx context.Context, at []rdb.Position, block time.Duration) ([]string, int64, error) {
	q.mu.Lock()
	q.positions = append(q.positions, at)
	q.depths = append(q.depths, strings.Count(fmt.Sprint(ctx), "With"))
	q.mu.Unlock()
	if q.fail != nil {
		return nil, 0, q.fail
	}
	now := time.Now().UnixMilli()
	select {
	case stream := <-q.arrived:
		return []string{stream}, now, nil
	case <-time.After(block):
		return nil, now, nil
	}
}

// asked returns the positions of every question so far.
func (q *quietServer) asked() [][]rdb.Position {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.positions)
}

func (q *quietServer) rounds() int { return len(q.asked()) }

// outcome of a wait at a spot.
type outcome struct {
	own  bool
	took time.Duration
	done bool
}

// waitAt starts a wait; the function that it returns tells how it went so far.
func waitAt(t *testing.T, h *hub, s *spot, d time.Duration) func() outcome {
	var mu sync.Mutex
	var o outcome
	go func() {
		start := time.Now()
		own := h.wait(t.Context(), s, d)
		mu.Lock()
		defer mu.Unlock()
		o = outcome{own: own, took: time.Since(start), done: true}
	}()
	return func() outcome {
		mu.Lock()
		defer mu.Unlock()
		return o
	}
}

// bubble runs f with a clock of its own, and then lets the rounds under way
// end: goroutines that are left behind fail the test.
func bubble(t *testing.T, f func(t *testing.T, h *hub, q *quietServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := newQuietServer()
		f(t, newHub(q.waitFor), q)
		time.Sleep(2 * time.Second)
	})
}

// spotsOf are partitions that were found empty after 1-0 just now, each on a
// thread of its own.
func spotsOf(h *hub, names ...string) []*spot {
	spots := make([]*spot, len(names))
	for i, name := range names {
		spots[i] = &spot{stream: name}
		h.visit(spots[i], &thread{})
		h.idle(spots[i], id(1, 0), time.Now().UnixMilli())
	}
	return spots
}

func TestIdlePartitionsShareOneWait(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		s := spotsOf(h, "a", "b", "c")
		a, b := waitAt(t, h, s[0], waitRound), waitAt(t, h, s[1], waitRound)
		synctest.Wait()
		if q.rounds() != 1 || len(q.asked()[0]) != 3 {
			t.Fatalf("asked %v, want one wait for all three partitions", q.asked())
		}
		time.Sleep(waitRound + time.Millisecond)
		synctest.Wait()
		if !a().done || !b().done || a().own || b().own || a().took != waitRound {
			t.Errorf("waiters %+v and %+v, want both to end in vain after %v", a(), b(), waitRound)
		}
		if ms, ok := h.empty(s[2], id(1, 0)); !ok || ms == 0 {
			t.Error("the round found c empty, too, and nobody knows it")
		}
		time.Sleep(2 * waitRound)
		if n := q.rounds(); n > 2 {
			t.Errorf("%d rounds, though nobody waits", n)
		}
	})
}

func TestArrivalEndsItsOwnWaitAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		s := spotsOf(h, "a", "b")
		a, b := waitAt(t, h, s[0], time.Second), waitAt(t, h, s[1], time.Second)
		time.Sleep(50 * time.Millisecond)
		q.arrived <- "b"
		synctest.Wait()
		if !b().done || !b().own || b().took != 50*time.Millisecond {
			t.Errorf("b: %+v, want its own wake after 50ms", b())
		}
		if a().done {
			t.Error("a was woken, whose thread is another one")
		}
		if _, ok := h.empty(s[1], id(1, 0)); ok {
			t.Error("b still counts as empty")
		}
	})
}

func TestArrivalWithoutAWaiterWakesItsThreadOnly(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		s := spotsOf(h, "a", "b", "elsewhere")
		shared := &thread{}
		h.visit(s[1], shared)
		h.visit(s[0], shared) // b had its turn in the bundle in which a waits now
		a, other := waitAt(t, h, s[0], time.Second), waitAt(t, h, s[2], time.Second)
		time.Sleep(50 * time.Millisecond)
		q.arrived <- "b"
		synctest.Wait()
		if !a().done || a().own {
			t.Errorf("a: %+v, want it to make way for b", a())
		}
		if other().done {
			t.Error("a reader on another thread was woken")
		}
	})
}

func TestArrivalWakesTheNextBundleOfItsThread(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		s := spotsOf(h, "a", "b")
		last, next := &thread{}, &thread{}
		h.visit(s[0], last)
		h.visit(s[1], last)
		h.visit(s[0], next) // b's turn in this bundle is still to come
		a := waitAt(t, h, s[0], time.Second)
		time.Sleep(50 * time.Millisecond)
		q.arrived <- "b"
		synctest.Wait()
		if !a().done || a().own || a().took != 50*time.Millisecond {
			t.Errorf("a: %+v, want it to make way for b", a())
		}
	})
}

func TestNobodyWaitsBesideABusyPartitionOfTheThread(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		s := spotsOf(h, "a", "b")
		shared := &thread{}
		h.visit(s[0], shared)
		h.visit(s[1], shared)
		h.busy(s[1])
		a := waitAt(t, h, s[0], time.Second)
		synctest.Wait()
		if !a().done || a().own || a().took != 0 || q.rounds() != 0 {
			t.Errorf("a: %+v after %d rounds, want no wait at all", a(), q.rounds())
		}
		time.Sleep(spotFresh + time.Millisecond) // b has moved to another worker
		h.idle(s[0], id(1, 0), 0)
		a = waitAt(t, h, s[0], 100*time.Millisecond)
		synctest.Wait()
		if a().done {
			t.Error("held up by a partition that was last heard of long ago")
		}
	})
}

func TestErrorEndsTheWaitForTheReaderToMeetIt(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		q.fail = errors.New("gone")
		s := spotsOf(h, "a", "b")
		a := waitAt(t, h, s[0], time.Second)
		synctest.Wait()
		if !a().done || !a().own || a().took != 0 {
			t.Errorf("a: %+v, want it to go and look", a())
		}
		for i, spot := range s {
			if _, ok := h.empty(spot, id(1, 0)); ok {
				t.Errorf("partition %d counts as empty after an error", i)
			}
		}
		if q.rounds() != 1 {
			t.Errorf("%d rounds, want no other one before a reader waits again", q.rounds())
		}
	})
}

// A wait that fails at once is not tried again at once.
func TestFailedWaitsHaveAPauseBetweenThem(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		q.fail = errors.New("not permitted")
		s := spotsOf(h, "a")
		looks, start := 0, time.Now()
		for time.Since(start) < 10*roundPause {
			if h.wait(t.Context(), s[0], 50*time.Millisecond) {
				looks++
			}
			h.idle(s[0], id(1, 0), 0)
		}
		if looks < 8 || looks > 12 || q.rounds() != looks {
			t.Errorf("looked %d times after %d rounds, want about 10", looks, q.rounds())
		}
	})
}

func TestReaderThatMovedOnIsNotToldOldNews(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		s := spotsOf(h, "a")
		first := waitAt(t, h, s[0], 10*time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		if !first().done || first().own {
			t.Fatalf("first wait: %+v", first())
		}
		h.idle(s[0], id(5, 0), 0) // read in the meantime; the old round still blocks at 1-0
		second := waitAt(t, h, s[0], 50*time.Millisecond)
		synctest.Wait()
		if q.rounds() != 2 || q.asked()[1][0].After != id(5, 0) {
			t.Fatalf("asked %v, want a second wait after 5-0", q.asked())
		}
		q.arrived <- "a" // one of the two rounds takes it
		time.Sleep(time.Second)
		if !second().done {
			t.Error("still waiting")
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, _ *quietServer) {
		s := spotsOf(h, "a")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Millisecond, cancel)
		start := time.Now()
		if h.wait(ctx, s[0], time.Hour) || time.Since(start) != 30*time.Millisecond {
			t.Errorf("waited for %v", time.Since(start))
		}
	})
}

// TestRoundsDoNotGrow: while somebody always waits, one round starts the next.
// None of them may hold on to the ones before.
func TestRoundsDoNotGrow(t *testing.T) {
	bubble(t, func(t *testing.T, h *hub, q *quietServer) {
		s := spotsOf(h, "a")
		h.wait(t.Context(), s[0], 20*waitRound)
		if q.rounds() < 20 {
			t.Fatalf("%d rounds, want 20 in a row", q.rounds())
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.depths[19] > q.depths[0] {
			t.Errorf("the contexts are nested ever deeper: %v", q.depths)
		}
	})
}

func TestPeersAreThoseOfTheThreadBefore(t *testing.T) {
	h := newHub(nil)
	a, b := &spot{stream: "a"}, &spot{stream: "b"}
	var got []int
	for range 2 {
		th := &thread{}
		got = append(got, h.visit(a, th), h.visit(b, th), h.visit(b, th))
	}
	if diff := cmp.Diff([]int{1, 1, 1, 2, 2, 2}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// realHub is a hub of a real server, with idle partitions at their ends.
func realHub(t *testing.T, partitions int) (*hub, []*spot, *redistest.Server) {
	t.Helper()
	s := redistest.Start(t)
	client, err := rdb.Open(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	h := newHub(client.WaitForEntries)
	spots := make([]*spot, partitions)
	for i := range spots {
		spots[i] = &spot{stream: fmt.Sprintf("in:%d", i)}
		addEntry(t, s, spots[i].stream, "1-0")
		h.visit(spots[i], &thread{})
		h.idle(spots[i], id(1, 0), 0)
	}
	return h, spots, s
}

func addEntry(t *testing.T, s *redistest.Server, stream, entryID string) {
	t.Helper()
	if err := s.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: entryID, Values: []string{"f", "v"}}).Err(); err != nil {
		t.Fatal(err)
	}
}

// blocked counts the server's clients that wait in a blocking command.
func blocked(t *testing.T, s *redistest.Server) int {
	t.Helper()
	info, err := s.Client().Info(t.Context(), "clients").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "blocked_clients:")
	var n int
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// commands counts what the server has carried out.
func commands(t *testing.T, s *redistest.Server) int {
	t.Helper()
	info, err := s.Client().Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "total_commands_processed:")
	var n int
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestIdleReadersShareOneBlockingCommandOfTheServer(t *testing.T) {
	h, spots, s := realHub(t, 4)
	before := commands(t, s)
	start := time.Now()
	var wg sync.WaitGroup
	for _, spot := range spots {
		wg.Go(func() {
			for time.Since(start) < 5*waitRound {
				h.wait(t.Context(), spot, waitRound)
			}
		})
	}
	most := 0
	for time.Since(start) < 4*waitRound {
		most = max(most, blocked(t, s))
		before++ // this look itself
		time.Sleep(10 * time.Millisecond)
	}
	wg.Wait()
	took := time.Since(start)
	pollUntil(t, "the last round is over", func() bool { before++; return blocked(t, s) == 0 })
	if most != 1 {
		t.Errorf("%d clients blocked at once, want 1", most)
	}
	// TIME and XREAD per round; opening the connection takes a few more.
	if n, want := commands(t, s)-before, 2*(int(took/waitRound)+3)+6; n > want {
		t.Errorf("%d commands in %v, want at most %d", n, took, want)
	}
}

func TestRealArrivalIsNoticedWithinMilliseconds(t *testing.T) {
	h, spots, s := realHub(t, 2)
	woken := make(chan bool, 1)
	go func() { woken <- h.wait(t.Context(), spots[0], 5*time.Second) }()
	pollUntil(t, "the reader waits", func() bool { return blocked(t, s) == 1 })
	start := time.Now()
	addEntry(t, s, "in:0", "2-0")
	if own := <-woken; !own {
		t.Error("woken for another partition")
	}
	if took := time.Since(start); took > waitRound/2 {
		t.Errorf("noticed after %v: that is a poll, not a wake", took)
	}
}

func TestWaitAtADeadServerEndsWithAnError(t *testing.T) {
	h, spots, s := realHub(t, 2)
	woken := make(chan bool, 1)
	go func() { woken <- h.wait(t.Context(), spots[0], 5*time.Second) }()
	pollUntil(t, "the reader waits", func() bool { return blocked(t, s) == 1 })
	s.Kill()
	select {
	case own := <-woken:
		if !own {
			t.Error("want the reader to go and meet the error")
		}
	case <-time.After(3 * time.Second):
		t.Error("still waiting")
	}
}

// TestIdleCommandRateIsSmallAndFlat lets readers look for entries as a runner
// would: in a loop, all partitions one after another, for ever.
func TestIdleCommandRateIsSmallAndFlat(t *testing.T) {
	s := redistest.Start(t)
	cfg := Defaults()
	cfg.Conn, cfg.Group = s.Config(), "g"
	client, err := rdb.Open(cfg.Conn)
	if err != nil {
		t.Fatal(err)
	}
	const partitions = 8
	var readers []*reader
	var trackers []*Tracker
	for i := range partitions {
		stream := fmt.Sprintf("in:%d", i)
		if _, err := client.CreateGroup(t.Context(), stream, cfg.Group, "0"); err != nil {
			t.Fatal(err)
		}
		readers, trackers = append(readers, newReader(client, &cfg, stream)), append(trackers, NewTracker(endless(id(0, 0))))
	}
	bundle := func() {
		th, left := &thread{}, cfg.IdleTime
		for i, r := range readers {
			r.hub.visit(r.spot, th)
			if b, err := r.ready(t.Context(), trackers[i], 100); err != nil || b != nil {
				t.Fatalf("partition %d: %v, %v; want nothing", i, b, err)
			}
			start := time.Now()
			r.hub.wait(t.Context(), r.spot, left)
			left = max(0, left-time.Since(start))
		}
	}
	bundle() // opens
	bundle()
	var rates []float64
	for range 2 {
		before, start := commands(t, s), time.Now()
		for time.Since(start) < 2*time.Second {
			bundle()
		}
		rates = append(rates, float64(commands(t, s)-before)/time.Since(start).Seconds())
	}
	// A fetch is 6 commands and due every 2 s per partition, a round of waiting
	// 2 commands and due 5 times a second.
	const expected = partitions*6/2.0 + 2*5
	for _, rate := range rates {
		if rate > 2*expected {
			t.Errorf("%.0f commands a second, want about %.0f", rate, expected)
		}
	}
	t.Logf("idle: %.0f commands a second (%.0f expected)", rates, expected)
}
