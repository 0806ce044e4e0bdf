package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"example.com/beamredis/pipelines/internal/beamrun"
	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/redisio"
)

// settings are the program's flags.
type settings struct {
	redis        cli.Redis
	source, sink cli.Topic
	from, to     string
	keepIDs      bool
	output       string
	input        string
	keyField     string
	allowLoss    bool
	check        bool
	telemetry    cli.Telemetry
}

func (s *settings) register(fs *flag.FlagSet) {
	s.redis.Register(fs, "", "that holds the topics")
	s.source.Register(fs, "source", "", "to read")
	fs.StringVar(&s.from, "from", "earliest", "where to begin: earliest, an entry `ID`, or a time in RFC 3339")
	fs.StringVar(&s.to, "to", "latest", "where to end: latest, which is what is there at the start, an entry `ID`, or a time in RFC 3339")
	s.sink.Register(fs, "sink", "", "to write; with as many partitions as the source it is the same, partition by partition, else entries go by their key")
	fs.BoolVar(&s.keepIDs, "keep_ids", false, "write entries with the IDs that they have; the sink's partitions, as many as the source's, have to end before them")
	fs.StringVar(&s.output, "output", "", "`prefix` of the files to write in place of a topic: PREFIX-PARTITION-of-PARTITIONS-ID.jsonl")
	fs.StringVar(&s.input, "input", "", "`glob` of the files to read in place of a topic")
	fs.StringVar(&s.keyField, "key_field", "_key", "`name` of the entry field that holds the message key; empty: entries have no key")
	fs.BoolVar(&s.allowLoss, "allow_loss", false, "leave out, with a warning, what is trimmed from the source before it could be read; else it ends the replay, with status 1")
	s.telemetry.Register(fs)
	fs.BoolVar(&s.check, "check", true, "look at Redis and at the files from this machine before the pipeline is submitted; --check=false, by which files of the same name are replaced, where only the workers reach them")
}

// job is the replay that the flags ask for.
type job struct {
	settings
	conn         redisio.Conn
	source, sink redisio.Topic
	from, to     redisio.Bound
	reporting    []redisio.WriteOption
}

// job makes sense of the flags; the error, a usage error, tells all that is
// wrong with them.
func (s *settings) job() (job, error) {
	j := job{settings: *s, source: s.source.Topic, sink: s.sink.Topic}
	var connErr, fromErr, toErr, telemetryErr error
	_, j.reporting, telemetryErr = s.telemetry.Options() // a range is read without spans
	if s.redis.URL == "" {
		connErr = errors.New("--redis is missing: want the URL of a Redis, such as redis://localhost:6379")
	} else {
		j.conn, connErr = s.redis.Conn()
	}
	j.from, fromErr = redisio.ParseBound(s.from)
	j.to, toErr = redisio.ParseBound(s.to)
	return j, cli.Usage(errors.Join(
		connErr, cli.OfFlag("--from", fromErr), cli.OfFlag("--to", toErr), telemetryErr, s.checkWays(),
		s.source.CheckPartitions(), s.sink.CheckPartitions(),
		beamrun.CheckRunnerKnown(),
	))
}

// checkWays wants one way in and one way out.
func (s *settings) checkWays() error {
	var errs []error
	if (s.source.Name == "") == (s.input == "") {
		errs = append(errs, errors.New("want either --source, a topic, or --input, files"))
	}
	if (s.sink.Name == "") == (s.output == "") {
		errs = append(errs, errors.New("want either --sink, a topic, or --output, files"))
	}
	if s.input != "" && s.output != "" {
		errs = append(errs, errors.New("--input and --output are both files: want a topic at one end"))
	}
	if s.source.Name != "" && s.source.Name == s.sink.Name {
		errs = append(errs, fmt.Errorf("--source and --sink are both %q: the topic would have its entries twice", s.source.Name))
	}
	if s.input != "" && (s.from != "earliest" || s.to != "latest") {
		errs = append(errs, errors.New("--from and --to are for a topic: --input reads all that the files hold"))
	}
	if s.input != "" && s.allowLoss {
		errs = append(errs, errors.New("--allow_loss is for a topic: files lose nothing"))
	}
	if s.keepIDs && s.output != "" {
		errs = append(errs, errors.New("--keep_ids is for --sink: files always hold the IDs"))
	}
	if s.keepIDs && s.source.Name != "" && s.source.Partitions != s.sink.Partitions {
		errs = append(errs, fmt.Errorf("--keep_ids: %d partitions cannot become %d: IDs of a stream only grow", s.source.Partitions, s.sink.Partitions))
	}
	return errors.Join(errs...)
}

// checkOutput refuses a prefix that has files already: what is restored by it
// later would be both.
func (j *job) checkOutput(ctx context.Context) error {
	if j.output == "" {
		return nil
	}
	names, err := list(ctx, literal.Replace(j.output)+"-*"+suffix)
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	if len(names) > 0 {
		return fmt.Errorf("--output: there are files with this prefix already, such as %s: move them away, or give another prefix", names[0])
	}
	return nil
}

// literal makes a glob of text that matches nothing else.
var literal = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// list expands a glob.
func list(ctx context.Context, glob string) ([]string, error) {
	fs, err := filesystem.New(ctx, glob)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", glob, err)
	}
	defer fs.Close()
	names, err := fs.List(ctx, glob)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", glob, err)
	}
	return names, nil
}
