package flink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/xlangx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/runnerlib"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// submission is a pipeline on its way to a job server, and the job after that.
type submission struct {
	options  options
	pipeline *pipepb.Pipeline
	binary   string
	pool     *pool // LOOPBACK only
	conn     *grpc.ClientConn
	client   jobpb.JobServiceClient
	flink    *restClient
	jobID    string
	cleanup  []func()
}

// prepare translates p and connects to the job server. The submission has to be
// closed.
func prepare(ctx context.Context, p *beam.Pipeline, o options) (*submission, error) {
	s := &submission{options: o, flink: newRESTClient(o.rest)}
	err := s.translate(ctx, p)
	if err == nil {
		err = s.checkCheckpointing()
	}
	if err == nil {
		err = s.connect(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *submission) close() {
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
}

// translate makes the model pipeline, with its environment.
func (s *submission) translate(ctx context.Context, p *beam.Pipeline) error {
	edges, _, err := p.Build()
	if err != nil {
		return fmt.Errorf("the pipeline cannot be built: %w", err)
	}
	address := ""
	if s.options.environment.kind == loopback {
		if s.pool, err = startPool(ctx, serveHarness); err != nil {
			return err
		}
		s.cleanup = append(s.cleanup, s.pool.close)
		address = s.pool.addr()
	}
	if _, err := xlangx.ResolveArtifactsWithConfig(ctx, edges, xlangx.ResolveConfig{}); err != nil {
		return fmt.Errorf("artifacts of transforms in other languages: %w", err)
	}
	env, err := s.options.environment.proto(ctx, address)
	if err != nil {
		return err
	}
	s.pipeline, err = graphx.Marshal(edges, &graphx.Options{Environment: env, PipelineResourceHints: jobopts.GetPipelineResourceHints()})
	if err != nil {
		return fmt.Errorf("the pipeline cannot be translated: %w", err)
	}
	binary, remove, err := s.options.environment.workerBinary(ctx)
	if err != nil {
		return err
	}
	s.binary = binary
	s.cleanup = append(s.cleanup, remove)
	if err := runnerlib.UpdateGoEnvironmentWorker(binary, s.pipeline); err != nil {
		return fmt.Errorf("--worker_binary: %w", err)
	}
	return nil
}

// ErrNoCheckpoints says that a pipeline needs checkpoints and has none.
var ErrNoCheckpoints = errors.New("the pipeline acknowledges what it reads when a checkpoint completes, and --checkpointing_interval=0 turns checkpoints off: " +
	"nothing would ever be acknowledged, and nothing would survive a failure; set an interval, such as 5s")

// finalizationRequirement is what the translation of a DoFn that takes part in
// bundle finalization, as Read does, asks of the runner.
const finalizationRequirement = "beam:requirement:pardo:finalization:v1"

func (s *submission) checkCheckpointing() error {
	if s.options.checkpointing == 0 && slices.Contains(s.pipeline.GetRequirements(), finalizationRequirement) {
		return ErrNoCheckpoints
	}
	return nil
}

const (
	dialTimeout   = 15 * time.Second
	handshakeTime = 5 * time.Second
	submitTimeout = 45 * time.Second
)

// connect connects to the job server. It tries the port first, whose error
// tells more than that of the connection.
func (s *submission) connect(ctx context.Context) error {
	endpoint := s.options.endpoint
	dialer := net.Dialer{Timeout: dialTimeout}
	probe, err := dialer.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return fmt.Errorf("no job server at --endpoint=%s: %w; start one (scripts/flink up), or give its address", endpoint, err)
	}
	_ = probe.Close()
	if s.conn, err = grpcx.Dial(ctx, endpoint, handshakeTime); err != nil {
		return fmt.Errorf("what listens at --endpoint=%s is no Beam job server (is it Flink's own port?): %w", endpoint, err)
	}
	s.cleanup = append(s.cleanup, func() { _ = s.conn.Close() })
	s.client = jobpb.NewJobServiceClient(s.conn)
	return nil
}

// submit hands the job over, which sets its ID.
func (s *submission) submit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	hooks.SerializeHooksToOptions()
	beam.PipelineOptions.LoadOptionsFromFlags(nil)
	opts, err := s.options.proto(beam.PipelineOptions.Export().Options)
	if err != nil {
		return fmt.Errorf("pipeline options: %w", err)
	}
	prepared, err := s.client.Prepare(ctx, &jobpb.PrepareJobRequest{Pipeline: s.pipeline, PipelineOptions: opts, JobName: s.options.jobName})
	if err != nil {
		return s.refused("prepare the job", err)
	}
	token, err := runnerlib.Stage(ctx, prepared.GetPreparationId(), prepared.GetArtifactStagingEndpoint().GetUrl(), s.binary, prepared.GetStagingSessionToken())
	if err != nil {
		return s.refused("take the worker binary", err)
	}
	ran, err := s.client.Run(ctx, &jobpb.RunJobRequest{PreparationId: prepared.GetPreparationId(), RetrievalToken: token})
	if err != nil {
		return s.refused("run the job", err)
	}
	s.jobID = ran.GetJobId()
	return nil
}

func (s *submission) refused(what string, err error) error {
	if status.Code(err) == codes.Unimplemented {
		return fmt.Errorf("what listens at --endpoint=%s is no Beam job server: %w", s.options.endpoint, err)
	}
	return fmt.Errorf("the job server at %s did not %s: %w", s.options.endpoint, what, err)
}
