package flink

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/beamredis/redisio/sdf"
)

// options is what a job is submitted with.
type options struct {
	// Beam's own flags.
	endpoint    string
	jobName     string
	parallelism int
	experiments []string
	retainDocks bool
	async       bool
	environment environment

	streaming           bool
	checkpointing       time.Duration
	bundleTime          time.Duration
	bundleSize          int64
	maxParallelism      int
	retries             int
	retryDelay          time.Duration
	stateBackend        string
	stateBackendStorage string
	savepoint           string
	allowNonRestored    bool
	retainCheckpoints   bool

	rest         string
	startTimeout time.Duration
	onInterrupt  string
}

// given holds the values of this package's flags.
var given options

func init() { given.register(flag.CommandLine) }

func (o *options) register(fs *flag.FlagSet) {
	fs.BoolVar(&o.streaming, "streaming", true, "flink-streaming: run as a streaming job; false: batch, for bounded pipelines only")
	fs.DurationVar(&o.checkpointing, "checkpointing_interval", 5*time.Second, "flink-streaming: `time` between checkpoints; entries are acknowledged when one completes; 0: no checkpoints")
	fs.DurationVar(&o.bundleTime, "max_bundle_time", 10*time.Millisecond, "flink-streaming: how long, a `time`, a finished turn of a partition may wait for its next one")
	fs.Int64Var(&o.bundleSize, "max_bundle_size", 1000, "flink-streaming: upper `number` of elements that Flink puts into a bundle")
	fs.IntVar(&o.maxParallelism, "max_parallelism", sdf.KeyGroups, "flink-streaming: `number` of key groups, an upper bound of the parallelism; a job keeps it for ever")
	fs.IntVar(&o.retries, "number_of_execution_retries", 10_000, "flink-streaming: `number` of restarts before the job fails; -1: as the cluster is configured")
	fs.DurationVar(&o.retryDelay, "execution_retry_delay", time.Second, "flink-streaming: `time` to wait before a restart")
	fs.StringVar(&o.stateBackend, "state_backend", "", "flink-streaming: rocksdb or filesystem; empty: as the cluster is configured")
	fs.StringVar(&o.stateBackendStorage, "state_backend_storage_path", "", "flink-streaming: `URI` of the folder for the checkpoints of --state_backend, such as file:///checkpoints")
	fs.StringVar(&o.savepoint, "savepoint_path", "", "flink-streaming: `URI` of the savepoint or retained checkpoint to go on from")
	fs.BoolVar(&o.allowNonRestored, "allow_non_restored_state", false, "flink-streaming: leave out state of the savepoint that the pipeline has no place for")
	fs.BoolVar(&o.retainCheckpoints, "retain_checkpoints", true, "flink-streaming: keep the last checkpoint when the job is cancelled")
	fs.StringVar(&o.rest, "flink_rest", "", "flink-streaming: `address` of Flink's REST, to tell why a job does not start; empty: port 8081 of the job server's host, if it answers")
	fs.DurationVar(&o.startTimeout, "start_timeout", time.Minute, "flink-streaming: `time` within which the job must run, or it is cancelled")
	fs.StringVar(&o.onInterrupt, "on_interrupt", "", "flink-streaming: what becomes of the job at SIGINT and SIGTERM: cancel or detach; empty: cancel with LOOPBACK, whose workers end with this process, else detach")
}

// optionsFromFlags returns what the flags say, or an error that lists every
// mistake in them.
func optionsFromFlags() (options, error) {
	o := given
	o.endpoint = *jobopts.Endpoint
	o.jobName = jobopts.GetJobName()
	o.parallelism = *jobopts.Parallelism
	o.experiments = jobopts.GetExperiments()
	o.retainDocks = *jobopts.RetainDockerContainers
	o.async = *jobopts.Async
	env, envErr := environmentOf(*jobopts.EnvironmentType, *jobopts.EnvironmentConfig, *jobopts.WorkerBinary)
	o.environment = env
	if o.onInterrupt == "" {
		o.onInterrupt = onInterruptOf(env)
	}
	restErr := o.completeREST()
	return o, errors.Join(envErr, restErr, o.validate())
}

const (
	cancelJob = "cancel"
	detach    = "detach"
)

func onInterruptOf(env environment) string {
	if env.kind == loopback {
		return cancelJob
	}
	return detach
}

// completeREST fills in and checks the REST address.
func (o *options) completeREST() error {
	if o.rest == "" {
		if host, _, err := net.SplitHostPort(o.endpoint); err == nil {
			o.rest = "http://" + net.JoinHostPort(host, "8081")
		}
		return nil
	}
	if !strings.Contains(o.rest, "://") {
		o.rest = "http://" + o.rest
	}
	if u, err := url.Parse(o.rest); err != nil || u.Host == "" {
		return fmt.Errorf("--flink_rest: %q is no address: want one such as http://localhost:8081", o.rest)
	}
	o.rest = strings.TrimSuffix(o.rest, "/")
	return nil
}

// validate reports every mistake.
func (o *options) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(o.endpoint); err != nil {
		wrong("--endpoint: %q is not host:port: want the address of a Beam job server, such as localhost:8099", o.endpoint)
	}
	if o.checkpointing < 0 || o.checkpointing > 0 && o.checkpointing < 10*time.Millisecond {
		wrong("--checkpointing_interval is %v: want at least 10ms, or 0 for none", o.checkpointing)
	}
	if o.bundleTime < time.Millisecond {
		wrong("--max_bundle_time is %v: want at least 1ms", o.bundleTime)
	}
	if o.bundleSize < 1 {
		wrong("--max_bundle_size is %d: want at least 1", o.bundleSize)
	}
	if o.maxParallelism < 1 || o.maxParallelism > 1<<15 {
		wrong("--max_parallelism is %d: want one from 1 to 32768", o.maxParallelism)
	}
	if o.parallelism == 0 || o.parallelism < -1 || o.parallelism > o.maxParallelism {
		wrong("--parallelism is %d: want one from 1 to --max_parallelism=%d, or -1 for the cluster's", o.parallelism, o.maxParallelism)
	}
	if o.retries < -1 {
		wrong("--number_of_execution_retries is %d: want at least 0, or -1 for the cluster's", o.retries)
	}
	if o.retryDelay < 0 {
		wrong("--execution_retry_delay is %v: want at least 0", o.retryDelay)
	}
	if o.startTimeout <= 0 {
		wrong("--start_timeout is %v: want more than 0", o.startTimeout)
	}
	return errors.Join(append(errs, o.checkState(), o.checkInterrupt())...)
}

func (o *options) checkState() error {
	switch {
	case o.stateBackend != "" && o.stateBackend != "rocksdb" && o.stateBackend != "filesystem":
		return fmt.Errorf("--state_backend: %q is none: want rocksdb or filesystem, or leave it empty for the cluster's", o.stateBackend)
	case (o.stateBackend == "") != (o.stateBackendStorage == ""):
		return errors.New("--state_backend and --state_backend_storage_path go together: give both, or neither for the cluster's")
	case o.allowNonRestored && o.savepoint == "":
		return errors.New("--allow_non_restored_state without --savepoint_path: there is nothing to restore")
	}
	return nil
}

func (o *options) checkInterrupt() error {
	switch {
	case o.onInterrupt != cancelJob && o.onInterrupt != detach:
		return fmt.Errorf("--on_interrupt: %q is none: want cancel or detach", o.onInterrupt)
	case o.environment.kind != loopback:
		return nil
	case o.onInterrupt == detach:
		return errors.New("--on_interrupt=detach with --environment_type=LOOPBACK: the workers would end with this process; use PROCESS or DOCKER")
	case o.async:
		return errors.New("--async with --environment_type=LOOPBACK: the workers would end with this process; use PROCESS or DOCKER")
	}
	return nil
}

// proto is the pipeline options of the Prepare request, named as Beam's Flink
// runner names them. goOptions are those that the workers read.
func (o *options) proto(goOptions map[string]string) (*structpb.Struct, error) {
	forWorkers := make(map[string]any, len(goOptions))
	for k, v := range goOptions {
		forWorkers[k] = v
	}
	experiments := []any{"beam_fn_api"}
	for _, e := range o.experiments {
		experiments = append(experiments, e)
	}
	m := map[string]any{
		"go_options":                         map[string]any{"options": forWorkers},
		"runner":                             "flink",
		"app_name":                           o.jobName,
		"job_name":                           o.jobName,
		"experiments":                        experiments,
		"retain_docker_containers":           o.retainDocks,
		"parallelism":                        o.parallelism,
		"max_parallelism":                    o.maxParallelism,
		"streaming":                          o.streaming,
		"max_bundle_size":                    o.bundleSize,
		"max_bundle_time_mills":              o.bundleTime.Milliseconds(),
		"finish_bundle_before_checkpointing": true,
		"allow_non_restored_state":           o.allowNonRestored,
	}
	o.addRetries(m)
	o.addState(m)
	named := make(map[string]any, len(m))
	for k, v := range m {
		named["beam:option:"+k+":v1"] = v
	}
	return structpb.NewStruct(named)
}

func (o *options) addRetries(m map[string]any) {
	if o.retries >= 0 {
		m["number_of_execution_retries"] = o.retries
		m["execution_retry_delay"] = o.retryDelay.Milliseconds()
	}
}

func (o *options) addState(m map[string]any) {
	if o.checkpointing > 0 {
		m["checkpointing_interval"] = o.checkpointing.Milliseconds()
		m["externalized_checkpoints_enabled"] = true
		m["retain_externalized_checkpoints_on_cancellation"] = o.retainCheckpoints
	}
	if o.stateBackend != "" {
		m["state_backend"] = o.stateBackend
		m["state_backend_storage_path"] = o.stateBackendStorage
	}
	if o.savepoint != "" {
		m["savepoint_path"] = o.savepoint
	}
}
