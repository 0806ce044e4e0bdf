package rdb

import (
	"context"
	"errors"
	"testing"
	"time"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

func TestAPortSaysWhatItSpeaks(t *testing.T) {
	certs := redistest.NewCertificates(t)
	for name, tt := range map[string]struct {
		addr string
		want byte
	}{
		"plain":           {redistest.Start(t).Addr(), spokenRedis},
		"with a password": {redistest.Start(t, redistest.Password("x")).Addr(), spokenRedis},
		"full":            {full(t).Addr(), spokenRedis},
		"TLS":             {redistest.Start(t, redistest.TLS(certs)).Addr(), spokenTLS},
		"mutual TLS":      {redistest.Start(t, redistest.MutualTLS(certs)).Addr(), spokenTLS},
		"nobody":          {"127.0.0.1:1", spokenUnknown},
		"silent":          {listenSilently(t), spokenUnknown},
		"closed":          {listenAndClose(t), spokenUnknown},
	} {
		if got := spokenAt("tcp", tt.addr); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// full is a server that has no connection left.
func full(t *testing.T) *redistest.Server {
	t.Helper()
	s := redistest.Start(t)
	setup(t, s, []any{"config", "set", "maxclients", 1})
	return s
}

// TestTheWrongKindOfPortIsNoReasonToTryAgain: what looks the same and may pass
// is one.
func TestTheWrongKindOfPortIsNoReasonToTryAgain(t *testing.T) {
	secure, plain := redistest.Start(t, redistest.TLS(redistest.NewCertificates(t))), redistest.Start(t)
	for name, tt := range map[string]struct {
		cfg  conn.Config
		want Class
	}{
		"plain text to a TLS port":  {conn.Config{Addr: secure.Addr()}, Fatal},
		"TLS to a plain port":       {conn.Config{Addr: plain.Addr(), TLS: true}, Fatal},
		"to a cluster":              {conn.Config{Addr: secure.Addr(), Mode: conn.Cluster}, Fatal},
		"TLS to a cluster":          {conn.Config{Addr: plain.Addr(), TLS: true, Mode: conn.Cluster}, Fatal},
		"to sentinels":              {conn.Config{Addr: secure.Addr(), Mode: conn.Sentinel, MasterName: "main"}, Fatal},
		"TLS to sentinels":          {conn.Config{Addr: plain.Addr(), TLS: true, Mode: conn.Sentinel, MasterName: "main"}, Fatal},
		"a port that closes":        {conn.Config{Addr: listenAndClose(t)}, Retryable},
		"a port that is silent":     {conn.Config{Addr: listenSilently(t)}, Retryable},
		"TLS to one that closes":    {conn.Config{Addr: listenAndClose(t), TLS: true}, Retryable},
		"TLS to one that is silent": {conn.Config{Addr: listenSilently(t), TLS: true}, Retryable},
	} {
		if tt.want == Retryable { // which is to take no longer than it has to
			tt.cfg.DialTimeout, tt.cfg.ReadTimeout = time.Second, time.Second
		}
		c, err := Open(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		var port *PortError
		err = c.raw().XLen(t.Context(), "s").Err()
		piped := c.raw().Pipeline()
		length := piped.XLen(t.Context(), "s")
		if _, pipeErr := piped.Exec(t.Context()); pipeErr == nil {
			t.Errorf("%s: a pipeline succeeded", name)
		}
		for _, err := range []error{err, length.Err()} {
			again := Classify(err) == Retryable || errors.Is(err, context.DeadlineExceeded) // as Retry has it
			if err == nil || again == (tt.want == Fatal) || errors.As(err, &port) != (tt.want == Fatal) {
				t.Errorf("%s: error %v is %v, want %v", name, err, Classify(err), tt.want)
			}
		}
	}
}
