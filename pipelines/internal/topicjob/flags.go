// Package topicjob is what programs that read a topic have in common: the flags
// of the source, and the way of a pipeline from a look at Redis to its last
// acknowledgement.
package topicjob

import (
	"errors"
	"flag"

	"example.com/beamredis/pipelines/internal/beamrun"
	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/redisio"
)

// Flags are those of the source.
type Flags struct {
	Redis            cli.Redis
	Source           cli.Topic
	Group            string
	Start            string
	Ack              string
	KeyField         string
	ExitWhenCaughtUp bool
	Check            bool
	Telemetry        cli.Telemetry
}

// Register adds the flags to fs. program is the default name of the group;
// holds tells what the Redis of --redis holds, such as "both topics".
func (f *Flags) Register(fs *flag.FlagSet, program, holds string) {
	f.Redis.Register(fs, "", "that holds "+holds+" (without it, a demo runs on a Redis of its own)")
	f.Source.Register(fs, "source", "in", "to read")
	fs.StringVar(&f.Group, "group", program, "`name` of the consumer group to read through; it is created where it is missing")
	fs.StringVar(&f.Start, "start", "", "where a new group begins: latest, earliest, after an entry `ID`, or with a time in RFC 3339; "+
		"a group that exists goes on where it stands (default latest; the demo: earliest)")
	fs.StringVar(&f.Ack, "ack", "on-checkpoint", "`when` an entry is acknowledged: on-checkpoint, on-emit, or no-ack")
	fs.StringVar(&f.KeyField, "key_field", "_key", "`name` of the entry field that holds the message key; empty: entries have no key")
	fs.BoolVar(&f.ExitWhenCaughtUp, "exit_when_caught_up", false, "end when every entry that was there at the start is written and acknowledged")
	f.Telemetry.Register(fs)
	fs.BoolVar(&f.Check, "check", true, "look at Redis from this machine before the pipeline is submitted; --check=false where only the workers reach it")
}

// ForDemo turns the flags into those of a demo, or says which exclude one.
func (f *Flags) ForDemo() error {
	given := false
	flag.Visit(func(set *flag.Flag) { given = given || set.Name == "redis" })
	if given { // --redis "", an unset variable perhaps
		return cli.Usagef("--redis is empty: want the URL of a Redis; leave the flag out for the demo")
	}
	if f.Start != "" {
		return cli.Usagef("--start: the demo, which runs without --redis, begins at earliest")
	}
	f.Redis.URL, f.Start, f.ExitWhenCaughtUp = "redis://localhost", "earliest", true
	return nil
}

// Job makes sense of the flags; the error tells all that is wrong with them.
func (f *Flags) Job() (Job, error) {
	j := Job{Source: f.Source.Topic, Group: f.Group, Check: f.Check, Ends: f.ExitWhenCaughtUp}
	var connErr, startErr error
	j.Conn, connErr = f.Redis.Conn()
	ack, ackErr := redisio.ParseAckStrategy(f.Ack)
	j.Read = []redisio.ReadOption{redisio.WithAckStrategy(ack), redisio.WithKeyField(f.KeyField)}
	if f.Start != "" {
		var start redisio.Start
		start, startErr = redisio.ParseStart(f.Start)
		j.Read = append(j.Read, redisio.WithStart(start))
	}
	if f.ExitWhenCaughtUp {
		j.Read = append(j.Read, redisio.WithStopAtLatest())
	}
	traced, writes, telemetryErr := f.Telemetry.Options()
	j.Read, j.Reporting = append(j.Read, traced...), writes
	return j, errors.Join(
		connErr,
		f.Source.Check(),
		cli.NotEmpty("--group", f.Group, "the name of a consumer group"),
		cli.OfFlag("--start", startErr), cli.OfFlag("--ack", ackErr), telemetryErr,
		beamrun.CheckRunner(),
	)
}
