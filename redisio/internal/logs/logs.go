// Package logs is how the connector logs: with package slog, through the log of
// Beam, which takes lines to the runner, and without repeating itself.
//
// A message is a constant sentence; what differs from time to time is in its
// attributes. A logger's own attributes (those of With, such as the partition)
// and the message say what a line is about.
package logs

import (
	"context"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

// Every is how often a line about the same is logged at most, in the whole
// process. The next one tells how many were left out.
const Every = 10 * time.Second

// mostKnown bounds the lines that are remembered.
const mostKnown = 10_000

// Keys of attributes.
const (
	partition = "partition"
	group     = "group"
)

// Log is the logger of all that is not about one partition.
var Log = slog.New(&handler{seen: &seen{now: time.Now, lines: map[string]*line{}}})

// Of is the logger of what is about a partition as a group reads it.
func Of(stream, groupName string) *slog.Logger {
	return Log.With(partition, stream, group, groupName)
}

// handler hands records to Beam as lines: the message, and its attributes as
// key=value.
type handler struct {
	seen   *seen
	attrs  string
	prefix string // of the keys, from groups
}

// Enabled leaves it to Beam what is logged.
func (h *handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle logs the record, unless one about the same was logged a moment ago.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	repeated, ok := h.seen.pass(r.Message + h.attrs)
	if !ok {
		return nil
	}
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.prefix, a)
		return true
	})
	if repeated > 0 {
		appendAttr(&b, "", slog.Int("repeated", repeated))
	}
	beamlog.Output(ctx, severity(r.Level), depthOf(r.PC), b.String())
	return nil
}

// WithAttrs returns a handler that adds attrs to every line.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	for _, a := range attrs {
		appendAttr(&b, h.prefix, a)
	}
	return &handler{seen: h.seen, attrs: h.attrs + b.String(), prefix: h.prefix}
}

// WithGroup returns a handler that puts name before the keys that follow.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{seen: h.seen, attrs: h.attrs, prefix: h.prefix + name + "."}
}

func appendAttr(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, member := range v.Group() {
			appendAttr(b, prefix+a.Key+".", member)
		}
		return
	}
	b.WriteByte(' ')
	b.WriteString(prefix + a.Key)
	b.WriteByte('=')
	b.WriteString(quoteIfNeeded(v.String()))
}

func quoteIfNeeded(s string) string {
	odd := func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '=' || !unicode.IsPrint(r) }
	if s == "" || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

func severity(level slog.Level) beamlog.Severity {
	switch {
	case level >= slog.LevelError:
		return beamlog.SevError
	case level >= slog.LevelWarn:
		return beamlog.SevWarn
	case level >= slog.LevelInfo:
		return beamlog.SevInfo
	}
	return beamlog.SevDebug
}

// depthOf finds the frame that logged, for Beam tells the place of a line. It
// runs only for lines that are logged.
func depthOf(pc uintptr) int {
	const here = 2 // depthOf, Handle
	var pcs [16]uintptr
	for i, each := range pcs[:runtime.Callers(here, pcs[:])] {
		if each == pc {
			return i
		}
	}
	return 0
}

// seen remembers what was logged.
type seen struct {
	now func() time.Time

	mu    sync.Mutex
	lines map[string]*line
}

type line struct {
	logged time.Time
	held   int // not logged since
}

// pass reports whether a line about what may be logged, and how many were not
// since the last one.
func (s *seen) pass(about string) (held int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	l := s.lines[about]
	switch {
	case l == nil:
		s.makeRoom(now)
		s.lines[about] = &line{logged: now}
		return 0, true
	case now.Sub(l.logged) < Every:
		l.held++
		return 0, false
	}
	held = l.held
	l.logged, l.held = now, 0
	return held, true
}

// makeRoom forgets what was logged so long ago that it may be logged again, and,
// if all of it is recent, everything.
func (s *seen) makeRoom(now time.Time) {
	if len(s.lines) < mostKnown {
		return
	}
	for about, l := range s.lines {
		if now.Sub(l.logged) >= Every {
			delete(s.lines, about)
		}
	}
	if len(s.lines) >= mostKnown {
		clear(s.lines)
	}
}
