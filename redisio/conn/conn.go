// Package conn describes how to reach Redis: address, user, references to
// secrets and timeouts. A [Config] travels in the job graph, so it never holds
// a secret unless its user says explicitly that it may.
package conn

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// Defaults of the fields of a [Config] that are left zero.
const (
	DefaultHost     = "localhost"
	DefaultPort     = 6379
	DefaultUsername = "default"
	DefaultPoolSize = 16
	DefaultTimeout  = 5 * time.Second // of dialing, reading and writing, each
)

// Config says how to reach one Redis deployment. Make it with [ParseURL]. It
// holds plain data only, so that it can be serialised as JSON and travel with
// a job. At most one of PasswordEnv, PasswordFile and Password is set.
type Config struct {
	// Addr is host:port of the server; empty means localhost:6379.
	Addr string `json:"addr"`
	// TLS encrypts the connection; the server's certificate is checked against
	// the system's roots and the host name in Addr.
	TLS bool `json:"tls,omitempty"`
	// Username is the ACL user; empty means "default".
	Username string `json:"username,omitempty"`
	// PasswordEnv names the environment variable that holds the password on
	// every worker. It is read again at every connect.
	PasswordEnv string `json:"password_env,omitempty"`
	// PasswordFile is the path of a file that holds the password on every
	// worker. It is read again at every connect.
	PasswordFile string `json:"password_file,omitempty"`
	// Password is the password itself, which then travels in the job graph
	// where everyone who may look at the job can read it. [ParseURL] fills it
	// only under [AllowPasswordToTravel]; prefer PasswordEnv or PasswordFile.
	Password string `json:"password,omitempty"`
	// DB is the database number.
	DB int `json:"db,omitempty"`
	// PoolSize bounds the connections of one process; 0 means 16.
	PoolSize int `json:"pool_size,omitempty"`
	// DialTimeout bounds connecting; 0 means 5 s.
	DialTimeout time.Duration `json:"dial_timeout,omitempty"`
	// ReadTimeout bounds waiting for a reply, beyond the time that a blocking
	// command itself asks to wait; 0 means 5 s.
	ReadTimeout time.Duration `json:"read_timeout,omitempty"`
	// WriteTimeout bounds sending; 0 means 5 s.
	WriteTimeout time.Duration `json:"write_timeout,omitempty"`
}

// WithDefaults returns c with every zero field that has a default filled in.
func (c Config) WithDefaults() Config {
	c.Addr = cmp.Or(c.Addr, net.JoinHostPort(DefaultHost, strconv.Itoa(DefaultPort)))
	c.Username = cmp.Or(c.Username, DefaultUsername)
	c.PoolSize = cmp.Or(c.PoolSize, DefaultPoolSize)
	c.DialTimeout = cmp.Or(c.DialTimeout, DefaultTimeout)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, DefaultTimeout)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, DefaultTimeout)
	return c
}

// Validate reports everything that is wrong with c, joined, each error naming
// the field; nil if c can be used. It does not connect, and does not read the
// password: the variable or file need only exist on the workers.
func (c Config) Validate() error {
	c = c.WithDefaults()
	return errors.Join(
		validateAddr(c.Addr),
		inConn(c.onePassword()),
		inConn(c.userHasPassword()),
		atLeast("DB", c.DB, 0),
		atLeast("PoolSize", c.PoolSize, 1),
		atLeast("DialTimeout", c.DialTimeout, 0),
		atLeast("ReadTimeout", c.ReadTimeout, 0),
		atLeast("WriteTimeout", c.WriteTimeout, 0),
	)
}

func inConn(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("conn: %w", err)
}

func validateAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("conn: Addr %q is not host:port", addr)
	}
	if host == "" {
		return fmt.Errorf("conn: Addr %q names no host", addr)
	}
	return inConn(validatePort(port))
}

func validatePort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return nil
}

func atLeast[T int | time.Duration](field string, got, least T) error {
	if got < least {
		return fmt.Errorf("conn: %s is %v, want at least %v", field, got, least)
	}
	return nil
}

// Fingerprint identifies the deployment and the way it is used: equal
// configurations, defaults filled in, have equal fingerprints, in every
// process. A literal Password does not enter it, so it may be logged.
func (c Config) Fingerprint() string {
	c = c.WithDefaults()
	c.Password = ""
	canonical, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("conn: Config must stay serialisable: %v", err))
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:8])
}

// String is c as a URL for people. A literal password is masked; references
// to secrets are shown.
func (c Config) String() string {
	c = c.WithDefaults()
	var b strings.Builder
	b.WriteString("redis")
	if c.TLS {
		b.WriteString("s")
	}
	b.WriteString("://" + c.Username)
	if c.Password != "" {
		b.WriteString(":***")
	}
	fmt.Fprintf(&b, "@%s/%d", c.Addr, c.DB)
	switch {
	case c.PasswordEnv != "":
		b.WriteString("?password_env=" + c.PasswordEnv)
	case c.PasswordFile != "":
		b.WriteString("?password_file=" + c.PasswordFile)
	}
	return b.String()
}

// GoString keeps a literal password out of %#v.
func (c Config) GoString() string { return "conn.Config(" + c.String() + ")" }

// LogValue keeps a literal password out of package slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
