package sinks

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

const proxyDelay = 150 * time.Millisecond

var proxyFaults = map[string]redistest.Fault{
	"cut before a pipeline":                 redistest.CutBefore,
	"cut within a pipeline":                 redistest.CutWithin,
	"cut after a pipeline":                  redistest.CutAfter,
	"replies come after the timeout":        redistest.DelayReply,
	"requests arrive after their repeating": redistest.DelayRequest,
}

// writeThrough writes n messages of each kind in bundles of 500 through a
// proxy that does f to every third request.
func writeThrough(t *testing.T, server *redistest.Server, f redistest.Fault, n int, once *OnceOptions) *redistest.Proxy {
	t.Helper()
	p := server.Through(3, proxyDelay, f)
	cfg := server.Config()
	cfg.Addr, cfg.ReadTimeout, cfg.WriteTimeout = p.Addr(), proxyDelay/3, proxyDelay/3
	s := newSinkOn(t, cfg, func(w *WriteFn) {
		w.Topic, w.Once, w.Batch.MaxCount = topic.Topic{Keys: []string{"single", "double"}}, once, 100
	})
	ordered, given, mixed := jobFrom(1_000_000), jobFrom(1_000_000), jobFrom(0)
	mixed.stream = "in:1"
	for at := 0; at < n; at += 500 {
		var msgs []message.Message
		for i := uint64(at); i < uint64(min(n, at+500)); i++ {
			msgs = append(msgs, ordered.reads(1_000_001+i)...)
			msgs = append(msgs, given.isGiven(1+i)...)
			msgs = append(msgs, mixed.shuffled(2_000_001+i)...)
		}
		if err := s.bundle(t.Context(), msgs...); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// arrivals is how often each number is in the two streams.
func arrivals(t *testing.T, server *redistest.Server) map[int]int {
	t.Helper()
	times := map[int]int{}
	for _, stream := range []string{"single", "double"} {
		for _, fields := range stored(t, server, stream) {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			times[n]++
		}
	}
	return times
}

func TestBrokenConnectionsLoseNothingAndOnceRepeatsNothing(t *testing.T) {
	const n = 1500
	want := map[int]int{}
	for i := range n {
		want[1_000_001+i], want[1+i], want[2_000_001+i] = 1, 1, 1
	}
	for name, fault := range proxyFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			p := writeThrough(t, server, fault, n, &OnceOptions{Name: "a"})
			if p.Done(fault) < 3 {
				t.Fatalf("there were %d faults: this test proves nothing", p.Done(fault))
			}
			await(t, "delayed requests have arrived", p.Idle)
			if diff := cmp.Diff(want, arrivals(t, server)); diff != "" {
				t.Errorf("arrivals (-want +got):\n%s", diff)
			}
			for _, stream := range []string{"single", "double"} {
				wantOrderOfThose(t, server, stream)
			}
		})
	}
}

// wantOrderOfThose checks the order of the messages that came in order.
func wantOrderOfThose(t *testing.T, server *redistest.Server, stream string) {
	t.Helper()
	var ns []int
	for _, fields := range stored(t, server, stream) {
		if n, _ := strconv.Atoi(fields[1]); n > 1_000_000 && n < 2_000_000 {
			ns = append(ns, n)
		}
	}
	if !slices.IsSorted(ns) {
		t.Errorf("%s is out of order: %v", stream, ns)
	}
}

// TestPlainWritesRepeatWhereOnceDoesNot shows that the proxy does what the test
// above relies on: replies that are lost make plain writes come twice.
func TestPlainWritesRepeatWhereOnceDoesNot(t *testing.T) {
	server := redistest.Start(t)
	writeThrough(t, server, redistest.CutAfter, 1500, nil)
	got := arrivals(t, server)
	twice := 0
	for _, times := range got {
		twice += min(times-1, 1)
	}
	if len(got) != 4500 || twice == 0 {
		t.Errorf("%d of 4500 messages arrived, %d of them more than once; want all, and some", len(got), twice)
	}
}
