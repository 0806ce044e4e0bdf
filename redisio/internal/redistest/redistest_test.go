package redistest_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
)

func TestServerAnswersAndEndsWithItsTest(t *testing.T) {
	var addr string
	t.Run("inner", func(t *testing.T) {
		s := redistest.Start(t)
		addr = s.Addr()
		if err := s.Client().Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	})
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = c.Close()
		t.Errorf("%s still accepts connections after its test ended", addr)
	}
}

func TestDurableServerKeepsDataAcrossKill(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []redistest.Option
		want int64
	}{
		{"durable", []redistest.Option{redistest.Durable()}, 1},
		{"default", nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := redistest.Start(t, tc.opts...)
			addr := s.Addr()
			if err := s.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			s.Kill()
			s.Restart()
			if s.Addr() != addr {
				t.Errorf("Addr after restart = %s, want %s", s.Addr(), addr)
			}
			got, err := s.Client().Exists(t.Context(), "k").Result()
			if err != nil || got != tc.want {
				t.Errorf("EXISTS = %d, %v; want %d", got, err, tc.want)
			}
		})
	}
}

func TestPausedServerHangsUntilResumed(t *testing.T) {
	s := redistest.Start(t)
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1})
	defer c.Close()
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a paused server answered")
	}
	s.Resume()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("a resumed server does not answer: %v", err)
	}
}

func TestPausedServerCanBeStopped(t *testing.T) {
	start := time.Now()
	t.Run("inner", func(t *testing.T) { redistest.Start(t).Pause() })
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("stopping took %v: the server was killed after a timeout instead of woken", took)
	}
}

func TestPasswordIsRequiredAndReferredTo(t *testing.T) {
	s := redistest.Start(t, redistest.Password("x"), redistest.Args("--maxmemory", "8mb"))
	_, got, err := s.Config().Resolve(t.Context())
	if err != nil || got != "x" {
		t.Errorf("Resolve = %q, %v; want the server's password", got, err)
	}
	if err := redis.NewClient(&redis.Options{Addr: s.Addr()}).Ping(t.Context()).Err(); err == nil {
		t.Error("PING without the password succeeded")
	}
	limit, err := s.Client().ConfigGet(t.Context(), "maxmemory").Result()
	if err != nil || limit["maxmemory"] != "8388608" {
		t.Errorf("maxmemory = %v, %v; want 8388608", limit, err)
	}
}

// verdict records how Start ends a test.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Skipf(format string, args ...any) {
	v.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Fatal(args ...any) {
	v.failed = fmt.Sprint(args...)
	runtime.Goexit()
}

func TestMissingServerSkipsExceptOnCI(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for ci, wantSkip := range map[string]bool{"": true, "false": true, "true": false} {
		t.Setenv("CI", ci)
		v := &verdict{TB: t}
		var ended sync.WaitGroup
		ended.Go(func() { redistest.Start(v) })
		ended.Wait()
		if (v.skipped != "") != wantSkip || (v.failed != "") == wantSkip {
			t.Errorf("CI=%q: skipped %q, failed %q", ci, v.skipped, v.failed)
		}
	}
}
