// Package flink submits streaming pipelines to Apache Flink with the options
// that Beam's own Go submitter cannot pass, above all checkpointing, without
// which nothing that a pipeline reads is ever acknowledged.
//
// Importing the package registers the runner flink-streaming:
//
//	go run ./pipelines/redis-to-redis --runner=flink-streaming \
//	    --endpoint=localhost:8099 --environment_type=LOOPBACK --parallelism=4 …
//
// Beam's flags keep their meaning: --endpoint (the Beam job server),
// --environment_type and --environment_config (DOCKER, PROCESS, EXTERNAL or
// LOOPBACK), --parallelism, --job_name, --worker_binary, --async. This package
// adds:
//
//	--checkpointing_interval        5s    acknowledgements come at this pace
//	--max_bundle_time               10ms  upper bound of the pause between two bundles
//	--max_bundle_size               1000  elements of a bundle, as Flink counts them
//	--max_parallelism               128   key groups; never changes for a job
//	--number_of_execution_retries   10000 restarts before the job fails; -1: the cluster's
//	--execution_retry_delay         1s    pause before a restart
//	--state_backend                       rocksdb or filesystem; empty: the cluster's
//	--state_backend_storage_path          where that keeps checkpoints
//	--savepoint_path                      restore from this savepoint or checkpoint
//	--allow_non_restored_state      false leave out state that the pipeline has no place for
//	--retain_checkpoints            true  keep the last checkpoint of a cancelled job
//	--streaming                     true  false: batch, for bounded pipelines
//	--flink_rest                          Flink's REST address; empty: port 8081 of the job server's host
//	--start_timeout                 1m    how long the job may take to run
//	--on_interrupt                        cancel or detach; empty: cancel with LOOPBACK, else detach
//
// Bundles are always finished before a checkpoint: otherwise about half of the
// starts hang, because the first bundle's output waits in a buffer that nobody
// flushes.
//
// # Workers in the submitting process
//
// With LOOPBACK the submitting process is the worker, so it has to stay alive.
// It survives the loss of a TaskManager, and serves several of them, which
// Beam's own loopback pool does not.
package flink

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	// Workers are this program, run again.
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness/init"
)

func init() {
	beam.RegisterRunner("flink-streaming", Execute)
}

// Execute submits p to the job server of --endpoint, and waits for its end
// unless --async is given. It is the runner flink-streaming; beamx.Run calls it
// for --runner=flink-streaming.
//
// SIGINT, SIGTERM and the end of ctx cancel the job or let it run, by
// --on_interrupt; both is a success. A job that does not come to run within
// --start_timeout is cancelled, and the error says what kept it.
func Execute(ctx context.Context, p *beam.Pipeline) (beam.PipelineResult, error) {
	o, err := optionsFromFlags()
	if err != nil {
		return nil, err
	}
	s, err := prepare(ctx, p, o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.run(ctx)
}
