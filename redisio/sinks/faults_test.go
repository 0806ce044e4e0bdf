package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func TestAServerKilledAndRestartedGetsEverything(t *testing.T) {
	server := redistest.Start(t, redistest.Durable())
	s := newSink(t, server, func(w *WriteFn) { w.Batch.MaxCount = 50 })
	if err := s.StartBundle(t.Context(), s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	const n = 5000
	var restarted sync.WaitGroup
	defer restarted.Wait()
	for i, m := range numbered(0, n) {
		if i%1000 == 500 {
			restarted.Wait()
			await(t, "some of it is under way", s.lanes[0].batcher.isRunning)
			server.Kill()
			restarted.Go(server.Restart)
		}
		if err := s.ProcessElement(t.Context(), 0, m, s.emit, s.emitWritten); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.FinishBundle(t.Context(), s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, ns := range storedNumbers(t, server) {
		all = append(all, ns...)
	}
	slices.Sort(all)
	if diff := cmp.Diff(numbers(n), slices.Compact(all)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if s.lanes[0].delivery.retries.Load() == 0 {
		t.Error("nothing was retried: the server was never missed")
	}
}

func TestAnUnreachableServerFailsTheBundleAtTheDeadline(t *testing.T) {
	s := newSinkOn(t, conn.Config{Addr: "127.0.0.1:1"}, func(w *WriteFn) { w.Batch.Deadline = 200 * time.Millisecond })
	start := time.Now()
	err := s.bundle(t.Context(), numbered(0, 1)...)
	var lost *LostError
	if !errors.As(err, &lost) {
		t.Fatalf("error %v, want a LostError", err)
	}
	if took := time.Since(start); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("failed after %v, want about 200 ms", took)
	}
	for _, part := range []string{"1 elements", "out:", "127.0.0.1:1", "refused"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}

func setMaxMemory(t *testing.T, c *redis.Client, bytes string) {
	t.Helper()
	if err := c.ConfigSet(context.Background(), "maxmemory", bytes).Err(); err != nil {
		t.Error(err)
	}
}

// awaitRetries waits until a batch was refused and, tried again, refused again.
func awaitRetries(t *testing.T, retries *atomic.Int64) {
	t.Helper()
	await(t, "a batch is refused", func() bool { return retries.Load() > 0 })
	first := retries.Load()
	await(t, "the batch is tried again", func() bool { return retries.Load() > first })
}

func TestAFullServerIsWaitedForAndOrderIsKept(t *testing.T) {
	server := redistest.Start(t)
	setMaxMemory(t, server.Client(), "1")
	s := newSink(t, server, nil)
	done := make(chan error)
	go func() { done <- s.bundle(t.Context(), numbered(0, 3000)...) }()
	awaitRetries(t, &s.lanes[0].delivery.retries)
	setMaxMemory(t, server.Client(), "0")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantAllOnceInOrder(t, server, 3000)
}

// flapMemory makes the server's memory short for a moment every few
// milliseconds, 40 times at most: on a slow machine no large batch would ever
// get through otherwise. stop ends that and returns how often it was.
func flapMemory(t *testing.T, c *redis.Client) (stop func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	var flaps int
	var done sync.WaitGroup
	done.Go(func() {
		pauses := time.NewTicker(10 * time.Millisecond)
		defer pauses.Stop()
		for ; ctx.Err() == nil && flaps < 40; flaps++ {
			setMaxMemory(t, c, "1")
			setMaxMemory(t, c, "0")
			select {
			case <-pauses.C:
			case <-ctx.Done():
			}
		}
	})
	stop = func() int { cancel(); done.Wait(); return flaps }
	t.Cleanup(func() { stop() })
	return stop
}

// A server on the edge of its memory takes some commands of a pipeline and
// refuses others: the order per partition must survive, and as nothing is of
// unknown outcome, nothing is there twice. The batches are large, so that the
// server turns to other clients in the middle of one.
func TestAServerOnTheEdgeOfItsMemoryKeepsOrder(t *testing.T) {
	server := redistest.Start(t)
	s := newSink(t, server, nil)
	stop := flapMemory(t, server.Client())
	const each = 1000
	pad := message.Field{Name: "pad", Value: strings.Repeat("x", 1000)}
	rounds := 0
	// How often a batch meets the shortage is chance; go on until one has.
	for deadline := time.Now().Add(time.Minute); rounds < 5 || s.lanes[0].delivery.retries.Load() == 0 && time.Now().Before(deadline); rounds++ {
		msgs := numbered(rounds*each, each)
		for j := range msgs {
			msgs[j].Fields = append(msgs[j].Fields, pad)
		}
		if err := s.bundle(t.Context(), msgs...); err != nil {
			t.Fatal(err)
		}
	}
	if n := stop(); s.lanes[0].delivery.retries.Load() == 0 {
		t.Errorf("nothing was refused although the memory was short %d times", n)
	}
	wantAllOnceInOrder(t, server, rounds*each)
}

func TestABurstTravelsInFewBatches(t *testing.T) {
	server := redistest.Start(t)
	s := newSink(t, server, nil)
	if err := s.bundle(t.Context(), numbered(0, 20000)...); err != nil {
		t.Fatal(err)
	}
	info, err := server.Client().Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, calls, _ := strings.Cut(info, "cmdstat_exec:calls=")
	batches := 0
	if _, err := fmt.Sscanf(calls, "%d,", &batches); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d batches", batches)
	if batches > 60 {
		t.Errorf("20,000 messages travelled in %d batches, want about 20", batches)
	}
}
