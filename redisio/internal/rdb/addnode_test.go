package rdb

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/beamredis/redisio/internal/redistest"
)

// TestTheFirstSlotOfANodeIsWrittenTo: the cluster's map shows no node without
// slots.
func TestTheFirstSlotOfANodeIsWrittenTo(t *testing.T) {
	c := redistest.StartCluster(t)
	added := c.AddNode()
	client := ownClient(t, c.Config())
	for _, replicas := range []int{0, 1} {
		key := fmt.Sprint("s-", replicas)
		adder := NewAdder(client)
		adder.Replicas = Replicas{replicas, 100 * time.Millisecond}
		c.BeginMove(key, added)
		const writes = 3
		for range writes {
			err := adder.Write(t.Context(), []Add{addOf(key, "n", "1")})[0]
			if short := (*ReplicasError)(nil); replicas == 0 && err != nil || replicas > 0 && !errors.As(err, &short) {
				t.Errorf("%d replicas: error %v; the node has none", replicas, err)
			}
		}
		asked := added.Client().Conn()
		if err := asked.Do(t.Context(), "asking").Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := asked.XLen(t.Context(), key).Result(); n != writes || err != nil {
			t.Errorf("%d replicas: %d entries at the new node, %v, want %d", replicas, n, err, writes)
		}
		_ = asked.Close()
	}
}

func TestAddressOfARedirection(t *testing.T) {
	for _, tc := range []struct{ from, reply, want string }{
		{"10.0.0.1:7000", "MOVED 1 10.0.0.2:7001", "10.0.0.2:7001"},
		{"10.0.0.1:7000", "ASK 1 node2.example:7001", "node2.example:7001"},
		{"[::2]:7000", "ASK 1 2001:db8::5:7001", "[2001:db8::5]:7001"},
		{"[::2]:7000", "ASK 1 [2001:db8::5]:7001", "[2001:db8::5]:7001"},
		{"10.0.0.1:7000", "MOVED 1 :7001", "10.0.0.1:7001"},
		{"[2001:db8::5]:7000", "MOVED 1 :7001", "[2001:db8::5]:7001"},
		{"redis.example:7000", "ASK 1 127.0.0.1:7001", "redis.example:7001"},
		{"127.0.0.1:7000", "ASK 1 127.0.0.1:7001", "127.0.0.1:7001"},
		{"localhost:7000", "ASK 1 127.0.0.1:7001", "127.0.0.1:7001"},
	} {
		r, ok := redirectOf(serverError(tc.reply))
		if got := addrFrom(tc.from, r.addr); !ok || got != tc.want {
			t.Errorf("%q from %s: %q, want %q", tc.reply, tc.from, got, tc.want)
		}
	}
}
