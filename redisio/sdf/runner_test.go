package sdf

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// runner drives ReadFn as a runner with durable state does, one bundle at a
// time, against a server of its own: it keeps every partition's restriction and
// watermark, encoded, and moves them on when a bundle succeeds.
type runner struct {
	t      *testing.T
	server *redistest.Server // nil where there are several
	redis  redis.UniversalClient
	cfg    Config
	worker *worker
	state  map[string]durable
	order  []string // streams in the order in which they were added
}

// durable is what the runner keeps of one partition.
type durable struct {
	restriction []byte
	watermark   int64
	ended       bool
}

// worker is one harness connection with its instance of the DoFn.
type worker struct {
	ctx context.Context
	fn  *ReadFn
	ran int
}

// bundle is what one bundle did.
type bundle struct {
	runner *runner
	worker *worker
	id     string
	got    []message.Message
	times  []beam.EventTime
	failed []message.DeadLetter
	err    error
	took   time.Duration
}

var enableHooks = sync.OnceFunc(func() {
	finalize.Enable()
	hooks.SerializeHooksToOptions()
	hooks.DeserializeHooksFromOptions(context.Background())
})

const group = "g"

// newRunner starts a server and a worker. Groups begin at the start of their
// stream, and idle waiting is short, unless configure says otherwise.
func newRunner(t *testing.T, configure ...func(*Config)) *runner {
	t.Helper()
	return newRunnerOn(t, redistest.Start(t), configure...)
}

func newRunnerOn(t *testing.T, server *redistest.Server, configure ...func(*Config)) *runner {
	t.Helper()
	r := newRunnerFor(t, server.Config(), server.Client(), configure...)
	r.server = server
	return r
}

// newRunnerFor makes a runner for a deployment that plain is a client of.
func newRunnerFor(t *testing.T, cfg conn.Config, plain redis.UniversalClient, configure ...func(*Config)) *runner {
	t.Helper()
	enableHooks()
	freeBudget(t)
	r := &runner{t: t, redis: plain, cfg: Defaults()}
	r.cfg.Conn, r.cfg.Group, r.cfg.Start, r.cfg.IdleTime = cfg, group, Start{}, 20*time.Millisecond
	for _, f := range configure {
		f(&r.cfg)
	}
	r.state = map[string]durable{}
	r.newWorker()
	return r
}

// freeBudget waits until the readers of earlier tests, which are garbage, have
// given back what they hold of the process's budget.
func freeBudget(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !mayFetchAhead(fetchBudget / 2); runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("earlier tests still hold %d bytes of the budget", fetchedBytes.Load())
		}
	}
}

// newWorker connects a worker that knows nothing of the ones before.
func (r *runner) newWorker() {
	r.t.Helper()
	ctx, err := hooks.RunInitHooks(r.t.Context())
	r.must(err)
	fn := &ReadFn{Config: r.cfg}
	r.must(fn.Setup())
	r.worker = &worker{ctx: ctx, fn: fn}
}

// open begins to read streams, as a job does when it starts.
func (r *runner) open(streams ...string) {
	r.t.Helper()
	for _, stream := range streams {
		rest, err := r.worker.fn.CreateInitialRestriction(r.t.Context(), partition(stream))
		r.must(err)
		r.state[stream] = durable{
			restriction: r.encode(rest),
			watermark:   r.worker.fn.InitialWatermarkEstimatorState(0, rest, partition(stream)),
		}
		r.order = append(r.order, stream)
	}
}

func partition(stream string) topic.Partition { return topic.Partition{Stream: stream, Count: 1} }

// newJob is another job on the same server: nothing durable is left of this one.
func (r *runner) newJob(configure ...func(*Config)) *runner {
	r.t.Helper()
	job := newRunnerFor(r.t, r.cfg.Conn, r.redis, func(cfg *Config) { *cfg = r.cfg })
	job.server = r.server
	for _, f := range configure {
		f(&job.cfg)
	}
	job.newWorker()
	return job
}

// checkpoint returns what is durable now; restore goes back to it.
func (r *runner) checkpoint() map[string]durable {
	state := map[string]durable{}
	for stream, d := range r.state {
		state[stream] = d
	}
	return state
}

func (r *runner) restore(state map[string]durable) {
	for stream, d := range state {
		r.state[stream] = d
	}
}

// mishap says how a bundle goes wrong; the zero value: it does not.
type mishap struct {
	// atEmit makes the emission of that number fail, counted from 1, as Beam does
	// it: with a panic through the DoFn.
	atEmit int
	// atEnd fails the bundle after all its partitions had their turn.
	atEnd bool
	// onEmit is called with every message.
	onEmit func(message.Message)
}

// bundle runs a bundle that must succeed, over the given partitions or all.
func (r *runner) bundle(streams ...string) *bundle {
	r.t.Helper()
	b := r.try(mishap{}, streams...)
	r.must(b.err)
	return b
}

// try runs a bundle. The durable state moves on only if it succeeds.
func (r *runner) try(m mishap, streams ...string) *bundle {
	r.t.Helper()
	if len(streams) == 0 {
		streams = r.order
	}
	w := r.worker
	w.ran++
	b := &bundle{runner: r, worker: w, id: strconv.Itoa(w.ran)}
	req := &fnpb.InstructionRequest{InstructionId: b.id,
		Request: &fnpb.InstructionRequest_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleRequest{}}}
	ctx := hooks.RunRequestHooks(w.ctx, req)
	start := time.Now()
	next := map[string]durable{}
	for _, stream := range streams {
		if b.err == nil && !r.state[stream].ended {
			b.err = b.process(ctx, m, stream, next)
		}
	}
	if m.atEnd && b.err == nil {
		b.err = fmt.Errorf("the test fails bundle %s", b.id)
	}
	b.took = time.Since(start)
	resp := &fnpb.InstructionResponse{InstructionId: b.id,
		Response: &fnpb.InstructionResponse_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleResponse{}}}
	if b.err != nil {
		resp.Error = b.err.Error()
	} else {
		r.restore(next)
	}
	hooks.RunResponseHooks(ctx, req, resp)
	r.drain()
	return b
}

func (b *bundle) process(ctx context.Context, m mishap, stream string, next map[string]durable) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	r, fn := b.runner, b.worker.fn
	tr := fn.CreateTracker(r.restriction(stream))
	we := fn.CreateWatermarkEstimator(r.state[stream].watermark)
	cont, err := fn.ProcessElement(ctx, we, nil, tr, partition(stream), b.emitter(m),
		func(_ beam.EventTime, l message.DeadLetter) { b.failed = append(b.failed, l) })
	if err != nil {
		return err
	}
	d := durable{watermark: fn.WatermarkEstimatorState(we), restriction: r.encode(tr.Restriction()), ended: true}
	if cont.ShouldResume() {
		_, residual, err := tr.TrySplit(0)
		if err != nil {
			return err
		}
		if residual != nil {
			d.restriction, d.ended = r.encode(residual.(Restriction)), false
		}
	} else if !tr.IsDone() {
		return fmt.Errorf("%s: processing stopped with work left: %+v", stream, tr.Restriction())
	}
	next[stream] = d
	return nil
}

func (b *bundle) emitter(m mishap) func(beam.EventTime, message.Message) {
	return func(at beam.EventTime, msg message.Message) {
		if m.onEmit != nil {
			m.onEmit(msg)
		}
		if len(b.got)+1 == m.atEmit {
			panic(fmt.Sprintf("the test fails emission %d", m.atEmit))
		}
		b.got, b.times = append(b.got, msg.Clone()), append(b.times, at)
	}
}

// commit tells the worker that the bundle is durable, and waits for what it
// does about it.
func (b *bundle) commit() *bundle {
	b.runner.t.Helper()
	req := &fnpb.InstructionRequest{InstructionId: "finalize-" + b.id,
		Request: &fnpb.InstructionRequest_FinalizeBundle{FinalizeBundle: &fnpb.FinalizeBundleRequest{InstructionId: b.id}}}
	ctx := hooks.RunRequestHooks(b.worker.ctx, req)
	hooks.RunResponseHooks(ctx, req, &fnpb.InstructionResponse{InstructionId: req.GetInstructionId()})
	b.runner.drain()
	return b
}

func (r *runner) drain() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	r.must(finalize.Drain(ctx))
}

// restriction decodes what is durable of stream.
func (r *runner) restriction(stream string) Restriction {
	r.t.Helper()
	v, err := beam.NewElementDecoder(reflect.TypeFor[Restriction]()).Decode(bytes.NewReader(r.state[stream].restriction))
	r.must(err)
	return v.(Restriction)
}

func (r *runner) encode(rest Restriction) []byte {
	r.t.Helper()
	var buf bytes.Buffer
	r.must(beam.NewElementEncoder(reflect.TypeFor[Restriction]()).Encode(rest, &buf))
	return buf.Bytes()
}

func (r *runner) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// inBundle runs f in a bundle of the worker that does nothing else.
func (r *runner) inBundle(f func(context.Context)) {
	r.worker.ran++
	id := strconv.Itoa(r.worker.ran)
	req := &fnpb.InstructionRequest{InstructionId: id,
		Request: &fnpb.InstructionRequest_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleRequest{}}}
	ctx := hooks.RunRequestHooks(r.worker.ctx, req)
	f(ctx)
	hooks.RunResponseHooks(ctx, req, &fnpb.InstructionResponse{InstructionId: id,
		Response: &fnpb.InstructionResponse_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleResponse{}}})
}

// reader is the worker's reader of [stream], whatever it knows by now.
func (r *runner) reader() *reader {
	r.t.Helper()
	var m *memory
	r.inBundle(func(ctx context.Context) { m = memoryOf(finalize.FromContext(ctx).Connection()) })
	rd := m.readers[keyOf(&r.cfg, stream)]
	if rd == nil {
		r.t.Fatalf("the worker has no reader of %s", stream)
	}
	return rd
}
