package integration_test

import (
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio"
)

func init() {
	register.Function2x0(byKey)
	register.Function3x0(ungroup)
	register.Emitter2[string, redisio.Message]()
	register.Iter1[redisio.Message]()
}

var strategies = []redisio.AckStrategy{redisio.AckOnCheckpoint, redisio.AckOnEmit, redisio.NoAck}

func TestCopyOfStreamsLoadedByOthers(t *testing.T) {
	n := sized(100_000, 500_000)
	s := start(t)
	s.load(in, 0, n, entryOf)
	untilCaughtUp(s).mustRun(t)
	s.wantExactlyOnce(s.arrived(out), n)
	s.wantCaughtUp(in, group)
}

func TestEveryAckStrategyCopiesExactlyOnceWhenNothingFails(t *testing.T) {
	n := sized(20_000, 500_000)
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			s := start(t)
			s.load(in, 0, n, entryOf)
			untilCaughtUp(s, redisio.WithAckStrategy(ack)).mustRun(t)
			s.wantExactlyOnce(s.arrived(out), n)
			s.wantCaughtUp(in, group)
		})
	}
}

// TestCopyEndsWhereTheServerCannotTellTheLag: after a deletion ahead of the
// group Redis 7 does not know the lag, and after one at the very end the last
// ID is of an entry that nobody can read.
func TestCopyEndsWhereTheServerCannotTellTheLag(t *testing.T) {
	n := sized(10_000, 100_000)
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			s := start(t)
			s.load(in, 0, n, entryOf)
			gone := s.deleteSome(in, group)
			untilCaughtUp(s, redisio.WithAckStrategy(ack)).mustRun(t)
			got := s.arrived(out)
			for i, times := range got.counts(n) {
				if want := 1 - gone[i]; times != want {
					t.Fatalf("entry %d arrived %d times, want %d", i, times, want)
				}
			}
			s.wantNothingPending(in, group)
		})
	}
}

// deleteSome makes the group, and deletes an entry from the middle and the end
// of every partition. It returns how often each entry was deleted.
func (s *server) deleteSome(t redisio.Topic, group string) map[int]int {
	s.t.Helper()
	gone := map[int]int{}
	for _, p := range t.Parts() {
		if err := s.client.XGroupCreate(s.t.Context(), p.Stream, group, "0").Err(); err != nil {
			s.t.Fatal(err)
		}
		var all []entry
		s.scan(p.Stream, func(e entry) { all = append(all, e) })
		for _, e := range []entry{all[len(all)/2], all[len(all)-1]} {
			gone[numberOf(e)] = 1
			if err := s.client.XDel(s.t.Context(), p.Stream, e.id).Err(); err != nil {
				s.t.Fatal(err)
			}
		}
		if lag := s.group(p.Stream, group).Lag; lag >= 0 {
			s.t.Fatalf("the server tells a lag of %d for %s: this test would prove nothing", lag, p.Stream)
		}
	}
	return gone
}

func byKey(m redisio.Message, emit func(string, redisio.Message)) { emit(m.Key, m) }

func ungroup(_ string, msgs func(*redisio.Message) bool, emit func(redisio.Message)) {
	var m redisio.Message
	for msgs(&m) {
		emit(m)
	}
}

// TestMessagesSurviveAShuffle: between stages a message is encoded, with
// everything that it carries. A shuffle keeps no order.
func TestMessagesSurviveAShuffle(t *testing.T) {
	n := sized(5_000, 100_000)
	for name, shuffle := range map[string]func(beam.Scope, beam.PCollection) beam.PCollection{
		"Reshuffle": beam.Reshuffle,
		"GroupByKey": func(s beam.Scope, msgs beam.PCollection) beam.PCollection {
			return beam.ParDo(s, ungroup, beam.GroupByKey(s, beam.ParDo(s, byKey, msgs)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.load(in, 0, n, entryOf)
			job := untilCaughtUp(s)
			job.between = shuffle
			job.mustRun(t)
			s.wantEachOnce(s.arrived(out), n)
			s.wantCaughtUp(in, group)
		})
	}
}
