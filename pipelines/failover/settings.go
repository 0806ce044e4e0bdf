package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"

	"example.com/beamredis/pipelines/internal/beamrun"
	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/redisio"
)

// settings are the program's flags.
type settings struct {
	redis        cli.Redis
	source, sink cli.Topic
	group        string
	count        int
	rate         float64
	seed         uint64
	maxFailures  int
	telemetry    cli.Telemetry
}

func (s *settings) register(fs *flag.FlagSet) {
	s.redis.Register(fs, "", "to run on (without it, one of its own)")
	s.source.Register(fs, "source", "failover-in", "to fill and read; it must not exist yet")
	fs.StringVar(&s.group, "group", "failover", "`name` of the consumer group to read through")
	s.sink.Register(fs, "sink", "failover-out", "to write; it must not exist yet")
	fs.IntVar(&s.count, "count", 100_000, "`number` of entries to copy")
	fs.Float64Var(&s.rate, "fail_rate", 0.0001, "`probability`, from 0 to 1, that an entry fails; it is drawn anew after every failure")
	fs.Uint64Var(&s.seed, "seed", 1, "`seed` of the failures: the same seed picks the same entries")
	s.telemetry.Register(fs)
	fs.IntVar(&s.maxFailures, "max_failures", 100, "`number` of failures after which none is simulated any more, so that the copy ends")
}

// atFlink gives flags of the runner flink-streaming other defaults: many
// restarts need frequent checkpoints to get ahead, and a pause that shows.
func atFlink(fs *flag.FlagSet) {
	for name, value := range map[string]string{
		"checkpointing_interval": "500ms", "number_of_execution_retries": "10000", "execution_retry_delay": "3s",
	} {
		if err := fs.Set(name, value); err != nil {
			panic(fmt.Sprintf("default of --%s: %v", name, err)) // the flag is gone
		}
		fs.Lookup(name).DefValue = value
	}
}

// job is what the flags ask for.
type job struct {
	conn         redisio.Conn
	source, sink redisio.Topic
	group        string
	check        bool // of a Redis that others use as well
	count        int
	faults       faults
	read         []redisio.ReadOption
	write        []redisio.WriteOption
}

const ownRedis = "redis://localhost" // its address is known when it runs

// job makes sense of the flags; the error, a usage error, tells all that is
// wrong with them.
func (s *settings) job() (job, error) {
	redis := s.redis
	if redis.URL == "" {
		redis.URL = ownRedis
	}
	conn, connErr := redis.Conn()
	read, write, telemetryErr := s.telemetry.Options()
	return job{
			conn:   conn,
			source: s.source.Topic,
			sink:   s.sink.Topic,
			group:  s.group, count: s.count, check: true,
			faults: faults{Rate: s.rate, Seed: s.seed, Max: int64(s.maxFailures)},
			read:   read, write: write,
		}, cli.Usage(errors.Join(
			connErr,
			s.source.Check(),
			cli.NotEmpty("--group", s.group, "the name of a consumer group"),
			s.sink.Check(),
			cli.OtherTopic(s.source.Name, s.sink.Name),
			cli.Positive("--count", s.count), s.checkFaults(), telemetryErr, checkRunner(),
		))
}

func (s *settings) checkFaults() error {
	var errs []error
	if !(s.rate >= 0 && s.rate <= 1) { // NaN is not
		errs = append(errs, fmt.Errorf("--fail_rate is %v: want a probability from 0 to 1", s.rate))
	}
	if s.maxFailures < 0 {
		errs = append(errs, fmt.Errorf("--max_failures is %d: want at least 0", s.maxFailures))
	}
	return errors.Join(errs...)
}

const flinkRunner = "flink-streaming"

// checkRunner takes the runners whose failures this program knows how to get
// over.
func checkRunner() error {
	switch {
	case *runners.Runner != flinkRunner && !beamrun.WorkersAreHere(*runners.Runner):
		return fmt.Errorf("--runner: %q is none that this demo runs on: want prism, in this process, or %s", *runners.Runner, flinkRunner)
	case *jobopts.Async:
		return errors.New("--async: the demo has to see the end of the job")
	}
	return nil
}
