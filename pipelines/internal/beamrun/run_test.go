package beamrun

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A report as Prism gives it, shortened.
const dofnReport = `job job-001 failed:
bundle inst002 stage-002 failed:process bundle failed for instruction inst002 using plan stage-002 : while executing FinishBundle for Plan[stage-002]:
1: DataSource[S[stage-002_source@localhost:37833], i0] Out:8 Coder:W;cwv<KV;c3>!GWC
2: Discard
	caused by:
DoFn[UID:4, PID:e4, Name: example.com/beamredis/redisio/sinks.WriteFn] failed:
element with key "k2" cannot be written to "out:1": WRONGTYPE Operation`

func TestACauseIsTakenOutOfTheReport(t *testing.T) {
	for name, tc := range map[string]struct{ report, want string }{
		"a DoFn's error": {dofnReport, `element with key "k2" cannot be written to "out:1": WRONGTYPE Operation`},
		"a panic": {"job job-001 failed:\nbundle failed:panic: nil map\nFull error:\nwhile executing Process\n\tcaused by:\npanic: nil map goroutine 5 [running]:\nmain.f()\n\t/x.go:1",
			"panic: nil map"},
		"an error that Beam makes a panic": {"job failed:\n\tcaused by:\npanic: partition in:1: no permission goroutine 5 [running]:\nmain.f()", "partition in:1: no permission"},
		"a runner's panic":                 {"job job-001 failed:\npipeline panicked: oh\nStacktrace: goroutine 1", "job job-001 failed:; pipeline panicked: oh"},
		"several lines":                    {"x\n\tcaused by:\nfirst\n second\n", "first; second"},
		"something else":                   {"connection refused", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			inner := errors.New(tc.report)
			err := &JobError{inner}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !errors.Is(err, inner) {
				t.Error("the report cannot be unwrapped")
			}
		})
	}
}

func TestOnlyWarningsAndErrorsAreWrittenOnceAndAsLines(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(&lineHandler{w: &out, program: "p"})
	log.Debug("d")
	log.Info("i")
	log.Warn("[SDK] partition in:0:\nlost 3", "n", 3)
	log.With("job", "j1").WithGroup("g").Error("SDK Error from bundle finalization", "error", errors.New("two\nlines"))
	log.Error("Bundle Failed.", "error", "bundle inst002 failed")
	log.Error("[SDK] failed to return progress: instruction inst002 failed: while executing Process")
	log.Error("[SDK] process bundle failed for instruction inst002 using plan stage-002")
	want := "p: warn: partition in:0:; lost 3 n=3\np: error: SDK Error from bundle finalization job=j1 error=two; lines\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWorkersOfLocalRunnersAreHere(t *testing.T) {
	for runner, want := range map[string]bool{"": true, "prism": true, "PrismRunner": true, "flink": false, "dataflow": false} {
		if got := WorkersAreHere(runner); got != want {
			t.Errorf("%q: %v, want %v", runner, got, want)
		}
	}
}

func TestOrderlyEndsAndRepeatsAreNotLogged(t *testing.T) {
	for msg, want := range map[string]string{
		"forcing DataChannel[localhost:1] reconnection on port {localhost:1} due to EOF":                            "",
		"forcing StateChannel[localhost:1] reconnection on port {localhost:1} due to EOF":                           "",
		"forcing DataChannel[localhost:1] reconnection on port {localhost:1} due to a failure":                      "p: warn: forcing DataChannel[localhost:1] reconnection on port {localhost:1} due to a failure\n",
		"dataWriter[{inst003 i1};localhost:1] EOF on send; fetching real error":                                     "",
		"dataWriter[{inst003 i1};localhost:1] error on send: rpc error: code = Canceled desc = context canceled":    "",
		"dataWriter[{inst003 i1};localhost:1] error on send: rpc error: code = Unavailable desc = connection reset": "p: warn: dataWriter[{inst003 i1};localhost:1] error on send: rpc error: code = Unavailable desc = connection reset\n",
		"Bundle Failed.": "",
		"Redis is slow":  "p: warn: Redis is slow\n",
	} {
		var out strings.Builder
		slog.New(&lineHandler{w: &out, program: "p"}).Warn(msg)
		if got := out.String(); got != want {
			t.Errorf("%q was logged as %q, want %q", msg, got, want)
		}
	}
}
