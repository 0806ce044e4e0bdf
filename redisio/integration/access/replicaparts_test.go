package access_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
)

func TestReplicasNeedTheRightsInTheDocsAndNoOthers(t *testing.T) {
	c := redistest.StartCluster(t)
	var clients []*redis.Client
	for _, node := range c.Nodes() {
		clients = append(clients, node.Client())
		eventually(t, "the node knows all replicas", func() bool {
			slots, err := node.Client().ClusterSlots(t.Context()).Result() //nolint:staticcheck // it is what the client under test asks for
			return err == nil && !slices.ContainsFunc(slots, func(s redis.ClusterSlot) bool { return len(s.Nodes) < 2 })
		})
	}
	must(t, c.PrimaryOf("in:0").Client().XAdd(t.Context(), &redis.XAddArgs{Stream: "in:0", ID: "1-1", Values: []string{"n", "1"}}).Err())
	cfg := c.Config()
	cfg.ReadFromReplicas = true
	p := part{"Range from replicas of a cluster (`ReadFromReplicas`)", []string{"Connection", "Connection to a cluster", "Range (`ReadRange`)"}, nil, nil,
		func(ctx context.Context, cfg redisio.Conn) error {
			c, err := open(cfg)
			if err != nil {
				return err
			}
			return readOnlyEntry(ctx, c)
		}}
	p.prove(t, warden{servers: clients}, cfg)
}

// readOnlyEntry reads the one entry of in:0, if possible from a replica.
func readOnlyEntry(ctx context.Context, c *rdb.Client) error {
	only := redisio.EntryID{Ms: 1, Seq: 1}
	page, err := c.PageFromReplica(ctx, "in:0", redisio.EntryID{}, only, rdb.Reached{Last: only}, 10)
	if err == nil && len(page.Entries) != 1 {
		err = fmt.Errorf("%d entries", len(page.Entries))
	}
	return err
}

// TestReplicasBehindSentinelsNeedTheRightInTheDocsAndNoOther: with it a replica
// is read, and without it the primary.
func TestReplicasBehindSentinelsNeedTheRightInTheDocsAndNoOther(t *testing.T) {
	s := redistest.StartSentinels(t)
	var clients []*redis.Client
	for _, sentinel := range s.Sentinels() {
		clients = append(clients, sentinel.Client())
		eventually(t, "the sentinel finds the replicas well", func() bool {
			replicas, err := redis.NewSentinelClient(sentinel.Client().Options()).Replicas(t.Context(), redistest.PrimaryName).Result()
			return err == nil && len(replicas) == 2 && replicas[0]["flags"] == "slave" && replicas[1]["flags"] == "slave"
		})
	}
	primary := s.Primary().Client()
	must(t, primary.XAdd(t.Context(), &redis.XAddArgs{Stream: "in:0", ID: "1-1", Values: []string{"n", "1"}}).Err())
	eventually(t, "the replicas have the entry", func() bool { return primary.Wait(t.Context(), 2, time.Second).Val() == 2 })
	cfg := s.Config()
	cfg.ReadFromReplicas = true
	var byPrimary []bool
	p := part{"Range from replicas behind sentinels (`ReadFromReplicas`)", []string{"Sentinels"}, nil, nil, func(ctx context.Context, cfg redisio.Conn) error {
		cfg.SentinelUsername, cfg.SentinelPasswordFile = cfg.Username, cfg.PasswordFile
		cfg.Username, cfg.PasswordFile = "", ""
		c, err := open(cfg)
		if err != nil {
			return err
		}
		must(t, primary.ConfigResetStat(ctx).Err())
		err = readOnlyEntry(ctx, c)
		byPrimary = append(byPrimary, primary.InfoMap(ctx, "commandstats").Val()["Commandstats"]["cmdstat_xrange"] != "")
		return err
	}}
	p.prove(t, warden{servers: clients}, cfg)
	if want := []bool{false, true}; !slices.Equal(byPrimary, want) {
		t.Errorf("with the right, and without it, the primary was read: %v, want %v", byPrimary, want)
	}
}
