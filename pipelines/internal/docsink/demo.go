package docsink

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/pipelines/internal/topicjob"
	"example.com/beamredis/redisio"
)

// demonstrate writes orders as documents on a Redis of its own, one document
// for each customer, and checks that each holds the customer's last order.
func (k Sink) demonstrate(sig *cli.Signals, w io.Writer, s *settings) (err error) {
	if err := s.ForDemo(); err != nil {
		return err
	}
	if _, err := k.job(s); err != nil {
		return err
	}
	server, err := k.StartServer(sig.Stop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	fmt.Fprintf(w, "Demo of a topic's messages as %s; give --redis for one of your own.\nRedis: %s\n", k.Documents, server.Is)
	s.Redis.URL, s.Check = "redis://"+server.Addr, false // the server is ours
	j, err := k.job(s)
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	if err := k.fillAndWrite(sig, w, j, client, s.KeyField); err != nil {
		return err
	}
	return k.verify(sig, w, client, s.keyPrefix)
}

func (k Sink) fillAndWrite(sig *cli.Signals, w io.Writer, j topicjob.Job, client *redis.Client, keyField string) error {
	var filled atomic.Int64
	err := demo.Shown(w, "filling "+demo.Streams(j.Source), filled.Load, func() error {
		return demo.Fill(sig.Stop, client, j.Source, keyField, demo.OrderCount, &filled)
	})
	if err != nil {
		return err
	}
	write := j.Write
	j.Write = func(s beam.Scope, messages beam.PCollection) error {
		return write(s, beam.ParDo(s, counted, messages))
	}
	return demo.Shown(w, "writing "+k.Documents, read.Load, func() error {
		_, err := j.Run(sig)
		return err
	})
}

func init() { register.Function1x1(counted) }

// read counts the messages of a demo, which runs in this process, to show
// progress.
var read atomic.Int64

func counted(m redisio.Message) redisio.Message {
	read.Add(1)
	return m
}

// verify compares every customer's document with the customer's last order. A
// demo that was stopped is not expected to have come that far.
func (k Sink) verify(sig *cli.Signals, w io.Writer, client *redis.Client, prefix string) error {
	last := lastOrders()
	right := 0
	for customer, order := range last {
		got, err := k.Order(sig.Kill, client, prefix+customer)
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("read the document of %s: %w", customer, err)
		}
		if got == order {
			right++
			continue
		}
		if !sig.Stopping() {
			return fmt.Errorf("the document of %s holds order %q, want the last one, %s", customer, got, order)
		}
	}
	fmt.Fprintf(w, "%s of %s customers have their last order as their document, such as %q\n",
		progress.Thousands(int64(right)), progress.Thousands(int64(len(last))), prefix+demo.NewOrders().Next().Key)
	return nil
}

// lastOrders is each customer's last order.
func lastOrders() map[string]string {
	last := map[string]string{}
	orders := demo.NewOrders()
	for range demo.OrderCount {
		m := orders.Next()
		last[m.Key], _ = m.Get("order")
	}
	return last
}
