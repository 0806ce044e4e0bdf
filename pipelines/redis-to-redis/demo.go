package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio"
)

// orderCount is how many orders are copied.
const orderCount = 100_000

// runDemo copies orders on a Redis of its own and checks the outcome.
func runDemo(sig *cli.Signals, w io.Writer, s *settings) (err error) {
	if s.redisGiven() {
		return cli.Usagef("--redis is empty: want the URL of a Redis; leave the flag out for the demo")
	}
	if s.start != "" {
		return cli.Usagef("--start: the demo, which runs without --redis, begins at earliest")
	}
	s.redis, s.start, s.exitWhenCaughtUp = "redis://localhost", "earliest", true
	j, err := s.job()
	if err != nil {
		return err
	}
	server, err := demo.StartServer(sig.Stop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	fmt.Fprintf(w, "Demo of a copy from one topic to another; give --redis for one of your own.\nRedis: %s\n", server.Is)
	j.conn.Addr, j.check = server.Addr, false // the server is ours
	client := demo.Open(j.conn)
	defer client.Close()
	return demoOn(sig, w, j, client, s.keyField)
}

func demoOn(sig *cli.Signals, w io.Writer, j job, client *redis.Client, keyField string) error {
	var filled atomic.Int64
	err := shown(w, "filling "+streams(j.source), filled.Load, func() error {
		return demo.Fill(sig.Stop, client, j.source, keyField, orderCount, &filled)
	})
	if err != nil {
		return err
	}
	written := func() int64 { return entriesIn(sig.Kill, client, j.sink) }
	err = shown(w, "copying to "+streams(j.sink), written, func() error {
		_, err := j.run(sig)
		return err
	})
	if err != nil {
		return err
	}
	t, err := takeStock(sig.Kill, client, j)
	if err != nil {
		return err
	}
	t.write(w)
	return t.verify(sig.Stopping())
}

// shown does the work, shows how far it has come, and says how fast it was.
func shown(w io.Writer, what string, done func() int64, work func() error) error {
	began := time.Now()
	finish := progress.Show(w, what, orderCount, done)
	err := work()
	took := time.Since(began)
	finish()
	if err == nil {
		fmt.Fprintf(w, "%s: %s\n", what, progress.Rate(done(), took))
	}
	return err
}

func streams(t redisio.Topic) string { return fmt.Sprintf("%s:0-%d", t.Name, t.Partitions-1) }

// entriesIn counts the entries of a topic, to show progress: what the demo
// claims is counted by takeStock.
func entriesIn(ctx context.Context, client *redis.Client, t redisio.Topic) (n int64) {
	for _, p := range t.Parts() {
		n += client.XLen(ctx, p.Stream).Val()
	}
	return n
}
