package rdb

import (
	"context"
	"fmt"
	"strings"
)

// Version is what a server says of itself. The zero value stands for a server
// that does not tell.
type Version struct {
	// Product is "Redis" or "Valkey".
	Product string
	// Release is the product's own version, such as "7.0.15".
	Release string
	// Major, Minor and Patch are the version of Redis that the server is
	// compatible with. For Redis that is its release.
	Major, Minor, Patch int
	// Mode is "standalone", "cluster" or "sentinel".
	Mode string
}

// Known reports whether the server told its version.
func (v Version) Known() bool { return v != Version{} }

// AtLeast reports whether the server is compatible with Redis major.minor. It
// is false for an unknown version.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// String is the product and its release, such as "Valkey 8.1.0".
func (v Version) String() string {
	if !v.Known() {
		return "unknown version"
	}
	return v.Product + " " + v.Release
}

// ServerVersion asks the server for its version. A user who may not call INFO
// gets the unknown version and no error: that costs early messages, nothing
// else.
func (c *Client) ServerVersion(ctx context.Context) (Version, error) {
	info, err := c.raw().Info(ctx, "server").Result()
	if IsNoPermission(err) {
		return Version{}, nil
	}
	if err != nil {
		return Version{}, c.explain(err)
	}
	return parseVersion(info), nil
}

// parseVersion reads the reply of INFO. Valkey names the Redis version that it
// is compatible with, and its own beside it.
func parseVersion(info string) Version {
	v := Version{Product: "Redis"}
	found := false
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			// A release candidate, "8.0-rc1", leaves what Sscanf cannot read zero.
			n, _ := fmt.Sscanf(value, "%d.%d.%d", &v.Major, &v.Minor, &v.Patch)
			found = n > 0
			if v.Release == "" {
				v.Release = value
			}
		case "redis_mode":
			v.Mode = value
		case "valkey_version":
			v.Product, v.Release = "Valkey", value
		}
	}
	if !found {
		return Version{}
	}
	return v
}
