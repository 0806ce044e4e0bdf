package finalize

import (
	"context"
	"sync"
	"testing"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
)

// harness drives the hooks as Beam's harness does for one connection.
type harness struct {
	t   *testing.T
	ctx context.Context
}

func newHarness(t *testing.T, ctx context.Context) *harness {
	t.Helper()
	ctx, err := initConnection(ctx)
	if err != nil {
		t.Fatalf("initConnection: %v", err)
	}
	return &harness{t: t, ctx: ctx}
}

func (h *harness) conn() *Connection { return h.ctx.Value(connectionKey{}).(*Connection) }

// handle passes req through the hooks, with sdk in the SDK's place.
func (h *harness) handle(req *fnpb.InstructionRequest, sdk func(context.Context) *fnpb.InstructionResponse) *fnpb.InstructionResponse {
	h.t.Helper()
	ctx, err := onRequest(h.ctx, req)
	if err != nil {
		h.t.Fatalf("onRequest(%v): %v", req, err)
	}
	resp := sdk(ctx)
	if err := onResponse(ctx, req, resp); err != nil {
		h.t.Fatalf("onResponse(%v): %v", req, err)
	}
	return resp
}

// outcome is how the SDK ends a bundle.
type outcome struct {
	err      string
	sdkAsked bool // the SDK requires finalization itself
}

// process runs a bundle whose DoFns do what body does; it says whether finalization was requested from the runner.
func (h *harness) process(id string, end outcome, body func(b *Bundle)) (requested bool) {
	h.t.Helper()
	req := &fnpb.InstructionRequest{InstructionId: id, Request: &fnpb.InstructionRequest_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleRequest{}}}
	resp := h.handle(req, func(ctx context.Context) *fnpb.InstructionResponse {
		body(FromContext(ctx))
		if end.err != "" {
			return sdkFailure(id, end.err)
		}
		return &fnpb.InstructionResponse{InstructionId: id, Response: &fnpb.InstructionResponse_ProcessBundle{
			ProcessBundle: &fnpb.ProcessBundleResponse{RequiresFinalization: end.sdkAsked},
		}}
	})
	return resp.GetProcessBundle().GetRequiresFinalization()
}

// finalize sends FinalizeBundle for a bundle and says whether the SDK got to see it. The SDK answers with an error, as it does for a
// bundle that it does not know.
func (h *harness) finalize(id string) (resp *fnpb.InstructionResponse, sdkSaw bool) {
	h.t.Helper()
	finalizeReq := &fnpb.FinalizeBundleRequest{InstructionId: id}
	req := &fnpb.InstructionRequest{InstructionId: "finalize-" + id, Request: &fnpb.InstructionRequest_FinalizeBundle{FinalizeBundle: finalizeReq}}
	resp = h.handle(req, func(context.Context) *fnpb.InstructionResponse {
		sdkSaw = req.GetFinalizeBundle() != nil
		return sdkFailure(req.GetInstructionId(), "couldn't find plan in finalizing map")
	})
	if req.GetFinalizeBundle() != finalizeReq {
		h.t.Errorf("after the response hook the request for %q is %v, want what the runner sent", id, req)
	}
	return resp, sdkSaw
}

// sdkFailure is what Beam's harness answers for an instruction that failed.
func sdkFailure(id, msg string) *fnpb.InstructionResponse {
	return &fnpb.InstructionResponse{InstructionId: id, Error: msg, Response: &fnpb.InstructionResponse_Register{Register: &fnpb.RegisterResponse{}}}
}

// journal is an ordered record of what happened.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

// commit returns a commit callback that notes line.
func (j *journal) commit(line string) func(context.Context) {
	return func(context.Context) { j.add(line) }
}

func drain(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := Drain(ctx); err != nil {
		t.Fatal(err)
	}
}
