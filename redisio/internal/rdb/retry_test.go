package rdb

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryGoesOnUntilSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, waits := 0, 0
		err := Retry(t.Context(), RetryPolicy{OnRetry: func(error, time.Duration) { waits++ }}, func(context.Context) error {
			if tries++; tries < 5 {
				return io.EOF
			}
			return nil
		})
		if err != nil || tries != 5 || waits != 4 {
			t.Errorf("err %v after %d tries and %d waits, want success after 5 and 4", err, tries, waits)
		}
	})
}

func TestRetryStopsAtOnceOnWhatCannotPass(t *testing.T) {
	for _, cause := range []error{serverError("WRONGTYPE x"), serverError("NOPERM x"), errors.New("unknown"), context.Canceled} {
		tries := 0
		err := Retry(t.Context(), RetryPolicy{}, func(context.Context) error { tries++; return cause })
		if err != cause || tries != 1 { //nolint:errorlint // it must come back unchanged
			t.Errorf("%q: Retry = %q after %d tries, want the error itself after 1", cause, err, tries)
		}
	}
}

func TestRetryGivesUpAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, tries := time.Now(), 0
		err := Retry(t.Context(), RetryPolicy{Deadline: 10 * time.Second}, func(context.Context) error {
			tries++
			return serverError("OOM full")
		})
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("gave up after %v, want 10s", took)
		}
		// Waits grow from 20 ms to 2 s by half each: 12 of them take about 7 s.
		if tries < 8 || tries > 30 {
			t.Errorf("%d tries in 10 s, want exponentially growing waits of at most 2 s", tries)
		}
		if err == nil || !strings.HasPrefix(err.Error(), "gave up after 10s and ") || !strings.HasSuffix(err.Error(), "tries: OOM full") {
			t.Errorf("error %q does not say for how long it tried and why", err)
		}
		if Classify(err) != Retryable {
			t.Errorf("the cause is lost: %v", err)
		}
	})
}

func TestRetryEndsATryThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := Retry(t.Context(), RetryPolicy{Deadline: time.Second}, func(ctx context.Context) error {
			if tries++; tries == 1 {
				return serverError("LOADING x")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if err == nil || err.Error() != "gave up after 1s and 2 tries: LOADING x" {
			t.Errorf("error %v, want one that tells the last true cause", err)
		}
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("bundle aborted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(stop) })
		start := time.Now()
		err := Retry(ctx, RetryPolicy{}, func(context.Context) error { return io.EOF })
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("ended after %v, want 3s", took)
		}
		if !errors.Is(err, stop) || !errors.Is(err, io.EOF) {
			t.Errorf("error %v, want both the cause of the end and the last error", err)
		}
	})
}

func TestRetryRepeatsASlowTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := Retry(t.Context(), RetryPolicy{}, func(ctx context.Context) error {
			if tries++; tries == 2 {
				return nil
			}
			slow, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			<-slow.Done()
			return slow.Err()
		})
		if err != nil || tries != 2 {
			t.Errorf("err %v after %d tries, want success at the second", err, tries)
		}
	})
}

func TestTheDocsNameTheDefaultsOfRetries(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	p := RetryPolicy{}.withDefaults()
	for row, want := range map[string]time.Duration{"| `retry_timeout` | `RetryTimeout` | ": p.Deadline, "| `retry_min` | `RetryMin` | ": p.Initial, "| `retry_max` | `RetryMax` | ": p.Max} {
		if !strings.Contains(string(doc), row+want.String()+" |") {
			t.Errorf("no row begins %q with %v", row, want)
		}
	}
}

func TestOneBoundOfTheWaitsMovesTheDefaultOfTheOther(t *testing.T) {
	for _, tc := range []struct{ given, want RetryPolicy }{
		{RetryPolicy{Initial: 5 * time.Second}, RetryPolicy{Initial: 5 * time.Second, Max: 5 * time.Second}},
		{RetryPolicy{Max: 5 * time.Millisecond}, RetryPolicy{Initial: 5 * time.Millisecond, Max: 5 * time.Millisecond}},
		{RetryPolicy{Initial: time.Millisecond}, RetryPolicy{Initial: time.Millisecond, Max: defaultRetryMax}},
	} {
		if got := tc.given.withDefaults(); got.Initial != tc.want.Initial || got.Max != tc.want.Max {
			t.Errorf("%v to %v, want %v to %v", got.Initial, got.Max, tc.want.Initial, tc.want.Max)
		}
	}
}
