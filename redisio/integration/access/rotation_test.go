package access_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
)

// beginCopy runs a copy that ends with stop.
func beginCopy(t *testing.T, cfg redisio.Conn) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p, s := beam.NewPipelineWithRoot()
	msgs := redisio.Read(s, cfg, redisio.Topic{Name: "in", Partitions: 2}, "g", redisio.WithStart(redisio.StartEarliest()))
	redisio.Write(s, cfg, redisio.Topic{Name: "out", Partitions: 2}, msgs)
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		_, err := beam.Run(ctx, "prism", p)
		ended <- err
	}()
	return func() error {
		select {
		case err := <-ended:
			return fmt.Errorf("the job has ended: %w", err)
		default:
		}
		cancel()
		for range ended { // whose error says that it was cancelled
		}
		return nil
	}
}

// passes adds an entry, and waits until the copy has written it.
func passes(t *testing.T, admin redis.UniversalClient) {
	t.Helper()
	written := func() int64 {
		return admin.XLen(t.Context(), "out:0").Val() + admin.XLen(t.Context(), "out:1").Val()
	}
	before := written()
	must(t, admin.XAdd(t.Context(), &redis.XAddArgs{Stream: "in:0", Values: []string{"n", "1"}}).Err())
	eventually(t, "the entry is copied", func() bool { return written() > before })
}

func TestAJobGoesOnWhenThePasswordIsRotated(t *testing.T) {
	server := redistest.Start(t, redistest.User("app", "old", "+@all", "~*"))
	admin, cfg := server.Client(), server.Config()
	stop := beginCopy(t, cfg)
	passes(t, admin)
	for _, step := range []struct{ from, to string }{{"old", "new"}, {"new", "newer"}} {
		// In this order: the server takes both, workers learn the new one, the
		// old one goes.
		must(t, admin.Do(t.Context(), "acl", "setuser", "app", ">"+step.to).Err())
		must(t, os.Rename(writeFile(t, step.to+"\n"), cfg.PasswordFile))
		must(t, admin.Do(t.Context(), "acl", "setuser", "app", "<"+step.from).Err())
		must(t, admin.Do(t.Context(), "client", "kill", "user", "app").Err())
		passes(t, admin)
	}
	must(t, stop())
}

// TestTheNextConnectionUsesACertificateThatWasReplaced: first the client's is
// one that the server does not take.
func TestTheNextConnectionUsesACertificateThatWasReplaced(t *testing.T) {
	certs, others := redistest.NewCertificates(t), redistest.NewCertificates(t)
	server := redistest.Start(t, redistest.MutualTLS(certs))
	cfg, dir := server.Config(), t.TempDir()
	cfg.TLSCert, cfg.TLSKey = dir+"/client.crt", dir+"/client.key"
	replace := func(by *redistest.Certificates) {
		for from, to := range map[string]string{by.ClientCert: cfg.TLSCert, by.ClientKey: cfg.TLSKey} {
			content, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(to, content, 0o600))
		}
	}
	client, err := rdb.Open(cfg)
	must(t, err)
	replace(others)
	if err := client.Ping(t.Context()); err == nil {
		t.Fatal("the server takes a certificate of another authority")
	}
	replace(certs)
	must(t, client.Ping(t.Context()))
	replace(others)
	must(t, client.Ping(t.Context())) // the connection that is open stays
	must(t, server.Client().ClientKillByFilter(t.Context(), "type", "normal", "skipme", "yes").Err())
	eventually(t, "a new connection is refused", func() bool { return client.Ping(t.Context()) != nil })
}

func TestCredentialsThatExpireAndAreNotRenewedAreAnError(t *testing.T) {
	server := redistest.Start(t, redistest.User("app", "token", "+@all", "~*"))
	cfg := server.Config()
	cfg.Username, cfg.PasswordFile, cfg.Credentials = "", "", registered
	expires := time.Now().Add(time.Second)
	setVault(t, func(context.Context) (conn.Credentials, error) {
		return conn.Credentials{Username: "app", Password: "token", ExpiresAt: expires}, nil
	})
	client, err := rdb.Open(cfg)
	must(t, err)
	must(t, client.Ping(t.Context()))
	eventually(t, "they have expired", func() bool { return time.Now().After(expires) })
	must(t, server.Client().Do(t.Context(), "client", "kill", "user", "app").Err())
	eventually(t, "the error says so", func() bool {
		err := client.Ping(t.Context())
		return err != nil && strings.Contains(err.Error(), fmt.Sprintf("credentials %q: they expired at ", registered))
	})
}
