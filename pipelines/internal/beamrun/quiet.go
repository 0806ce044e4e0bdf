package beamrun

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"
	"golang.org/x/term"
)

// Quiet has warnings and errors of Beam, the runner and the connector written
// to w, a line each, and nothing else of what they log. Call it after
// beam.Init, which sets up the logging that Quiet replaces.
func Quiet(w io.Writer, program string) {
	slog.SetDefault(slog.New(&lineHandler{w: w, program: program}))
	if WorkersAreHere(*runners.Runner) {
		// The worker would send its messages to the runner, which runs in this
		// process and logs them here, except those at the very end.
		hooks.DisableHook(harness.DefaultRemoteLoggingHook)
	}
}

// lineHandler writes records as lines for people.
type lineHandler struct {
	w       io.Writer
	program string
	attrs   string
}

// repeats begin the messages by which Prism and the SDK log, several times
// over and with their stacks, the failure that [Run] returns.
var repeats = []string{
	"Prism received bundle error from worker response",
	"stage.Execute aborting due to bundle error",
	"process bundle failed for instruction",
	"bundle inst",
	"Bundle Failed.",
	"job failed",
	"failed to return progress: instruction",
}

// partings begin and end the messages by which the SDK may log that the runner
// closed its channels, as it does when the job is done, or ended a bundle, as it
// does when another one has failed the job.
var partings = []struct{ begin, end string }{
	{"forcing DataChannel[", "due to EOF"},
	{"forcing StateChannel[", "due to EOF"},
	{"dataWriter[", "EOF on send; fetching real error"},
	{"dataWriter[", "desc = context canceled"},
}

// saysNothing reports whether a message tells what is told elsewhere, or the
// end of a job.
func saysNothing(msg string) bool {
	for _, p := range partings {
		if strings.HasPrefix(msg, p.begin) && strings.HasSuffix(msg, p.end) {
			return true
		}
	}
	return startsWithAny(msg, repeats)
}

func startsWithAny(msg string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(msg, prefix) })
}

// Enabled takes warnings and what is worse.
func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle writes one line, unless the record says nothing new.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	msg := strings.TrimPrefix(r.Message, "[SDK] ")
	if saysNothing(msg) {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s%s", h.program, strings.ToLower(r.Level.String()), msg, h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	_, err := fmt.Fprintf(h.w, "%s%s\n", LineStart(h.w), OneLine(b.String()))
	return err
}

// WithAttrs returns a handler that adds attrs to every line.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, a := range attrs {
		with.attrs += fmt.Sprintf(" %s=%v", a.Key, a.Value)
	}
	return &with
}

// WithGroup returns h: a line has no room for groups.
func (h *lineHandler) WithGroup(string) slog.Handler { return h }

// LineStart is what to write to w before a line: on a terminal it clears a
// progress bar away, which draws itself again below.
func LineStart(w io.Writer) string {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return "\r\x1b[K"
	}
	return ""
}
