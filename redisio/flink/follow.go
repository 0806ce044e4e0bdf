package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
)

// follow logs what the job server tells of the job, and returns when the job is
// over: nil if it is done or was cancelled, else why it failed.
//
// A job server that was started again knows nothing of the jobs from before;
// then Flink itself is asked.
func (s *submission) follow(ctx context.Context) error {
	state, lastError, err := s.listen(ctx)
	if err != nil && ctx.Err() == nil {
		log.Warnf(ctx, "the job server at %s does not tell of job %s any more, asking Flink at %s: %v", s.options.endpoint, s.jobID, s.options.rest, err)
		return s.followOnFlink(ctx)
	}
	if state == jobpb.JobState_FAILED {
		return s.failed(ctx, lastError)
	}
	return nil
}

// listen follows the job's messages to its last state.
func (s *submission) listen(ctx context.Context) (state jobpb.JobState_Enum, lastError string, err error) {
	stream, err := s.client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: s.jobID})
	if err != nil {
		return 0, "", err
	}
	for {
		msg, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && over(state):
			return state, lastError, nil
		case err != nil:
			return 0, "", err
		}
		if m := msg.GetMessageResponse(); m != nil {
			log.Output(ctx, severity(m.GetImportance()), 1, m.GetMessageText())
			if m.GetImportance() >= jobpb.JobMessage_JOB_MESSAGE_ERROR {
				lastError = m.GetMessageText()
			}
		}
		if r := msg.GetStateResponse(); r != nil {
			state = r.GetState()
			log.Infof(ctx, "job %s: %s", s.jobID, state)
		}
		// The reason of a failure comes behind it.
		if over(state) && (state != jobpb.JobState_FAILED || lastError != "") {
			return state, lastError, nil
		}
	}
}

func over(state jobpb.JobState_Enum) bool {
	switch state {
	case jobpb.JobState_DONE, jobpb.JobState_CANCELLED, jobpb.JobState_FAILED, jobpb.JobState_DRAINED, jobpb.JobState_UPDATED:
		return true
	}
	return false
}

func severity(importance jobpb.JobMessage_MessageImportance) log.Severity {
	switch importance {
	case jobpb.JobMessage_JOB_MESSAGE_ERROR:
		return log.SevError
	case jobpb.JobMessage_JOB_MESSAGE_WARNING:
		return log.SevWarn
	case jobpb.JobMessage_JOB_MESSAGE_BASIC:
		return log.SevInfo
	}
	return log.SevDebug
}

// failed is the error of a failed job: Flink's own words where they can be had.
func (s *submission) failed(ctx context.Context, told string) error {
	reason := rootCauses(told)
	if job, ok, err := s.flink.job(ctx, s.options.jobName); err == nil && ok {
		if why := s.flink.failure(ctx, job.ID); why != "" {
			reason = why
		}
	}
	if reason == "" {
		reason = "no reason given, see the logs of the job server and the JobManager"
	}
	return fmt.Errorf("job %s failed: %s", s.jobID, reason)
}

const (
	pollEvery = 500 * time.Millisecond
	// unseenFor is how long Flink may not answer, or not know the job, before
	// following it is given up.
	unseenFor = 2 * time.Minute
)

// followOnFlink follows the job by Flink's REST.
func (s *submission) followOnFlink(ctx context.Context) error {
	seen := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		job, ok, err := s.flink.job(ctx, s.options.jobName)
		switch {
		case ok && job.State == "FAILED":
			return s.failed(ctx, "")
		case ok && job.ended():
			return nil
		case ok:
			seen = time.Now()
		case time.Since(seen) > unseenFor:
			return errors.Join(fmt.Errorf("lost sight of job %s: neither the job server at %s nor Flink at %s knows it", s.jobID, s.options.endpoint, s.options.rest), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
