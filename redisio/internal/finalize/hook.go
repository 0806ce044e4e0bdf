package finalize

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
)

const hookName = "beamredis:bundle-finalization"

func init() {
	hooks.RegisterHook(hookName, newHook)
}

// Enable makes the pipelines that this process submits from now on use the hook. It may be called any number of times, and must be called before the
// pipeline is submitted: its workers run the hooks that were enabled at that moment.
func Enable() {
	// Not a sync.Once: a worker of another pipeline in this process resets the enabled hooks to those of its own submission.
	if err := hooks.EnableHook(hookName); err != nil {
		panic(fmt.Sprintf("finalize: hook %q is registered by this package's init, and yet: %v", hookName, err))
	}
}

// newHook is called again for every worker that starts in the process, and its result replaces the hook of those still running. So
// the hook has no state: that is in the context.
func newHook([]string) hooks.Hook {
	return hooks.Hook{Init: initConnection, Req: onRequest, Resp: onResponse}
}

type (
	connectionKey struct{}
	bundleKey     struct{}
	answeredKey   struct{}
)

func initConnection(ctx context.Context) (context.Context, error) {
	return context.WithValue(ctx, connectionKey{}, newConnection(ctx)), nil
}

func onRequest(ctx context.Context, req *fnpb.InstructionRequest) (context.Context, error) {
	conn, _ := ctx.Value(connectionKey{}).(*Connection)
	if conn == nil {
		// A worker that was started before the hook was enabled.
		return ctx, nil
	}
	switch {
	case req.GetProcessBundle() != nil:
		ctx = conn.begin(ctx, req.GetInstructionId())
	case req.GetFinalizeBundle() != nil:
		if !conn.finalize(req.GetFinalizeBundle().GetInstructionId()) {
			ctx = answerHere(ctx, req)
		}
	}
	return ctx, nil
}

// answerHere keeps a FinalizeBundle request away from the SDK, which would log an error for a bundle that it does not know: the request becomes
// one that does nothing, and onResponse mends the response.
func answerHere(ctx context.Context, req *fnpb.InstructionRequest) context.Context {
	ctx = context.WithValue(ctx, answeredKey{}, req.GetRequest())
	req.Request = &fnpb.InstructionRequest_MonitoringInfos{MonitoringInfos: &fnpb.MonitoringInfosMetadataRequest{}}
	return ctx
}

func onResponse(ctx context.Context, req *fnpb.InstructionRequest, resp *fnpb.InstructionResponse) error {
	if original, ok := ctx.Value(answeredKey{}).(*fnpb.InstructionRequest_FinalizeBundle); ok {
		req.Request = original
		resp.Error = ""
		resp.Response = &fnpb.InstructionResponse_FinalizeBundle{FinalizeBundle: &fnpb.FinalizeBundleResponse{}}
		return nil
	}
	if b := FromContext(ctx); b != nil && req.GetProcessBundle() != nil {
		b.finish(resp)
	}
	return nil
}
