package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
)

// serverSays is an error reply.
type serverSays string

func (e serverSays) Error() string { return string(e) }
func (serverSays) RedisError()     {}

const (
	outOfMemory = serverSays("OOM command not allowed when used memory > 'maxmemory'.")
	wrongType   = serverSays("WRONGTYPE Operation against a key holding the wrong kind of value")
	noAuth      = serverSays("NOAUTH Authentication required.")
)

// scripted is a server that answers attempt i with answers[i], which tells the
// errors by item; beyond its script it takes everything.
type scripted struct {
	answers []map[string]error
	tries   [][]string
	clock   time.Time
}

func (s *scripted) try(_ context.Context, items []string) []error {
	s.tries = append(s.tries, slices.Clone(items))
	errs := make([]error, len(items))
	if n := len(s.tries); n <= len(s.answers) {
		for i, item := range items {
			errs[i] = s.answers[n-1][item]
		}
	}
	return errs
}

func (s *scripted) delivery() *delivery[string] {
	return &delivery[string]{
		try: s.try,
		bury: func(item string, _ error, attempts int) (string, bool, error) {
			return fmt.Sprintf("grave of %s after %d", item, attempts), true, nil
		},
		destination: func(item string) string { return "home of " + item },
		explain:     func(err error) error { return err },
		deadline:    time.Minute,
		waits:       func() backoff.BackOff { return rdb.RetryWaits(conn.Config{}) },
		now:         func() time.Time { return s.clock },
		sleep: func(ctx context.Context, d time.Duration) error {
			s.clock = s.clock.Add(d) // the context's own clock is the real one
			if deadline, _ := ctx.Deadline(); s.clock.After(deadline) {
				return context.DeadlineExceeded
			}
			return ctx.Err()
		},
	}
}

func TestDeliverySettlesEveryItem(t *testing.T) {
	abort := func(items ...string) map[string]error {
		errs := map[string]error{}
		for _, i := range items {
			errs[i] = outOfMemory
		}
		return errs
	}
	for _, c := range []struct {
		name    string
		answers []map[string]error
		want    [][]string
		retries int64
	}{
		{"what succeeds is written once", nil, [][]string{{"a", "b", "c"}}, 0},
		{"what is refused is tried again in order", []map[string]error{abort("a", "b", "c"), abort("a", "b", "c")},
			[][]string{{"a", "b", "c"}, {"a", "b", "c"}, {"a", "b", "c"}}, 6},
		{"what was answered is not sent again", []map[string]error{{"b": io.EOF, "c": io.EOF}},
			[][]string{{"a", "b", "c"}, {"b", "c"}}, 2},
		{"a fault is replaced by its dead letter", []map[string]error{{"b": wrongType}},
			[][]string{{"a", "b", "c"}, {"grave of b after 1"}}, 0},
		{"a fault does not hold up the others", []map[string]error{{"a": io.EOF, "b": wrongType, "c": io.EOF}},
			[][]string{{"a", "b", "c"}, {"a", "c", "grave of b after 1"}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scripted{answers: c.answers, clock: time.Now()}
			d := s.delivery()
			if err := d.run(t.Context(), []string{"a", "b", "c"}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.tries); diff != "" {
				t.Errorf("tries (-want +got):\n%s", diff)
			}
			if got := d.written.Load(); got != 3 {
				t.Errorf("written = %d, want 3", got)
			}
			if got := d.retries.Load(); got != c.retries {
				t.Errorf("retries = %d, want %d", got, c.retries)
			}
		})
	}
}

func TestDeliveryGivesUpAtItsDeadlineWithOneClearError(t *testing.T) {
	s := &scripted{clock: time.Now()}
	for range 1000 {
		s.answers = append(s.answers, map[string]error{"b": outOfMemory, "c": outOfMemory})
	}
	d := s.delivery()
	err := d.run(t.Context(), []string{"a", "b", "c"})
	var lost *LostError
	if !errors.As(err, &lost) {
		t.Fatalf("error %v, want a LostError", err)
	}
	if lost.Count != 2 || lost.Destination != "home of b" || lost.Attempts < 10 || lost.Elapsed < 50*time.Second || lost.Elapsed > time.Minute {
		t.Errorf("lost %+v", lost)
	}
	if !errors.Is(err, outOfMemory) {
		t.Errorf("error %q does not wrap the cause", err)
	}
	for _, part := range []string{"2 elements not written", "home of b", "OOM"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestDeliveryFailsAtOnceOnAFatalError(t *testing.T) {
	s := &scripted{answers: []map[string]error{{"b": noAuth}}}
	err := s.delivery().run(t.Context(), []string{"a", "b"})
	if !errors.Is(err, noAuth) || !strings.Contains(err.Error(), "home of b") {
		t.Errorf("error %v", err)
	}
	if len(s.tries) != 1 {
		t.Errorf("tried %d times", len(s.tries))
	}
}

func TestDeliveryFailsWhenADeadLetterHasNoPlace(t *testing.T) {
	full := errors.New("no place")
	s := &scripted{answers: []map[string]error{{"b": wrongType}}}
	d := s.delivery()
	d.bury = func(string, error, int) (string, bool, error) { return "", false, full }
	if err := d.run(t.Context(), []string{"a", "b"}); !errors.Is(err, full) {
		t.Errorf("error %v, want %v", err, full)
	}
}

func TestDeliveryEndsWithTheBundle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &scripted{answers: []map[string]error{{"a": outOfMemory}}, clock: time.Now()}
	d := s.delivery()
	d.sleep = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return sleepContext(ctx, time.Hour)
	}
	err := d.run(ctx, []string{"a"})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, outOfMemory) {
		t.Errorf("error %v, want both the cancellation and the cause", err)
	}
}

func TestABatchWaitsAsTheConnectionSays(t *testing.T) {
	const first, last, tries = 100 * time.Millisecond, 300 * time.Millisecond, 8
	s := &scripted{answers: slices.Repeat([]map[string]error{{"a": outOfMemory}}, tries), clock: time.Now()}
	d := s.delivery()
	d.waits = newDelivery[string](conn.Config{RetryMin: first, RetryMax: last}, BatchOptions{}, telemetry.Of{}.Where()).waits
	var waits []time.Duration
	d.sleep = func(_ context.Context, wait time.Duration) error {
		waits = append(waits, wait)
		return nil
	}
	if err := d.run(t.Context(), []string{"a"}); err != nil || len(waits) != tries {
		t.Fatalf("%d waits, %v", len(waits), err)
	}
	near := func(got, want time.Duration) bool { return got >= want/2 && got <= want*3/2 }
	if !near(waits[0], first) || !near(waits[tries-1], last) {
		t.Errorf("waits %v, want from %v to %v, give or take half", waits, first, last)
	}
}
