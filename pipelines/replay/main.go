// The program replay copies a part of a topic's history to another topic or to
// files, and restores a topic from files. It needs no consumer group, and ends
// by itself.
package main

import (
	"flag"
	"os"

	"example.com/beamredis/pipelines/internal/cli"
)

const summary = `
replay copies what a Redis Streams topic holds between two bounds, to a topic

  replay --redis redis://localhost:6379 --source in --sink again \
      --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z

or to files of JSON lines, and restores a topic from such files:

  replay --redis redis://localhost:6379 --source in --output backup/in
  replay --redis redis://localhost:6379 --input 'backup/in-*.jsonl' --sink in

An ID belongs to the range that it bounds; a range from a time has what was
added then or later, a range to a time what was added before. What is added
while it runs is not copied. The order of each partition is kept, and with
--keep_ids every entry's ID.`

func main() {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	var s settings
	s.register(flags)
	os.Exit(cli.Main(cli.Program{
		Name:    "replay",
		Summary: summary,
		Flags:   flags,
		Run:     func(sig *cli.Signals) error { return run(sig, os.Stdout, &s) },
	}))
}
