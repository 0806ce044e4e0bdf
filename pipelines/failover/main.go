// The program failover copies a topic through a function that fails now and
// then, has the pipeline recover, and counts what that lost, which has to be
// nothing, and what it repeated.
package main

import (
	"flag"
	"os"

	"example.com/beamredis/pipelines/internal/cli"
)

const summary = `
failover shows what failures cost. It fills the topic --source with orders and
copies them to --sink through a function that fails at --fail_rate. Then it
reads both topics back and compares them: nothing may be lost or pending.

  failover
  failover --runner=flink-streaming --endpoint=localhost:8099 \
    --environment_type=LOOPBACK --parallelism=4

Flink restarts the job from its last checkpoint (here every 500 ms, and a
restart after 3 s, up to 10,000 times; --help_all lists the flags). Prism gives
a job up when a bundle fails, so there it is submitted again.

It ends by itself. Without --redis it runs on a Redis of its own.`

func main() {
	flags := flag.NewFlagSet("failover", flag.ContinueOnError)
	var s settings
	s.register(flags)
	atFlink(flag.CommandLine)
	os.Exit(cli.Main(cli.Program{
		Name:    "failover",
		Summary: summary,
		Flags:   flags,
		Run:     func(sig *cli.Signals) error { return run(sig, os.Stdout, &s) },
	}))
}
