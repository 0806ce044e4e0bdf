package sinks

import (
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/beamredis/redisio/internal/redistest"
)

func TestAFullServerIsWaitedForAndTheLastDocumentStays(t *testing.T) {
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		setMaxMemory(t, server.Client(), "1")
		s := newDocumentSink(t, server.Config(), format, change)
		done := make(chan error)
		go func() { done <- s.bundle(t.Context(), items(3000)...) }()
		awaitRetries(t, &s.lanes[0].delivery.retries)
		if n := server.Client().DBSize(t.Context()).Val(); n != 0 {
			t.Errorf("%d documents were written", n)
		}
		setMaxMemory(t, server.Client(), "0")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantLast(t, server, format, 3000)
	})
}

// Some of a pipeline is refused and some is not: what is sent again must not
// come out on top of what was later.
func TestAServerOnTheEdgeOfItsMemoryKeepsTheLastDocument(t *testing.T) {
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		s := newDocumentSink(t, server.Config(), format, change)
		const each = 1000
		rounds, short := 0, 0
		// How often a batch meets the shortage is chance; go on until one has.
		for deadline := time.Now().Add(time.Minute); rounds < 5 || s.lanes[0].delivery.retries.Load() == 0 && time.Now().Before(deadline); rounds++ {
			elems := items(each)
			for i := range elems {
				e := elems[i].(item)
				e.Pad = strings.Repeat("x", 1000)
				elems[i] = e
			}
			stop := flapMemory(t, server.Client())
			err := s.bundle(t.Context(), elems...)
			short += stop()
			if err != nil {
				t.Fatal(err)
			}
			wantLast(t, server, format, each)
		}
		if s.lanes[0].delivery.retries.Load() == 0 {
			t.Errorf("nothing was refused although the memory was short %d times", short)
		}
	})
}

func TestAServerKilledAndRestartedHasTheLastDocuments(t *testing.T) {
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		s := newDocumentSink(t, server.Config(), format, func(d *DocumentFn) { change(d); d.Batch.MaxCount = 50 })
		s.StartBundle(t.Context(), s.emit)
		const n = 3000
		var restarted sync.WaitGroup
		defer restarted.Wait()
		for i, e := range items(n) {
			if i%1000 == 500 {
				restarted.Wait()
				await(t, "some of it is under way", s.lanes[0].batcher.isRunning)
				server.Kill()
				restarted.Go(server.Restart)
			}
			if err := s.ProcessElement(t.Context(), 0, e, s.emit); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.FinishBundle(t.Context(), s.emit); err != nil {
			t.Fatal(err)
		}
		wantLast(t, server, format, n)
		if s.lanes[0].delivery.retries.Load() == 0 {
			t.Error("nothing was retried: the server was never missed")
		}
	})
}
