package rdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// UnusableError says in one line that a server cannot be used, why, and what
// is likely to mend it. It unwraps to the error that was met, and holds no
// secret.
type UnusableError struct {
	Addr string // host:port
	Why  string // what happened, and the mend
	Err  error
}

// Error names the address, the reason and the mend.
func (e *UnusableError) Error() string { return "redis at " + e.Addr + ": " + e.Why }

// Unwrap returns the error that was met.
func (e *UnusableError) Unwrap() error { return e.Err }

// Explain turns a failure to connect, to log in or to use the server at addr
// into an [UnusableError], for whoever has to mend a configuration. An error
// that it knows nothing to say about keeps its text.
func Explain(err error, addr string) error {
	var known *UnusableError
	if err == nil || errors.As(err, &known) {
		return err
	}
	if repeatsArguments(err) {
		err = cutArguments(err)
	}
	why := explainDeployment(err)
	if why == "" {
		why = explainReply(err)
	}
	if why == "" {
		why = explainConnection(err)
	}
	if why == "" {
		why = err.Error()
	}
	return &UnusableError{Addr: addr, Why: why, Err: err}
}

// Explained is err with what the connection's configuration has to do with it,
// if that is known, and else err as it is. Its class stays.
func (c *Client) Explained(err error) error {
	var mend *UnusableError
	if explained := c.explain(err); errors.As(explained, &mend) && mend.Why != err.Error() {
		return explained
	}
	return err
}

// replyMends says what helps against an error reply; a trailing colon asks for
// the server's own text.
var replyMends = []struct{ prefix, mend string }{
	{"WRONGPASS", "wrong user or password; check the user in the URL and what password_env or password_file refers to"},
	{"NOAUTH", "the server wants a password; name it by password_env or password_file"},
	{"NOPERM", "the user lacks a permission, grant it with ACL SETUSER:"},
	{"ERR unknown command", "the server does not know a command; it may be a sentinel (use redis-sentinel://), or older than Redis 6.2:"},
	{"LOADING", "the server is still loading its data; try again when it is done"},
	{"ERR max number of clients", "the server has no connection left for us; raise its maxclients or lower the pool size"},
	{"ERR DB index is out of range", "there is no such database; check the number at the end of the URL"},
	{"ERR SELECT is not allowed in cluster mode", "a cluster has database 0 only; leave the number out of the URL"},
	{"DENIED", "the server is in protected mode and takes local connections only; set a password on it"},
}

// explainDeployment finds URLs of the wrong kind.
func explainDeployment(err error) string {
	text := err.Error()
	switch {
	case errors.As(err, new(*ClusterError)):
		return whyCluster
	case strings.Contains(text, "cluster support disabled"):
		return "the server is no cluster; use redis:// or rediss://"
	case strings.Contains(text, noSentinel):
		return explainSentinels(err)
	case strings.Contains(text, "unknown command 'sentinel'"):
		return whyNoSentinel
	}
	return ""
}

const whyNoSentinel = "what answers there is no sentinel; use redis:// or rediss://"

// explainSentinels looks at what the client says of each sentinel it asked.
func explainSentinels(err error) string {
	text := err.Error()
	var file *FileError
	switch {
	case errors.As(err, &file):
		return file.Error()
	case errors.Is(err, redis.Nil), strings.Contains(text, redis.Nil.Error()):
		return "the sentinels know no primary of that name; check the name after the slash in the URL"
	case strings.Contains(text, "NOAUTH"):
		return "the sentinels want a password; name it by sentinel_password_env or sentinel_password_file"
	case strings.Contains(text, "WRONGPASS"):
		return "wrong user or password of the sentinels; check what sentinel_password_env or sentinel_password_file refers to"
	case strings.Contains(text, "unknown command"):
		return whyNoSentinel
	}
	if why := explainConnection(err); why != "" {
		return "no sentinel can be asked: " + why
	}
	return "no sentinel can be asked: " + text
}

func explainReply(err error) string {
	text, ok := reply(err)
	if !ok || errors.Is(err, ErrNoJSON) { // which says itself what to do
		return ""
	}
	text = strings.TrimPrefix(text, abortReason)
	for _, r := range replyMends {
		if !strings.HasPrefix(text, r.prefix) {
			continue
		}
		if strings.HasSuffix(r.mend, ":") {
			return r.mend + " " + text
		}
		return r.mend
	}
	return ""
}

const whyTimeout = "no answer in time; check host, port and firewall, and that the server does not hang"

func explainConnection(err error) string {
	if why := explainTLS(err); why != "" {
		return why
	}
	var dns *net.DNSError
	var netErr net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no host %q; check the host in the URL", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("looking up host %q failed (%s)", dns.Name, dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused; check that the server runs and that host and port are right"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the server closed the connection; a port that expects TLS does so (use rediss://), and so does a server out of connections"
	case errors.Is(err, context.Canceled):
		return "cancelled before the server answered"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return whyTimeout
	case strings.Contains(err.Error(), "can't parse"), strings.Contains(err.Error(), "invalid reply"):
		return "what answers there is not Redis; check host and port"
	}
	return ""
}

// handshakeEnd is the server's reason, if there is one.
func handshakeEnd(err error) string {
	var op *net.OpError
	var alert tls.AlertError
	switch {
	case errors.As(err, &op) && op.Op == "remote error":
		return op.Err.Error()
	case errors.As(err, &alert):
		return alert.Error()
	}
	return "without a reason"
}

func explainTLS(err error) string {
	var (
		record    tls.RecordHeaderError
		host      x509.HostnameError
		authority x509.UnknownAuthorityError
		cert      *tls.CertificateVerificationError
		port      *PortError
	)
	switch {
	case errors.As(err, &port):
		return port.Error()
	case errors.As(err, &record):
		return whyPlainPort
	case errors.As(err, &host):
		return "the server's certificate is for another host name; use a name that it lists, in the URL or as tls_server_name (" + host.Error() + ")"
	case errors.As(err, &authority):
		return "the server's certificate comes from an authority that this machine does not trust; name its file by tls_ca, or add it to the system's roots"
	case errors.As(err, &cert):
		return "the server's certificate is not valid (" + cert.Err.Error() + ")"
	case isAlert(err), errors.As(err, new(*certificateError)):
		return "the server ended the TLS handshake (" + handshakeEnd(err) + "); it may want a client certificate (tls_cert, tls_key), or another one"
	}
	return ""
}
