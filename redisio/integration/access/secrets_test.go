package access_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"

	"example.com/beamredis/internal/jobgraph"
	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
)

const (
	secret         = "correct-horse-battery"
	secretVariable = "BEAMREDIS_TEST_SECRET"
	registered     = "test-vault"
)

// vault is what the credentials that the tests have registered are now.
var vault struct {
	sync.Mutex
	fetch conn.CredentialsFunc
	calls int
}

func init() {
	conn.RegisterCredentials(registered, func(ctx context.Context) (conn.Credentials, error) {
		vault.Lock()
		fetch := vault.fetch
		vault.calls++
		vault.Unlock()
		if fetch == nil {
			return conn.Credentials{}, errors.New("the vault is closed")
		}
		return fetch(ctx)
	})
}

func setVault(t *testing.T, fetch conn.CredentialsFunc) {
	t.Helper()
	vault.Lock()
	defer vault.Unlock()
	vault.fetch, vault.calls = fetch, 0
	t.Cleanup(func() { setVaultClosed() })
}

func setVaultClosed() {
	vault.Lock()
	defer vault.Unlock()
	vault.fetch = nil
}

// jobServer takes jobs and refuses them.
type jobServer struct {
	jobpb.UnimplementedJobServiceServer
	jobs chan []byte
}

func (s *jobServer) Prepare(_ context.Context, r *jobpb.PrepareJobRequest) (*jobpb.PrepareJobResponse, error) {
	job, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	s.jobs <- job
	return nil, status.Error(codes.Aborted, "this server only looks at jobs")
}

func startJobServer(t *testing.T) (endpoint string, jobs <-chan []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &jobServer{jobs: make(chan []byte, 10)}
	g := grpc.NewServer()
	jobpb.RegisterJobServiceServer(g, s)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	return l.Addr().String(), s.jobs
}

// references are ways to refer to the secret, by what travels.
func references(file string) map[string]redisio.Conn {
	return map[string]redisio.Conn{
		secretVariable:                   {Username: "app", PasswordEnv: secretVariable},
		file:                             {Username: "app", PasswordFile: file},
		registered:                       {Credentials: registered},
		"env=" + secretVariable:          {Mode: conn.Sentinel, MasterName: "main", SentinelUsername: "app", SentinelPasswordEnv: secretVariable},
		"sentinel_password_file=" + file: {Mode: conn.Sentinel, MasterName: "main", SentinelPasswordFile: file},
	}
}

// TestRunnersAreGivenNoSecret looks at what the program hands to a job server,
// and at all that it logs meanwhile.
func TestRunnersAreGivenNoSecret(t *testing.T) {
	file := writeFile(t, secret)
	for _, runner := range []string{"prism", "flink-streaming"} {
		for reference, cfg := range references(file) {
			t.Run(runner+" "+reference, func(t *testing.T) {
				endpoint, jobs := startJobServer(t)
				cfg.Addr = "redis.example:6379"
				got := run(t, []string{secretVariable + "=" + secret}, "--redis="+cfg.String(), "--check=false", "--verbose",
					"--runner="+runner, "--endpoint="+endpoint, "--environment_type=LOOPBACK")
				if got.status != 1 || !strings.Contains(got.stderr, "only looks at jobs") {
					t.Fatalf("status %d: %s", got.status, got.stderr)
				}
				job := string(<-jobs)
				if jobgraph.Holds(job, secret) || jobgraph.Holds(got.stdout+got.stderr, secret) {
					t.Error("the job or the log holds the secret")
				}
				if name := strings.TrimPrefix(reference, "env="); !jobgraph.Holds(job, name[strings.LastIndexByte(name, '=')+1:]) {
					t.Error("the job does not hold the reference: the secret would not have been found either")
				}
			})
		}
	}
}

// TestAPasswordTravelsIfItIsAllowedTo, and only then: the job holds it.
func TestAPasswordTravelsIfItIsAllowedTo(t *testing.T) {
	url := "redis://app:" + secret + "@127.0.0.1:1"
	if _, err := redisio.ParseURL(url); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("error %v, want one without the password", err)
	}
	cfg, err := redisio.ParseURL(url, conn.AllowPasswordToTravel())
	must(t, err)
	if cfg.Password != secret {
		t.Error("the configuration does not hold the password")
	}
	client, err := rdb.Open(cfg)
	must(t, err)
	for name, text := range map[string]string{
		"%v": fmt.Sprint(cfg), "%+v": fmt.Sprintf("%+v", cfg), "%#v": fmt.Sprintf("%#v", cfg), "%+v of a pointer": fmt.Sprintf("%+v", &cfg),
		"client": fmt.Sprintf("%v", client), "%+v of a client": fmt.Sprintf("%+v", client), "%#v of a client": fmt.Sprintf("%#v", client),
		"error": client.Ping(t.Context()).Error(), "%+v of an error": fmt.Sprintf("%+v", client.Ping(t.Context())),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the password: %s", name, text)
		}
	}
}

// TestARunShowsNoSecret: not in its logs, debug messages included, not in its
// metrics, not in its errors, whichever way workers find it.
func TestARunShowsNoSecret(t *testing.T) {
	t.Setenv(secretVariable, secret)
	file := writeFile(t, secret)
	setVault(t, func(context.Context) (conn.Credentials, error) {
		return conn.Credentials{Username: "app", Password: secret}, nil
	})
	user := redistest.User("app", secret, "+@all", "~*")
	single := redistest.Start(t, user)
	guarded := redistest.StartSentinels(t, redistest.SentinelPassword(secret))
	for reference, cfg := range references(file) {
		t.Run(reference, func(t *testing.T) {
			cfg.Addr, cfg.SentinelUsername = single.Addr(), ""
			admin := single.Client()
			if cfg.Mode == conn.Sentinel {
				cfg.Addr, cfg.MasterName, admin = guarded.Config().Addr, redistest.PrimaryName, guarded.Client()
			}
			must(t, admin.FlushAll(t.Context()).Err())
			load(t, admin)
			begun := len(log.String())
			shown := []string{runForAll(t, cfg)}
			if cfg.Mode != conn.Sentinel {
				must(t, admin.Do(t.Context(), "acl", "setuser", "app", "-xadd").Err())
				defer must(t, admin.Do(t.Context(), "acl", "setuser", "app", "+xadd").Err())
			}
			must(t, admin.Set(t.Context(), "out:0", "no stream", 0).Err())
			err := write(t.Context(), cfg, entries(20))
			if err == nil {
				t.Error("the second run succeeded: it shows no error")
			}
			shown = append(shown, fmt.Sprintf("%+v", err), log.String()[begun:])
			for _, text := range shown {
				if jobgraph.Holds(text, secret) {
					t.Errorf("it shows the secret: %s", text)
				}
			}
		})
	}
}

// runForAll copies, and returns all metrics.
func runForAll(t *testing.T, cfg redisio.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, s := beam.NewPipelineWithRoot()
	msgs := redisio.Read(s, cfg, redisio.Topic{Name: "in", Partitions: 4}, "g", redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAtLatest())
	redisio.Write(s, cfg, redisio.Topic{Name: "out", Partitions: 4}, msgs)
	result, err := beam.Run(ctx, "prism", p)
	must(t, err)
	must(t, redisio.Drain(ctx))
	all := result.Metrics().Query(func(metrics.SingleResult) bool { return true })
	if len(all.Counters()) == 0 {
		t.Error("there are no metrics")
	}
	return fmt.Sprintf("%+v", all)
}
