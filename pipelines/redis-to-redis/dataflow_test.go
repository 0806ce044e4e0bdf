package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"example.com/beamredis/internal/jobgraph"
	"example.com/beamredis/pipelines/internal/pipetest"
)

const (
	passwordVariable = "DATAFLOW_TEST_PASSWORD"
	password         = "correct-horse-battery"
)

// dryRun translates the copy for Dataflow.
func dryRun(t *testing.T) (log string) {
	t.Helper()
	return dryRunAt(t, "redis://app@redis.example:6379?password_env="+passwordVariable)
}

func dryRunAt(t *testing.T, url string) (log string) {
	t.Helper()
	return pipetest.DryRunDataflow(t, binary, []string{passwordVariable + "=" + password}, "--redis", url, "--check=false")
}

func TestDataflowIsGivenAStreamingJob(t *testing.T) {
	var job struct {
		Type        string
		Environment struct {
			Version            struct{ Job_type string }
			Experiments        []string
			SdkPipelineOptions struct {
				GoOptions struct{ Options map[string]string } `json:"beam:option:go_options:v1"`
			}
		}
	}
	pipetest.Must(t, json.Unmarshal([]byte(pipetest.Logged(t, dryRun(t), "{")), &job))
	if job.Type != "JOB_TYPE_STREAMING" || job.Environment.Version.Job_type != "FNAPI_STREAMING" {
		t.Errorf("type %s, %s", job.Type, job.Environment.Version.Job_type)
	}
	for _, want := range []string{"use_runner_v2", "enable_streaming_engine"} {
		if !slices.Contains(job.Environment.Experiments, want) {
			t.Errorf("experiment %s is missing: %v", want, job.Environment.Experiments)
		}
	}
	// Workers enable the hooks that are named here, and no others.
	if hooks := job.Environment.SdkPipelineOptions.GoOptions.Options["hooks"]; !strings.Contains(hooks, "bundle-finalization") {
		t.Errorf("workers do not get the finalization hook: %s", hooks)
	}
}

func TestDataflowIsAskedToFinalizeASplittableRead(t *testing.T) {
	var p pipepb.Pipeline
	pipetest.Must(t, prototext.Unmarshal([]byte(pipetest.Logged(t, dryRun(t), "components")), &p))
	for _, want := range []string{"beam:requirement:pardo:finalization:v1", "beam:requirement:pardo:splittable_dofn:v1"} {
		if !slices.Contains(p.GetRequirements(), want) {
			t.Errorf("requirement %s is missing: %v", want, p.GetRequirements())
		}
	}
	reads := 0
	for _, tr := range p.GetComponents().GetTransforms() {
		var pardo pipepb.ParDoPayload
		if tr.GetSpec().GetUrn() != "beam:transform:pardo:v1" || proto.Unmarshal(tr.GetSpec().GetPayload(), &pardo) != nil || pardo.GetRestrictionCoderId() == "" {
			continue
		}
		reads++
		if !pardo.GetRequestsFinalization() {
			t.Errorf("%s does not request finalization", tr.GetUniqueName())
		}
		for _, out := range tr.GetOutputs() {
			if b := p.GetComponents().GetPcollections()[out].GetIsBounded(); b != pipepb.IsBounded_UNBOUNDED {
				t.Errorf("%s: output %s is %v", tr.GetUniqueName(), out, b)
			}
		}
	}
	if reads != 1 {
		t.Errorf("%d splittable DoFns, want 1", reads)
	}
}

// TestDataflowIsGivenNoSecret, wherever workers find it.
func TestDataflowIsGivenNoSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password-file")
	pipetest.Must(t, os.WriteFile(file, []byte(password), 0o600))
	for name, tc := range map[string]struct{ url, reference string }{
		"environment":            {"redis://app@redis.example:6379?password_env=" + passwordVariable, passwordVariable},
		"file":                   {"redis://app@redis.example:6379?password_file=" + file, file},
		"registered credentials": {"redis://redis.example:6379?credentials=vault", "vault"},
		"of sentinels":           {"redis-sentinel://redis.example/main?sentinel_password_env=" + passwordVariable, passwordVariable},
		"of sentinels, file":     {"redis-sentinel://redis.example/main?sentinel_password_file=" + file, file},
	} {
		t.Run(name, func(t *testing.T) { expectNoSecret(t, dryRunAt(t, tc.url), tc.reference) })
	}
}

func expectNoSecret(t *testing.T, log, reference string) {
	t.Helper()
	var p pipepb.Pipeline
	pipetest.Must(t, prototext.Unmarshal([]byte(pipetest.Logged(t, log, "components")), &p))
	wire, err := proto.Marshal(&p)
	pipetest.Must(t, err)
	for name, text := range map[string]string{"the log": log, "the job": pipetest.Logged(t, log, "{"), "the pipeline": string(wire)} {
		if jobgraph.Holds(text, password) {
			t.Errorf("%s holds the password", name)
		}
		// The reference travels the same way, so that a password would be found.
		if !jobgraph.Holds(text, reference) {
			t.Errorf("%s does not hold the password's reference", name)
		}
	}
}
