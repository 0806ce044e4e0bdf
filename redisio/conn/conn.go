// Package conn describes how to reach Redis: address, user, references to
// secrets and timeouts. A [Config] travels in the job graph, so it never holds
// a secret unless its user says explicitly that it may.
package conn

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Defaults of the fields of a [Config] that are left zero.
const (
	DefaultHost         = "localhost"
	DefaultPort         = 6379
	DefaultSentinelPort = 26379
	DefaultUsername     = "default"
	DefaultClientName   = "beamredis"
	DefaultPoolSize     = 16
	DefaultTimeout      = 5 * time.Second // of dialing, reading and writing, each
	DefaultProtocol     = 3
)

// Mode is the shape of a deployment.
type Mode string

// The modes. Single is also right for a proxy or a load balancer that hides
// what is behind it.
const (
	Single   Mode = ""
	Cluster  Mode = "cluster"
	Sentinel Mode = "sentinel"
)

// Config says how to reach one Redis deployment. Make it with [ParseURL], and
// set what the URL left out. It holds plain data only, so that it can be
// serialised as JSON and travel with a job. At most one of PasswordEnv,
// PasswordFile, Credentials and Password is set. Files are read on the workers,
// at every connect, so that what was rotated is used by the next connection.
type Config struct {
	// Mode is the shape of the deployment: one server, a cluster, or a primary
	// that sentinels know.
	Mode Mode `json:"mode,omitempty"`
	// Addr is host:port of the server; for a cluster that of one node or more,
	// for sentinels those of the sentinels, joined by commas. Empty means
	// localhost:6379, for sentinels localhost:26379.
	Addr string `json:"addr"`
	// MasterName is the name by which sentinels know the primary.
	MasterName string `json:"master_name,omitempty"`

	// TLS encrypts the connection, with TLS 1.2 at least. The server's
	// certificate is checked against the system's roots, or TLSCA, and the host
	// name in Addr, or TLSServerName.
	TLS bool `json:"tls,omitempty"`
	// TLSCA is the path of a PEM file with the authorities to trust in place of
	// the system's.
	TLSCA string `json:"tls_ca,omitempty"`
	// TLSCert and TLSKey are the paths of the PEM files with the client's
	// certificate and its key, for a server that wants one (mTLS). It takes both.
	TLSCert string `json:"tls_cert,omitempty"`
	TLSKey  string `json:"tls_key,omitempty"`
	// TLSServerName is the name that the server's certificate has to be for;
	// empty means the host that is connected to.
	TLSServerName string `json:"tls_server_name,omitempty"`
	// TLSInsecureSkipVerify accepts every certificate: whoever gets between
	// worker and server then reads and changes everything, the password too.
	TLSInsecureSkipVerify bool `json:"tls_insecure_skip_verify,omitempty"`

	// Username is the ACL user; empty means "default".
	Username string `json:"username,omitempty"`
	// PasswordEnv names the environment variable that holds the password on
	// every worker. It is read again at every connect.
	PasswordEnv string `json:"password_env,omitempty"`
	// PasswordFile is the path of a file that holds the password on every
	// worker. It is read again at every connect: to change it, write another file
	// beside it and rename that, so that nobody reads a part of it.
	PasswordFile string `json:"password_file,omitempty"`
	// Credentials names a source of credentials that the workers' program has
	// registered: see [RegisterCredentials].
	Credentials string `json:"credentials,omitempty"`
	// Password is the password itself, which then travels in the job graph
	// where everyone who may look at the job can read it. It is refused without
	// PasswordMayTravel; prefer PasswordEnv or PasswordFile. It is masked where a
	// Config is printed, but package fmt asks nobody how to print the unexported
	// field of another type.
	Password string `json:"password,omitempty"`
	// PasswordMayTravel says that Password is meant to be part of the job.
	// [AllowPasswordToTravel] sets it.
	PasswordMayTravel bool `json:"password_may_travel,omitempty"`
	// SentinelUsername, SentinelPasswordEnv and SentinelPasswordFile are for the
	// sentinels themselves, where they want a password. It is read again when the
	// sentinels refuse it.
	SentinelUsername     string `json:"sentinel_username,omitempty"`
	SentinelPasswordEnv  string `json:"sentinel_password_env,omitempty"`
	SentinelPasswordFile string `json:"sentinel_password_file,omitempty"`

	// DB is the database number. A cluster has 0 only.
	DB int `json:"db,omitempty"`
	// ClientName is what CLIENT LIST shows for the connections; empty means
	// "beamredis".
	ClientName string `json:"client_name,omitempty"`
	// Protocol is the version of RESP, 2 or 3; 0 means 3.
	Protocol int `json:"protocol,omitempty"`
	// ReadFromReplicas lets bounded reads (ReadRange) read from replicas. What
	// a replica does not have yet is read from the primary. Reads through a
	// group never do.
	ReadFromReplicas bool `json:"read_from_replicas,omitempty"`
	// PoolSize bounds the connections of one process, on a cluster those to one
	// node; 0 means 16.
	PoolSize int `json:"pool_size,omitempty"`
	// DialTimeout bounds connecting, the TLS handshake included; 0 means 5 s.
	DialTimeout time.Duration `json:"dial_timeout,omitempty"`
	// ReadTimeout bounds waiting for a reply, beyond the time that a blocking
	// command itself asks to wait; 0 means 5 s.
	ReadTimeout time.Duration `json:"read_timeout,omitempty"`
	// WriteTimeout bounds sending; 0 means 5 s.
	WriteTimeout time.Duration `json:"write_timeout,omitempty"`
	// RetryTimeout bounds how long a command that failed for a reason that
	// passes is tried again before the bundle fails; 0 means 30 s. Sinks have
	// an option of their own for that.
	RetryTimeout time.Duration `json:"retry_timeout,omitempty"`
	// RetryMin and RetryMax bound the wait before one more try, which grows from
	// the first to the second; 0 means 20 ms and 2 s. Sinks use them as well.
	RetryMin time.Duration `json:"retry_min,omitempty"`
	RetryMax time.Duration `json:"retry_max,omitempty"`
}

// WithDefaults returns c with every zero field that has a default filled in,
// except those of retries.
func (c Config) WithDefaults() Config {
	port := DefaultPort
	if c.Mode == Sentinel {
		port = DefaultSentinelPort
	}
	c.Addr = cmp.Or(c.Addr, net.JoinHostPort(DefaultHost, strconv.Itoa(port)))
	c.Username = cmp.Or(c.Username, DefaultUsername)
	c.ClientName = cmp.Or(c.ClientName, DefaultClientName)
	c.Protocol = cmp.Or(c.Protocol, DefaultProtocol)
	c.PoolSize = cmp.Or(c.PoolSize, DefaultPoolSize)
	c.DialTimeout = cmp.Or(c.DialTimeout, DefaultTimeout)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, DefaultTimeout)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, DefaultTimeout)
	return c
}

// Addrs returns the addresses in Addr.
func (c Config) Addrs() []string { return strings.Split(c.WithDefaults().Addr, ",") }

// Fingerprint identifies the deployment and the way it is used: equal
// configurations, defaults filled in, have equal fingerprints, in every
// process. A literal Password does not enter it, so it may be logged.
func (c Config) Fingerprint() string {
	c = c.WithDefaults()
	c.Password, c.PasswordMayTravel = "", false
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
	params := c.params()
	c = c.WithDefaults()
	var b strings.Builder
	b.WriteString(c.scheme() + "://" + url.PathEscape(c.Username))
	if c.Password != "" {
		b.WriteString(":***")
	}
	b.WriteString("@" + c.Addr)
	if c.Mode == Sentinel {
		b.WriteString("/" + url.PathEscape(c.MasterName))
	}
	if c.Mode != Cluster {
		fmt.Fprintf(&b, "/%d", c.DB)
	}
	if params != "" {
		b.WriteString("?" + params)
	}
	return b.String()
}

func (c Config) scheme() string {
	scheme := "redis"
	if c.TLS {
		scheme += "s"
	}
	if c.Mode != Single {
		scheme += "-" + string(c.Mode)
	}
	return scheme
}

// GoString keeps a literal password out of %#v.
func (c Config) GoString() string { return "conn.Config(" + c.String() + ")" }

// LogValue keeps a literal password out of package slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
