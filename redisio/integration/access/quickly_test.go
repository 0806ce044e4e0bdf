package access_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

const (
	// soon is far beyond what a mistake takes that is not tried again, on a
	// machine with a lot to do.
	soon = time.Minute
	// mostAttempts is below what tries take that go on for 30 s.
	mostAttempts = 10

	inPartition = `partition in:\d: .*`
)

// expectEnd has a job, which nobody has tried out before, run into a mistake
// with the timeouts that it has by default: it ends soon, and tries nothing
// again.
func expectEnd(t *testing.T, cfg redisio.Conn, want string) {
	t.Helper()
	if got := expectSoonEnd(t, cfg, want); strings.Contains(got.stderr, " again") {
		t.Errorf("it is tried again:\n%s", got.stderr)
	}
}

// expectSoonEnd has the job end, whatever it tries again until then.
func expectSoonEnd(t *testing.T, cfg redisio.Conn, want string) outcome {
	t.Helper()
	began := time.Now()
	got := run(t, nil, "--redis="+cfg.String(), "--start=earliest", "--exit_when_caught_up", "--check=false")
	took := time.Since(began)
	t.Logf("ended after %v", took.Round(time.Millisecond))
	if lines := warnings.ReplaceAllString(got.stderr, ""); got.status != 1 || !regexp.MustCompile(`^redis-to-redis: `+want+`\n$`).MatchString(lines) {
		t.Errorf("status %d, want 1, and one line, %q:\n%s", got.status, want, got.stderr)
	}
	if took > soon {
		t.Errorf("it took %v, want at most %v", took, soon)
	}
	return got
}

// TestMistakesOnASingleServerAreNotTriedAgain counts the attempts that the
// server sees.
func TestMistakesOnASingleServerAreNotTriedAgain(t *testing.T) {
	certs, others := redistest.NewCertificates(t), redistest.NewCertificates(t)
	plain, secure := redistest.Start(t, leastUser(t, "single")), redistest.Start(t, redistest.MutualTLS(certs))
	expired := redistest.Start(t, redistest.TLS(redistest.NewCertificates(t, redistest.Expired)))
	wrong := writeFile(t, "wrong-password\n")
	for name, m := range map[string]struct {
		server *redistest.Server
		change func(*redisio.Conn)
		want   string
	}{
		"wrong password":           {plain, func(c *redisio.Conn) { c.PasswordFile = wrong }, wrongLogin},
		"no password file":         {plain, func(c *redisio.Conn) { c.PasswordFile = "/nowhere/password" }, "password file /nowhere/password .*"},
		"missing right":            {plain, func(c *redisio.Conn) { c.DB = 1 }, "the user lacks a permission, .*NOPERM .*select.*"},
		"plain text to a TLS port": {secure, func(c *redisio.Conn) { *c = redisio.Conn{Addr: c.Addr} }, plainToTLS},
		"TLS to a plain port":      {plain, func(c *redisio.Conn) { c.TLS, c.TLSCA = true, certs.CA }, tlsToPlain},
		"wrong authority":          {secure, func(c *redisio.Conn) { c.TLSCA = others.CA }, "the server's certificate comes from an authority .*"},
		"wrong server name":        {secure, func(c *redisio.Conn) { c.TLSServerName = "redis.example" }, "the server's certificate is for another host name; .*"},
		"no client certificate":    {secure, func(c *redisio.Conn) { c.TLSCert, c.TLSKey = "", "" }, `the server ended the TLS handshake .*`},
		"expired certificate":      {expired, func(*redisio.Conn) {}, expiredCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := m.server.Through(1<<30, 0, redistest.CutBefore) // which never comes
			cfg := m.server.Config()
			cfg.Addr = proxy.Addr()
			expect := expectEnd
			if name == "no client certificate" {
				// By TLS 1.3 the client speaks before it learns that it is refused, and where
				// the server has closed the connection by then, never does.
				expect = func(t *testing.T, cfg redisio.Conn, want string) { expectSoonEnd(t, cfg, want) }
			}
			expect(t, with(cfg, m.change), inPartition+m.want)
			t.Logf("%d connections", proxy.Accepted())
			if n := proxy.Accepted(); n > mostAttempts {
				t.Errorf("%d connections were tried, want at most %d", n, mostAttempts)
			}
		})
	}
}

// expire has servers show a certificate that has expired to whoever connects
// from now on. cfg trusts its authority beside the one of before.
func expire(t *testing.T, cfg redisio.Conn, servers []*redistest.Server) redisio.Conn {
	t.Helper()
	expired := redistest.NewCertificates(t, redistest.Expired)
	for _, s := range servers {
		must(t, s.Client().Do(t.Context(), "config", "set", "tls-cert-file", expired.Cert, "tls-key-file", expired.Key).Err())
	}
	var authorities strings.Builder
	for _, file := range []string{cfg.TLSCA, expired.CA} {
		pem, err := os.ReadFile(file)
		must(t, err)
		authorities.Write(pem)
	}
	cfg.TLSCA = writeFile(t, authorities.String())
	return cfg
}

func TestMistakesOnAClusterAndBehindSentinelsAreNotTriedAgain(t *testing.T) {
	for _, name := range []string{"cluster", "sentinel"} {
		start := deployments[name]
		t.Run(name, func(t *testing.T) {
			d, _ := start(t, redistest.TLS(redistest.NewCertificates(t)), leastUser(t, name))
			cfg, servers := d.Config(), serversOf(d)
			t.Run("wrong password", func(t *testing.T) {
				expectEnd(t, with(cfg, func(c *redisio.Conn) { c.PasswordFile = writeFile(t, "wrong-password") }), inPartition+wrongLogin)
			})
			t.Run("plain text to TLS ports", func(t *testing.T) {
				expectEnd(t, with(cfg, func(c *redisio.Conn) { c.TLS, c.TLSCA = false, "" }), inPartition+plainToTLS)
			})
			t.Run("expired certificate", func(t *testing.T) {
				expectEnd(t, expire(t, cfg, servers), inPartition+expiredCertificate)
			})
		})
		t.Run(name+" TLS to plain ports", func(t *testing.T) {
			d, _ := start(t)
			expectEnd(t, with(d.Config(), func(c *redisio.Conn) { c.TLS = true }), inPartition+tlsToPlain)
		})
	}
}
