package logs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/google/go-cmp/cmp"
)

// capture takes the place of Beam's log.
type capture struct {
	mu    sync.Mutex
	lines []string
}

func (c *capture) Log(_ context.Context, severity beamlog.Severity, _ int, msg string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprint(severity, " ", msg))
}

func captured(t *testing.T) *capture {
	t.Helper()
	c := &capture{}
	beamlog.SetLogger(c)
	t.Cleanup(func() { beamlog.SetLogger(&beamlog.Structural{}) })
	return c
}

// clocked is a logger whose clock the test holds.
func clocked() (*slog.Logger, *time.Time) {
	now := time.Unix(0, 0)
	return slog.New(&handler{seen: &seen{now: func() time.Time { return now }, lines: map[string]*line{}}}), &now
}

func TestARecordIsALineOfBeamsLogWithItsAttributes(t *testing.T) {
	c := captured(t)
	log, _ := clocked()
	log.With(partition, "in:0", group, "g").Warn("it went wrong", "after", "5-0", "error", fmt.Errorf("a b=\"c\"\nd"), slog.Group("g", "n", 1))
	log.WithGroup("w").Error("worse", "empty", "")
	log.Info("well")
	log.Debug("deep")
	want := []string{
		fmt.Sprint(beamlog.SevWarn, ` it went wrong partition=in:0 group=g after=5-0 error="a b=\"c\"\nd" g.n=1`),
		fmt.Sprint(beamlog.SevError, ` worse w.empty=""`),
		fmt.Sprint(beamlog.SevInfo, " well"),
		fmt.Sprint(beamlog.SevDebug, " deep"),
	}
	if diff := cmp.Diff(want, c.lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestALineAboutTheSameIsNotRepeatedForAWhile(t *testing.T) {
	c := captured(t)
	log, now := clocked()
	one, other := log.With(partition, "in:0"), log.With(partition, "in:1")
	for i := range 5 {
		one.Warn("gap", "at", i)
	}
	other.Warn("gap", "at", 5)
	one.Warn("loss", "at", 6)
	*now = now.Add(Every)
	one.Warn("gap", "at", 7)
	*now = now.Add(Every)
	one.Warn("gap", "at", 8)
	w := fmt.Sprint(beamlog.SevWarn)
	want := []string{
		w + " gap partition=in:0 at=0",
		w + " gap partition=in:1 at=5",
		w + " loss partition=in:0 at=6",
		w + " gap partition=in:0 at=7 repeated=4",
		w + " gap partition=in:0 at=8",
	}
	if diff := cmp.Diff(want, c.lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestEveryIsAtLeastASecond(t *testing.T) {
	if Every < time.Second {
		t.Errorf("a line is repeated after %v", Every)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	s := &seen{now: time.Now, lines: map[string]*line{}}
	for i := range 3 * mostKnown {
		if _, ok := s.pass(fmt.Sprint(i)); !ok {
			t.Fatalf("line %d was left out", i)
		}
		if len(s.lines) > mostKnown {
			t.Fatalf("%d lines are remembered", len(s.lines))
		}
	}
}

// where is called in place of Beam's log, and finds the place that logs.
type where struct{ place string }

func (w *where) Log(_ context.Context, _ beamlog.Severity, depth int, _ string) {
	_, w.place, _, _ = runtime.Caller(depth + 1)
}

func TestBeamIsToldThePlaceThatLogs(t *testing.T) {
	w := &where{}
	beamlog.SetLogger(w)
	t.Cleanup(func() { beamlog.SetLogger(&beamlog.Structural{}) })
	log, _ := clocked()
	log.Warn("here")
	if !strings.Contains(w.place, "logs_test.go") {
		t.Errorf("the place is %s", w.place)
	}
}
