package rdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"time"

	"example.com/beamredis/redisio/conn"
)

// dialTLS returns how TLS connections are made. The files are read at every
// connect, so that a rotated certificate is used by the next one.
func dialTLS(cfg conn.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: cfg.DialTimeout}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		config, pair, err := tlsConfig(cfg, addr)
		if err != nil {
			return nil, err
		}
		c := &certifiedConn{}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.asked = true
			return pair, nil
		}
		raw, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(raw, config)
		watch := watchSilence(raw, cfg.DialTimeout)
		if err := shakeHands(ctx, secure, cfg.DialTimeout); err != nil {
			_ = raw.Close()
			return nil, c.ofCertificate(watch.end(err))
		}
		watch.stop()
		if c.Conn = secure; c.asked {
			return c, nil
		}
		return secure, nil
	}
}

// shakeHands bounds the handshake. The error of a server that is slow says so,
// as that of a dial does, although the context that go-redis makes for each dial
// mostly ends first: its error would say that the caller has given up.
func shakeHands(ctx context.Context, c *tls.Conn, timeout time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	err := c.HandshakeContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return &net.OpError{Op: "handshake", Net: "tcp", Addr: c.RemoteAddr(), Err: os.ErrDeadlineExceeded}
	}
	if err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// certifiedConn is a connection to a server that asked for a certificate. With
// TLS 1.3 the server looks at it after the handshake, so that a refusal is met
// by the first read or write, and not always with its reason.
type certifiedConn struct {
	*tls.Conn
	asked    bool
	accepted atomic.Bool // the server has sent something
}

func (c *certifiedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.accepted.Load() {
		c.accepted.Store(true)
	}
	return n, c.ofCertificate(err)
}

func (c *certifiedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.ofCertificate(err)
}

// ofCertificate says of a connection that ends before its first reply that the
// certificate may be why.
func (c *certifiedConn) ofCertificate(err error) error {
	var netErr net.Error
	if err == nil || !c.asked || c.accepted.Load() || errors.As(err, &netErr) && netErr.Timeout() {
		return err
	}
	return &certificateError{err}
}

// certificateError has the class of its cause: an alert stays, a connection that
// broke off is tried again.
type certificateError struct{ err error }

func (e *certificateError) Error() string { return e.err.Error() }
func (e *certificateError) Unwrap() error { return e.err }

// tlsConfig returns the client's certificate beside the rest; without one, it
// is an empty one.
func tlsConfig(cfg conn.Config, addr string) (*tls.Config, *tls.Certificate, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         cfg.TLSServerName,
		InsecureSkipVerify: cfg.TLSInsecureSkipVerify,
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, nil, fmt.Errorf("redis at %s: %w", addr, err)
		}
		config.ServerName = host
	}
	if cfg.TLSCA != "" {
		pem, err := os.ReadFile(cfg.TLSCA)
		if err != nil {
			return nil, nil, &FileError{"file of authorities", "tls_ca", cfg.TLSCA, err}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, nil, &FileError{"file of authorities", "tls_ca", cfg.TLSCA, errors.New("it holds no certificate in PEM form")}
		}
	}
	pair := tls.Certificate{}
	if cfg.TLSCert != "" {
		var err error
		pair, err = tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return nil, nil, &FileError{"client certificate", "tls_cert, tls_key", cfg.TLSCert + " with " + cfg.TLSKey, err}
		}
	}
	return config, &pair, nil
}

// FileError says that a file with certificates cannot be used on this worker.
// It has no Unwrap: the kind of an error of the operating system would be taken
// for one of the connection, and tried again.
type FileError struct {
	What, Param, Path string
	Err               error
}

func (e *FileError) Error() string {
	cause := e.Err
	var atPath *fs.PathError
	if errors.As(cause, &atPath) {
		cause = atPath.Err // without the path, which is named already
	}
	return fmt.Sprintf("%s %s (%s) cannot be used on this worker: %v", e.What, e.Path, e.Param, cause)
}
