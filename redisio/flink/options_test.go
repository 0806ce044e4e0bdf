package flink

import (
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parsed returns the options of args, completed as those of the command line.
func parsed(t *testing.T, args ...string) options {
	t.Helper()
	var o options
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	o.endpoint, o.jobName, o.parallelism = "flink.example:8099", "copy", 4
	o.environment = environment{kind: loopback}
	o.onInterrupt = onInterruptOf(o.environment)
	return o
}

func TestDefaultsReachFlink(t *testing.T) {
	o := parsed(t)
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	got, err := o.proto(map[string]string{"hooks": "x"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"beam:option:go_options:v1":                                      map[string]any{"options": map[string]any{"hooks": "x"}},
		"beam:option:runner:v1":                                          "flink",
		"beam:option:app_name:v1":                                        "copy",
		"beam:option:job_name:v1":                                        "copy",
		"beam:option:experiments:v1":                                     []any{"beam_fn_api"},
		"beam:option:retain_docker_containers:v1":                        false,
		"beam:option:parallelism:v1":                                     4.0,
		"beam:option:max_parallelism:v1":                                 128.0,
		"beam:option:streaming:v1":                                       true,
		"beam:option:checkpointing_interval:v1":                          5000.0,
		"beam:option:externalized_checkpoints_enabled:v1":                true,
		"beam:option:retain_externalized_checkpoints_on_cancellation:v1": true,
		"beam:option:max_bundle_size:v1":                                 1000.0,
		"beam:option:max_bundle_time_mills:v1":                           10.0,
		"beam:option:finish_bundle_before_checkpointing:v1":              true,
		"beam:option:number_of_execution_retries:v1":                     10000.0,
		"beam:option:execution_retry_delay:v1":                           1000.0,
		"beam:option:allow_non_restored_state:v1":                        false,
	}
	if diff := cmp.Diff(want, got.AsMap()); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestFlagsReachFlink(t *testing.T) {
	o := parsed(t, "--checkpointing_interval=2s", "--max_bundle_time=100ms", "--max_bundle_size=5", "--max_parallelism=256",
		"--number_of_execution_retries=3", "--execution_retry_delay=7s", "--state_backend=rocksdb", "--state_backend_storage_path=file:///c",
		"--savepoint_path=file:///s", "--allow_non_restored_state", "--retain_checkpoints=false", "--streaming=false")
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	p, err := o.proto(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"checkpointing_interval": 2000.0, "max_bundle_time_mills": 100.0, "max_bundle_size": 5.0, "max_parallelism": 256.0,
		"number_of_execution_retries": 3.0, "execution_retry_delay": 7000.0, "state_backend": "rocksdb", "state_backend_storage_path": "file:///c",
		"savepoint_path": "file:///s", "allow_non_restored_state": true, "retain_externalized_checkpoints_on_cancellation": false, "streaming": false,
		"finish_bundle_before_checkpointing": true,
	} {
		if got := p.AsMap()["beam:option:"+name+":v1"]; got != want {
			t.Errorf("%s is sent as %v, want %v", name, got, want)
		}
	}
}

// What the cluster decides must not be sent at all: the job server takes any
// value for a decision.
func TestLeftToTheCluster(t *testing.T) {
	o := parsed(t, "--number_of_execution_retries=-1", "--checkpointing_interval=0")
	p, err := o.proto(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"number_of_execution_retries", "execution_retry_delay", "checkpointing_interval", "state_backend", "savepoint_path"} {
		if got, sent := p.AsMap()["beam:option:"+name+":v1"]; sent {
			t.Errorf("%s is sent as %v", name, got)
		}
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		change func(*options)
		want   []string
	}{
		{name: "numbers", args: []string{"--checkpointing_interval=5ms", "--max_bundle_time=0", "--max_bundle_size=0", "--max_parallelism=40000",
			"--number_of_execution_retries=-2", "--execution_retry_delay=-1s", "--start_timeout=0"},
			want: []string{"--checkpointing_interval", "--max_bundle_time", "--max_bundle_size", "--max_parallelism", "--number_of_execution_retries", "--execution_retry_delay", "--start_timeout"}},
		{name: "negative interval", args: []string{"--checkpointing_interval=-1s"}, want: []string{"--checkpointing_interval is -1s"}},
		{name: "no endpoint", change: func(o *options) { o.endpoint = "" }, want: []string{`--endpoint: "" is not host:port`}},
		{name: "parallelism 0", change: func(o *options) { o.parallelism = 0 }, want: []string{"--parallelism is 0"}},
		{name: "more than the key groups", change: func(o *options) { o.parallelism = 129 }, want: []string{"--parallelism is 129", "--max_parallelism=128"}},
		{name: "backend", args: []string{"--state_backend=hashmap", "--state_backend_storage_path=x"}, want: []string{`--state_backend: "hashmap"`}},
		{name: "backend without path", args: []string{"--state_backend=rocksdb"}, want: []string{"go together"}},
		{name: "nothing to restore", args: []string{"--allow_non_restored_state"}, want: []string{"--savepoint_path"}},
		{name: "interrupt", change: func(o *options) { o.onInterrupt = "stop" }, want: []string{`--on_interrupt: "stop"`}},
		{name: "detached loopback", change: func(o *options) { o.onInterrupt = detach }, want: []string{"--on_interrupt=detach", "LOOPBACK"}},
		{name: "asynchronous loopback", change: func(o *options) { o.async = true }, want: []string{"--async", "LOOPBACK"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := parsed(t, tt.args...)
			if tt.change != nil {
				tt.change(&o)
			}
			err := o.validate()
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not tell of %q", err, want)
				}
			}
		})
	}
}

func TestAddressOfFlinksREST(t *testing.T) {
	for _, tt := range []struct{ given, want, wantErr string }{
		{"", "http://flink.example:8081", ""},
		{"jobmanager:8080", "http://jobmanager:8080", ""},
		{"https://flink/proxy/", "https://flink/proxy", ""},
		{"http://", "", "--flink_rest"},
	} {
		o := options{endpoint: "flink.example:8099", rest: tt.given}
		err := o.completeREST()
		switch {
		case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
			t.Errorf("%q: error %v, want one that tells of %s", tt.given, err, tt.wantErr)
		case tt.wantErr == "" && (err != nil || o.rest != tt.want):
			t.Errorf("%q: address %q, %v, want %q", tt.given, o.rest, err, tt.want)
		}
	}
}

func TestEnvironments(t *testing.T) {
	for _, tt := range []struct {
		kind, config, urn, wantErr string
	}{
		{"", "", "beam:env:docker:v1", ""},
		{"docker", "example/worker:1", "beam:env:docker:v1", ""},
		{"Loopback", "", "beam:env:external:v1", ""},
		{"EXTERNAL", "pool:5000", "beam:env:external:v1", ""},
		{"EXTERNAL", "", "", "--environment_config is empty"},
		{"PROCESS", `{"command":"/opt/boot"}`, "beam:env:process:v1", ""},
		{"PROCESS", "/opt/boot", "", "--environment_config: want JSON"},
		{"PROCESS", "{}", "", `no "command"`},
		{"POD", "", "", `--environment_type: "POD"`},
	} {
		env, err := environmentOf(tt.kind, tt.config, "")
		switch {
		case tt.wantErr != "":
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%s %q: error %v, want one that tells of %s", tt.kind, tt.config, err, tt.wantErr)
			}
		case err != nil:
			t.Errorf("%s %q: %v", tt.kind, tt.config, err)
		default:
			p, err := env.proto(t.Context(), "localhost:1")
			if err != nil || p.GetUrn() != tt.urn {
				t.Errorf("%s %q: environment %s, %v, want %s", tt.kind, tt.config, p.GetUrn(), err, tt.urn)
			}
		}
	}
}

func TestInterruptCancelsOnlyWhatEndsWithTheProcess(t *testing.T) {
	for kind, want := range map[string]string{loopback: cancelJob, process: detach, docker: detach, external: detach} {
		if got := onInterruptOf(environment{kind: kind}); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}

func TestStartTimeoutIsAMinute(t *testing.T) {
	if got := parsed(t).startTimeout; got != time.Minute {
		t.Errorf("--start_timeout is %v by default, want a minute", got)
	}
}
