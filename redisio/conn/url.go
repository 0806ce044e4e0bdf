package conn

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Option changes what [ParseURL] accepts.
type Option func(*parser)

type parser struct{ passwordMayTravel bool }

// AllowPasswordToTravel accepts a URL with a password in it, and keeps it in
// [Config.Password]. It is then part of the job graph: whoever may look at the
// job, its runner's storage included, can read it.
func AllowPasswordToTravel() Option {
	return func(p *parser) { p.passwordMayTravel = true }
}

// ParseURL makes a [Config] of
//
//	redis://[user@]host[:port][/db][?password_env=NAME|?password_file=PATH]
//
// and the same with rediss:// for TLS. Left out, user is "default", host
// localhost, port 6379 and db 0. password_env names the environment variable,
// password_file the file, from which every worker reads the password; they
// exclude each other. The name of a user alone is accepted so that the
// reference can be set in the Config later.
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
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		return Config{}, errors.New("it does not start with redis:// or rediss://")
	}
	if c.TLS, err = parseScheme(scheme); err != nil {
		return Config{}, err
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, db, _ := strings.Cut(rest, "/")
	host := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		host = authority[i+1:]
		if err := p.parseUser(authority[:i], &c); err != nil {
			return Config{}, err
		}
	}
	if misplacedPassword(host, db, query) {
		return Config{}, errors.New("there is an @ in an unexpected place: write the special characters of a user as %XX, and leave a password out")
	}
	if err := cmp.Or(parseHost(host, &c), parseDB(db, &c), parseQuery(query, &c)); err != nil {
		return Config{}, err
	}
	return c, c.onePassword()
}

// misplacedPassword finds a password with an unescaped / or ? in it, as in
// redis://user:pa/ss@host. What was taken for the port, the database or the
// query is then a piece of it, and must not get into an error. An @ in the
// value of a parameter, such as a path, is fine.
func misplacedPassword(host, db, query string) bool {
	if strings.Contains(db, "@") {
		return true
	}
	before, _, found := strings.Cut(query, "@")
	return found && (!strings.Contains(before, "=") || !isPlainAddr(host) || !isKnownParameter(query))
}

func isPlainAddr(host string) bool { return parseHost(host, &Config{}) == nil }

func isKnownParameter(query string) bool {
	return strings.HasPrefix(query, paramEnv+"=") || strings.HasPrefix(query, paramFile+"=")
}

func parseScheme(scheme string) (withTLS bool, err error) {
	switch strings.ToLower(scheme) {
	case "redis":
		return false, nil
	case "rediss":
		return true, nil
	}
	for _, r := range scheme {
		// Whatever is no scheme may be part of a password.
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.", r) {
			return false, errors.New("it does not start with redis:// or rediss://")
		}
	}
	return false, fmt.Errorf("scheme %s is not supported, want redis or rediss", scheme)
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

// parseHost does not repeat the port in its error: in redis://user:password,
// where the host was forgotten, it is the password.
func parseHost(authority string, c *Config) error {
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:i], authority[i+1:]
		if validatePort(port) != nil {
			return errors.New("the port is not a number from 1 to 65535")
		}
	}
	if bare, ok := strings.CutPrefix(host, "["); ok {
		bare, ok = strings.CutSuffix(bare, "]")
		if addr, err := netip.ParseAddr(bare); !ok || err != nil || !addr.Is6() {
			return errors.New("the host in brackets is not an IPv6 address")
		}
		host = bare
	} else if strings.ContainsFunc(host, notInHost) {
		return errors.New("the host is not a host name or IP address (an IPv6 address needs brackets)")
	}
	c.Addr = net.JoinHostPort(cmp.Or(host, DefaultHost), cmp.Or(port, strconv.Itoa(DefaultPort)))
	return nil
}

func notInHost(r rune) bool {
	return r <= ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune(`:@,;#%/\[]<>"{}|^`+"`", r)
}

func parseDB(path string, c *Config) error {
	if path == "" {
		return nil
	}
	n, err := strconv.ParseUint(path, 10, 31)
	if err != nil {
		return fmt.Errorf("database %q is not a number from 0", path)
	}
	c.DB = int(n)
	return nil
}

const (
	paramEnv  = "password_env"
	paramFile = "password_file"
)

func parseQuery(query string, c *Config) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("what follows the ? is not well formed, want name=value pairs joined by &")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := c.setParameter(name, values[name]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) setParameter(name string, values []string) error {
	field := map[string]*string{paramEnv: &c.PasswordEnv, paramFile: &c.PasswordFile}[name]
	switch {
	case name == "password":
		return errors.New(refusal)
	case field == nil:
		return fmt.Errorf("parameter %q is unknown, want %s or %s", name, paramEnv, paramFile)
	case len(values) != 1:
		return fmt.Errorf("parameter %s is given %d times", name, len(values))
	case values[0] == "" || strings.ContainsRune(values[0], 0):
		return fmt.Errorf("parameter %s has no usable value", name)
	}
	*field = values[0]
	return nil
}
