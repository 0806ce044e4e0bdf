package rdb

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
)

// PortError says that a port speaks TLS where the configuration does not, or the
// other way round. The end of the connection, or the silence, by which that is
// met looks like something that passes; a port that has said what it speaks
// stays as it is. It has no Unwrap on purpose.
type PortError struct{ text string }

func (e *PortError) Error() string { return e.text }

const (
	whyTLSPort   = "the port expects TLS; use rediss://, rediss-cluster:// or rediss-sentinel://"
	whyPlainPort = "the port does not speak TLS; use redis:// or the server's TLS port"
)

// dialPlain returns how connections without TLS are made.
func dialPlain(cfg conn.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := redis.NewDialer(&redis.Options{DialTimeout: cfg.DialTimeout})
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok && err == nil {
			return &plainConn{TCPConn: tcp}, nil
		}
		return c, err
	}
}

// plainConn is a connection that looks at its port if the server ends it without
// a word.
type plainConn struct {
	*net.TCPConn
	heard bool // the server has sent something
}

func (c *plainConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	switch {
	case c.heard:
	case n > 0:
		c.heard = true
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		if remote := c.RemoteAddr(); spokenAt(remote.Network(), remote.String()) == spokenTLS {
			return n, &PortError{whyTLSPort}
		}
	}
	return n, err
}

// silence looks at the port of a TLS handshake that is not answered: one without
// TLS takes its beginning for that of a long command, and waits for the end.
type silence struct {
	timer *time.Timer
	plain atomic.Bool
}

// longSilence is more than a server takes for a handshake that is not out of
// the ordinary.
const longSilence = 500 * time.Millisecond

// watchSilence closes c if its port turns out to be one without TLS.
func watchSilence(c net.Conn, timeout time.Duration) *silence {
	s := &silence{}
	remote := c.RemoteAddr()
	s.timer = time.AfterFunc(min(longSilence, timeout/4), func() {
		if spokenAt(remote.Network(), remote.String()) == spokenRedis {
			s.plain.Store(true)
			_ = c.Close()
		}
	})
	return s
}

func (s *silence) stop() { s.timer.Stop() }

// end is the error of a handshake that failed with err.
func (s *silence) end(err error) error {
	if s.stop(); s.plain.Load() {
		return &PortError{whyPlainPort}
	}
	return err
}

// The first byte of what a port answers to probe.
const (
	spokenUnknown byte = 0
	spokenTLS     byte = 0x15 // an alert
	spokenRedis   byte = '-'  // an error
)

// probe is a record of TLS that holds no message of a handshake, 2560 bytes long:
// TLS answers with an alert. That length begins with a line end, so that Redis
// takes what precedes it for a command.
var probe = append([]byte{0x16, 3, 1, '\n', 0}, make([]byte, 2560)...)

// probeTimeout bounds connecting, and waiting for the answer.
const probeTimeout = 2 * time.Second

// spokenAt asks a port what it speaks. What does not answer, or answers something
// else, is unknown.
func spokenAt(network, addr string) byte {
	c, err := net.DialTimeout(network, addr, probeTimeout)
	if err != nil {
		return spokenUnknown
	}
	defer c.Close()
	answer := []byte{spokenUnknown}
	if c.SetDeadline(time.Now().Add(probeTimeout)) != nil {
		return spokenUnknown
	}
	if _, err := c.Write(probe); err != nil {
		return spokenUnknown
	}
	if _, err := c.Read(answer); err != nil {
		return spokenUnknown
	}
	return answer[0]
}
