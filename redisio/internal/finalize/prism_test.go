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
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/google/go-cmp/cmp"
)

func init() {
	register.DoFn5x2[context.Context, beam.BundleFinalization, *sdf.LockRTracker, []byte, func(int64), sdf.ProcessContinuation, error](&source{})
	register.DoFn2x0[beam.BundleFinalization, int64](&ownCallback{})
	register.Emitter1[int64]()
}

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init() // replaces the default logger
	slog.SetDefault(slog.New(&errorLines))
	os.Exit(m.Run())
}

// source emits one entry per bundle. It is an unbounded splittable DoFn because it resumes.
type source struct {
	Job     string // the job of jobs to report to
	Entries int64
	FailAt  int64         // the entry whose bundle fails; none if negative
	Idle    bool          // register no commit callbacks
	Meet    bool          // wait in the first bundle for the other job
	Delay   time.Duration // between bundles
}

func (*source) CreateInitialRestriction([]byte) offsetrange.Restriction {
	return offsetrange.Restriction{}
}

func (fn *source) SplitRestriction([]byte, offsetrange.Restriction) []offsetrange.Restriction {
	return []offsetrange.Restriction{{Start: 0, End: fn.Entries}}
}

func (*source) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(whole{offsetrange.NewTracker(r)})
}

// whole refuses what Prism does to slow bundles, so that there is one entry per bundle on a slow machine too.
type whole struct{ *offsetrange.Tracker }

func (w whole) TrySplit(fraction float64) (primary, residual any, err error) {
	if fraction > 0 {
		return w.GetRestriction(), nil, nil
	}
	return w.Tracker.TrySplit(fraction)
}

func (*source) RestrictionSize(_ []byte, r offsetrange.Restriction) float64 { return r.Size() }

func (fn *source) ProcessElement(ctx context.Context, _ beam.BundleFinalization, rt *sdf.LockRTracker, _ []byte, emit func(int64)) (sdf.ProcessContinuation, error) {
	position := rt.GetRestriction().(offsetrange.Restriction).Start
	if !rt.TryClaim(position) {
		return sdf.StopProcessing(), rt.GetError()
	}
	if err := fn.report(FromContext(ctx), position); err != nil {
		return sdf.StopProcessing(), err
	}
	emit(position)
	if position == fn.Entries-1 {
		return sdf.StopProcessing(), nil
	}
	return sdf.ResumeProcessingIn(fn.Delay), nil
}

func (fn *source) report(b *Bundle, position int64) error {
	j := jobOf(fn.Job)
	j.begin(b, position)
	if b != nil && !fn.Idle {
		b.OnCommit(func(context.Context) { j.commit(position) })
		b.OnEnd(func(failed bool) { j.end(position, failed) })
	}
	if fn.Meet {
		if err := j.meet(); err != nil {
			return err
		}
	}
	if position == fn.FailAt {
		return errors.New("this bundle fails as the test wants it")
	}
	return nil
}

// ownCallback registers with Beam's own finalizer in every bundle. An instance serves one execution plan.
type ownCallback struct {
	Job      string
	instance *instance
}

type instance struct{ registered, called int }

func (fn *ownCallback) Setup() { fn.instance = jobOf(fn.Job).newInstance() }

func (fn *ownCallback) ProcessElement(bf beam.BundleFinalization, _ int64) {
	j, self := jobOf(fn.Job), fn.instance
	j.update(func() { self.registered++ })
	bf.RegisterCallback(5*time.Minute, func() error {
		j.update(func() { self.called++ })
		return nil
	})
}

// job is what the DoFns of one pipeline report. They run in this process: in loopback mode.
type job struct {
	mu        sync.Mutex
	bundles   map[string]bool // by instruction ID
	conns     map[*Connection]bool
	begun     []int64
	committed []int64
	failed    []int64
	instances []*instance
	barrier   *sync.WaitGroup
}

var (
	jobs    sync.Map // name -> *job
	jobsRun atomic.Int64
)

func newJob(t *testing.T) (name string) {
	name = fmt.Sprint(t.Name(), "#", jobsRun.Add(1))
	jobs.Store(name, &job{bundles: map[string]bool{}, conns: map[*Connection]bool{}})
	return name
}

func jobOf(name string) *job {
	j, _ := jobs.Load(name)
	return j.(*job)
}

func (j *job) update(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
}

func (j *job) begin(b *Bundle, position int64) {
	j.update(func() {
		j.begun = append(j.begun, position)
		if b != nil {
			j.bundles[b.id], j.conns[b.Connection()] = true, true
		}
	})
}

func (j *job) commit(position int64) {
	j.update(func() { j.committed = append(j.committed, position) })
}

func (j *job) end(position int64, failed bool) {
	if failed {
		j.update(func() { j.failed = append(j.failed, position) })
	}
}

func (j *job) newInstance() *instance {
	i := &instance{}
	j.update(func() { j.instances = append(j.instances, i) })
	return i
}

// meet waits until every job that shares the barrier has come here. Later bundles of a job pass.
func (j *job) meet() error {
	var barrier *sync.WaitGroup
	j.update(func() { barrier, j.barrier = j.barrier, nil })
	if barrier == nil {
		return nil
	}
	met := make(chan struct{})
	go func() { barrier.Wait(); close(met) }()
	barrier.Done()
	select {
	case <-met:
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("the other job did not come within 20s")
	}
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
