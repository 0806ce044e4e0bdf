package sinks

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

// worker runs bundles as Beam's harness does, which calls nothing on the DoFns
// of a bundle that fails, and does not end its context.
type worker struct {
	ctx context.Context
	ran int
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	hooks.DisableHook(harness.DefaultRemoteLoggingHook) // it wants a server to log to
	finalize.Enable()
	hooks.SerializeHooksToOptions()
	hooks.DeserializeHooksFromOptions(t.Context())
	ctx, err := hooks.RunInitHooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := hooks.EnableHook(harness.DefaultRemoteLoggingHook); err != nil {
		t.Fatal(err)
	}
	return &worker{ctx: ctx}
}

// begin returns the context of a bundle, and what ends it.
func (w *worker) begin() (ctx context.Context, end func(failure string)) {
	w.ran++
	id := strconv.Itoa(w.ran)
	req := &fnpb.InstructionRequest{InstructionId: id,
		Request: &fnpb.InstructionRequest_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleRequest{}}}
	ctx = hooks.RunRequestHooks(w.ctx, req)
	return ctx, func(failure string) {
		hooks.RunResponseHooks(ctx, req, &fnpb.InstructionResponse{InstructionId: id, Error: failure,
			Response: &fnpb.InstructionResponse_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleResponse{}}})
	}
}

// The runner repeats a bundle that failed. What an earlier attempt still holds
// would come out on top of what is written since.
func TestABundleThatFailedElsewhereWritesNoDocumentMore(t *testing.T) {
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		setMaxMemory(t, server.Client(), "1")
		old := newDocumentSink(t, server.Config(), format, func(d *DocumentFn) {
			change(d)
			d.Batch.MaxCount, d.Batch.Deadline = 1, time.Hour
		})
		ctx, end := newWorker(t).begin()
		old.StartBundle(ctx, old.emit)
		for n := range 2 { // one is being sent, the other waits its turn
			if err := old.ProcessElement(ctx, 0, item{Key: "k", N: n}, old.emit); err != nil {
				t.Fatal(err)
			}
		}
		awaitRetries(t, &old.lanes[0].delivery.retries)
		end("another DoFn has failed")
		await(t, "the failed bundle gives up", func() bool { return !old.lanes[0].batcher.isRunning() })
		setMaxMemory(t, server.Client(), "0")
		repeated := newDocumentSink(t, server.Config(), format, change)
		if err := repeated.bundle(t.Context(), item{Key: "k", N: 1}, item{Key: "k", N: 2}); err != nil {
			t.Fatal(err)
		}
		if got := storedNumber(t, server, format, "k"); got != 2 {
			t.Errorf("the document holds %d, want the last word, 2", got)
		}
		if n := old.lanes[0].delivery.written.Load(); n != 0 {
			t.Errorf("%d documents were written by the failed bundle", n)
		}
	})
}

func TestABundleThatFailedElsewhereAddsNoEntryMore(t *testing.T) {
	for name, once := range map[string]*OnceOptions{"plain": nil, "written once": {Name: "a"}} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			setMaxMemory(t, server.Client(), "1")
			s := newSink(t, server, func(w *WriteFn) { w.Topic, w.Once, w.Batch.Deadline = single, once, time.Hour })
			ctx, end := newWorker(t).begin()
			if err := s.StartBundle(ctx, s.emit, s.emitWritten); err != nil {
				t.Fatal(err)
			}
			if err := s.ProcessElement(ctx, 0, jobFrom(0).reads(1)[0], s.emit, s.emitWritten); err != nil {
				t.Fatal(err)
			}
			awaitRetries(t, &s.lanes[0].delivery.retries)
			end("another DoFn has failed")
			await(t, "the failed bundle gives up", func() bool { return !s.lanes[0].batcher.isRunning() })
			setMaxMemory(t, server.Client(), "0")
			if err := newSink(t, server, func(w *WriteFn) { w.Topic, w.Once = single, once }).bundle(t.Context(), jobFrom(0).reads(1)...); err != nil {
				t.Fatal(err)
			}
			wantTexts(t, server, "1")
		})
	}
}

// The end of a bundle is told late, while the next one of the same DoFn may run
// already.
func TestTheEndOfABundleDoesNotEndTheNext(t *testing.T) {
	server := redistest.Start(t)
	s := newDocumentSink(t, server.Config(), Hash, func(d *DocumentFn) { d.Concurrency = 4 })
	w := newWorker(t)
	const bundles, each = 200, 20
	for b := range bundles {
		ctx, end := w.begin()
		var elems []any
		for i := range each {
			elems = append(elems, item{Key: fmt.Sprint("key-", i), N: b})
		}
		if err := s.bundle(ctx, elems...); err != nil {
			t.Fatalf("bundle %d: %v", b, err)
		}
		end("")
	}
	if got := calls(t, server, "hset"); got != bundles*each {
		t.Errorf("%d documents were written, want %d", got, bundles*each)
	}
}

// The bundle fails with what one lane met. The others do not try on, and have
// nothing to add to the error.
func TestALaneThatFailsEndsTheOthersOfItsSink(t *testing.T) {
	server := redistest.Start(t)
	s := newDocumentSink(t, server.Config(), Hash, func(d *DocumentFn) { d.Concurrency, d.Batch.Deadline = 2, time.Hour })
	refused, forbidden := "free-0", "own-0"
	for i := 0; laneOf(s.lanes, refused) == laneOf(s.lanes, forbidden); i++ {
		forbidden = fmt.Sprint("own-", i)
	}
	// Permissions are looked at before memory.
	if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "default", "resetkeys", "~free-*").Err(); err != nil {
		t.Fatal(err)
	}
	setMaxMemory(t, server.Client(), "1")
	s.StartBundle(t.Context(), s.emit)
	if err := s.ProcessElement(t.Context(), 0, item{Key: refused}, s.emit); err != nil {
		t.Fatal(err)
	}
	awaitRetries(t, &laneOf(s.lanes, refused).delivery.retries)
	if err := s.ProcessElement(t.Context(), 0, item{Key: forbidden}, s.emit); err != nil {
		t.Fatal(err)
	}
	await(t, "the other lane gives up", func() bool { return !laneOf(s.lanes, refused).batcher.isRunning() })
	err := s.ProcessElement(t.Context(), 0, item{Key: refused}, s.emit)
	if err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("the lane that gave up says %v, want the reason of the one that failed", err)
	}
	err = s.FinishBundle(t.Context(), s.emit)
	if err == nil || strings.Count(err.Error(), "NOPERM") != 1 || strings.Contains(err.Error(), "\n") {
		t.Errorf("the bundle fails with %q, want one line that says NOPERM once", err)
	}
}

// A pipeline without a Read has nobody else who sees to it.
func TestWhoeverWritesHasBundlesTellTheirEnd(t *testing.T) {
	const hook = "beamredis:bundle-finalization"
	for name, write := range map[string]func(beam.Scope){
		"documents": func(s beam.Scope) {
			WriteDocuments(s, DocumentConfig{Format: Hash, Key: funcOf(itemKey)}, beam.Create(s, item{}))
		},
		"entries": func(s beam.Scope) { WriteStream(s, WriteConfig{Topic: single}, beam.Create(s, message.Message{})) },
	} {
		t.Run(name, func(t *testing.T) {
			hooks.DisableHook(hook)
			_, s := beam.NewPipelineWithRoot()
			write(s)
			if on, _ := hooks.IsEnabled(hook); !on {
				t.Error("the pipeline's workers would not learn of failed bundles")
			}
		})
	}
}
