package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/redisio"
)

// demonstrate copies orders on a Redis of its own and checks the outcome.
func demonstrate(sig *cli.Signals, w io.Writer, s *settings) (err error) {
	if err := s.ForDemo(); err != nil {
		return err
	}
	if _, err := s.job(); err != nil {
		return err
	}
	server, err := demo.StartServer(sig.Stop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	fmt.Fprintf(w, "Demo of a copy from one topic to another; give --redis for one of your own.\nRedis: %s\n", server.Is)
	s.Redis.URL, s.Check = "redis://"+server.Addr, false // the server is ours
	j, err := s.job()
	if err != nil {
		return err
	}
	client := demo.Open(j.Conn)
	defer client.Close()
	return demonstrateOn(sig, w, j, client, s.KeyField)
}

func demonstrateOn(sig *cli.Signals, w io.Writer, j job, client *redis.Client, keyField string) error {
	var filled atomic.Int64
	err := demo.Shown(w, "filling "+demo.Streams(j.Source), filled.Load, func() error {
		return demo.Fill(sig.Stop, client, j.Source, keyField, demo.OrderCount, &filled)
	})
	if err != nil {
		return err
	}
	written := func() int64 { return entriesIn(sig.Kill, client, j.sink) }
	err = demo.Shown(w, "copying to "+demo.Streams(j.sink), written, func() error {
		_, err := j.Run(sig)
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

// entriesIn counts the entries of a topic, to show progress: what the demo
// claims is counted by takeStock.
func entriesIn(ctx context.Context, client *redis.Client, t redisio.Topic) (n int64) {
	for _, p := range t.Parts() {
		n += client.XLen(ctx, p.Stream).Val()
	}
	return n
}
