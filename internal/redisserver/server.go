// Package redisserver runs a real redis-server process on a free loopback
// port, for tests and for the demo. It knows nothing of package testing.
package redisserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	binary       = "redis-server"
	logFile      = "redis.log"
	sentinelFile = "sentinel.conf"
	pollInterval = 5 * time.Millisecond
	stopTimeout  = 5 * time.Second
	// portTries bounds how often another free port is tried when somebody
	// takes the chosen one before the server binds it.
	portTries = 10
)

// ErrNotInstalled is wrapped by [Start] if there is no redis-server on the
// PATH.
var ErrNotInstalled = errors.New("no redis-server on the PATH")

// errPortTaken asks for another try.
var errPortTaken = errors.New("port is taken")

// Options says how the server runs. The zero value needs a Dir only.
type Options struct {
	// Dir is the server's working folder; it must exist. It receives the log
	// and, if Durable, the data.
	Dir string
	// Durable keeps what was acknowledged across a kill and restart of the
	// process. Otherwise nothing is kept.
	Durable bool
	// Password is required of the default user; empty means none.
	Password string
	// TLS makes the server's port one for TLS; nil: a plain one.
	TLS *TLS
	// Sentinel runs a sentinel with this configuration, of which it keeps its
	// own version in Dir; empty: a server.
	Sentinel string
	// Args are given to redis-server as they are, such as "--maxmemory", "8mb".
	// They must not redirect the log.
	Args []string
}

// TLS names the PEM files of a server that speaks TLS, to clients, to its
// replicas and to the other nodes of its cluster.
type TLS struct {
	CA, Cert, Key string
	// ClientCerts makes it want a certificate of every client.
	ClientCerts bool
}

func (t *TLS) args(port string) []string {
	auth := "no"
	if t.ClientCerts {
		auth = "yes"
	}
	return []string{
		"--port", "0", "--tls-port", port, "--tls-ca-cert-file", t.CA, "--tls-cert-file", t.Cert, "--tls-key-file", t.Key,
		"--tls-auth-clients", auth, "--tls-replication", "yes", "--tls-cluster", "yes",
	}
}

// Server is a redis-server process. Its methods may be called from any
// goroutine; after Kill or Stop only Restart brings it back.
type Server struct {
	opts Options
	port int

	mu      sync.Mutex
	process *process
}

// Start runs a server and returns when it answers. ctx bounds the start, not
// the server's life: call [Server.Stop]. The error wraps [ErrNotInstalled] if
// there is no server to run, else it carries the end of the server's log.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if _, err := exec.LookPath(binary); err != nil {
		return nil, fmt.Errorf("redisserver: %w: %w", ErrNotInstalled, err)
	}
	var lastErr error
	for range portTries {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		s := &Server{opts: opts, port: port}
		if err := s.writeSentinelFile(); err != nil {
			return nil, err
		}
		if lastErr = s.launch(ctx); lastErr == nil {
			return s, nil
		}
		if !errors.Is(lastErr, errPortTaken) {
			return nil, lastErr
		}
	}
	return nil, lastErr
}

// writeSentinelFile is done once: a sentinel keeps what it learns in its file.
func (s *Server) writeSentinelFile() error {
	if s.opts.Sentinel == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(s.opts.Dir, sentinelFile), []byte(s.opts.Sentinel), 0o600); err != nil {
		return fmt.Errorf("redisserver: configuration of the sentinel: %w", err)
	}
	return nil
}

// FreePort returns a loopback port that nobody listens on at this moment.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("redisserver: no free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Addr is host:port of the server.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Pid is the process ID of the server that was started last.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.cmd.Process.Pid
}

// Kill ends the server at once (SIGKILL), as a crash would, and returns when
// it is gone. Killing a dead server is no error.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.kill()
}

// Stop ends the server in order, by force after 5 s. It is safe to call twice.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.stop(stopTimeout)
}

// Restart kills the server if it runs, and starts it again on the same port
// and in the same folder; ctx bounds the start. Data survives if the server
// is durable.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Kill(); err != nil {
		return err
	}
	for {
		err := s.launch(ctx)
		if !errors.Is(err, errPortTaken) {
			return err
		}
		if waitErr := pause(ctx); waitErr != nil {
			return errors.Join(err, waitErr)
		}
	}
}

// Pause stops the server from answering while its connections stay open
// (SIGSTOP); [Server.Resume] lets it go on.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.pause()
}

// Resume lets a paused server go on.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.resume()
}

// launch runs the process once and waits until it serves.
func (s *Server) launch(ctx context.Context) error {
	logPath := filepath.Join(s.opts.Dir, logFile)
	if err := os.WriteFile(logPath, nil, 0o600); err != nil {
		return fmt.Errorf("redisserver: start: %w", err)
	}
	p, err := startProcess(binary, s.args())
	if err != nil {
		return fmt.Errorf("redisserver: start: %w", err)
	}
	if err := awaitReady(ctx, p, logPath); err != nil {
		return errors.Join(fmt.Errorf("redisserver: start on %s: %w", s.Addr(), err), p.kill())
	}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	return nil
}

func (s *Server) args() []string {
	args := []string{"--bind", "127.0.0.1"}
	if s.opts.Sentinel == "" {
		args = append(args, "--save", "")
	} else {
		args = append([]string{filepath.Join(s.opts.Dir, sentinelFile), "--sentinel"}, args...)
	}
	if s.opts.Durable {
		// "no" still writes before it replies, which is what a killed process
		// needs; "everysec" puts the write off while an fsync is running.
		args = append(args, "--appendonly", "yes", "--appendfsync", "no")
	}
	if s.opts.Password != "" {
		args = append(args, "--requirepass", s.opts.Password)
	}
	args = append(args, s.opts.Args...)
	port := strconv.Itoa(s.port)
	if s.opts.TLS != nil {
		args = append(args, s.opts.TLS.args(port)...)
	} else {
		args = append(args, "--port", port)
	}
	return append(args, "--dir", s.opts.Dir, "--logfile", logFile, "--daemonize", "no")
}

// awaitReady polls the server's own log. An answer on the port would not do:
// it may come from another server that took the port first.
func awaitReady(ctx context.Context, p *process, logPath string) error {
	for {
		exited := p.hasExited()
		log, err := os.ReadFile(logPath)
		switch {
		case err != nil:
			return err
		case isReady(log) && !exited:
			return nil
		case bytes.Contains(log, []byte("Address already in use")):
			return errPortTaken
		case exited:
			return fmt.Errorf("redis-server ended: %s%s", tail(log), p.output())
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("not ready: %w: %s", err, tail(log))
		}
	}
}

func isReady(log []byte) bool {
	return bytes.Contains(log, []byte("Ready to accept connections")) || bytes.Contains(log, []byte("# +monitor master"))
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pollInterval):
		return nil
	}
}

// tail is the end of a log, enough for an error message.
func tail(log []byte) []byte { return log[max(0, len(log)-500):] }
