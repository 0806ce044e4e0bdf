package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
)

// PrimaryName is what the sentinels of [StartSentinels] call the primary.
const PrimaryName = "main"

// Sentinels are a primary with two replicas and the three sentinels that watch
// them, which live as long as their test.
type Sentinels struct {
	t                  testing.TB
	servers, sentinels []*Server
	client             *redis.Client
	cfg                conn.Config
}

// StartSentinels runs servers and sentinels for t, and returns when all of them
// know each other. The servers keep their data when they are killed and
// restarted.
func StartSentinels(t testing.TB, opts ...Option) *Sentinels {
	t.Helper()
	s := &Sentinels{t: t}
	settings := newSettings(t, opts)
	opts = append(opts, Durable(), Args("--repl-diskless-sync-delay", "0"))
	primary := Start(t, opts...)
	s.servers = []*Server{primary}
	host, port, _ := net.SplitHostPort(primary.Addr())
	for range 2 {
		s.servers = append(s.servers, Start(t, append(opts[:len(opts):len(opts)], Args("--replicaof", host, port))...))
	}
	for _, replica := range s.servers[1:] {
		await(t, "the replica follows", func() bool {
			info, err := replica.client.Info(context.Background(), "replication").Result()
			return err == nil && strings.Contains(info, "master_link_status:up")
		})
	}
	s.startSentinels(settings, host, port)
	s.cfg = primary.cfg
	s.cfg.Mode, s.cfg.MasterName, s.cfg.Addr = conn.Sentinel, PrimaryName, addrs(s.sentinels)
	s.client = redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: PrimaryName, SentinelAddrs: s.cfg.Addrs(), Password: settings.Password, SentinelPassword: settings.sentinelPassword,
		TLSConfig: settings.certs.clientTLS(t),
	})
	t.Cleanup(func() { _ = s.client.Close() })
	if settings.sentinelPassword != "" {
		s.cfg.SentinelPasswordFile = writePassword(t, t.TempDir(), settings.sentinelPassword)
	}
	return s
}

func (s *Sentinels) startSentinels(common *settings, host, port string) {
	s.t.Helper()
	config := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 2\nsentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 5000\n",
		PrimaryName, host, port)
	if common.Password != "" {
		config += fmt.Sprintf("sentinel auth-pass %s %s\n", PrimaryName, common.Password)
	}
	if common.sentinelPassword != "" {
		config += fmt.Sprintf("requirepass %[1]s\nsentinel sentinel-pass %[1]s\n", common.sentinelPassword)
	}
	for range 3 {
		sentinel := Start(s.t, func(o *settings) {
			o.certs, o.TLS, o.Sentinel = common.certs, common.TLS, config
			o.plainPassword = common.sentinelPassword
		})
		// Quicker than every 10 and 2 s, from 7.0; before, it takes longer.
		_ = sentinel.client.Do(context.Background(), "sentinel", "debug", "info-period", 200, "publish-period", 200, "ask-period", 200, "ping-period", 200).Err()
		s.sentinels = append(s.sentinels, sentinel)
	}
	for _, sentinel := range s.sentinels {
		await(s.t, "the sentinels know each other", func() bool {
			known, err := sentinel.client.Do(context.Background(), "sentinel", "master", PrimaryName).Result()
			text := fmt.Sprint(known)
			return err == nil && strings.Contains(text, "num-other-sentinels:2") && strings.Contains(text, "num-slaves:2")
		})
	}
}

// Servers are all servers, the first of which began as the primary.
func (s *Sentinels) Servers() []*Server { return s.servers }

// Sentinels are the sentinels.
func (s *Sentinels) Sentinels() []*Server { return s.sentinels }

// Config is the configuration that reaches the primary.
func (s *Sentinels) Config() conn.Config { return s.cfg }

// URL is what conn.ParseURL makes [Sentinels.Config] of.
func (s *Sentinels) URL() string { return s.cfg.String() }

// Client is a plain go-redis client of the primary, closed with the test.
func (s *Sentinels) Client() *redis.Client { return s.client }

// Primary returns the server that most sentinels call so.
func (s *Sentinels) Primary() *Server {
	s.t.Helper()
	var primary *Server
	await(s.t, "the sentinels agree on a primary", func() bool { primary = s.primary(); return primary != nil })
	return primary
}

func (s *Sentinels) primary() *Server {
	votes := map[string]int{}
	for _, sentinel := range s.sentinels {
		addr, err := sentinel.client.Do(context.Background(), "sentinel", "get-master-addr-by-name", PrimaryName).StringSlice()
		if err == nil && len(addr) == 2 {
			votes[net.JoinHostPort(addr[0], addr[1])]++
		}
	}
	for _, server := range s.servers {
		if votes[server.Addr()] >= 2 && isPrimary(server) {
			return server
		}
	}
	return nil
}

// AwaitPrimary waits until a server other than old is the primary.
func (s *Sentinels) AwaitPrimary(old *Server) *Server {
	s.t.Helper()
	var now *Server
	await(s.t, "a replica takes over", func() bool { now = s.primary(); return now != nil && now != old })
	return now
}
