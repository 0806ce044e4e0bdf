package main

import (
	"encoding/json"
	"slices"
	"testing"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/encoding/prototext"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// TestDataflowIsGivenABatchJob: everything is bounded, and no hook of the live
// read is asked for.
func TestDataflowIsGivenABatchJob(t *testing.T) {
	log := pipetest.DryRunDataflow(t, program, nil, "--redis", "redis://redis.example:6379", "--check=false", "--source", "in", "--sink", "out")
	var job struct {
		Type        string
		Environment struct{ Version struct{ Job_type string } }
	}
	pipetest.Must(t, json.Unmarshal([]byte(pipetest.Logged(t, log, "{")), &job))
	if job.Type != "JOB_TYPE_BATCH" || job.Environment.Version.Job_type != "FNAPI_BATCH" {
		t.Errorf("type %s, %s", job.Type, job.Environment.Version.Job_type)
	}
	var p pipepb.Pipeline
	pipetest.Must(t, prototext.Unmarshal([]byte(pipetest.Logged(t, log, "components")), &p))
	if reqs := p.GetRequirements(); !slices.Contains(reqs, "beam:requirement:pardo:splittable_dofn:v1") || slices.Contains(reqs, "beam:requirement:pardo:finalization:v1") {
		t.Errorf("requirements %v, want a splittable DoFn without finalization", reqs)
	}
	cols := p.GetComponents().GetPcollections()
	for name, col := range cols {
		if col.GetIsBounded() != pipepb.IsBounded_BOUNDED {
			t.Errorf("%s is %v", name, col.GetIsBounded())
		}
	}
	if len(cols) == 0 {
		t.Error("the pipeline has no collections")
	}
}
