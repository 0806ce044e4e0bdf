package sdf

import (
	"context"
	"sync"
	"time"

	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// hub lets all readers of one deployment in a process wait together: one
// blocking XREAD covers every partition that is known to be idle, whether or
// not a bundle waits for it right now. On a cluster see clusterRounds.
type hub struct {
	waitFor waitFunc
	cluster *clusterRounds // nil where one command can wait for all partitions

	mu     sync.Mutex
	spots  map[*spot]struct{}
	failed time.Time // when a round of waiting failed last
	warned bool      // that waiting is not permitted
}

// spot is what a hub knows of one reader's partition. Its fields are guarded
// by the hub's lock.
type spot struct {
	stream  string
	pos     message.EntryID // there was nothing after it
	emptyMs int64           // the server's clock from before that was found
	knownAt time.Time       // when this was learned
	ready   bool            // there is something to read
	covered bool            // a round of waiting includes it, at pos
	woken   chan struct{}   // of the reader that waits, or nil
	// thread and before are the last two threads that the partition was read on.
	thread, before *thread
}

// thread stands for the bundle that a runner's thread is running: all
// partitions of the bundle have the same one. While one of them waits, the
// others cannot be read, so their entries must end the wait.
type thread struct {
	parts int // partitions that had a turn
}

var (
	hubsMu sync.Mutex
	hubs   = map[*rdb.Client]*hub{}
)

// waitFunc is that of [rdb.Client.WaitForEntries].
type waitFunc func(context.Context, []rdb.Position, time.Duration) (ready []string, nowMs int64, err error)

func newHub(waitFor waitFunc) *hub {
	return &hub{waitFor: waitFor, spots: map[*spot]struct{}{}}
}

func hubOf(c *rdb.Client) *hub {
	hubsMu.Lock()
	defer hubsMu.Unlock()
	h := hubs[c]
	if h == nil {
		h = newHub(c.WaitForEntries)
		h.cluster = newClusterRounds(c)
		hubs[c] = h
	}
	return h
}

const (
	// waitRound is how long one blocking XREAD waits.
	waitRound = 200 * time.Millisecond
	// spotFresh is how long what is known of a partition counts, if no bundle
	// comes back to it: it may have moved to another worker.
	spotFresh = 2 * time.Second
	// emptyFor is how long the news that a partition is empty saves a fetch.
	emptyFor = 2 * waitRound
	// roundPause is how long no round begins after one that failed. Partitions
	// are polled meanwhile: their readers are woken by every failure.
	roundPause = waitRound
)

// visit notes that the partition has a turn on th, and how many partitions had
// one on the thread before.
func (h *hub) visit(s *spot, th *thread) (peers int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.thread != th {
		s.before, s.thread = s.thread, th
		th.parts++
	}
	if s.before == nil {
		return 1
	}
	return s.before.parts
}

// idle notes that there was nothing after pos at server time ms.
func (h *hub) idle(s *spot, pos message.EntryID, ms int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spots[s] = struct{}{}
	if s.pos != pos {
		s.pos, s.covered = pos, false
	}
	s.emptyMs, s.knownAt, s.ready = ms, time.Now(), false
}

// busy notes that there is more to read.
func (h *hub) busy(s *spot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spots[s] = struct{}{}
	s.ready, s.knownAt = true, time.Now()
}

// forget drops what is known.
func (h *hub) forget(s *spot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.spots, s)
	s.covered, s.ready, s.knownAt = false, false, time.Time{}
}

// empty returns the server's clock at which there was nothing after pos, if
// that is recent news.
func (h *hub) empty(s *spot, pos message.EntryID) (ms int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.pos != pos || s.ready || time.Since(s.knownAt) > emptyFor {
		return 0, false
	}
	return s.emptyMs, true
}

// wait blocks until there is something to read in s, or in a partition that
// only this thread can read, or until d has passed. It reports whether it is s.
func (h *hub) wait(ctx context.Context, s *spot, d time.Duration) (own bool) {
	woken := h.enter(ctx, s)
	if woken != nil {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-woken:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.woken == woken {
		s.woken = nil
	}
	return s.ready || s.knownAt.IsZero()
}

// enter makes s a waiting one, or returns nil if there is something to read.
// It starts a round unless one that covers s is under way.
func (h *hub) enter(ctx context.Context, s *spot) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.ready || h.peerReady(s) {
		return nil
	}
	s.woken = make(chan struct{})
	if !s.covered {
		h.startRound(context.WithoutCancel(ctx), s)
	}
	return s.woken
}

// peerReady reports whether a partition of the same thread has something to
// read, and nobody waits for it.
func (h *hub) peerReady(s *spot) bool {
	for other := range h.spots {
		if other != s && other.ready && other.woken == nil && other.fresh() && s.sharesThread(other) {
			return true
		}
	}
	return false
}

func (s *spot) fresh() bool { return time.Since(s.knownAt) <= spotFresh }

// sharesThread reports whether other can only be read when the thread that
// reads s is done with it.
func (s *spot) sharesThread(other *spot) bool {
	return other.thread != nil && (other.thread == s.thread || other.thread == s.before)
}

// startRound waits for s and every other partition that is idle and not waited
// for yet.
func (h *hub) startRound(ctx context.Context, s *spot) {
	if time.Since(h.failed) < roundPause {
		return
	}
	var at []rdb.Position
	var covered []*spot
	for other := range h.spots {
		if other != s && !other.fresh() && other.woken == nil {
			if time.Since(other.knownAt) > forget {
				delete(h.spots, other)
			}
			continue
		}
		if other.covered || other.ready {
			continue
		}
		other.covered = true
		covered = append(covered, other)
		at = append(at, rdb.Position{Stream: other.stream, After: other.pos})
	}
	if len(covered) > 0 {
		go h.rounds(ctx, at, covered)
	}
}

// rounds waits for the partitions: together, or on a cluster in parts.
func (h *hub) rounds(ctx context.Context, at []rdb.Position, covered []*spot) {
	if h.cluster == nil {
		h.round(ctx, h.waitFor, at, covered)
		return
	}
	for _, part := range h.cluster.split(ctx, at, covered) {
		go func() {
			defer h.cluster.done(part)
			h.round(ctx, part.waitFor, part.at, part.covered)
		}()
	}
}

func (h *hub) round(ctx context.Context, waitFor waitFunc, at []rdb.Position, covered []*spot) {
	// The next round gets ctx itself: rounds follow each other without end, and
	// contexts that each held the one before would grow with them.
	timed, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	streams, ms, err := waitFor(timed, at, waitRound)
	arrived := map[string]bool{}
	for _, name := range streams {
		arrived[name] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.fail(ctx, err)
	}
	var waiting *spot
	for i, s := range covered {
		if !s.covered || s.pos != at[i].After {
			continue // read on in the meantime
		}
		s.covered = false
		switch {
		case err != nil:
			s.knownAt = time.Time{} // let the reader meet the error
			s.wake()
		case arrived[s.stream]:
			s.ready, s.knownAt = true, time.Now()
			h.wakeFor(s)
		default:
			s.emptyMs, s.knownAt = ms, time.Now()
			if s.woken != nil {
				waiting = s
			}
		}
	}
	if waiting == nil {
		// On a cluster each partition has a round of its own, which has to go on
		// while a reader of the same thread waits.
		waiting = h.anyWaiting()
	}
	if waiting != nil {
		h.startRound(ctx, waiting)
	}
}

func (h *hub) anyWaiting() *spot {
	for s := range h.spots {
		if s.woken != nil {
			return s
		}
	}
	return nil
}

// fail notes that a round has failed. Most errors are the readers' to report,
// when they meet them; only waiting needs the permission for XREAD.
func (h *hub) fail(ctx context.Context, err error) {
	h.failed = time.Now()
	if rdb.IsNoPermission(err) && !h.warned {
		h.warned = true
		logs.Log.WarnContext(ctx, "the user may not wait for entries: grant it the command XREAD (ACL SETUSER … +xread); until then idle partitions are polled",
			"every", roundPause, "error", err)
	}
}

// wakeFor wakes who can read s: its own reader, or, if that does not wait,
// whoever occupies its thread.
func (h *hub) wakeFor(s *spot) {
	if s.woken != nil {
		s.wake()
		return
	}
	for other := range h.spots {
		if other != s && other.woken != nil && other.sharesThread(s) {
			other.wake()
		}
	}
}

func (s *spot) wake() {
	if s.woken != nil {
		close(s.woken)
		s.woken = nil
	}
}
