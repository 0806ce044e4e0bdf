package main

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

// demoServer is the Redis of the demo.
type demoServer struct {
	addr string
	is   string // for people
	stop func() error
}

// startServer runs the redis-server of the PATH in a temporary folder, or, if
// there is none, a small Redis within this process.
func startServer(ctx context.Context) (*demoServer, error) {
	dir, err := os.MkdirTemp("", "redis-to-redis-")
	if err != nil {
		return nil, fmt.Errorf("a folder for redis-server: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, serverStartTimeout)
	defer cancel()
	server, err := redisserver.Start(ctx, redisserver.Options{Dir: dir})
	if err != nil {
		err = errors.Join(err, os.RemoveAll(dir))
		if errors.Is(err, redisserver.ErrNotInstalled) {
			return startEmbedded()
		}
		return nil, err
	}
	return &demoServer{
		addr: server.Addr(),
		is:   installedVersion(ctx) + " from the PATH, on " + server.Addr(),
		stop: func() error { return errors.Join(server.Stop(), os.RemoveAll(dir)) },
	}, nil
}

func startEmbedded() (*demoServer, error) {
	server, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	return &demoServer{
		addr: server.Addr(),
		is:   "embedded miniredis, as there is no redis-server on the PATH, on " + server.Addr(),
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
