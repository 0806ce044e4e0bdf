package rdb

import (
	"context"
	"strings"
)

// EvictionPolicy returns the server's maxmemory-policy if it has a memory limit
// and evicts keys when that is reached, and else "".
func (c *Client) EvictionPolicy(ctx context.Context) (string, error) {
	info, err := c.raw().Info(ctx, "memory").Result()
	if err != nil {
		return "", c.explain(err)
	}
	return evicting(info), nil
}

func evicting(info string) string {
	limited, policy := false, ""
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "maxmemory":
			limited = value != "0"
		case "maxmemory_policy":
			policy = value
		}
	}
	if !limited || policy == "noeviction" {
		return ""
	}
	return policy
}
