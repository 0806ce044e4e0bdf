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
	"time"

	"example.com/beamredis/redisio/conn"
)

// dialTLS returns how TLS connections are made. The files are read at every
// connect, so that a rotated certificate is used by the next one.
func dialTLS(cfg conn.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: cfg.DialTimeout}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		config, err := tlsConfig(cfg, addr)
		if err != nil {
			return nil, err
		}
		raw, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(raw, config)
		if err := shakeHands(ctx, secure, cfg.DialTimeout); err != nil {
			_ = raw.Close()
			return nil, err
		}
		return secure, nil
	}
}

// shakeHands bounds the handshake by a deadline of the connection, whose error
// says that the server is slow, where that of a context would say that the
// caller has given up.
func shakeHands(ctx context.Context, c *tls.Conn, timeout time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

func tlsConfig(cfg conn.Config, addr string) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         cfg.TLSServerName,
		InsecureSkipVerify: cfg.TLSInsecureSkipVerify,
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("redis at %s: %w", addr, err)
		}
		config.ServerName = host
	}
	if cfg.TLSCA != "" {
		pem, err := os.ReadFile(cfg.TLSCA)
		if err != nil {
			return nil, &FileError{"file of authorities", "tls_ca", cfg.TLSCA, err}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &FileError{"file of authorities", "tls_ca", cfg.TLSCA, errors.New("it holds no certificate in PEM form")}
		}
	}
	if cfg.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return nil, &FileError{"client certificate", "tls_cert, tls_key", cfg.TLSCert + " with " + cfg.TLSKey, err}
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
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
