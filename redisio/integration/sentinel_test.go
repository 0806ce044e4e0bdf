package integration_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
)

// sentinels are a primary with two replicas, and three sentinels.
type sentinels struct {
	*replicated
	*redistest.Sentinels
}

func startSentinels(t *testing.T) *sentinels {
	t.Helper()
	showWarnings(t)
	s := redistest.StartSentinels(t)
	producers := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: redistest.PrimaryName, SentinelAddrs: s.Config().Addrs(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = producers.Close() })
	return &sentinels{Sentinels: s, replicated: &replicated{
		server: &server{t: t, cfg: s.Config(), client: s.Client()}, replicas: 2,
		primary: func(context.Context, string) (*redis.Client, error) { return producers, nil },
	}}
}

func TestCopyBehindSentinelsLosesNothingThatIsReplicated(t *testing.T) {
	for name, spec := range map[string]childSpec{"at least once": {}, "once": {Once: "copy"}} {
		t.Run(name, func(t *testing.T) {
			s := startSentinels(t)
			copy := s.copyBeside(spec)
			copy.reach(sized(4_000, 250_000))
			old := s.Primary()
			died := time.Now()
			old.Kill()
			now := s.AwaitPrimary(old)
			t.Logf("a replica took over after %v", time.Since(died).Round(time.Millisecond))
			old.Restart()
			s.awaitReplicas(now)
			well := time.Now()
			copy.reach(sized(4_000, 250_000))
			acked := copy.finish()
			copy.wantRecovery(died, well)

			all := s.arrived(out)
			all.wantAll(t, acked)
			if spec.Once != "" {
				all.wantNoneTwice(t)
			}
		})
	}
}

// awaitReplicas waits until all other servers follow the primary.
func (s *sentinels) awaitReplicas(primary *redistest.Server) {
	s.t.Helper()
	eventually(s.t, "all replicas follow", func() bool {
		info := primary.Client().Info(s.t.Context(), "replication").Val()
		return strings.Count(info, "state=online") == s.replicas
	})
}
