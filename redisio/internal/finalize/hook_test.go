package finalize

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/google/go-cmp/cmp"
)

func TestFinalizationIsRequestedOnlyIfSomebodyNeedsIt(t *testing.T) {
	tests := []struct {
		name      string
		end       outcome
		callbacks int
		requested bool
		sdkSees   bool
		wantRuns  int
		want      Stats
	}{
		{name: "idle bundle"},
		{name: "commit callbacks", callbacks: 3, requested: true, wantRuns: 3, want: Stats{Requested: 1, Finalized: 1}},
		{name: "the SDK's own callbacks", end: outcome{sdkAsked: true}, requested: true, sdkSees: true},
		{name: "both", end: outcome{sdkAsked: true}, callbacks: 1, requested: true, sdkSees: true, wantRuns: 1, want: Stats{Requested: 1, Finalized: 1}},
		{name: "failed bundle", end: outcome{err: "boom"}, callbacks: 2, want: Stats{Dropped: 1}},
		{name: "failed idle bundle", end: outcome{err: "boom"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t, t.Context())
			var ran journal
			requested := h.process("inst001", tt.end, func(b *Bundle) {
				for range tt.callbacks {
					b.OnCommit(ran.commit("run"))
				}
			})
			if requested != tt.requested {
				t.Errorf("finalization requested: %v, want %v", requested, tt.requested)
			}
			if got, want := h.conn().Waiting(), int(tt.want.Requested); got != want {
				t.Errorf("before FinalizeBundle %d bundles wait, want %d", got, want)
			}
			resp, sdkSaw := h.finalize("inst001")
			if sdkSaw != tt.sdkSees {
				t.Errorf("the SDK saw FinalizeBundle: %v, want %v", sdkSaw, tt.sdkSees)
			}
			if answered := resp.GetFinalizeBundle() != nil && resp.GetError() == ""; answered == tt.sdkSees {
				t.Errorf("response %v: it must be a success where the SDK was not asked, and the SDK's own where it was", resp)
			}
			drain(t)
			if got := len(ran.all()); got != tt.wantRuns {
				t.Errorf("%d callbacks ran, want %d", got, tt.wantRuns)
			}
			if diff := cmp.Diff(tt.want, h.conn().Stats()); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
			if got := h.conn().Waiting(); got != 0 {
				t.Errorf("after FinalizeBundle %d bundles wait, want 0", got)
			}
		})
	}
}

func TestCallbacksRunOnceHoweverOftenTheRunnerFinalizes(t *testing.T) {
	h := newHarness(t, t.Context())
	var ran journal
	h.process("inst001", outcome{sdkAsked: true}, func(b *Bundle) { b.OnCommit(ran.commit("run")) })
	for try := range 3 {
		resp, sdkSaw := h.finalize("inst001")
		if first := try == 0; sdkSaw != first {
			t.Errorf("FinalizeBundle no. %d reached the SDK: %v, want %v", try+1, sdkSaw, first)
		}
		if try > 0 && resp.GetError() != "" {
			t.Errorf("FinalizeBundle no. %d is answered with the error %q, want success", try+1, resp.GetError())
		}
	}
	drain(t)
	if diff := cmp.Diff([]string{"run"}, ran.all()); diff != "" {
		t.Errorf("callbacks (-want +got):\n%s", diff)
	}
}

func TestUnknownBundleIsFinalizedWithoutTheSDK(t *testing.T) {
	h := newHarness(t, t.Context())
	resp, sdkSaw := h.finalize("never-seen")
	if sdkSaw || resp.GetError() != "" || resp.GetFinalizeBundle() == nil {
		t.Errorf("SDK asked: %v, response %v; want not asked, and an empty FinalizeBundleResponse", sdkSaw, resp)
	}
	if diff := cmp.Diff(Stats{}, h.conn().Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestOtherInstructionsPassUntouched(t *testing.T) {
	h := newHarness(t, t.Context())
	req := &fnpb.InstructionRequest{InstructionId: "progress", Request: &fnpb.InstructionRequest_ProcessBundleProgress{
		ProcessBundleProgress: &fnpb.ProcessBundleProgressRequest{InstructionId: "inst001"},
	}}
	resp := h.handle(req, func(ctx context.Context) *fnpb.InstructionResponse {
		if b := FromContext(ctx); b != nil {
			t.Errorf("a progress request has the bundle %q", b.id)
		}
		return sdkFailure("progress", "kept")
	})
	if req.GetProcessBundleProgress() == nil || resp.GetError() != "kept" {
		t.Errorf("request %v, response %v: want both as they were", req, resp)
	}
}

// A worker that started before its process enabled the hook gets requests without a connection in the context.
func TestWorkerOfBeforeTheHookIsLeftAlone(t *testing.T) {
	h := &harness{t: t, ctx: t.Context()}
	if requested := h.process("inst001", outcome{}, func(b *Bundle) {
		if b != nil {
			t.Errorf("there is a bundle, %q, without a connection", b.id)
		}
	}); requested {
		t.Error("finalization was requested")
	}
	if _, sdkSaw := h.finalize("inst001"); !sdkSaw {
		t.Error("FinalizeBundle did not reach the SDK")
	}
}

func TestConnectionsWithEqualInstructionIDsAreIsolated(t *testing.T) {
	one, two := newHarness(t, t.Context()), newHarness(t, t.Context())
	var ran journal
	one.process("inst001", outcome{}, func(b *Bundle) { b.OnCommit(ran.commit("one")) })
	two.process("inst001", outcome{}, func(b *Bundle) { b.OnCommit(ran.commit("two")) })
	two.finalize("inst001")
	drain(t)
	if diff := cmp.Diff([]string{"two"}, ran.all()); diff != "" {
		t.Errorf("callbacks (-want +got):\n%s", diff)
	}
	if got := [2]int{one.conn().Waiting(), two.conn().Waiting()}; got != [2]int{1, 0} {
		t.Errorf("waiting %v, want [1 0]", got)
	}
}

func TestReusedInstructionIDDropsTheOlderBundle(t *testing.T) {
	h := newHarness(t, t.Context())
	var ran journal
	for _, bundle := range []string{"older", "newer"} {
		h.process("inst001", outcome{}, func(b *Bundle) {
			b.OnCommit(ran.commit(bundle))
			b.OnDrop(func() { ran.add(bundle + " dropped") })
		})
	}
	drain(t)
	h.finalize("inst001")
	drain(t)
	if diff := cmp.Diff([]string{"older dropped", "newer"}, ran.all()); diff != "" {
		t.Errorf("callbacks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Stats{Requested: 2, Finalized: 1, Dropped: 1}, h.conn().Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestCallbacksRunInOrderOfFinalization(t *testing.T) {
	h := newHarness(t, t.Context())
	var ran journal
	for i := range 3 {
		h.process(fmt.Sprint(i), outcome{}, func(b *Bundle) {
			b.OnCommit(ran.commit(fmt.Sprint(i, "a")))
			b.OnCommit(ran.commit(fmt.Sprint(i, "b")))
		})
	}
	for _, id := range []string{"1", "0", "2"} {
		h.finalize(id)
	}
	drain(t)
	want := strings.Fields("1a 1b 0a 0b 2a 2b")
	if diff := cmp.Diff(want, ran.all()); diff != "" {
		t.Errorf("callbacks (-want +got):\n%s", diff)
	}
}

func TestFullConnectionRefusesCallbacks(t *testing.T) {
	h := newHarness(t, t.Context())
	wait := func(id string) (accepted bool) {
		h.process(id, outcome{}, func(b *Bundle) { accepted = b.OnCommit(func(context.Context) {}) })
		return accepted
	}
	for i := range MaxWaiting {
		if !wait(fmt.Sprint(i)) {
			t.Fatalf("bundle %d of %d was refused", i+1, MaxWaiting)
		}
	}
	if wait("one too many") {
		t.Errorf("with %d bundles waiting, one more was accepted", MaxWaiting)
	}
	h.finalize("0")
	if !wait("after a finalization") {
		t.Error("a bundle was refused although another had been finalized")
	}
	if got := h.conn().Waiting(); got != MaxWaiting {
		t.Errorf("%d bundles wait, want %d", got, MaxWaiting)
	}
}

func TestWhatWasNeverFinalizedIsGarbageWithItsConnection(t *testing.T) {
	conn := func() weak.Pointer[Connection] {
		h := newHarness(t, context.Background())
		h.process("inst001", outcome{}, func(b *Bundle) {
			b.OnCommit(func(context.Context) { t.Errorf("a bundle was committed that the runner did not finalize: %q", b.id) })
		})
		return weak.Make(h.conn())
	}()
	for deadline := time.Now().Add(time.Minute); conn.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still held after its harness has let go of it")
		}
	}
}

func TestEnableSurvivesTheWorkersOfOtherPipelines(t *testing.T) {
	hooks.DisableHook(hookName)
	hooks.SerializeHooksToOptions() // a pipeline without a reader is submitted,
	Enable()                        // one with a reader is built,
	hooks.DeserializeHooksFromOptions(t.Context())
	Enable() // and one more, after the first one's worker has reset what is enabled.
	hooks.SerializeHooksToOptions()
	hooks.DeserializeHooksFromOptions(t.Context())
	ctx := context.WithValue(t.Context(), connectionKey{}, newConnection(t.Context()))
	req := &fnpb.InstructionRequest{Request: &fnpb.InstructionRequest_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleRequest{}}}
	if FromContext(hooks.RunRequestHooks(ctx, req)) == nil {
		t.Error("the hook does not run")
	}
}
