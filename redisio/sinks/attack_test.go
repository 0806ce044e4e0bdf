package sinks

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// A server may take less than 512 MB per argument.
func TestAttackValueLargerThanTheServerTakes(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().ConfigSet(t.Context(), "proto-max-bulk-len", "1048576").Err(); err != nil {
		t.Fatal(err)
	}
	fn := &WriteFn{WriteConfig: WriteConfig{Conn: s.Config(), Topic: topic.Topic{Name: "out", Partitions: 1}, KeyField: "_key", Batch: BatchOptions{Deadline: 3 * time.Second}}}
	fn.CollectFailed = true
	if err := fn.Setup(); err != nil {
		t.Fatal(err)
	}
	defer fn.Teardown()
	var dead []message.DeadLetter
	emit := func(_ beam.EventTime, d message.DeadLetter) { dead = append(dead, d) }
	if err := fn.StartBundle(context.Background(), emit, nobodyElse); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		v := "small"
		if i == 2 {
			v = strings.Repeat("x", 20<<20)
		}
		if err := fn.ProcessElement(t.Context(), 0, message.Message{Key: "k", Fields: []message.Field{{Name: "v", Value: v}}}, emit, nobodyElse); err != nil {
			t.Fatal(err)
		}
	}
	err := fn.FinishBundle(t.Context(), emit, nobodyElse)
	n := s.Client().XLen(t.Context(), "out:0").Val()
	t.Logf("error %v, %d dead letters, %d written", err, len(dead), n)
	if err != nil || len(dead) != 1 || n != 4 {
		t.Error("want one dead letter and 4 written")
	}
}
