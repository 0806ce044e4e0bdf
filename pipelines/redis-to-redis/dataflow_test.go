package main

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"example.com/beamredis/pipelines/internal/pipetest"
)

const (
	passwordVariable = "DATAFLOW_TEST_PASSWORD"
	password         = "correct-horse-battery"
)

// dryRun translates the copy for Dataflow.
func dryRun(t *testing.T) (log string) {
	t.Helper()
	return pipetest.DryRunDataflow(t, binary, []string{passwordVariable + "=" + password},
		"--redis", "redis://app@redis.example:6379?password_env="+passwordVariable, "--check=false")
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

var base64Run = regexp.MustCompile(`[A-Za-z0-9+/]{12,}={0,2}`)

// holds reports whether text has what in it, also within base64, as functions
// are encoded, at any depth.
func holds(text, what string) bool {
	if strings.Contains(text, what) {
		return true
	}
	for _, run := range base64Run.FindAllString(text, -1) {
		run = strings.TrimRight(run, "=")
		// A run may begin with characters that do not belong to it.
		for skip := range 4 {
			cut := run[skip:]
			inner, err := base64.RawStdEncoding.DecodeString(cut[:len(cut)/4*4])
			if err == nil && holds(string(inner), what) {
				return true
			}
		}
	}
	return false
}

func TestDataflowIsGivenNoSecret(t *testing.T) {
	log := dryRun(t)
	var p pipepb.Pipeline
	pipetest.Must(t, prototext.Unmarshal([]byte(pipetest.Logged(t, log, "components")), &p))
	wire, err := proto.Marshal(&p)
	pipetest.Must(t, err)
	for name, text := range map[string]string{"the log": log, "the job": pipetest.Logged(t, log, "{"), "the pipeline": string(wire)} {
		if holds(text, password) {
			t.Errorf("%s holds the password", name)
		}
		// The reference travels the same way, so that a password would be found.
		if !holds(text, passwordVariable) {
			t.Errorf("%s does not hold the password's variable", name)
		}
	}
}
