package flink_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio"
)

func init() {
	register.DoFn2x0[redisio.Message, func(redisio.Message)](&pace{})
	register.Emitter1[redisio.Message]()
}

const group = "copy"

var out = redisio.Topic{Name: "out", Partitions: 3}

// pace passes messages on, each after a while: it makes a copy last long enough
// for something to happen in the middle.
type pace struct{ Pause time.Duration }

func (p *pace) ProcessElement(m redisio.Message, emit func(redisio.Message)) {
	if p.Pause > 0 {
		<-time.After(p.Pause)
	}
	emit(m)
}

// job copies the topic in to the topic out.
type job struct {
	cluster *cluster
	name    string
	conn    redisio.Conn
	in      redisio.Topic
	pause   time.Duration
	opts    []redisio.ReadOption
	write   []redisio.WriteOption
	// build makes what follows the read; nil: a copy to the topic out.
	build func(beam.Scope, beam.PCollection)
	flags map[string]string
	limit time.Duration // after which the job is cancelled
}

var jobs atomic.Int64

func newJob(c *cluster, conn redisio.Conn, in redisio.Topic, parallelism int, opts ...redisio.ReadOption) *job {
	return &job{cluster: c, name: fmt.Sprintf("copy-%d-%d", os.Getpid(), jobs.Add(1)), conn: conn, in: in, opts: opts, limit: 4 * time.Minute, flags: map[string]string{
		"endpoint": c.endpoint, "flink_rest": c.rest, "environment_type": "LOOPBACK", "environment_config": "", "on_interrupt": "cancel",
		"parallelism": fmt.Sprint(parallelism), "checkpointing_interval": "1s", "execution_retry_delay": "500ms",
		"savepoint_path": "", "async": "false", "state_backend": "", "state_backend_storage_path": "", "start_timeout": "1m", "runner": "flink-streaming",
	}}
}

func (j *job) pipeline() *beam.Pipeline {
	p, s := beam.NewPipelineWithRoot()
	msgs := redisio.Read(s, j.conn, j.in, group, append([]redisio.ReadOption{redisio.WithStart(redisio.StartEarliest())}, j.opts...)...)
	if j.build != nil {
		j.build(s, msgs)
		return p
	}
	redisio.Write(s, j.conn, out, beam.ParDo(s, &pace{Pause: j.pause}, msgs), j.write...)
	return p
}

// run submits the job and waits for its end; jobs of one process follow each
// other, because Beam's flags belong to the process.
func (j *job) run(ctx context.Context) error {
	if err := j.flagsSet(); err != nil {
		return err
	}
	if _, err := beam.Run(ctx, "flink-streaming", j.pipeline()); err != nil {
		return err
	}
	return redisio.Drain(ctx)
}

func (j *job) flagsSet() error {
	j.flags["job_name"] = j.name
	for name, value := range j.flags {
		if err := flag.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) mustRun(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	begun := time.Now()
	if err := j.run(ctx); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatal("the job did not end")
	}
	t.Logf("the job took %v", time.Since(begun).Round(time.Millisecond))
}

// begin runs the job beside the test, and cancels it with the test.
func (j *job) begin(t *testing.T) (ended <-chan error) {
	t.Helper()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), j.limit)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		err := j.run(ctx)
		if err == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("the job did not end within %v", j.limit)
		}
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		<-finished
	})
	return done
}

// id is Flink's name for the running job.
func (j *job) id(t *testing.T) (id string) {
	t.Helper()
	eventually(t, "Flink lists the job", func() bool {
		id = j.cluster.jobID(t.Context(), j.name)
		return id != ""
	})
	return id
}
