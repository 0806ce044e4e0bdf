package sinks

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

// What was refused is nothing that was written: the marks did not move.
func TestAFullServerIsWaitedForAndEachIsWrittenOnce(t *testing.T) {
	for name, from := range map[string]func(job, ...uint64) []message.Message{"in order": job.reads, "shuffled": job.shuffled, "given": job.isGiven} {
		t.Run(name, func(t *testing.T) {
			const n = 3000
			var ids []uint64
			var want []string
			for i := range n {
				ids, want = append(ids, uint64(i+1)), append(want, strconv.Itoa(i+1))
			}
			job := jobFrom(0)
			if name == "given" {
				job = jobFrom(n + 1)
			}
			server := redistest.Start(t)
			s := newOnceSink(t, server, "a", func(w *WriteFn) { w.Batch.MaxCount = 100 })
			if err := s.bundle(t.Context(), from(job, ids[:n/3]...)...); err != nil {
				t.Fatal(err)
			}
			setMaxMemory(t, server.Client(), "1")
			done := make(chan error)
			go func() { done <- s.bundle(t.Context(), from(job, ids...)...) }()
			awaitRetries(t, &s.lanes[0].delivery.retries)
			setMaxMemory(t, server.Client(), "0")
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if err := newOnceSink(t, server, "a", nil).bundle(t.Context(), from(job, ids...)...); err != nil {
				t.Fatal(err)
			}
			wantTexts(t, server, want...)
		})
	}
}

// The bound is that of documents, and as generous.
func TestMemoryOfAStreamIsBoundedWhileTheServerIsFull(t *testing.T) {
	const bound, offers, size = 16 << 20, 16_000, 10_000
	for name, once := range map[string]*OnceOptions{"plain": nil, "written once": {Name: "a"}} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			setMaxMemory(t, server.Client(), "1")
			s := newSink(t, server, func(w *WriteFn) { w.Topic, w.Once, w.Batch.MaxCount = single, once, 1<<20 })
			before, done := liveHeap(), make(chan error, 1)
			wantSmall := func(when string) {
				if grown := int64(liveHeap()) - int64(before); grown > bound {
					t.Errorf("%s the heap has grown by %d bytes, want at most %d", when, grown, bound)
				}
			}
			if err := s.StartBundle(t.Context(), s.emit, s.emitWritten); err != nil {
				t.Fatal(err)
			}
			go func() {
				for i := range offers {
					m := jobFrom(0).reads(uint64(i + 1))[0]
					m.Fields = append(m.Fields, message.Field{Name: "pad", Value: strings.Repeat("x", size)})
					if err := s.ProcessElement(t.Context(), 0, m, s.emit, s.emitWritten); err != nil {
						done <- fmt.Errorf("entry %d: %w", i+1, err)
						return
					}
				}
				done <- s.FinishBundle(t.Context(), s.emit, s.emitWritten)
			}()
			awaitRetries(t, &s.lanes[0].delivery.retries)
			await(t, "the sink makes the pipeline wait", s.lanes[0].batcher.isFull)
			wantSmall("while the server is full")
			setMaxMemory(t, server.Client(), "0")
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			wantSmall("afterwards")
			if got := server.Client().XLen(t.Context(), "single").Val(); got != offers {
				t.Errorf("%d entries were added, want %d", got, offers)
			}
		})
	}
}
