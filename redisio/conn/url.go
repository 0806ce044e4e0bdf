package conn

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Option changes what [ParseURL] accepts.
type Option func(*parser)

type parser struct{ passwordMayTravel bool }

// AllowPasswordToTravel accepts a URL with a password in it, keeps it in
// [Config.Password], and sets [Config.PasswordMayTravel]. The password is then
// part of the job graph: whoever may look at the job, its runner's storage
// included, can read it.
func AllowPasswordToTravel() Option {
	return func(p *parser) { p.passwordMayTravel = true }
}

// ParseURL makes a [Config] of one of
//
//	redis://[user@]host[:port][/db][?name=value&…]
//	redis-cluster://[user@]host[:port][,host[:port]…][?name=value&…]
//	redis-sentinel://[user@]host[:port][,host[:port]…]/primary[/db][?name=value&…]
//
// and the same with rediss for TLS: rediss://, rediss-cluster:// and
// rediss-sentinel://. Left out, user is "default", host localhost, port 6379
// (of a sentinel 26379) and db 0. A cluster is found through any of its nodes,
// the primary through the sentinels, by the name that they have for it.
//
// The parameters are the other fields of [Config]: password_env,
// password_file, credentials, sentinel_user, sentinel_password_env,
// sentinel_password_file, tls_ca, tls_cert, tls_key, tls_server_name,
// tls_insecure_skip_verify, client_name, protocol, read_from_replicas,
// pool_size, dial_timeout, read_timeout, write_timeout, retry_timeout,
// retry_min, retry_max; times as in 500ms or 5s. password_env names the
// environment variable, password_file the file, from which every worker reads
// the password. What contradicts another part is found by [Config.Validate], so
// that a reference to a secret or a certificate can be set in the Config later.
//
// An error is one line that names the part that is wrong; it never repeats a
// password.
func ParseURL(raw string, opts ...Option) (Config, error) {
	p := parser{}
	for _, opt := range opts {
		opt(&p)
	}
	c, err := p.parse(raw)
	if err != nil {
		return Config{}, fmt.Errorf("conn: Redis URL: %w", err)
	}
	return c, nil
}

// refusal of a literal password; see parser.
const refusal = "it holds a password, which would travel with the job: take it out and name where the workers find it, " +
	"password_env=NAME or password_file=PATH (or allow it with AllowPasswordToTravel)"

func (p parser) parse(raw string) (c Config, err error) {
	c.PasswordMayTravel = p.passwordMayTravel
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return Config{}, errors.New(noScheme)
	}
	if err := c.setScheme(scheme); err != nil {
		return Config{}, err
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	host := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		host = authority[i+1:]
		if err := p.parseUser(authority[:i], &c); err != nil {
			return Config{}, err
		}
	}
	if misplacedPassword(host, path, query) {
		return Config{}, errors.New("there is an @ in an unexpected place: write the special characters of a user as %XX, and leave a password out")
	}
	if err := cmp.Or(parseHosts(host, &c), parsePath(path, &c), parseQuery(query, &c)); err != nil {
		return Config{}, err
	}
	return c, c.onePassword()
}

// misplacedPassword finds a password with an unescaped / or ? in it, as in
// redis://user:pa/ss@host. What was taken for the port, the database or the
// query is then a piece of it, and must not get into an error. An @ in the
// value of a parameter, such as a path, is fine.
func misplacedPassword(host, path, query string) bool {
	if strings.Contains(path, "@") {
		return true
	}
	before, _, found := strings.Cut(query, "@")
	return found && (!strings.Contains(before, "=") || !isPlainAddr(host) || !hasKnownParameter(query))
}

func isPlainAddr(host string) bool { return parseHosts(host, &Config{Mode: Cluster}) == nil }

const noScheme = "it does not start with redis:// or rediss://, nor with redis-cluster:// or redis-sentinel://"

func (c *Config) setScheme(scheme string) error {
	base, mode, _ := strings.Cut(strings.ToLower(scheme), "-")
	c.TLS, c.Mode = base == "rediss", Mode(mode)
	if (c.TLS || base == "redis") && (c.Mode == Single || c.Mode == Cluster || c.Mode == Sentinel) && c.scheme() == strings.ToLower(scheme) {
		return nil
	}
	for _, r := range scheme {
		// Whatever is no scheme may be part of a password.
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.", r) {
			return errors.New(noScheme)
		}
	}
	return fmt.Errorf("scheme %s is not supported, want redis or rediss, followed by -cluster or -sentinel for these", scheme)
}

func (p parser) parseUser(userinfo string, c *Config) error {
	user, password, _ := strings.Cut(userinfo, ":")
	if password != "" && !p.passwordMayTravel {
		return errors.New(refusal)
	}
	var userErr, passwordErr error
	c.Username, userErr = url.PathUnescape(user)
	c.Password, passwordErr = url.PathUnescape(password)
	if userErr != nil || passwordErr != nil {
		return errors.New("user or password holds a % that is not followed by two hexadecimal digits, write it as %25")
	}
	return nil
}

// parseHosts reads one host, or the list of a cluster's nodes or of sentinels.
func parseHosts(list string, c *Config) error {
	port := DefaultPort
	if c.Mode == Sentinel {
		port = DefaultSentinelPort
	}
	hosts := []string{list}
	if c.Mode != Single {
		hosts = strings.Split(list, ",")
	}
	for i, host := range hosts {
		addr, err := parseHost(host, strconv.Itoa(port))
		if err != nil {
			return err
		}
		hosts[i] = addr
	}
	c.Addr = strings.Join(hosts, ",")
	return nil
}

// parseHost does not repeat the port in its error: in redis://user:password,
// where the host was forgotten, it is the password.
func parseHost(authority, defaultPort string) (addr string, err error) {
	host, port := authority, defaultPort
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i+1:]
		if validatePort(port) != nil {
			return "", errors.New("the port is not a number from 1 to 65535")
		}
	}
	if bare, ok := strings.CutPrefix(host, "["); ok {
		bare, ok = strings.CutSuffix(bare, "]")
		if addr, err := netip.ParseAddr(bare); !ok || err != nil || !addr.Is6() {
			return "", errors.New("the host in brackets is not an IPv6 address")
		}
		host = bare
	} else if strings.ContainsRune(host, ',') {
		return "", errors.New("several hosts are for a cluster (redis-cluster://) or sentinels (redis-sentinel://)")
	} else if strings.ContainsFunc(host, notInHost) {
		return "", errors.New("the host is not a host name or IP address (an IPv6 address needs brackets)")
	}
	return net.JoinHostPort(cmp.Or(host, DefaultHost), port), nil
}

func notInHost(r rune) bool {
	return r <= ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune(`:@,;#%/\[]<>"{}|^`+"`", r)
}

// parsePath reads the database, and before it the name of the primary that
// sentinels know.
func parsePath(path string, c *Config) error {
	if c.Mode == Sentinel {
		name, db, _ := strings.Cut(path, "/")
		var err error
		if c.MasterName, err = url.PathUnescape(name); err != nil || name == "" {
			return errors.New("it does not name the primary as its sentinels do: want redis-sentinel://host:port/NAME")
		}
		path = db
	}
	if path == "" {
		return nil
	}
	n, err := strconv.ParseUint(path, 10, 31)
	if err != nil {
		return fmt.Errorf("database %q is not a number from 0", path)
	}
	if n > 0 && c.Mode == Cluster {
		return fmt.Errorf("a cluster has database 0 only, not %d: leave it out", n)
	}
	c.DB = int(n)
	return nil
}
