package access_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

// mistake is a configuration that cannot work, and what is said of it.
type mistake struct {
	cfg  redisio.Conn
	want string // a regular expression
	// unchecked is what the job says that was started without a look at Redis;
	// empty: the same.
	unchecked string
}

// expectErrors has the program run into each mistake, in its look at Redis
// before the job and in the job: it ends soon, in error, with one line that
// says what is wrong and how to mend it.
func expectErrors(t *testing.T, mistakes map[string]mistake) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(mistakes)) {
		m := mistakes[name]
		// What may pass with time is not tried for as long as in production.
		m.cfg.RetryTimeout, m.cfg.DialTimeout, m.cfg.ReadTimeout = 1e9, 1e9, 1e9
		if m.unchecked == "" {
			m.unchecked = `partition in:\d: .*` + m.want
		}
		for _, run := range []struct{ flag, want string }{{"--check=true", "redis at .*: " + m.want}, {"--check=false", m.unchecked}} {
			t.Run(name+" "+run.flag, func(t *testing.T) { expectError(t, m.cfg, run.flag, run.want) })
		}
	}
}

func expectError(t *testing.T, cfg redisio.Conn, flag, want string) {
	t.Helper()
	got := run(t, nil, "--redis="+cfg.String(), "--exit_when_caught_up", flag)
	if lines := warnings.ReplaceAllString(got.stderr, ""); got.status != 1 || !regexp.MustCompile(`^redis-to-redis: `+want+`\n$`).MatchString(lines) {
		t.Errorf("status %d, want 1, and %q:\n%s", got.status, want, got.stderr)
	}
	for _, secret := range []string{docPassword, "s3cr3t", "guard", "wrong-password"} {
		if strings.Contains(got.stdout+got.stderr, secret) {
			t.Errorf("it shows the password %s", secret)
		}
	}
}

// warnings are lines such as the one that something will be tried again.
var warnings = regexp.MustCompile(`(?m)^redis-to-redis: warn: .*\n`)

func with(cfg redisio.Conn, change func(*redisio.Conn)) redisio.Conn {
	change(&cfg)
	return cfg
}

const (
	wrongLogin = "wrong user or password; check the user in the URL and what password_env or password_file refers to"
	plainToTLS = "the port expects TLS; use rediss://, rediss-cluster:// or rediss-sentinel://"
	tlsToPlain = "the port does not speak TLS; use redis:// or the server's TLS port"

	expiredCertificate = `the server's certificate is not valid \(x509: certificate has expired or is not yet valid: .*\)`

	refused = "connection refused; check that the server runs and that host and port are right"
)

// everywhere are mistakes that say the same on every deployment. cfg reaches
// one that has it all: client certificates, and a user.
func everywhere(t *testing.T, cfg redisio.Conn) map[string]mistake {
	t.Helper()
	others := redistest.NewCertificates(t)
	wrong := writeFile(t, "wrong-password\n")
	return map[string]mistake{
		"wrong password": {with(cfg, func(c *redisio.Conn) { c.PasswordFile = wrong }), wrongLogin, ""},
		"unknown user":   {with(cfg, func(c *redisio.Conn) { c.Username = "nobody" }), wrongLogin, ""},
		"wrong authority": {with(cfg, func(c *redisio.Conn) { c.TLSCA = others.CA }),
			"the server's certificate comes from an authority that this machine does not trust; name its file by tls_ca, or add it to the system's roots", ""},
		"wrong server name": {with(cfg, func(c *redisio.Conn) { c.TLSServerName = "redis.example" }),
			"the server's certificate is for another host name; use a name that it lists, in the URL or as tls_server_name .*redis.example.*", ""},
		"no client certificate": {with(cfg, func(c *redisio.Conn) { c.TLSCert, c.TLSKey = "", "" }),
			`the server ended the TLS handshake .*; it may want a client certificate \(tls_cert, tls_key\).*`, ""},
		"client certificate of another authority": {with(cfg, func(c *redisio.Conn) { c.TLSCert, c.TLSKey = others.ClientCert, others.ClientKey }),
			`the server ended the TLS handshake .*; it may want a client certificate \(tls_cert, tls_key\).*`, ""},
		"no file of authorities": {with(cfg, func(c *redisio.Conn) { c.TLSCA = "/nowhere/ca.crt" }),
			`file of authorities /nowhere/ca.crt \(tls_ca\) cannot be used on this worker: no such file or directory`, ""},
		"no password": {with(cfg, func(c *redisio.Conn) { c.Username, c.PasswordFile = "", "" }),
			"the server wants a password; name it by password_env or password_file", ""},
		"no password file": {with(cfg, func(c *redisio.Conn) { c.PasswordFile = "/nowhere/password" }),
			`.*password file /nowhere/password \(password_file\) cannot be read on this worker: no such file or directory`, ""},
		"no such credentials": {with(cfg, func(c *redisio.Conn) { c.Username, c.PasswordFile, c.Credentials = "", "", "vault" }),
			`.*credentials "vault" are not registered on this worker.*`, ""},
	}
}

// certain are the options of a deployment with client certificates and a user.
func certain(t *testing.T, deployment string) []redistest.Option {
	t.Helper()
	return []redistest.Option{redistest.MutualTLS(redistest.NewCertificates(t)), redistest.Password("s3cr3t"), redistest.SentinelPassword("guard"), leastUser(t, deployment)}
}

func TestMistakesAreOneLineOnEveryDeployment(t *testing.T) {
	for name, start := range deployments {
		t.Run(name, func(t *testing.T) {
			d, _ := start(t, certain(t, name)...)
			expectErrors(t, everywhere(t, d.Config()))
		})
	}
}

func TestMistakesInFilesAreOneLine(t *testing.T) {
	server := redistest.Start(t, redistest.MutualTLS(redistest.NewCertificates(t)))
	cfg, others, dir := server.Config(), redistest.NewCertificates(t), t.TempDir()
	nonsense := writeFile(t, "nonsense")
	unusable := func(what, why string) string { return what + " cannot be used on this worker: " + why }
	client := func(files string) string { return "client certificate " + files + ` \(tls_cert, tls_key\)` }
	expectErrors(t, map[string]mistake{
		"authorities are a folder": {with(cfg, func(c *redisio.Conn) { c.TLSCA = dir }), unusable("file of authorities "+dir+` \(tls_ca\)`, "is a directory"), ""},
		"authorities are nonsense": {with(cfg, func(c *redisio.Conn) { c.TLSCA = nonsense }),
			unusable("file of authorities "+nonsense+` \(tls_ca\)`, "it holds no certificate in PEM form"), ""},
		"no client certificate": {with(cfg, func(c *redisio.Conn) { c.TLSCert = filepath.Join(dir, "none") }),
			unusable(client(".*"), "no such file or directory"), ""},
		"client certificate is nonsense": {with(cfg, func(c *redisio.Conn) { c.TLSCert = nonsense }), unusable(client(".*"), ".*PEM.*"), ""},
		"key of another certificate":     {with(cfg, func(c *redisio.Conn) { c.TLSKey = others.ClientKey }), unusable(client(".*"), ".*private key does not match public key"), ""},
	})
}

func TestMistakesOnASingleServerAreOneLine(t *testing.T) {
	expired := redistest.Start(t, redistest.TLS(redistest.NewCertificates(t, redistest.Expired)))
	otherHost := redistest.Start(t, redistest.TLS(redistest.NewCertificates(t, redistest.ForOtherHost)))
	secure, plain := redistest.Start(t, redistest.TLS(redistest.NewCertificates(t))), redistest.Start(t)
	expectErrors(t, map[string]mistake{
		"expired":       {expired.Config(), expiredCertificate, ""},
		"other host":    {otherHost.Config(), "the server's certificate is for another host name; use a name that it lists, in the URL or as tls_server_name .*", ""},
		"plain to TLS":  {redisio.Conn{Addr: secure.Addr()}, plainToTLS, ""},
		"TLS to plain":  {with(secure.Config(), func(c *redisio.Conn) { c.Addr = plain.Addr() }), tlsToPlain, ""},
		"nobody there":  {redisio.Conn{Addr: "127.0.0.1:1"}, refused, ""},
		"no cluster":    {redisio.Conn{Addr: plain.Addr(), Mode: conn.Cluster}, "the server is no cluster; use redis:// or rediss://", ""},
		"no sentinel":   {redisio.Conn{Addr: plain.Addr(), Mode: conn.Sentinel, MasterName: "main"}, "what answers there is no sentinel; use redis:// or rediss://", ""},
		"no such DB":    {redisio.Conn{Addr: plain.Addr(), DB: 99}, "there is no such database; check the number at the end of the URL", ""},
		"dead cluster":  {redisio.Conn{Addr: "127.0.0.1:1,127.0.0.1:2", Mode: conn.Cluster}, refused, ""},
		"dead sentinel": {redisio.Conn{Addr: "127.0.0.1:1,127.0.0.1:2", Mode: conn.Sentinel, MasterName: "main"}, "no sentinel can be asked: " + refused, ""},
	})
}

func TestMistakesAboutAClusterAreOneLine(t *testing.T) {
	c := redistest.StartCluster(t)
	node := c.Nodes()[0].Config()
	expectErrors(t, map[string]mistake{
		"single": {node, "the server is a node of a cluster; use redis-cluster:// or rediss-cluster://.*", ""},
	})
	for _, n := range c.Nodes() {
		n.Kill()
	}
	expectErrors(t, map[string]mistake{"all dead": {c.Config(), refused, ""}})
}

func TestMistakesAboutSentinelsAreOneLine(t *testing.T) {
	s := redistest.StartSentinels(t, redistest.SentinelPassword("guard"))
	cfg := s.Config()
	open := redistest.StartSentinels(t)
	expectErrors(t, map[string]mistake{
		"unknown primary":         {with(cfg, func(c *redisio.Conn) { c.MasterName = "other" }), "the sentinels know no primary of that name; check the name after the slash in the URL", ""},
		"no sentinel password":    {with(cfg, func(c *redisio.Conn) { c.SentinelPasswordFile = "" }), "the sentinels want a password; name it by sentinel_password_env or sentinel_password_file", ""},
		"wrong sentinel password": {with(cfg, func(c *redisio.Conn) { c.SentinelPasswordFile = writeFile(t, "wrong-password") }), "wrong user or password of the sentinels; check what sentinel_password_env or sentinel_password_file refers to", ""},
		"no sentinel password file": {with(cfg, func(c *redisio.Conn) { c.SentinelPasswordFile = "/nowhere/password" }),
			`.*password file /nowhere/password \(sentinel_password_file\) cannot be read on this worker: no such file or directory`, ""},
		"single": {redisio.Conn{Addr: open.Sentinels()[0].Addr()}, "the server is a sentinel; use redis-sentinel://host:port/NAME, with its name for the primary",
			`partition in:\d: .*the server does not know a command; it may be a sentinel \(use redis-sentinel://\), or older than Redis 6.2: ERR unknown command .*`},
	})
	for _, sentinel := range s.Sentinels() {
		sentinel.Kill()
	}
	expectErrors(t, map[string]mistake{"dead": {cfg, "no sentinel can be asked: " + refused, ""}})
}

// TestAMissingRightIsOneLine, and nothing is tried again for it.
func TestAMissingRightIsOneLine(t *testing.T) {
	const lacks = `.*the user lacks a permission, grant it with ACL SETUSER: .*NOPERM .*`
	for name, start := range deployments {
		d, client := start(t, redistest.Password("s3cr3t"), leastUser(t, name))
		for right, want := range map[string]string{
			"-xgroup|create": `partition in:\d: ` + lacks + `xgroup.*`,
			"-xreadgroup":    `partition in:\d: ` + lacks + `xreadgroup.*`,
			"-xack":          `partition in:\d: ` + lacks + `xack.*`,
			"-xadd":          `write to out:\d: ` + lacks + `xadd.*`,
			"resetkeys":      `partition in:\d: ` + lacks + `keys.*`,
		} {
			t.Run(name+" "+right, func(t *testing.T) {
				for _, s := range serversOf(d) {
					_ = s.Client().FlushAll(t.Context()).Err() // a replica refuses
					must(t, s.Client().Do(t.Context(), words("acl", "setuser", docUser, rights(t)["Read"], rights(t)["Write"], right)...).Err())
				}
				load(t, client)
				expectEnd(t, d.Config(), want)
			})
		}
	}
}
