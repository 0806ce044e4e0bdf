package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"

	"example.com/beamredis/pipelines/internal/beamrun"
	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio"
)

func init() {
	register.DoFn2x0[redisio.Message, func(redisio.Message)](&placeFn{})
	register.Emitter1[redisio.Message]()
	register.Function1x1(itsStream)
}

const checkTimeout = 5 * time.Second

// run runs the pipeline that the flags describe.
func run(sig *cli.Signals, w io.Writer, s *settings) error {
	j, err := s.job()
	if err != nil {
		return err
	}
	if j.check {
		if err := j.preflight(sig.Stop); err != nil {
			return err
		}
	}
	p, err := j.pipeline()
	if err != nil {
		return err
	}
	here := beamrun.WorkersAreHere(*runners.Runner) // before Prism has an endpoint
	began := time.Now()
	result, err := beamrun.Run(sig.Stop, p)
	switch {
	case sig.Stopping():
		return sig.Interrupted("what was written by then stays")
	case err != nil:
		return err
	case here:
		fmt.Fprintf(w, "replayed %s\n", progress.Rate(j.written(result), time.Since(began)))
	}
	return nil
}

func (j *job) preflight(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var topics []redisio.Topic
	if j.input == "" {
		topics = append(topics, j.source)
	}
	if j.output == "" {
		topics = append(topics, j.sink)
	}
	if err := redisio.Check(ctx, j.conn, topics...); err != nil {
		return err
	}
	return j.checkOutput(ctx)
}

func (j *job) written(result beam.PipelineResult) int64 {
	if j.output != "" {
		return beamrun.Count(result, metricsNamespace, linesName)
	}
	return beamrun.Count(result, "redisio.write", "written")
}

func (j *job) pipeline() (*beam.Pipeline, error) {
	p, s := beam.NewPipelineWithRoot()
	messages, err := j.read(s)
	if err != nil {
		return nil, err
	}
	if j.output != "" {
		beam.ParDo0(s, &writeFn{Prefix: j.output, Streams: streamsOf(j.source)}, messages)
		return p, nil
	}
	_, err = redisio.TryWrite(s, j.conn, redisio.Topic{}, messages, j.writeOptions()...)
	return p, err
}

// read makes messages whose Stream says where they are to go, or, for files,
// where they come from.
func (j *job) read(s beam.Scope) (beam.PCollection, error) {
	if j.input != "" {
		groups := beam.Reshuffle(s, beam.ParDo(s, &listFn{}, beam.Create(s, j.input)))
		return beam.ParDo(s, &readFn{Sink: j.sink, KeepIDs: j.keepIDs}, groups), nil
	}
	options := []redisio.RangeOption{redisio.WithOrder(), redisio.WithKeyField(j.keyField)}
	if !j.allowLoss {
		options = append(options, redisio.WithFailOnLoss())
	}
	messages, err := redisio.TryReadRange(s, j.conn, j.source, j.from, j.to, options...)
	if err != nil || j.output != "" {
		return messages, err
	}
	return beam.ParDo(s, &placeFn{Source: j.source, Sink: j.sink}, messages), nil
}

func (j *job) writeOptions() []redisio.WriteOption {
	options := append([]redisio.WriteOption{redisio.WithKeyField(j.keyField), redisio.WithTopicOf(itsStream)}, j.reporting...)
	if j.keepIDs {
		options = append(options, redisio.WithEntryIDs())
	}
	return options
}

// itsStream is the topic that a message names as its stream.
func itsStream(m redisio.Message) redisio.Topic { return redisio.Topic{Keys: []string{m.Stream}} }

// placeFn gives messages the stream that they are to be written to: of the same
// partition, where both topics have as many, else of the partition of the key.
type placeFn struct {
	Source, Sink redisio.Topic

	index   map[string]int
	streams []string
}

// Setup names the streams once.
func (fn *placeFn) Setup() {
	fn.index, fn.streams = streamsOf(fn.Source), names(fn.Sink)
}

// ProcessElement places one message.
func (fn *placeFn) ProcessElement(m redisio.Message, emit func(redisio.Message)) {
	emit(place(m, fn.index[m.Stream], len(fn.index), fn.Sink, fn.streams))
}

func place(m redisio.Message, partition, of int, sink redisio.Topic, streams []string) redisio.Message {
	if of != len(streams) {
		partition = sink.PartitionOf(&m)
	}
	m.Stream = streams[partition]
	return m
}

// streamsOf are the partitions of a topic by the names of their streams.
func streamsOf(t redisio.Topic) map[string]int {
	index := map[string]int{}
	for i, name := range names(t) {
		index[name] = i
	}
	return index
}

func names(t redisio.Topic) []string {
	var streams []string
	for _, p := range t.Parts() {
		streams = append(streams, p.Stream)
	}
	return streams
}
