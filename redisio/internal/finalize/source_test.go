package finalize

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn5x2[context.Context, beam.BundleFinalization, *sdf.LockRTracker, []byte, func(int64), sdf.ProcessContinuation, error](&source{})
	register.DoFn2x0[beam.BundleFinalization, int64](&ownCallback{})
	register.Emitter1[int64]()
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
