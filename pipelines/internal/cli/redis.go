package cli

import (
	"flag"
	"fmt"

	"example.com/beamredis/redisio"
)

// Redis are the flags that say how to reach Redis.
type Redis struct {
	URL string

	passwordEnv, passwordFile string

	tlsCA, tlsCert, tlsKey, tlsServerName string
}

// Register adds the flags to fs. what tells which Redis it is, and more about
// the flag; url is its default.
func (r *Redis) Register(fs *flag.FlagSet, url, what string) {
	fs.StringVar(&r.URL, "redis", url, "`URL` of the Redis "+what+": redis://[user@]host[:port][/db], redis-cluster://[user@]host[:port][,host…], or "+
		"redis-sentinel://[user@]host[:port][,host…]/primary[/db]; with rediss in place of redis for TLS; ?password_env=NAME and other settings may follow")
	fs.StringVar(&r.passwordEnv, "password_env", "", "`name` of the environment variable that holds the password, on every worker")
	fs.StringVar(&r.passwordFile, "password_file", "", "`path` of the file that holds the password, on every worker; it may change while the job runs")
	fs.StringVar(&r.tlsCA, "tls_ca", "", "`path` of a PEM file with the authorities to trust in place of the system's, on every worker")
	fs.StringVar(&r.tlsCert, "tls_cert", "", "`path` of a PEM file with the client's certificate, on every worker")
	fs.StringVar(&r.tlsKey, "tls_key", "", "`path` of a PEM file with the key of --tls_cert, on every worker")
	fs.StringVar(&r.tlsServerName, "tls_server_name", "", "`name` that the server's certificate has to be for; the default is the host in the URL")
}

// Conn makes sense of the flags. Its error names the one that is wrong.
func (r *Redis) Conn() (redisio.Conn, error) {
	c, err := redisio.ParseURL(r.URL)
	if err != nil {
		return c, OfFlag("--redis", err)
	}
	for _, f := range []struct {
		name, value string
		field       *string
	}{
		{"password_env", r.passwordEnv, &c.PasswordEnv},
		{"password_file", r.passwordFile, &c.PasswordFile},
		{"tls_ca", r.tlsCA, &c.TLSCA},
		{"tls_cert", r.tlsCert, &c.TLSCert},
		{"tls_key", r.tlsKey, &c.TLSKey},
		{"tls_server_name", r.tlsServerName, &c.TLSServerName},
	} {
		if f.value == "" {
			continue
		}
		if *f.field != "" {
			return c, fmt.Errorf("--%s: the URL of --redis has %s already", f.name, f.name)
		}
		*f.field = f.value
	}
	return c, OfFlag("--redis", c.Validate())
}
