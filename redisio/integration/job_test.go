package integration_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio"
)

func init() {
	register.DoFn3x1[context.Context, redisio.Message, func(redisio.Message), error](&probe{})
	register.Emitter1[redisio.Message]()
	register.Function2x0(deadLetterMessage)
}

var (
	in    = redisio.Topic{Name: "in", Partitions: 4}
	out   = redisio.Topic{Name: "out", Partitions: 3}
	dead  = redisio.Topic{Keys: []string{"dead"}}
	group = "copy"
)

// probe passes messages on, after the test has had a look at them.
type probe struct {
	Name string

	watch *watch
	begun bool // the bundle has had a message
}

// watch is what a test does with the messages that pass. Workers run in the
// process of the test, so that DoFns find it by its name.
type watch struct {
	begin   func() // a bundle begins
	see     func(context.Context, redisio.Message) error
	end     func()       // it is finished
	bundles atomic.Int64 // finished bundles that had messages
}

var (
	watches     sync.Map // name -> *watch
	watchesMade atomic.Int64
)

func (p *probe) Setup() error {
	w, ok := watches.Load(p.Name)
	if !ok {
		return fmt.Errorf("no watch %q in this process", p.Name)
	}
	p.watch = w.(*watch)
	return nil
}

func (p *probe) StartBundle(context.Context, func(redisio.Message)) {
	p.begun = false
	if p.watch.begin != nil {
		p.watch.begin()
	}
}

func (p *probe) ProcessElement(ctx context.Context, m redisio.Message, emit func(redisio.Message)) error {
	p.begun = true
	if p.watch.see != nil {
		if err := p.watch.see(ctx, m); err != nil {
			return err
		}
	}
	emit(m)
	return nil
}

func (p *probe) FinishBundle(context.Context, func(redisio.Message)) {
	if p.begun {
		p.watch.bundles.Add(1)
	}
	if p.watch.end != nil {
		p.watch.end()
	}
}

// watched puts w between a read and what follows.
func watched(s beam.Scope, w *watch, msgs beam.PCollection) beam.PCollection {
	name := fmt.Sprint("watch-", watchesMade.Add(1))
	watches.Store(name, w)
	return beam.ParDo(s, &probe{Name: name}, msgs)
}

// deadLetterMessage makes the message that stands for a dead letter.
func deadLetterMessage(d redisio.DeadLetter, emit func(redisio.Message)) {
	emit(redisio.Message{Fields: d.ErrorEntry()})
}

// copyJob copies in to out.
type copyJob struct {
	conn    redisio.Conn
	source  redisio.Topic // in, unless set
	opts    []redisio.ReadOption
	write   []redisio.WriteOption
	watch   *watch                                              // between Read and Write, if set
	between func(beam.Scope, beam.PCollection) beam.PCollection // between the watch and Write, if set
	dead    bool                                                // collect what cannot be read in the topic dead
}

func (j copyJob) pipeline() *beam.Pipeline {
	p, s := beam.NewPipelineWithRoot()
	source := in
	if j.source.Name != "" {
		source = j.source
	}
	var msgs beam.PCollection
	if opts := append([]redisio.ReadOption{redisio.WithStart(redisio.StartEarliest())}, j.opts...); j.dead {
		var failed beam.PCollection
		msgs, failed = redisio.ReadWithFailed(s, j.conn, source, group, opts...)
		redisio.Write(s, j.conn, dead, beam.ParDo(s, deadLetterMessage, failed))
	} else {
		msgs = redisio.Read(s, j.conn, source, group, opts...)
	}
	if j.watch != nil {
		msgs = watched(s, j.watch, msgs)
	}
	if j.between != nil {
		msgs = j.between(s, msgs)
	}
	redisio.Write(s, j.conn, out, msgs, j.write...)
	return p
}

// jobTimeout is far beyond what any job here takes.
const jobTimeout = 3 * time.Minute

// run runs the job and waits until its acknowledgements are carried out.
func (j copyJob) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	return runPipeline(ctx, j.pipeline())
}

func runPipeline(ctx context.Context, p *beam.Pipeline) error {
	_, err := beam.Run(ctx, "prism", p)
	return errors.Join(err, redisio.Drain(ctx))
}

// mustRun runs the job, which has to succeed.
func (j copyJob) mustRun(t *testing.T) {
	t.Helper()
	begun := time.Now()
	if err := j.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("the job took %v", time.Since(begun).Round(time.Millisecond))
}

// begin runs the job beside the test.
func (j copyJob) begin(t *testing.T) (ended <-chan error) {
	t.Helper()
	done := make(chan error, 1)
	ctx := t.Context()
	go func() { done <- j.run(ctx) }()
	return done
}

// wantEnd waits for a job that was begun, which has to succeed.
func wantEnd(t *testing.T, ended <-chan error) {
	t.Helper()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// untilCaughtUp is a job that ends with what is there at its start.
func untilCaughtUp(s *server, opts ...redisio.ReadOption) copyJob {
	return copyJob{conn: s.Config(), opts: append(opts, redisio.WithStopAtLatest())}
}
