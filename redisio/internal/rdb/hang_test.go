package rdb

import (
	"net"
	"testing"
	"time"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

// silent is the address of what takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // and with it those that nobody accepted
	return l.Addr().String()
}

func TestATLSHandshakeThatHangsIsWorthAnotherTry(t *testing.T) {
	client := ownClient(t, conn.Config{Addr: silent(t), TLS: true, DialTimeout: 200 * time.Millisecond})
	for range 5 {
		if err := client.raw().Ping(t.Context()).Err(); err == nil || Classify(err) != Retryable {
			t.Errorf("error %v (%v), want a retryable one", err, Classify(err))
		}
	}
}

// TestANodeThatHangsIsLeftForItsReplica: every error meanwhile is one that makes
// the client ask for the cluster's new shape.
func TestANodeThatHangsIsLeftForItsReplica(t *testing.T) {
	for name, opts := range map[string][]redistest.Option{"plain": nil, "TLS": {redistest.TLS(redistest.NewCertificates(t))}} {
		t.Run(name, func(t *testing.T) {
			c := redistest.StartCluster(t, opts...)
			cfg := c.Config()
			cfg.ReadTimeout, cfg.DialTimeout = time.Second, time.Second
			adder := NewAdder(ownClient(t, cfg))
			add := func() error { return adder.Write(t.Context(), []Add{addOf("in:0", "n", "1")})[0] }
			if err := add(); err != nil {
				t.Fatal(err)
			}
			node := c.PrimaryOf("in:0")
			node.Pause()
			defer node.Resume()
			begun := time.Now()
			pollUntil(t, "the replica has taken over and is written to", func() bool {
				err := add()
				if err != nil && Classify(err) != Retryable {
					t.Fatalf("error %v, which is %v", err, Classify(err))
				}
				return err == nil
			})
			t.Logf("written after %v", time.Since(begun).Round(time.Millisecond))
		})
	}
}
