package flink

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/runnerlib"
)

// environment is where the workers run.
type environment struct {
	kind   string
	config string
	binary string // the worker's program, where it is given
}

const (
	docker   = "DOCKER"
	process  = "PROCESS"
	external = "EXTERNAL"
	loopback = "LOOPBACK"
)

// environmentOf reads Beam's flags; without a type it is DOCKER, as in Beam.
func environmentOf(kind, config, binary string) (environment, error) {
	env := environment{kind: strings.ToUpper(kind), config: config, binary: binary}
	switch env.kind {
	case "", docker:
		env.kind = docker
		if config == "" {
			env.config = core.DefaultDockerImage
		}
	case process:
		return env, checkProcess(config)
	case external:
		if config == "" {
			return env, fmt.Errorf("--environment_config is empty: want host:port of the worker pool, for --environment_type=EXTERNAL")
		}
	case loopback:
	default:
		return env, fmt.Errorf("--environment_type: %q is none: want LOOPBACK, PROCESS, DOCKER or EXTERNAL", kind)
	}
	return env, nil
}

func checkProcess(config string) error {
	var c struct{ Command string }
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return fmt.Errorf(`--environment_config: want JSON such as {"command":"/path/of/boot"} for --environment_type=PROCESS: %w`, err)
	}
	if c.Command == "" {
		return fmt.Errorf(`--environment_config: no "command": want the path of Beam's boot program on the TaskManagers, built by "go build -o boot github.com/apache/beam/sdks/v2/go/container"`)
	}
	return nil
}

// urn is Beam's name for the kind. A loopback worker is an external one, whose
// pool is this process.
func (e environment) urn() string {
	switch e.kind {
	case process:
		return graphx.URNEnvProcess
	case external, loopback:
		return graphx.URNEnvExternal
	}
	return graphx.URNEnvDocker
}

// proto is the environment of a pipeline; pool is the address of the loopback
// pool, where there is one.
func (e environment) proto(ctx context.Context, pool string) (*pipepb.Environment, error) {
	config := e.config
	if e.kind == loopback {
		config = pool
	}
	return graphx.CreateEnvironment(ctx, e.urn(), func(context.Context) string { return config })
}

// workerBinary returns the program to stage, and what removes it if it was made
// for this job. Loopback workers need none: an empty file stands for it.
func (e environment) workerBinary(ctx context.Context) (path string, remove func(), err error) {
	keep := func() {}
	switch {
	case e.kind == loopback:
		path, err = emptyFile()
	case e.binary != "":
		return e.binary, keep, nil
	case runtime.GOOS == "linux":
		path, err = os.Executable()
		return path, keep, err
	default:
		path, err = runnerlib.BuildTempWorkerBinary(ctx, runnerlib.CompileOpts{})
	}
	if err != nil {
		return "", keep, fmt.Errorf("worker binary: %w", err)
	}
	return path, func() { _ = os.Remove(path) }, nil
}

func emptyFile() (string, error) {
	f, err := os.CreateTemp("", "beamredis-loopback-*")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}
