package main

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/redisio"
)

func init() {
	register.DoFn3x1[context.Context, redisio.Message, func(redisio.Message), error](&failFn{})
	register.Emitter1[redisio.Message]()
}

// faults says when to fail.
type faults struct {
	Rate float64
	Seed uint64
	Max  int64
}

// strike reports whether an entry fails when so many failures have been
// before. Each failure picks other entries: the same ones would fail for ever.
func (f faults) strike(failures int64, fingerprint uint64) bool {
	if failures >= f.Max {
		return false
	}
	draw := mix(mix(mix(f.Seed)^uint64(failures)) ^ fingerprint)
	return float64(draw>>11)/(1<<53) < f.Rate
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit
// of x decides about every bit of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// simulated begins the text of a simulated failure, by which it is known again
// in what a runner makes of it.
const simulated = "simulated failure"

// countEvery bounds how many entries of a bundle are not counted yet: a bundle
// that is cut off by a failure elsewhere never tells of its end.
const countEvery = 100

// failFn passes messages on, and fails now and then. What it was given and how
// often it failed it counts in Redis: workers come and go, and no count of a
// failed bundle comes back from a runner.
type failFn struct {
	Conn   redisio.Conn
	Tally  tallyKey
	Faults faults

	client   *redis.Client
	failures int64
	given    map[string]int64 // per stream, not counted yet
	uncount  int
}

// Setup opens the connection.
func (f *failFn) Setup() { f.client = demo.Open(f.Conn) }

// Teardown closes it.
func (f *failFn) Teardown() error { return f.client.Close() }

// StartBundle learns how many failures there have been.
func (f *failFn) StartBundle(ctx context.Context, _ func(redisio.Message)) (err error) {
	f.given, f.uncount = map[string]int64{}, 0
	f.failures, err = f.Tally.failures(ctx, f.client)
	return err
}

// ProcessElement fails, or emits m.
func (f *failFn) ProcessElement(ctx context.Context, m redisio.Message, emit func(redisio.Message)) error {
	f.given[m.Stream]++
	if f.uncount++; f.uncount == countEvery {
		if err := f.count(ctx, 0); err != nil {
			return err
		}
	}
	if f.Faults.strike(f.failures, fingerprint(m)) {
		if err := f.count(ctx, 1); err != nil {
			return err
		}
		return fmt.Errorf("%s %d, at entry %s of %s", simulated, f.failures+1, m.ID, m.Stream)
	}
	emit(m)
	return nil
}

// FinishBundle counts what is left.
func (f *failFn) FinishBundle(ctx context.Context, _ func(redisio.Message)) error {
	return f.count(ctx, 0)
}

func (f *failFn) count(ctx context.Context, failures int64) error {
	err := f.Tally.add(ctx, f.client, f.given, failures)
	clear(f.given)
	f.uncount = 0
	return err
}
