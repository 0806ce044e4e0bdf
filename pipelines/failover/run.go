package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/beamrun"
	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio"
)

const (
	checkTimeout = 5 * time.Second
	drainTimeout = 30 * time.Second
	// bundleEntries is smaller than a read takes by default, so that at the
	// default rate most bundles come through.
	bundleEntries, bundleBytes, bundleTime = 1_000, 8 << 20, 500 * time.Millisecond
)

// run runs the demo and fails unless the copy is whole.
func run(sig *cli.Signals, w io.Writer, s *settings) (err error) {
	j, err := s.job()
	if err != nil {
		return err
	}
	if s.redis.URL == "" {
		server, err := demo.StartServer(sig.Stop)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		fmt.Fprintf(w, "Redis: %s\n", server.Is)
		j.conn.Addr, j.check = server.Addr, false // the server is ours
	}
	client := demo.Open(j.conn)
	defer client.Close()
	if err := j.prepare(sig, w, client); err != nil {
		return err
	}
	defer client.Del(sig.Kill, string(j.tally()))
	if err := j.copyAll(sig, w, client); err != nil {
		return err
	}
	o, err := j.takeStock(sig.Kill, client)
	if err != nil {
		return err
	}
	o.write(w, sig.Stopping())
	return o.verify(sig.Stopping())
}

func (j *job) tally() tallyKey { return tallyKey("failover-tally:" + j.sink.Name) }

// prepare fills the source, once it is sure that nobody uses the topics.
func (j *job) prepare(sig *cli.Signals, w io.Writer, client *redis.Client) error {
	if err := j.preflight(sig.Stop, client); err != nil {
		return err
	}
	var filled atomic.Int64
	began := time.Now()
	finish := progress.Show(w, "filling "+j.source.Name, int64(j.count), filled.Load)
	err := demo.Fill(sig.Stop, client, j.source, keyField, j.count, &filled)
	finish()
	if err == nil {
		fmt.Fprintf(w, "filling %s: %s\n", j.source.Name, progress.Rate(filled.Load(), time.Since(began)))
	}
	return err
}

func (j *job) preflight(ctx context.Context, client *redis.Client) error {
	if !j.check {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := redisio.Check(ctx, j.conn, j.source, j.sink); err != nil {
		return err
	}
	return j.checkUnused(ctx, client)
}

func (j *job) checkUnused(ctx context.Context, client *redis.Client) error {
	keys := []string{string(j.tally())}
	for _, t := range []redisio.Topic{j.source, j.sink} {
		for _, p := range t.Parts() {
			keys = append(keys, p.Stream)
		}
	}
	for _, key := range keys {
		n, err := client.Exists(ctx, key).Result()
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("key %q exists: the demo counts what it filled itself; give --source and --sink other names, or delete the key", key)
		}
	}
	return nil
}

// copyAll has the topic copied, whatever fails in between, and tells how it
// went.
func (j *job) copyAll(sig *cli.Signals, w io.Writer, client *redis.Client) error {
	began := time.Now()
	copied := func() int64 {
		lengths, err := demo.Lengths(sig.Kill, client, j.sink)
		if err != nil {
			return 0 // progress only: what is claimed is counted at the end
		}
		return min(demo.Sum(lengths), int64(j.count))
	}
	finish := progress.Show(w, "copying to "+j.sink.Name, int64(j.count), copied)
	submissions, err := j.submit(sig, w)
	finish()
	if err != nil {
		return err
	}
	failures, err := j.tally().failures(sig.Kill, client)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "copying to %s: %.1f s; simulated failures: %s, submissions: %d\n",
		j.sink.Name, time.Since(began).Seconds(), progress.Thousands(failures), submissions)
	return j.awaitAcknowledged(sig, client)
}

// submit runs the pipeline to its end. Flink gets over a failure by itself;
// Prism ends the job with it, and the job is submitted again.
func (j *job) submit(sig *cli.Signals, w io.Writer) (submissions int, err error) {
	stopped := context.AfterFunc(sig.Stop, redisio.StopReads)
	defer stopped()
	for {
		p, err := j.pipeline()
		if err != nil {
			return submissions, err
		}
		submissions++
		_, err = beamrun.Run(sig.Kill, p)
		switch {
		case err == nil:
			return submissions, nil
		case *runners.Runner == flinkRunner || !strings.Contains(err.Error(), simulated):
			return submissions, err
		}
		fmt.Fprintf(w, "%s%v\n", beamrun.LineStart(w), err)
		if sig.Stopping() {
			return submissions, nil
		}
		if err := drain(sig); err != nil {
			return submissions, err
		}
	}
}

// pipeline reads, fails and writes in one stage: a bundle is final when its
// entries are in the sink.
func (j *job) pipeline() (*beam.Pipeline, error) {
	p, s := beam.NewPipelineWithRoot()
	msgs, err := redisio.TryRead(s, j.conn, j.source, j.group, append([]redisio.ReadOption{redisio.WithStart(redisio.StartEarliest()),
		redisio.WithStopAtLatest(), redisio.WithBundleBounds(bundleEntries, bundleBytes, bundleTime)}, j.read...)...)
	if err != nil {
		return nil, err
	}
	tested := beam.ParDo(s, &failFn{Conn: j.conn, Tally: j.tally(), Faults: j.faults}, msgs)
	_, err = redisio.TryWrite(s, j.conn, j.sink, tested, j.write...)
	return p, err
}

func drain(sig *cli.Signals) error {
	ctx, cancel := context.WithTimeout(sig.Kill, drainTimeout)
	defer cancel()
	return redisio.Drain(ctx)
}

// awaitAcknowledged waits for the acknowledgements that are under way. Those of
// workers elsewhere show on the server only.
func (j *job) awaitAcknowledged(sig *cli.Signals, client *redis.Client) error {
	if err := drain(sig); err != nil || *runners.Runner != flinkRunner {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(drainTimeout); time.Now().Before(deadline); {
		pending, err := demo.Pending(sig.Kill, client, j.source, j.group)
		if err != nil || demo.Sum(pending) == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-sig.Kill.Done():
			return context.Cause(sig.Kill)
		}
	}
	return nil // takeStock tells how many are left
}
