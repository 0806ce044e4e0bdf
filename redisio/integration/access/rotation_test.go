package access_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
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

// lives is how long credentials of the tests live.
const lives = 4 * time.Second

// logins counts the logins of users at all servers.
func logins(t *testing.T, servers ...*redistest.Server) (n int) {
	t.Helper()
	for _, s := range servers {
		stats := s.Client().InfoMap(t.Context(), "commandstats").Val()["Commandstats"]
		for _, command := range []string{"cmdstat_auth", "cmdstat_hello"} {
			var calls int
			_, _ = fmt.Sscanf(stats[command], "calls=%d", &calls)
			n += calls
		}
	}
	return n
}

// TestConnectionsLogInAgainBeforeTheirCredentialsExpire: every password is taken
// back when it expires, and the connections that still go by it are killed.
func TestConnectionsLogInAgainBeforeTheirCredentialsExpire(t *testing.T) {
	for name, start := range map[string]func() (redisio.Conn, []*redistest.Server, redis.UniversalClient){
		"single": func() (redisio.Conn, []*redistest.Server, redis.UniversalClient) {
			s := redistest.Start(t)
			return s.Config(), []*redistest.Server{s}, s.Client()
		},
		"cluster": func() (redisio.Conn, []*redistest.Server, redis.UniversalClient) {
			c := redistest.StartCluster(t)
			return c.Config(), c.Nodes(), c.Client()
		},
		"sentinel": func() (redisio.Conn, []*redistest.Server, redis.UniversalClient) {
			s := redistest.StartSentinels(t)
			return s.Config(), s.Servers(), s.Client()
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, servers, admin := start()
			var issued atomic.Int64
			setVault(t, func(ctx context.Context) (conn.Credentials, error) {
				n := issued.Add(1)
				if n%3 == 2 {
					return conn.Credentials{}, errors.New("the vault has no time") // the last good ones go on
				}
				password := fmt.Sprint("token-", n)
				for _, s := range servers {
					if err := s.Client().Do(ctx, "acl", "setuser", "app", "on", "~*", "+@all", ">"+password).Err(); err != nil {
						return conn.Credentials{}, err
					}
				}
				return conn.Credentials{Username: "app", Password: password, ExpiresAt: time.Now().Add(lives)}, nil
			})
			cfg.Credentials = registered
			client, err := rdb.Open(cfg)
			must(t, err)
			eventually(t, "it is connected", func() bool { return client.Ping(t.Context()) == nil })
			before, first := logins(t, servers...), issued.Load()
			for deadline := time.Now().Add(3 * lives); time.Now().Before(deadline) || issued.Load() < first+3; <-time.After(20 * time.Millisecond) {
				if err := client.Ping(t.Context()); err != nil && !strings.Contains(err.Error(), "no time") {
					t.Fatalf("the connection did not outlive its credentials: %v", err)
				}
			}
			if after := logins(t, servers...); after <= before {
				t.Errorf("%d logins, %d before: nobody has logged in again", after, before)
			}
			_ = admin
		})
	}
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
