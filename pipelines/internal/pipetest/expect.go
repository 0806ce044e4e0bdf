package pipetest

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/internal/redisserver"
	"example.com/beamredis/redisio"
)

// Must fails t at once if there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Expect compares outcomes.
func Expect(t *testing.T, got, want Outcome, opts ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

// Load adds n entries to a topic: number i in the field n, with the key that
// key makes of it, each to the partition of its key.
func (r *Redis) Load(t *testing.T, name string, partitions, n int, key func(i int) string) {
	t.Helper()
	topic := redisio.Topic{Name: name, Partitions: partitions}
	_, err := r.Client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range n {
			m := redisio.Message{Key: key(i)}
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: topic.Key(topic.PartitionOf(&m)), Values: []string{"_key", m.Key, "n", fmt.Sprint(i)}})
		}
		return nil
	})
	Must(t, err)
}

// JSONModule is the path of RedisJSON's module. Without one the test is
// skipped, or fails where the environment says CI=true.
func JSONModule(t *testing.T) string {
	t.Helper()
	module, err := redisserver.JSONModule()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, this proves nothing: %v (scripts/test gets it)", err)
	}
	Must(t, err)
	return module
}
