package rdb

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

const secret = "s3cr3t"

// secretFile is a file with the secret.
func secretFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// everyError is what commands of all kinds meet.
func everyError(t *testing.T, c *Client) map[string]error {
	t.Helper()
	ctx, errs := t.Context(), map[string]error{}
	pipe := c.raw().Pipeline()
	queued := pipe.Ping(ctx)
	_, errs["pipeline"] = pipe.Exec(ctx)
	errs["command in a pipeline"] = queued.Err()
	errs["command"] = c.raw().Ping(ctx).Err()
	errs["ping"] = c.Ping(ctx)
	_, errs["fetch"] = c.Fetch(ctx, "s", "g", "c", 1, false)
	at := []Position{{"s", message.EntryID{}}}
	_, _, errs["wait"] = c.WaitForEntries(ctx, at, 10*time.Millisecond)
	_, _, errs["poll"] = c.PollForEntries(ctx, at, 10*time.Millisecond)
	_, errs["node"] = c.pipelineTo(ctx, "s")
	adder := NewAdder(c)
	errs["write"] = adder.Write(ctx, []Add{addOf("s", "n", "1")})[0]
	adder.Replicas = Replicas{1, time.Second}
	errs["write with replicas"] = adder.Write(ctx, []Add{addOf("s", "n", "1")})[0]
	if c.cfg.ReadFromReplicas {
		_, errs["replica"] = c.replicaOf(ctx, "s")
		_, errs["page of a replica"] = c.replicaPage(ctx, "s", message.EntryID{}, message.MaxID, 1)
	}
	for name, err := range errs {
		errs[name+", explained"] = c.Explained(err)
	}
	return errs
}

// A server that does not know how to log in repeats what it was sent.
func TestTheSecretStaysOutOfErrorsAndLogs(t *testing.T) {
	log := captureLog(t)
	ignorant := redistest.Args("--rename-command", "AUTH", "", "--rename-command", "HELLO", "")
	for name, start := range map[string]func(t *testing.T) conn.Config{
		"wrong password": func(t *testing.T) conn.Config {
			return redistest.Start(t, redistest.Password("other")).Config()
		},
		"single": func(t *testing.T) conn.Config { return redistest.Start(t, ignorant).Config() },
		"cluster": func(t *testing.T) conn.Config {
			cfg := redistest.StartCluster(t, ignorant).Config()
			cfg.ReadFromReplicas = true
			return cfg
		},
		"sentinel": func(t *testing.T) conn.Config {
			return conn.Config{Mode: conn.Sentinel, MasterName: "m", Addr: redistest.Start(t, ignorant).Addr(), ReadFromReplicas: true,
				SentinelUsername: "app", SentinelPasswordFile: secretFile(t)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := start(t)
			cfg.Username, cfg.PasswordFile = "app", secretFile(t)
			client := ownClient(t, cfg)
			for what, err := range everyError(t, client) {
				if err != nil && (strings.Contains(err.Error(), secret) || Classify(err) != Fatal) {
					t.Errorf("%s: error %v (%v), want a fatal one without the password", what, err, Classify(err))
				}
			}
			if err := client.Ping(t.Context()); err == nil {
				t.Error("the server has let us in")
			}
			if strings.Contains(client.String(), secret) {
				t.Errorf("the client prints the password: %v", client)
			}
		})
	}
	if text := log.String(); strings.Contains(text, secret) || !strings.Contains(text, "go-redis") {
		t.Errorf("the log holds the password, or nothing:\n%s", text)
	}
}

// lockedBuffer is written to by many.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// captureLog has all that is logged, at every level, where Beam's log goes by
// itself.
func captureLog(t *testing.T) *lockedBuffer {
	log, previous := &lockedBuffer{}, slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(previous) })
	return log
}

func TestWhatGoRedisLogsIsInBeamsLogAtDebugLevel(t *testing.T) {
	lines := captureBeamLog(t)
	_ = ownClient(t, conn.Config{Addr: "127.0.0.1:1"}).Ping(t.Context())
	for line := range strings.Lines(lines.String()) {
		if !strings.HasPrefix(line, fmt.Sprint(beamlog.SevDebug)+" ") {
			t.Errorf("not at debug level: %s", line)
		}
	}
	if !strings.Contains(lines.String(), "component=go-redis") {
		t.Errorf("Beam's log has no line of go-redis:\n%s", lines.String())
	}
}

// captureBeamLog has the lines of Beam's log, each behind its severity.
func captureBeamLog(t *testing.T) *lockedBuffer {
	lines := &lockedBuffer{}
	beamlog.SetLogger(beamLines{lines})
	t.Cleanup(func() { beamlog.SetLogger(&beamlog.Structural{}) })
	return lines
}

// beamLines writes what Beam's log is given.
type beamLines struct{ to *lockedBuffer }

func (b beamLines) Log(_ context.Context, severity beamlog.Severity, _ int, line string) {
	fmt.Fprintln(b.to, severity, line)
}
