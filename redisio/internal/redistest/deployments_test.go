package redistest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// secure are options under which deployments have to come up as well.
func secure(t *testing.T) []Option {
	return []Option{MutualTLS(NewCertificates(t)), Password("s3cr3t"), SentinelPassword("guard"), User("app", "pw", "+@all", "~*")}
}

func TestClusterFailsOverAndMovesSlots(t *testing.T) {
	for name, opts := range map[string][]Option{"plain": nil, "secure": secure(t)} {
		t.Run(name, func(t *testing.T) {
			c := StartCluster(t, opts...)
			for i := range 300 {
				c.must("SET", c.Client().Set(t.Context(), fmt.Sprint("{move}:", i), i, 0).Err())
			}
			from := c.PrimaryOf("{move}")
			to := c.PrimaryOf("{move")
			if to == from {
				t.Fatal("both keys are on one node: the test needs others")
			}
			c.MoveSlot("{move}", to)
			if got := c.PrimaryOf("{move}:7"); got != to {
				t.Errorf("the slot is at %s, want %s", got.Addr(), to.Addr())
			}
			if n, err := c.Client().Exists(t.Context(), "{move}:0", "{move}:299").Result(); n != 2 || err != nil {
				t.Errorf("%d of 2 keys are there: %v", n, err)
			}
			to.Kill()
			now := c.AwaitPrimaryOf("{move}", to)
			if got, err := now.Client().Get(t.Context(), "{move}:299").Result(); got != "299" || err != nil {
				t.Errorf("after the failover: %q, %v", got, err)
			}
			to.Restart()
			c.AwaitHealthy()
		})
	}
}

func TestMovingASlotLosesNoWrite(t *testing.T) {
	c := StartCluster(t)
	from, to := c.PrimaryOf("{move}"), c.PrimaryOf("{move")
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	written := 0
	writer.Go(func() {
		for ctx.Err() == nil {
			if err := c.Client().XAdd(context.Background(), &redis.XAddArgs{Stream: "{move}", Values: []any{"n", written}}).Err(); err == nil {
				written++
			}
		}
	})
	for range 3 {
		c.MoveSlot("{move}", to)
		c.MoveSlot("{move}", from)
	}
	stop()
	writer.Wait()
	if n := c.Client().XLen(t.Context(), "{move}").Val(); n != int64(written) || n == 0 {
		t.Errorf("%d entries, want %d", n, written)
	}
}

func TestSentinelsFailOver(t *testing.T) {
	for name, opts := range map[string][]Option{"plain": nil, "secure": secure(t)} {
		t.Run(name, func(t *testing.T) {
			s := StartSentinels(t, opts...)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(s.Client().Set(t.Context(), "k", "v", 0).Err())
			must(s.Client().Wait(t.Context(), 2, 0).Err())
			old := s.Primary()
			old.Kill()
			now := s.AwaitPrimary(old)
			if got, err := now.Client().Get(t.Context(), "k").Result(); got != "v" || err != nil {
				t.Errorf("after the failover: %q, %v", got, err)
			}
			await(t, "the client finds it", func() bool { return s.Client().Set(t.Context(), "k", "w", 0).Err() == nil })
			old.Restart()
			await(t, "the old primary follows", func() bool {
				info := old.Client().Info(context.Background(), "replication").Val()
				return strings.Contains(info, "master_link_status:up")
			})
		})
	}
}

func TestMutualTLSWantsACertificate(t *testing.T) {
	certs := NewCertificates(t)
	s := Start(t, MutualTLS(certs))
	if err := s.Client().Ping(t.Context()).Err(); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	bare := certs.clientTLS(t)
	bare.Certificates = nil
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), TLSConfig: bare, MaxRetries: -1})
	defer c.Close()
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Error("a client without a certificate was let in")
	}
}
