package sinks

import "time"

// ReplicaOptions say for how many replicas a batch has to wait. The zero value
// waits for none.
type ReplicaOptions struct {
	Count int `json:"count,omitempty"`
	// Timeout is how long a batch waits for them before its bundle fails.
	Timeout time.Duration `json:"timeout,omitempty"`
}
