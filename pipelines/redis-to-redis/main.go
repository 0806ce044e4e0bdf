package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"example.com/beamredis/redisio"
)

func main() {
	var (
		url     = flag.String("redis", "", "")
		src     = flag.String("source", "in", "")
		sp      = flag.Int("source_partitions", 4, "")
		group   = flag.String("group", "copy", "")
		start   = flag.String("start", "earliest", "")
		ack     = flag.String("ack", "on-checkpoint", "")
		sink    = flag.String("sink", "out", "")
		kp      = flag.Int("sink_partitions", 4, "")
		caught  = flag.Bool("exit_when_caught_up", false, "")
	)
	flag.Parse()
	beam.Init()
	ctx := context.Background()
	c, err := redisio.ParseURL(*url)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	p, s := beam.NewPipelineWithRoot()
	st, _ := redisio.ParseStart(*start)
	a, _ := redisio.ParseAckStrategy(*ack)
	opts := []redisio.ReadOption{redisio.WithStart(st), redisio.WithAckStrategy(a)}
	if *caught {
		opts = append(opts, redisio.WithStopAtLatest())
	}
	msgs := redisio.Read(s, c, redisio.Topic{Name: *src, Partitions: *sp}, *group, opts...)
	redisio.Write(s, c, redisio.Topic{Name: *sink, Partitions: *kp}, msgs)
	if err := beamx.Run(ctx, p); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	redisio.Drain(ctx)
}
