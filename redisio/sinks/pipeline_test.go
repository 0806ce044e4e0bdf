package sinks_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/sinks"
	"example.com/beamredis/redisio/topic"
)

func TestMain(m *testing.M) { ptest.MainWithDefault(m, "prism") }

func init() {
	register.Function2x0(spread)
	register.Function2x0(spreadInTime)
	register.Function2x1(describe)
	register.Emitter1[message.Message]()
	register.Emitter2[beam.EventTime, message.Message]()
}

// orders is how many messages spread makes of one seed.
const orders = 2000

// spread makes the pipeline's messages inside it.
func spread(seed int, emit func(message.Message)) {
	for i := range orders {
		emit(message.Message{
			Key:    fmt.Sprintf("key-%d", i%50),
			Fields: []message.Field{{Name: "n", Value: fmt.Sprint(i)}, {Name: "seed", Value: fmt.Sprint(seed)}},
		})
	}
}

func TestEveryMessageArrivesInThePartitionOfItsKeyInOrder(t *testing.T) {
	server := redistest.Start(t)
	out := topic.Topic{Name: "out", Partitions: 4}
	p, s := beam.NewPipelineWithRoot()
	msgs := beam.ParDo(s, spread, beam.CreateList(s, []int{7}))
	sinks.WriteStream(s, sinks.WriteConfig{Conn: server.Config(), Topic: out, KeyField: sinks.DefaultKeyField}, msgs)
	ptest.RunAndValidate(t, p)

	last := map[string]int{}
	total := 0
	for i := range out.Len() {
		for _, e := range entries(t, server.Client(), out.Key(i)) {
			total++
			key, _ := e["_key"].(string)
			if want := out.PartitionOf(&message.Message{Key: key}); i != want {
				t.Fatalf("key %q in partition %d, want %d", key, i, want)
			}
			n, err := strconv.Atoi(e["n"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if before, seen := last[key]; seen && n <= before {
				t.Fatalf("key %q: %d after %d", key, n, before)
			}
			last[key] = n
		}
	}
	if total != orders {
		t.Errorf("%d entries arrived, want %d", total, orders)
	}
}

func entries(t *testing.T, c *redis.Client, stream string) []map[string]any {
	t.Helper()
	msgs, err := c.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for _, m := range msgs {
		all = append(all, m.Values)
	}
	return all
}

// someMinutes is how many messages spreadInTime makes, one a minute.
const someMinutes = 5

func spreadInTime(_ int, emit func(beam.EventTime, message.Message)) {
	for i := range someMinutes {
		ts := mtime.FromTime(time.Unix(int64(i)*60, 0))
		emit(ts, message.Message{Key: "k", Fields: []message.Field{{Name: "n", Value: fmt.Sprint(i)}}})
	}
}

func describe(ts beam.EventTime, d message.DeadLetter) string {
	n, _ := d.Message.Get("n")
	reason, _, _ := strings.Cut(d.Reason, " ")
	return fmt.Sprintf("%s at %d to %s: %s", n, ts.Milliseconds()/60000, d.Destination, reason)
}

var runners = []string{"prism", "direct"}

// spoiled is a server on which nothing can be written to the topic "out".
func spoiled(t *testing.T) *redistest.Server {
	t.Helper()
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "out:0", "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	return server
}

var onePartition = topic.Topic{Name: "out", Partitions: 1}

func TestFailedHoldsWhatCouldNotBeWrittenWithItsTime(t *testing.T) {
	for _, runner := range runners {
		for name, windows := range map[string]*window.Fn{
			"global windows": window.NewGlobalWindows(),
			"fixed windows":  window.NewFixedWindows(time.Minute),
		} {
			t.Run(runner+", "+name, func(t *testing.T) {
				server := spoiled(t)
				p, s := beam.NewPipelineWithRoot()
				msgs := beam.ParDo(s, spreadInTime, beam.CreateList(s, []int{0}))
				msgs = beam.WindowInto(s, windows, msgs)
				res := sinks.WriteStream(s, sinks.WriteConfig{Conn: server.Config(), Topic: onePartition}, msgs)
				var want []any
				for i := range someMinutes {
					want = append(want, fmt.Sprintf("%d at %d to out:0: WRONGTYPE", i, i))
				}
				passert.Equals(s, beam.ParDo(s, describe, res.Failed()), want...)
				if _, err := beam.Run(t.Context(), runner, p); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestWithoutFailedAFaultFailsThePipeline(t *testing.T) {
	for _, runner := range runners {
		t.Run(runner, func(t *testing.T) {
			server := spoiled(t)
			p, s := beam.NewPipelineWithRoot()
			msgs := beam.ParDo(s, spreadInTime, beam.CreateList(s, []int{0}))
			sinks.WriteStream(s, sinks.WriteConfig{Conn: server.Config(), Topic: onePartition}, msgs)
			_, err := beam.Run(t.Context(), runner, p)
			if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
				t.Errorf("pipeline ended with %v, want WRONGTYPE", err)
			}
		})
	}
}

func TestCountersTellWhatBecameOfTheElements(t *testing.T) {
	server := redistest.Start(t)
	out := topic.Topic{Name: "out", Partitions: 2}
	spoiledPartition := out.PartitionOf(&message.Message{Key: "key-0"})
	if err := server.Client().Set(t.Context(), out.Key(spoiledPartition), "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p, s := beam.NewPipelineWithRoot()
	msgs := beam.ParDo(s, spread, beam.CreateList(s, []int{7}))
	sinks.WriteStream(s, sinks.WriteConfig{Conn: server.Config(), Topic: out}, msgs).Failed()
	pr, err := beam.Run(context.Background(), "prism", p)
	if err != nil {
		t.Fatal(err)
	}
	written := len(entries(t, server.Client(), out.Key(1-spoiledPartition)))
	want := map[string]int64{"written": int64(written), "dead_letters": int64(orders - written)}
	for name, n := range want {
		if got := counter(pr, name); got != n || n == 0 {
			t.Errorf("%s = %d, want %d", name, got, n)
		}
	}
}

func counter(pr beam.PipelineResult, name string) int64 {
	found := pr.Metrics().Query(func(r beam.MetricResult) bool { return r.Name() == name })
	var n int64
	for _, c := range found.Counters() {
		n += c.Result()
	}
	return n
}
