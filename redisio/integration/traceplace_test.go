package integration_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/oteltest"
)

// Each attempt gives an entry another span. A message without a key goes to the
// same stream all the same, where it is known whether it was written.
func TestAnIdempotentCopyOfTracedEntriesWithoutKeysWritesEachOnce(t *testing.T) {
	oteltest.Shared(t)
	s := start(t)
	const n = 60
	for i := range n {
		s.addFields("in:1", "traceparent", newOrigin().parent("01"), "n", fmt.Sprint(i))
	}
	j := untilCaughtUp(s, redisio.WithServiceName(service(t)))
	j.write = []redisio.WriteOption{redisio.WithIdempotence("copy"), redisio.WithFlushAtBundleEnd()}
	s.set(out.Key(0)) // the first attempt cannot write to this one
	if err := j.run(t.Context()); err == nil {
		t.Fatal("the first attempt did not fail: this test proves nothing")
	}
	if err := s.client.Del(t.Context(), out.Key(0)).Err(); err != nil {
		t.Fatal(err)
	}
	if s.length(out) == 0 {
		t.Fatal("the first attempt wrote nothing: this test proves nothing")
	}
	s.setBack("in:1")
	j.mustRun(t)
	times := make([]int, n)
	for _, p := range out.Parts() {
		s.scan(p.Stream, func(e entry) { times[numberOf(e)]++ })
	}
	for i, got := range times {
		if got != 1 {
			t.Errorf("entry %d came out %d times", i, got)
		}
	}
}

// setBack has a group given everything again.
func (s *server) setBack(stream string) {
	s.t.Helper()
	pending, err := s.client.XPendingExt(s.t.Context(), &redis.XPendingExtArgs{Stream: stream, Group: group, Start: "-", End: "+", Count: 1000}).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range pending {
		if err := s.client.XAck(s.t.Context(), stream, group, p.ID).Err(); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.client.XGroupSetID(s.t.Context(), stream, group, "0").Err(); err != nil {
		s.t.Fatal(err)
	}
}
