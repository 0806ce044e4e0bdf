// Package demo is what the demos of the pipelines have in common: a Redis of
// their own, orders to fill a topic with, and a count of what is where.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"

	"example.com/beamredis/internal/redisserver"
)

const serverStartTimeout = 20 * time.Second

// Server is the Redis of a demo.
type Server struct {
	// Addr is its address, host:port.
	Addr string
	// Is says for people what it is and where.
	Is string

	stop func() error
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error { return s.stop() }

// StartServer runs the redis-server of the PATH in a temporary folder, or, if
// there is none, a small Redis within this process. ctx bounds the start; call
// [Server.Stop] at the end.
func StartServer(ctx context.Context) (*Server, error) {
	server, err := startInstalled(ctx)
	if errors.Is(err, redisserver.ErrNotInstalled) {
		return startEmbedded()
	}
	return server, err
}

// startInstalled runs the redis-server of the PATH with args.
func startInstalled(ctx context.Context, args ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "beamredis-demo-")
	if err != nil {
		return nil, fmt.Errorf("a folder for redis-server: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, serverStartTimeout)
	defer cancel()
	server, err := redisserver.Start(ctx, redisserver.Options{Dir: dir, Args: args})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Server{
		Addr: server.Addr(),
		Is:   installedVersion(ctx) + " from the PATH, on " + server.Addr(),
		stop: func() error { return errors.Join(server.Stop(), os.RemoveAll(dir)) },
	}, nil
}

func startEmbedded() (*Server, error) {
	server, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	return &Server{
		Addr: server.Addr(),
		Is:   "embedded miniredis, as there is no redis-server on the PATH, on " + server.Addr(),
		stop: func() error { server.Close(); return nil },
	}, nil
}

// installedVersion is such as "redis-server 7.0.15".
func installedVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err == nil {
		for _, word := range strings.Fields(string(out)) {
			if v, ok := strings.CutPrefix(word, "v="); ok {
				return "redis-server " + v
			}
		}
	}
	return "redis-server"
}
