package flink

import (
	"context"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

// awaitCompletion returns true when the job has nothing more to do: every
// operator has told that no element will follow, and a checkpoint has completed
// since. It returns false when that cannot be seen.
//
// Beam's impulse, the source of every pipeline here, never ends while there are
// checkpoints, and a job whose sources have not ended goes on for ever; were it
// told to end at once, its readers would be flushed outside of any checkpoint.
func (s *submission) awaitCompletion(ctx context.Context) bool {
	started, doneAt := time.Now(), -1
	for {
		job, ok, err := s.flink.job(ctx, s.options.jobName)
		if err == nil && ok && job.State == "RUNNING" && s.flink.exhausted(ctx, job.ID) {
			completed := s.flink.checkpoints(ctx, job.ID)
			switch {
			case s.options.checkpointing == 0 || doneAt >= 0 && completed > doneAt:
				return true
			case doneAt < 0:
				doneAt = completed
			}
		} else {
			doneAt = -1
		}
		// A job that has run for days need not be asked every second.
		pause := min(10*time.Second, max(pollEvery, time.Since(started)/20))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}

// complete ends a job that has nothing more to do.
func (s *submission) complete(ctx context.Context) error {
	log.Infof(ctx, "job %s has read and written everything and is ended", s.jobID)
	return s.abort(ctx)
}

// exhausted reports whether the output watermark of all operators is at the end
// of time.
func (c *restClient) exhausted(ctx context.Context, jobID string) bool {
	var job struct {
		Vertices []struct {
			ID string `json:"id"`
		} `json:"vertices"`
	}
	if c.get(ctx, "/jobs/"+jobID, &job) != nil || len(job.Vertices) == 0 {
		return false
	}
	for _, v := range job.Vertices {
		if !c.vertexExhausted(ctx, "/jobs/"+jobID+"/vertices/"+v.ID+"/subtasks/metrics") {
			return false
		}
	}
	return true
}

func (c *restClient) vertexExhausted(ctx context.Context, path string) bool {
	var names []struct {
		ID string `json:"id"`
	}
	if c.get(ctx, path, &names) != nil {
		return false
	}
	var wanted []string
	for _, n := range names {
		if strings.HasSuffix(n.ID, ".currentOutputWatermark") {
			wanted = append(wanted, n.ID)
		}
	}
	if len(wanted) == 0 {
		return false
	}
	var values []struct {
		Min float64 `json:"min"`
	}
	if c.get(ctx, path+"?agg=min&get="+url.QueryEscape(strings.Join(wanted, ",")), &values) != nil || len(values) != len(wanted) {
		return false
	}
	for _, v := range values {
		if v.Min < math.MaxInt64 {
			return false
		}
	}
	return true
}

// checkpoints is the number of completed ones.
func (c *restClient) checkpoints(ctx context.Context, jobID string) int {
	var stats struct {
		Counts struct {
			Completed int `json:"completed"`
		} `json:"counts"`
	}
	if c.get(ctx, "/jobs/"+jobID+"/checkpoints", &stats) != nil {
		return 0
	}
	return stats.Counts.Completed
}
