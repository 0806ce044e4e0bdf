package sinks

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"example.com/beamredis/redisio/internal/redistest"
)

// Every element has a document of its own, which has to be there; and of the
// elements that share their keys the last ones stay.
func TestBrokenConnectionsLoseNoDocument(t *testing.T) {
	const n, shared = 3000, 1500
	for name, fault := range proxyFaults {
		t.Run(name, func(t *testing.T) {
			eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
				p := server.Through(3, proxyDelay, fault)
				cfg := server.Config()
				cfg.Addr, cfg.ReadTimeout, cfg.WriteTimeout = p.Addr(), proxyDelay/3, proxyDelay/3
				s := newDocumentSink(t, cfg, format, func(d *DocumentFn) { change(d); d.Batch.MaxCount = 100 })
				var elems []any
				for i := range n {
					elems = append(elems, item{Key: fmt.Sprint("own-", i), N: i})
				}
				if err := s.bundle(t.Context(), append(elems, items(shared)...)...); err != nil {
					t.Fatal(err)
				}
				if p.Done(fault) < 3 {
					t.Fatalf("there were %d faults: this test proves nothing", p.Done(fault))
				}
				await(t, "delayed requests have arrived", p.Idle)
				for i := range n {
					if got := storedNumber(t, server, format, fmt.Sprint("own-", i)); got != i {
						t.Fatalf("the document of element %d holds %d", i, got)
					}
				}
				if fault != redistest.DelayRequest {
					wantLast(t, server, format, shared)
				}
			})
		})
	}
}

// A request that arrives when its repeating is long written brings its
// documents back: nothing but idempotence could tell the server. The next write
// of each key sets that right.
func TestWhatArrivesLateIsWrittenOver(t *testing.T) {
	server := redistest.Start(t)
	p := server.Through(3, proxyDelay, redistest.DelayRequest)
	cfg := server.Config()
	cfg.Addr, cfg.ReadTimeout, cfg.WriteTimeout = p.Addr(), proxyDelay/3, proxyDelay/3
	s := newDocumentSink(t, cfg, Hash, func(d *DocumentFn) { d.Batch.MaxCount = 100 })
	if err := s.bundle(t.Context(), items(3000)...); err != nil {
		t.Fatal(err)
	}
	await(t, "delayed requests have arrived", p.Idle)
	direct := newDocumentSink(t, server.Config(), Hash, nil)
	if err := direct.bundle(t.Context(), items(3500)...); err != nil {
		t.Fatal(err)
	}
	wantLast(t, server, Hash, 3500)
}

// A sink whose server takes nothing holds two batches of 1 MiB and what the
// client needs to send one: 16 MiB is generous, and a tenth of what is offered.
func TestMemoryIsBoundedWhileTheServerIsFull(t *testing.T) {
	const bound, offered = 16 << 20, 160 << 20
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		setMaxMemory(t, server.Client(), "1")
		s := newDocumentSink(t, server.Config(), format, func(d *DocumentFn) { change(d); d.Batch.MaxCount = 1 << 20 })
		before := liveHeap()
		done, offers := make(chan error, 1), 0
		s.StartBundle(t.Context(), s.emit)
		go func() {
			for ; offers*10_000 < offered; offers++ {
				e := item{Key: fmt.Sprint("key-", offers%keyCount), N: offers, Pad: strings.Repeat("x", 10_000)}
				if err := s.ProcessElement(t.Context(), 0, e, s.emit); err != nil {
					done <- err
					return
				}
			}
			done <- s.FinishBundle(t.Context(), s.emit)
		}()
		awaitRetries(t, &s.lanes[0].delivery.retries)
		await(t, "the sink makes the pipeline wait", s.lanes[0].batcher.isFull)
		if grown := int64(liveHeap()) - int64(before); grown > bound {
			t.Errorf("the heap has grown by %d bytes, want at most %d", grown, bound)
		}
		setMaxMemory(t, server.Client(), "0")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if grown := int64(liveHeap()) - int64(before); grown > bound {
			t.Errorf("the heap has grown by %d bytes afterwards, want at most %d", grown, bound)
		}
		wantLast(t, server, format, offers)
	})
}

func liveHeap() uint64 {
	var m runtime.MemStats
	for range 2 { // finalizers of the first let go of more
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
