package redisserver

import (
	"errors"
	"fmt"
	"os"
)

// JSONModuleEnv names the environment variable that holds the path of
// RedisJSON's module.
const JSONModuleEnv = "BEAMREDIS_REJSON"

// jsonModulePlaces are where packages of Redis put the module.
var jsonModulePlaces = []string{
	"/opt/redis-stack/lib/rejson.so",
	"/usr/lib/redis/modules/rejson.so",
	"/usr/local/lib/redis/modules/rejson.so",
}

// ErrNoJSONModule is wrapped by [JSONModule] if there is no module.
var ErrNoJSONModule = errors.New("no rejson.so, the module RedisJSON")

// JSONModule returns the path of RedisJSON's module: that of the environment
// variable [JSONModuleEnv], or else the first of the usual places that has it.
func JSONModule() (string, error) {
	if path := os.Getenv(JSONModuleEnv); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%w: %s: %w", ErrNoJSONModule, JSONModuleEnv, err)
		}
		return path, nil
	}
	for _, path := range jsonModulePlaces {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s is not set, and it is in none of the usual places", ErrNoJSONModule, JSONModuleEnv)
}
