package flink_test

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio"
)

// TestAnAsyncJobGoesOnAlone: the submitting program gets the job's ID and may
// end; the job's workers are processes of the TaskManager.
func TestAnAsyncJobGoesOnAlone(t *testing.T) {
	c := flink(t)
	s := startRedis(t)
	in := redisio.Topic{Name: "in", Partitions: 2}
	const n = 2_000
	s.load(in, 0, n)
	j := newJob(c, s.Config(), in, 2)
	j.inProcesses(t)
	j.flags["async"], j.flags["on_interrupt"] = "true", "detach"
	if err := j.flagsSet(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := flag.Set("async", "false"); err != nil {
			t.Error(err)
		}
	})
	result, err := beam.Run(t.Context(), "flink-streaming", j.pipeline())
	if err != nil {
		t.Fatal(err)
	}
	if result.JobID() == "" {
		t.Error("the job has no ID")
	}
	eventually(t, "the job copies everything", func() bool { return s.length(out) == n })
	eventually(t, "everything is acknowledged", func() bool { return s.pending(in) == 0 })
	if err := c.call(t.Context(), http.MethodPatch, "/jobs/"+j.id(t)+"?mode=cancel", nil, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Flink is rid of the job", func() bool { return c.idle(t.Context()) })
	s.wantExactlyOnce(n)
}

// TestAnInterruptDetachesOrCancels: the context ends as it does at SIGINT.
func TestAnInterruptDetachesOrCancels(t *testing.T) {
	c := flink(t)
	for _, tt := range []struct {
		onInterrupt string
		processes   bool
		want        string // the job's state afterwards
	}{
		{"cancel", false, "CANCELED"},
		{"detach", true, "RUNNING"},
	} {
		t.Run(tt.onInterrupt, func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: 2}
			s.load(in, 0, 100)
			j := newJob(c, s.Config(), in, 1)
			if tt.processes {
				j.inProcesses(t)
			}
			j.flags["on_interrupt"] = tt.onInterrupt
			ctx, interrupt := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- j.run(ctx) }()
			eventually(t, "the job copies", func() bool { return s.length(out) == 100 })
			interrupt()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			eventually(t, "the job is "+tt.want, func() bool { return c.state(t.Context(), j.name) == tt.want })
			if tt.want == "RUNNING" {
				s.load(in, 100, 200)
				eventually(t, "the job goes on", func() bool { return s.length(out) == 200 })
				if err := c.call(t.Context(), http.MethodPatch, "/jobs/"+j.id(t)+"?mode=cancel", nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "Flink is rid of the job", func() bool { return c.idle(t.Context()) })
		})
	}
}
