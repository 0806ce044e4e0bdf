package rdb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func TestAPasswordOfTheSentinelsThatComesLateIsFound(t *testing.T) {
	s := redistest.StartSentinels(t, redistest.SentinelPassword("guard"))
	cfg := s.Config()
	path := filepath.Join(t.TempDir(), "later")
	cfg.SentinelPasswordFile, cfg.PoolSize = path, 1
	client := ownClient(t, cfg)
	for range 2 {
		if err := client.Ping(t.Context()); err == nil || Classify(err) != Fatal {
			t.Errorf("without the file: error %v, want a fatal one", err)
		}
	}
	if err := os.WriteFile(path, []byte("guard\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(t.Context()); err != nil {
		t.Errorf("with the file: %v", err)
	}
}

// TestAPasswordOfTheSentinelsIsRotated: commands go on, by the retries that they
// have anyway, and so do reads from replicas.
func TestAPasswordOfTheSentinelsIsRotated(t *testing.T) {
	s := redistest.StartSentinels(t, redistest.SentinelPassword("old"))
	r := replicated{cfg: s.Config(), primary: s.Primary()}
	r.replicas = replicasOf(t, r.primary, s.Servers())
	r.add(t, 1, 10, len(r.replicas))
	client := r.open(t)
	r.wantPage(t, client, 0, 10, 10, 10, 10, true)
	ping := func(ctx context.Context) error { return client.Ping(ctx) }
	if err := ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, sentinel := range s.Sentinels() {
		setup(t, sentinel, []any{"acl", "setuser", "default", "resetpass", ">new"}, []any{"client", "kill", "type", "normal"},
			[]any{"client", "kill", "type", "pubsub"})
	}
	cut := func() {
		for _, server := range s.Servers() {
			server.CutConnections(t)
		}
	}
	cut()
	if err := client.Retry(t.Context(), ping); err == nil || Classify(err) != Fatal {
		t.Errorf("with the old password: error %v, want a fatal one", err)
	}
	if err := os.WriteFile(r.cfg.SentinelPasswordFile, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cut()
	if err := client.Retry(t.Context(), ping); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	pollUntil(t, "a replica answers again", func() bool {
		p, err := client.replicaPage(t.Context(), replicatedStream, message.EntryID{}, message.EntryID{Ms: 10}, 10)
		return err == nil && !p.State.LastGenerated.Less(message.EntryID{Ms: 10})
	})
}

// TestTheErrorOfAPipelineIsMendedOnce: all commands have the one of its
// connection, and to look at a secret takes time.
func TestTheErrorOfAPipelineIsMendedOnce(t *testing.T) {
	const secret = "BEAMREDIS_TEST_SENTINELS"
	t.Setenv(secret, "new")
	replaced := 0
	h := honestErrors{sentinels: &sentinelSecret{cfg: conn.Config{SentinelPasswordEnv: secret}, password: "old", replace: func() { replaced++ }}}
	cmds := make([]redis.Cmder, 1000)
	for i := range cmds {
		cmds[i] = redis.NewStatusCmd(t.Context(), "ping")
	}
	err := h.ProcessPipelineHook(func(_ context.Context, cmds []redis.Cmder) error {
		err := errors.New(noSentinel)
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
		return err
	})(t.Context(), cmds)
	if !errors.Is(err, errRenewed) || replaced != 1 {
		t.Errorf("error %v, and the client was replaced %d times, want once", err, replaced)
	}
	for i, cmd := range cmds {
		if !errors.Is(cmd.Err(), errRenewed) {
			t.Fatalf("command %d has the error %v", i, cmd.Err())
		}
	}
}
