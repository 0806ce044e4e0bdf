// Package conn describes how to reach Redis: addresses, user, references to
// secrets and timeouts. A [Config] travels in the job graph, so it never holds
// a secret unless its user says explicitly that it may.
package conn

import "time"

// Config says how to reach one Redis deployment. Make it with [ParseURL].
type Config struct {
	// Addr is host:port of the server.
	Addr string `json:"addr"`
	// Username is the ACL user; empty means "default".
	Username string `json:"username,omitempty"`
	// PasswordEnv names the environment variable that holds the password on
	// every worker.
	PasswordEnv string `json:"password_env,omitempty"`
	// PasswordFile is the path of a file that holds the password on every
	// worker. It is read again at every connect.
	PasswordFile string `json:"password_file,omitempty"`
	// DB is the database number.
	DB int `json:"db,omitempty"`
	// PoolSize bounds the connections of one process; 0 means 16.
	PoolSize int `json:"pool_size,omitempty"`
	// DialTimeout bounds connecting; 0 means 5 s.
	DialTimeout time.Duration `json:"dial_timeout,omitempty"`
	// ReadTimeout bounds waiting for a reply; 0 means 5 s.
	ReadTimeout time.Duration `json:"read_timeout,omitempty"`
	// WriteTimeout bounds sending; 0 means 5 s.
	WriteTimeout time.Duration `json:"write_timeout,omitempty"`
}
