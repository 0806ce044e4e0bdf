package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/internal/redisserver"
)

// StartJSONServer runs the redis-server of the PATH with JSON documents: as it
// is where it has them (Redis 8), else with the module RedisJSON. The error
// says what to install.
func StartJSONServer(ctx context.Context) (*Server, error) {
	server, err := startInstalled(ctx)
	if errors.Is(err, redisserver.ErrNotInstalled) {
		return nil, fmt.Errorf("%w: the demo needs one with JSON documents: install Redis 8, or Redis and the module RedisJSON", redisserver.ErrNotInstalled)
	}
	if err != nil || hasJSON(ctx, server.Addr) {
		return server, err
	}
	if err := server.Stop(); err != nil {
		return nil, err
	}
	module, err := redisserver.JSONModule()
	if err != nil {
		return nil, fmt.Errorf("the redis-server of the PATH has no JSON documents: install Redis 8, or the module RedisJSON and name it by %s=/path/to/rejson.so (%w)",
			redisserver.JSONModuleEnv, err)
	}
	server, err = startInstalled(ctx, "--loadmodule", module)
	if err == nil {
		server.Is += ", with " + module
	}
	return server, err
}

// hasJSON asks the server whether it knows JSON.SET.
func hasJSON(ctx context.Context, addr string) bool {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	commands, err := client.Do(ctx, "COMMAND", "INFO", "JSON.SET").Slice()
	return err == nil && len(commands) == 1 && commands[0] != nil
}
