package flink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/metricsx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
)

// run submits the job, waits until it runs, and unless it is asynchronous until
// it ends.
func (s *submission) run(ctx context.Context) (beam.PipelineResult, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	s.flink.passOver(ctx)
	if err := s.submit(ctx); err != nil {
		return nil, err
	}
	log.Infof(ctx, "submitted job %s to %s", s.jobID, s.options.endpoint)
	// What is told of the job outlives the interrupt, to see it cancelled.
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.follow(following) }()

	started := make(chan error, 1)
	go func() { started <- s.awaitStart(following) }()
	completed := make(chan bool, 1)
	refused := make(chan error, 1)
	for {
		select {
		case err := <-ended:
			return s.result(ctx), err
		case err := <-started:
			if err != nil {
				return nil, errors.Join(err, s.abort(ctx))
			}
			if s.options.async {
				fmt.Println(s.jobID)
				return s.result(ctx), nil
			}
			started = nil
			if s.options.savepoint != "" {
				go func() { refused <- s.awaitRefusal(following) }()
			}
			if s.options.streaming {
				go func() { completed <- s.awaitCompletion(following) }()
			}
		case err := <-refused:
			if err != nil {
				return nil, errors.Join(err, s.abort(ctx))
			}
		case done := <-completed:
			if done {
				return s.result(ctx), s.complete(ctx)
			}
		case <-ctx.Done():
			return s.interrupted(ctx)
		}
	}
}

// interrupted leaves the job alone, or cancels it.
func (s *submission) interrupted(ctx context.Context) (beam.PipelineResult, error) {
	if s.options.onInterrupt == detach {
		log.Infof(ctx, "interrupted: job %s goes on; cancel it on Flink's pages (%s)", s.jobID, s.options.rest)
		return s.result(ctx), nil
	}
	log.Infof(ctx, "interrupted: job %s is cancelled", s.jobID)
	return s.result(ctx), s.abort(ctx)
}

// cancelTimeout is how long a cancelled job may take to end.
const cancelTimeout = 30 * time.Second

// abort cancels the job and waits for its end. The job server alone is not
// enough: it gives up following a job, and leaves it running on Flink.
func (s *submission) abort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	flinkErr := s.cancelOnFlink(ctx)
	// The job server may have been started again and not know the job.
	_, _ = s.client.Cancel(ctx, &jobpb.CancelJobRequest{JobId: s.jobID})
	if flinkErr != nil {
		return fmt.Errorf("job %s could not be cancelled and may go on; see to it on Flink's pages: %w", s.jobID, flinkErr)
	}
	return nil
}

// cancelOnFlink cancels the job and waits until Flink is rid of it. A job that
// the job server is still handing over appears a little later.
func (s *submission) cancelOnFlink(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		job, ok, err := s.flink.job(ctx, s.options.jobName)
		switch {
		case err != nil:
			return err
		case ok && job.ended():
			return nil
		case ok && job.State != "CANCELLING":
			if err := s.flink.cancel(ctx, job.ID); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it was told to end, but Flink at %s has not ended it within %v", s.options.rest, cancelTimeout)
		}
	}
}

// result is what there is to tell of the job, metrics where the job server
// gives them.
func (s *submission) result(ctx context.Context) *Result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r := &Result{jobID: s.jobID}
	resp, err := s.client.GetJobMetrics(ctx, &jobpb.GetJobMetricsRequest{JobId: s.jobID})
	if err != nil {
		log.Debugf(ctx, "no metrics of job %s: %v", s.jobID, err)
		return r
	}
	r.metrics = metricsx.FromMonitoringInfos(s.pipeline, resp.GetMetrics().GetAttempted(), resp.GetMetrics().GetCommitted())
	return r
}

// Result is what became of a job.
type Result struct {
	jobID   string
	metrics *metrics.Results
}

var _ beam.PipelineResult = (*Result)(nil)

// JobID is the job server's name for the job.
func (r *Result) JobID() string { return r.jobID }

// Metrics is what the job server counted until Execute returned; nothing where
// it gave no answer.
func (r *Result) Metrics() metrics.Results {
	if r.metrics == nil {
		return metrics.Results{}
	}
	return *r.metrics
}
