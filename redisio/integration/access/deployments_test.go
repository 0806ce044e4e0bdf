package access_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

// deployment is a single server, a cluster, or what sentinels watch.
type deployment interface {
	Config() redisio.Conn
}

// start runs a deployment, and returns the plain client of it.
var deployments = map[string]func(*testing.T, ...redistest.Option) (deployment, redis.UniversalClient){
	"single": func(t *testing.T, opts ...redistest.Option) (deployment, redis.UniversalClient) {
		s := redistest.Start(t, opts...)
		return s, s.Client()
	},
	"cluster": func(t *testing.T, opts ...redistest.Option) (deployment, redis.UniversalClient) {
		c := redistest.StartCluster(t, opts...)
		return c, c.Client()
	},
	"sentinel": func(t *testing.T, opts ...redistest.Option) (deployment, redis.UniversalClient) {
		s := redistest.StartSentinels(t, opts...)
		return s, s.Client()
	},
}

// serversOf are those that hold data.
func serversOf(d deployment) []*redistest.Server {
	switch d := d.(type) {
	case *redistest.Cluster:
		return d.Nodes()
	case *redistest.Sentinels:
		return d.Servers()
	}
	return []*redistest.Server{d.(*redistest.Server)}
}

// leastUser is an ACL user with the rights that the documentation gives to a
// copy, and with its name and password.
func leastUser(t *testing.T, deployment string) redistest.Option {
	t.Helper()
	parts := []string{"Connection", "Read", "Write"}
	if deployment == "cluster" {
		parts = append(parts, "Connection to a cluster")
	}
	var rules []string
	for _, part := range parts {
		rules = append(rules, rights(t)[part]...)
	}
	return redistest.User(docUser, docPassword, rules...)
}

// asFlags takes out of cfg what is given by flags instead; the password is in
// secretVariable as well.
func asFlags(cfg redisio.Conn) (url string, flags []string) {
	if cfg.PasswordFile != "" {
		cfg.PasswordFile, cfg.PasswordEnv = "", secretVariable
	}
	for _, f := range []struct {
		name  string
		field *string
	}{{"password_env", &cfg.PasswordEnv}, {"tls_server_name", &cfg.TLSServerName}, {"tls_ca", &cfg.TLSCA}, {"tls_cert", &cfg.TLSCert}, {"tls_key", &cfg.TLSKey}} {
		if *f.field != "" {
			flags = append(flags, "--"+f.name+"="+*f.field)
			*f.field = ""
		}
	}
	return cfg.String(), flags
}

const copied = 2000

var copiedLine = regexp.MustCompile(`^copied 2,000 entries in [0-9.]+ s, [0-9,]+/s\n$`)

func load(t *testing.T, client redis.UniversalClient) {
	t.Helper()
	topic := redisio.Topic{Name: "in", Partitions: 4}
	_, err := client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range copied {
			m := redisio.Message{Key: fmt.Sprint("key-", i%97)}
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: topic.Key(topic.PartitionOf(&m)), Values: []string{"_key", m.Key, "n", fmt.Sprint(i)}})
		}
		return nil
	})
	must(t, err)
}

func payloads(t *testing.T, client redis.UniversalClient, stream string) (list []string) {
	t.Helper()
	found, err := client.XRange(t.Context(), stream, "-", "+").Result()
	must(t, err)
	for _, e := range found {
		list = append(list, fmt.Sprint(e.Values["_key"], " ", e.Values["n"]))
	}
	return list
}

func expectCopied(t *testing.T, client redis.UniversalClient, group string) {
	t.Helper()
	for i := range 4 {
		from, to := fmt.Sprint("in:", i), fmt.Sprint("out:", i)
		if diff := cmp.Diff(payloads(t, client, from), payloads(t, client, to)); diff != "" {
			t.Errorf("%s to %s (-want +got):\n%s", from, to, diff)
		}
		if pending, err := client.XPending(t.Context(), from, group).Result(); err != nil || pending.Count != 0 {
			t.Errorf("%s: pending %+v, %v", from, pending, err)
		}
		must(t, client.Del(context.Background(), to).Err())
	}
}

// TestTheCopyRunsUnchangedOnEveryDeployment: where it runs, and how that is
// protected, is told by the URL, or by the URL and flags.
func TestTheCopyRunsUnchangedOnEveryDeployment(t *testing.T) {
	certs, ofName := redistest.NewCertificates(t), redistest.NewCertificates(t, redistest.ForOtherHost)
	for name, start := range deployments {
		for _, security := range []struct {
			name, serverName string
			opts             []redistest.Option
		}{
			{"plain", "", nil},
			{"TLS", "", []redistest.Option{redistest.TLS(certs)}},
			{"mTLS with one name for all and a user with few rights", "redis.example", []redistest.Option{redistest.MutualTLS(ofName), redistest.Password("s3cr3t"),
				redistest.SentinelPassword("guard"), leastUser(t, name)}},
		} {
			t.Run(name+" "+security.name, func(t *testing.T) {
				d, client := start(t, security.opts...)
				cfg := d.Config()
				cfg.TLSServerName = security.serverName
				load(t, client)
				for group, args := range map[string]func() (string, []string){
					"url":   func() (string, []string) { return cfg.String(), nil },
					"flags": func() (string, []string) { return asFlags(cfg) },
				} {
					url, flags := args()
					got := run(t, []string{secretVariable + "=" + docPassword}, append(slices.Clone(flags), "--redis="+url, "--group="+group, "--start=earliest", "--exit_when_caught_up")...)
					if got.status != 0 || got.stderr != "" || !copiedLine.MatchString(got.stdout) {
						t.Errorf("by %s: %+v", group, got)
					}
					expectCopied(t, client, group)
				}
			})
		}
	}
}
