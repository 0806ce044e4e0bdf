package flink

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"

	"example.com/beamredis/redisio/sdf"
)

// sameObstacleFor is how long one and the same obstacle may stand before the
// start is given up, even if --start_timeout allows for more: a TaskManager may
// be about to register, a slot about to be free.
const sameObstacleFor = 20 * time.Second

// obstacle is what keeps a job from running. A firm one goes away only if
// somebody acts; any other may be the ordinary course of a start.
type obstacle struct {
	reason string
	firm   bool
}

// awaitStart returns when the job runs, or with what keeps it from running.
// Flink itself would try again without end, and say nothing.
func (s *submission) awaitStart(ctx context.Context) error {
	deadline := time.Now().Add(s.options.startTimeout)
	var last obstacle
	var since time.Time
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		runs, now := s.look(ctx)
		if runs {
			return nil
		}
		if now != last {
			last, since = now, time.Now()
		}
		if last.firm && time.Since(since) > sameObstacleFor {
			return fmt.Errorf("job %s does not start: %s", s.jobID, last.reason)
		}
		if time.Now().After(deadline) {
			return s.notStarted(last.reason)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *submission) notStarted(reason string) error {
	if reason == "" {
		reason = fmt.Sprintf("no reason is known; see the logs of the job server, or let --flink_rest (now %s) name Flink's address", s.options.rest)
	}
	return fmt.Errorf("job %s did not start within --start_timeout=%v: %s", s.jobID, s.options.startTimeout, reason)
}

// look reports whether the job runs, or what is in its way, if that can be told.
func (s *submission) look(ctx context.Context) (runs bool, in obstacle) {
	job, ok, err := s.flink.job(ctx, s.options.jobName)
	switch {
	case err != nil:
		return s.lookWithoutREST(ctx, err)
	case !ok:
		return false, obstacle{} // the job server is still handing it over
	case job.runs() || job.ended():
		return true, obstacle{} // its end is told by follow
	}
	why := s.flink.failure(ctx, job.ID)
	if strings.Contains(why, noResources) || why == "" && job.Tasks.Scheduled+job.Tasks.Created > 0 {
		if in := s.missingSlots(ctx); in != (obstacle{}) {
			return false, in
		}
	}
	return false, obstacle{why, why != ""}
}

// noResources is what Flink says when it finds no slots, and all it says.
const noResources = "minimum required resources"

// missingSlots tells whether the cluster has too few slots for a job that has
// none yet.
func (s *submission) missingSlots(ctx context.Context) obstacle {
	o, err := s.flink.overview(ctx)
	need := max(1, s.options.parallelism)
	switch {
	case err != nil || o.SlotsAvailable >= need:
		return obstacle{}
	case o.TaskManagers == 0:
		return obstacle{fmt.Sprintf("Flink at %s has no TaskManager: start one (scripts/flink add-taskmanager)", s.options.rest), true}
	case o.SlotsTotal < need:
		// Those that are free say nothing: the job may hold the others.
		return obstacle{fmt.Sprintf("Flink at %s has too few slots: the job needs %d, and there are %d; add a TaskManager or lower --parallelism",
			s.options.rest, need, o.SlotsTotal), true}
	}
	return obstacle{fmt.Sprintf("Flink at %s has no free slots for it: the job needs %d, and %d of %d are free; cancel another job, add a TaskManager or lower --parallelism",
		s.options.rest, need, o.SlotsAvailable, o.SlotsTotal), true}
}

// lookWithoutREST goes by what else can be seen: that workers were asked for,
// or what the job server calls the job's state, which is not much.
func (s *submission) lookWithoutREST(ctx context.Context, restErr error) (runs bool, in obstacle) {
	if s.pool != nil {
		select {
		case <-s.pool.first:
			return true, obstacle{}
		default:
			return false, obstacle{reason: fmt.Sprintf("no TaskManager has asked for a worker (is there one on this machine, with free slots?), and %v; name its address by --flink_rest to learn more", restErr)}
		}
	}
	resp, err := s.client.GetState(ctx, &jobpb.GetJobStateRequest{JobId: s.jobID})
	if err != nil || resp.GetState() != jobpb.JobState_RUNNING {
		return false, obstacle{}
	}
	log.Warnf(ctx, "whether job %s really runs cannot be told: %v; name its address by --flink_rest", s.jobID, restErr)
	return true, obstacle{}
}

// restoredFor is how long a job that was restored is watched for a refusal: all
// its partitions have had their first turn by then.
const restoredFor = 2 * time.Minute

// awaitRefusal watches a restored job for the refusal of its state, which Flink
// would answer with one restart after the other. It returns nil if none comes.
func (s *submission) awaitRefusal(ctx context.Context) error {
	over := time.NewTimer(restoredFor)
	defer over.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if job, ok, err := s.flink.job(ctx, s.options.jobName); err == nil && ok {
			if why := s.flink.failure(ctx, job.ID); strings.Contains(why, sdf.ErrOtherPartitions.Error()) {
				return fmt.Errorf("job %s cannot go on from --savepoint_path=%s: %s", s.jobID, s.options.savepoint, fromPhrase(why, sdf.ErrOtherPartitions.Error()))
			}
		}
		select {
		case <-tick.C:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// fromPhrase returns the line of text that holds phrase, from there on: what
// comes before is the way that the error went.
func fromPhrase(text, phrase string) string {
	_, rest, _ := strings.Cut(text, phrase)
	line, _, _ := strings.Cut(rest, "\n")
	return phrase + line
}
