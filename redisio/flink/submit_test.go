package flink

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio"
)

func readPipeline() *beam.Pipeline {
	p, s := beam.NewPipelineWithRoot()
	redisio.Read(s, redisio.Conn{Addr: "localhost:6379"}, redisio.Topic{Name: "in", Partitions: 2}, "g")
	return p
}

func TestReadWithoutCheckpointsIsRefused(t *testing.T) {
	o := parsed(t, "--checkpointing_interval=0")
	if _, err := prepare(t.Context(), readPipeline(), o); !errors.Is(err, ErrNoCheckpoints) {
		t.Errorf("error %v, want ErrNoCheckpoints", err)
	}
}

// A pipeline that acknowledges nothing may do without checkpoints: it gets as
// far as the job server.
func TestOtherPipelinesNeedNoCheckpoints(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	beam.Create(s, 1, 2, 3)
	o := parsed(t, "--checkpointing_interval=0")
	o.endpoint = closedPort(t)
	if _, err := prepare(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), "no job server at --endpoint="+o.endpoint) {
		t.Errorf("error %v, want one about the job server", err)
	}
}

// closedPort is an address at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestFlinksOwnPortIsNoJobServer(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	o := parsed(t)
	o.endpoint = strings.TrimPrefix(web.URL, "http://")
	begun := time.Now()
	_, err := prepare(t.Context(), readPipeline(), o)
	if err == nil || !strings.Contains(err.Error(), "no Beam job server") {
		t.Errorf("error %v, want one that says that this is no job server", err)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %v to find out", took)
	}
}

func TestCausesAreTakenOutOfAStackTrace(t *testing.T) {
	const trace = `java.util.concurrent.CompletionException: java.lang.RuntimeException: Could not start
	at java.base/java.util.concurrent.CompletableFuture.encodeThrowable(CompletableFuture.java:315)
	... 3 more
Caused by: java.lang.RuntimeException: Could not start
	at org.apache.Something.go(Something.java:1)
Caused by: java.io.IOException: Cannot run program "/opt/boot": error=2, No such file or directory
	at java.base/java.lang.ProcessBuilder.start(ProcessBuilder.java:1143)
	Suppressed: java.lang.NullPointerException: Process for id does not exist: 77-1
`
	const want = `Could not start: Cannot run program "/opt/boot": error=2, No such file or directory`
	if got := rootCauses(trace); got != want {
		t.Errorf("causes %q, want %q", got, want)
	}
}

// flinkREST answers as Flink does, by path.
func flinkREST(t *testing.T, answers map[string]string) *restClient {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if names := r.URL.Query().Get("get"); names != "" {
			answer, ok = answers[r.URL.Path+"?"+names]
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return newRESTClient(server.URL)
}

func TestLatestJobOfANameIsFound(t *testing.T) {
	c := flinkREST(t, map[string]string{"/jobs/overview": `{"jobs":[
		{"jid":"a","name":"copy","state":"CANCELED","start-time":1},
		{"jid":"b","name":"copy","state":"RUNNING","start-time":3},
		{"jid":"c","name":"other","state":"RUNNING","start-time":4}]}`})
	job, ok, err := c.job(t.Context(), "copy")
	if err != nil || !ok || job.ID != "b" {
		t.Errorf("found %+v, %v, %v, want b", job, ok, err)
	}
	c.passOver(t.Context())
	if job, ok, _ := c.job(t.Context(), "copy"); ok {
		t.Errorf("found %+v, which was there before", job)
	}
}

func TestJobIsExhaustedOnceAllWatermarksAreAtTheEnd(t *testing.T) {
	const end, earlier = `[{"id":"x","min":9.223372036854776E18}]`, `[{"id":"x","min":1.795496645341E12}]`
	for name, tt := range map[string]struct {
		read string
		want bool
	}{"all": {end, true}, "one is behind": {earlier, false}, "one is unknown": {"[]", false}} {
		t.Run(name, func(t *testing.T) {
			c := flinkREST(t, map[string]string{
				"/jobs/j":                              `{"vertices":[{"id":"v1"},{"id":"v2"}]}`,
				"/jobs/j/vertices/v1/subtasks/metrics": `[{"id":"Source.currentOutputWatermark"},{"id":"Source.numRecordsIn"}]`,
				"/jobs/j/vertices/v2/subtasks/metrics": `[{"id":"Read.currentOutputWatermark"},{"id":"Read.currentInputWatermark"}]`,
				"/jobs/j/vertices/v1/subtasks/metrics?Source.currentOutputWatermark": end,
				"/jobs/j/vertices/v2/subtasks/metrics?Read.currentOutputWatermark":   tt.read,
			})
			if got := c.exhausted(t.Context(), "j"); got != tt.want {
				t.Errorf("exhausted is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestObstaclesAreTold(t *testing.T) {
	const scheduled = `{"jobs":[{"jid":"j","name":"copy","state":"RUNNING","tasks":{"total":5,"scheduled":5}}]}`
	for _, tt := range []struct {
		name, jobs, overview, exceptions string
		runs                             bool
		want                             string
	}{
		{name: "runs", jobs: `{"jobs":[{"jid":"j","name":"copy","state":"RUNNING","tasks":{"total":5,"running":4,"finished":1}}]}`, runs: true},
		{name: "starts", jobs: `{"jobs":[{"jid":"j","name":"copy","state":"RUNNING","tasks":{"total":5,"running":4,"initializing":1}}]}`},
		{name: "is handed over", jobs: `{"jobs":[]}`},
		{name: "no TaskManager", jobs: scheduled, overview: `{"taskmanagers":0}`, want: "no TaskManager"},
		{name: "no slots", jobs: scheduled, overview: `{"taskmanagers":1,"slots-total":4,"slots-available":3}`, want: "needs 4, and 3 of 4 are free"},
		{name: "too few slots", jobs: scheduled, overview: `{"taskmanagers":1,"slots-total":3,"slots-available":0}`, want: "needs 4, and there are 3"},
		{name: "slots enough", jobs: scheduled, overview: `{"taskmanagers":1,"slots-total":4,"slots-available":4}`},
		{name: "no slots, in Flink's words", jobs: `{"jobs":[{"jid":"j","name":"copy","state":"RESTARTING"}]}`, overview: `{"taskmanagers":1,"slots-total":4,"slots-available":0}`,
			exceptions: `{"root-exception":"x.NoResource: Could not acquire the minimum required resources."}`, want: "0 of 4 are free"},
		{name: "fails with all slots taken by itself", jobs: `{"jobs":[{"jid":"j","name":"copy","state":"RESTARTING"}]}`, overview: `{"taskmanagers":1,"slots-total":4,"slots-available":0}`,
			exceptions: `{"root-exception":"java.io.IOException: no boot"}`, want: "no boot"},
		{name: "fails", jobs: scheduled, exceptions: `{"root-exception":"java.io.IOException: no boot\n\tat x"}`, want: "no boot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answers := map[string]string{"/jobs/overview": tt.jobs, "/overview": tt.overview, "/jobs/j/exceptions": tt.exceptions}
			s := &submission{options: parsed(t), flink: flinkREST(t, answers)}
			runs, in := s.look(t.Context())
			if runs != tt.runs || !strings.Contains(in.reason, tt.want) || (tt.want == "") != (in == obstacle{}) {
				t.Errorf("runs %v, obstacle %+v, want %v and %q", runs, in, tt.runs, tt.want)
			}
		})
	}
}

func TestLoopbackWithoutRESTGoesByItsWorkers(t *testing.T) {
	pt := newPoolTest(t)
	s := &submission{options: parsed(t), pool: pt.pool, flink: newRESTClient("http://" + closedPort(t))}
	if runs, in := s.look(t.Context()); runs || !strings.Contains(in.reason, "no TaskManager has asked for a worker") || in.firm {
		t.Errorf("runs %v, obstacle %+v", runs, in)
	}
	pt.mustStart("1-1", "tm:1")
	if runs, in := s.look(t.Context()); !runs {
		t.Errorf("does not run: %+v", in)
	}
}

func TestWithoutMetricsTheResultIsEmpty(t *testing.T) {
	r := &Result{jobID: "j"}
	if diff := cmp.Diff(0, len(r.Metrics().AllMetrics().Counters())); diff != "" || r.JobID() != "j" {
		t.Errorf("%s: %s", r.JobID(), diff)
	}
}

func TestStartGivesUpAtItsTimeout(t *testing.T) {
	o := parsed(t, "--start_timeout=1ms")
	s := &submission{options: o, jobID: "j1", flink: flinkREST(t, map[string]string{"/jobs/overview": `{"jobs":[]}`})}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.awaitStart(ctx); err == nil || !strings.Contains(err.Error(), "job j1 did not start within --start_timeout=1ms") {
		t.Errorf("error %v, want one about --start_timeout", err)
	}
}
