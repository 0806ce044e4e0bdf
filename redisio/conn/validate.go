package conn

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Validate reports everything that is wrong with c, joined, each error naming
// the field; nil if c can be used. It does not connect, and does not read
// secrets or certificates: variables and files need only exist on the workers.
func (c Config) Validate() error {
	c = c.WithDefaults()
	return errors.Join(
		c.validateAddrs(),
		inConn(c.validateMode()),
		inConn(c.onePassword()),
		inConn(c.passwordMayTravel()),
		inConn(c.userHasPassword()),
		inConn(c.validateSentinel()),
		inConn(c.validateTLS()),
		inConn(validateName("ClientName", c.ClientName)),
		oneOf("Protocol", c.Protocol, 2, 3),
		atLeast("DB", c.DB, 0),
		atLeast("PoolSize", c.PoolSize, 1),
		atLeast("DialTimeout", c.DialTimeout, 0),
		atLeast("ReadTimeout", c.ReadTimeout, 0),
		atLeast("WriteTimeout", c.WriteTimeout, 0),
		atLeast("RetryTimeout", c.RetryTimeout, 0),
		atLeast("RetryMin", c.RetryMin, 0),
		atLeast("RetryMax", c.RetryMax, c.RetryMin),
	)
}

func inConn(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("conn: %w", err)
}

func (c Config) validateAddrs() error {
	addrs := c.Addrs()
	if c.Mode == Single && len(addrs) > 1 {
		return fmt.Errorf("conn: Addr %q lists several servers: that is for a cluster (redis-cluster://) or for sentinels (redis-sentinel://)", c.Addr)
	}
	errs := make([]error, len(addrs))
	for i, addr := range addrs {
		errs[i] = validateAddr(addr)
	}
	return errors.Join(errs...)
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

func (c Config) validateMode() error {
	switch {
	case c.Mode != Single && c.Mode != Cluster && c.Mode != Sentinel:
		return fmt.Errorf("Mode %q is unknown, want %q, %q or none", c.Mode, Cluster, Sentinel)
	case c.Mode == Cluster && c.DB > 0:
		return fmt.Errorf("DB is %d, but a cluster has database 0 only", c.DB)
	case c.Mode == Sentinel && c.MasterName == "":
		return errors.New("MasterName is empty: name the primary as its sentinels know it, redis-sentinel://host:port/NAME")
	case c.Mode == Single && c.ReadFromReplicas:
		return errors.New("ReadFromReplicas (read_from_replicas) is for clusters and sentinels, which know the replicas")
	case c.Mode != Sentinel && c.MasterName != "":
		return fmt.Errorf("MasterName %q is given, but that is for sentinels (redis-sentinel://) only", c.MasterName)
	}
	return nil
}

// onePassword refuses two answers to "where is the password".
func (c Config) onePassword() error {
	switch {
	case countSet(c.PasswordEnv, c.PasswordFile, c.Credentials, c.Password) > 1:
		return errors.New("give the password once: by environment variable (password_env), by file (password_file), by registered credentials (credentials) or literally")
	case countSet(c.SentinelPasswordEnv, c.SentinelPasswordFile) > 1:
		return errors.New("give the sentinels' password once: by environment variable (sentinel_password_env) or by file (sentinel_password_file)")
	}
	return nil
}

// passwordMayTravel refuses a literal password that nobody has allowed to become
// part of the job.
func (c Config) passwordMayTravel() error {
	if c.Password == "" || c.PasswordMayTravel {
		return nil
	}
	return errors.New("the field Password holds one, which would travel with the job: name where the workers find it in its place, by PasswordEnv (password_env) or PasswordFile (password_file), or allow it with PasswordMayTravel")
}

func countSet(values ...string) (n int) {
	for _, v := range values {
		if v != "" {
			n++
		}
	}
	return n
}

// userHasPassword refuses a user without a password: the client would send no
// AUTH at all and work as the default user, with other rights than the ones
// asked for. Registered credentials bring their own user.
func (c Config) userHasPassword() error {
	switch {
	case c.Username == DefaultUsername:
		return nil
	case c.Credentials != "":
		return fmt.Errorf("user %q is given beside credentials, which name a user of their own", c.Username)
	case c.PasswordEnv+c.PasswordFile+c.Password == "":
		return fmt.Errorf("user %q has no password: name it by PasswordEnv (password_env) or PasswordFile (password_file)", c.Username)
	}
	return nil
}

func (c Config) validateSentinel() error {
	password := c.SentinelPasswordEnv + c.SentinelPasswordFile
	switch {
	case c.Mode != Sentinel && c.SentinelUsername+password != "":
		return errors.New("there is a user or password of sentinels, but no sentinel (redis-sentinel://)")
	case c.SentinelUsername != "" && password == "":
		return fmt.Errorf("user %q of the sentinels has no password: name it by SentinelPasswordEnv (sentinel_password_env) or SentinelPasswordFile (sentinel_password_file)", c.SentinelUsername)
	}
	return nil
}

// validateTLS refuses what would have no effect, and be taken for safety.
func (c Config) validateTLS() error {
	switch {
	case !c.TLS && (c.TLSCA+c.TLSCert+c.TLSKey+c.TLSServerName != "" || c.TLSInsecureSkipVerify):
		return errors.New("there are settings of TLS (tls_…), but the URL does not ask for it: use rediss://, rediss-cluster:// or rediss-sentinel://")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("the client's certificate (tls_cert) and its key (tls_key) are given together or not at all")
	case c.TLSInsecureSkipVerify && c.TLSCA+c.TLSServerName != "":
		return errors.New("tls_insecure_skip_verify accepts every certificate: leave out tls_ca and tls_server_name, or better leave it out")
	}
	return nil
}

// validateName refuses what CLIENT SETNAME does.
func validateName(field, name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' }) {
		return fmt.Errorf("%s %q has spaces or special characters in it", field, name)
	}
	return nil
}

func oneOf(field string, got int, want ...int) error {
	for _, w := range want {
		if got == w {
			return nil
		}
	}
	return fmt.Errorf("conn: %s is %d, want one of %v", field, got, want)
}

func atLeast[T cmp.Ordered](field string, got, least T) error {
	if got < least {
		return fmt.Errorf("conn: %s is %v, want at least %v", field, got, least)
	}
	return nil
}
