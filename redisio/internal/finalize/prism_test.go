package finalize

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init() // replaces the default logger
	slog.SetDefault(slog.New(&errorLines))
	os.Exit(m.Run())
}

// runJob runs the pipeline source → then on Prism, with a deadline, and waits for the callbacks that are due.
func runJob(t *testing.T, src *source, then ...any) (*job, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, s := beam.NewPipelineWithRoot()
	col := beam.ParDo(s, src, beam.Impulse(s))
	for _, fn := range then {
		beam.ParDo0(s, fn, col)
	}
	_, err := beam.Run(ctx, "prism", p)
	return jobOf(src.Job), errors.Join(err, Drain(ctx))
}

func count(n int64) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i)
	}
	return all
}

func TestEveryBundleIsFinalized(t *testing.T) {
	Enable()
	const n = 300
	before := ProcessStats()
	j, err := runJob(t, &source{Job: newJob(t), Entries: n, FailAt: -1})
	if err != nil {
		t.Fatal(err)
	}
	if len(j.bundles) != n {
		t.Errorf("the entries came in %d bundles, want %d: one each", len(j.bundles), n)
	}
	slices.Sort(j.committed) // bundles of a job may overlap, so their finalizations need not come in order
	if diff := cmp.Diff(count(n), j.committed); diff != "" {
		t.Errorf("committed entries (-want +got):\n%s", diff)
	}
	after := ProcessStats()
	if got := after.Finalized - before.Finalized; got != n || after.Dropped != before.Dropped {
		t.Errorf("the process counted %+v, then %+v: want %d more finalized and none dropped", before, after, n)
	}
}

func TestFailedBundleIsNeverCommitted(t *testing.T) {
	Enable()
	const failAt = 20
	before := ProcessStats()
	j, err := runJob(t, &source{Job: newJob(t), Entries: 40, FailAt: failAt})
	if err == nil || !strings.Contains(err.Error(), "fails as the test wants it") {
		t.Fatalf("the job ended with %v, want the error of its failing bundle", err)
	}
	slices.Sort(j.committed)
	if diff := cmp.Diff(count(failAt), j.committed); diff != "" {
		t.Errorf("committed entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{failAt}, j.failed); diff != "" {
		t.Errorf("entries whose OnEnd heard of a failure (-want +got):\n%s", diff)
	}
	if got := ProcessStats().Dropped - before.Dropped; got != 1 {
		t.Errorf("%d bundles count as dropped, want 1", got)
	}
}

func TestJobsOfOneProcessDoNotMixUp(t *testing.T) {
	Enable()
	const n = 40
	names := []string{newJob(t), newJob(t)}
	var both sync.WaitGroup
	both.Add(len(names))
	var runs sync.WaitGroup
	for _, name := range names {
		jobOf(name).barrier = &both
		runs.Go(func() {
			if _, err := runJob(t, &source{Job: name, Entries: n, FailAt: -1, Meet: true}); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
	one, two := jobOf(names[0]), jobOf(names[1])
	if len(one.conns) != 1 || len(two.conns) != 1 || maps.Equal(one.conns, two.conns) {
		t.Fatalf("the jobs had %d and %d connections, want one each, of its own", len(one.conns), len(two.conns))
	}
	if !maps.Equal(one.bundles, two.bundles) {
		t.Errorf("the jobs had the instruction IDs %v and %v: they must be equal to prove anything", one.bundles, two.bundles)
	}
	for i, j := range []*job{one, two} {
		slices.Sort(j.committed)
		if diff := cmp.Diff(count(n), j.committed); diff != "" {
			t.Errorf("%s: committed entries (-want +got):\n%s", names[i], diff)
		}
		for c := range j.conns {
			if diff := cmp.Diff(Stats{Requested: n, Finalized: n}, c.Stats()); diff != "" {
				t.Errorf("%s: stats (-want +got):\n%s", names[i], diff)
			}
		}
	}
}

func TestIdleBundlesLogNoError(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries int64
		hook    bool
	}{
		{name: "with the hook", entries: 1000, hook: true},
		{name: "without the hook the SDK complains", entries: 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if Enable(); !tt.hook {
				hooks.DisableHook(hookName)
			}
			before := len(errorLines.all())
			j, err := runJob(t, &source{Job: newJob(t), Entries: tt.entries, FailAt: -1, Idle: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := int64(len(j.begun)); got != tt.entries {
				t.Fatalf("%d bundles ran, want %d", got, tt.entries)
			}
			if lines := errorLines.all()[before:]; (len(lines) == 0) != tt.hook {
				t.Errorf("%d lines of level ERROR: %q", len(lines), lines)
			}
		})
	}
}

// errorLines is the process's log, of which only errors are kept. Prism prints there what workers log.
var errorLines errorLog

type errorLog struct{ journal }

func (l *errorLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (l *errorLog) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *errorLog) WithGroup(string) slog.Handler                    { return l }
func (l *errorLog) Handle(_ context.Context, r slog.Record) error {
	l.add(fmt.Sprint(r.Level, " ", r.Message))
	return nil
}
