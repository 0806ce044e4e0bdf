package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

// copyOnce copies the topic in, as far as it is filled, to the topic out.
func copyOnce(t *testing.T, from, to redisio.Conn) error {
	p, s := beam.NewPipelineWithRoot()
	msgs := redisio.Read(s, from, redisio.Topic{Name: "in", Partitions: 2}, "g", redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAtLatest())
	redisio.Write(s, to, redisio.Topic{Name: "out", Partitions: 2}, msgs, redisio.WithIdempotence("copy"))
	return runPipeline(t.Context(), p)
}

// TestIdempotenceRefusesWhatIsReadWithoutItsRights: it is the reading user who
// lacks them. That they can be left out otherwise is what the parts prove.
func TestIdempotenceRefusesWhatIsReadWithoutItsRights(t *testing.T) {
	server := redistest.Start(t)
	w := warden{servers: []*redis.Client{server.Client()}}
	all := rights(t)
	rules := slices.Concat(all["Connection"], all["Read"])
	cfg := server.Config()
	cfg.Username, cfg.PasswordFile = docUser, writeFile(t, docPassword)
	try := func(t *testing.T, rules []string) (written int64, err error) {
		fresh(t, server.Client())
		load(t, server.Client())
		w.t = t
		w.grant(rules)
		err = copyOnce(t, cfg, server.Config()) // the writing user may do everything
		return server.Client().XLen(t.Context(), "out:0").Val() + server.Client().XLen(t.Context(), "out:1").Val(), err
	}
	if written, err := try(t, rules); err != nil || written == 0 {
		t.Fatalf("with all rights: %d entries written, error %v", written, err)
	}
	for _, right := range []string{"+xinfo|consumers", "+eval", "+evalsha"} {
		t.Run("without "+right, func(t *testing.T) {
			if !slices.Contains(optional(t)["Read"], right) || !slices.Contains(all["Read"], right) {
				t.Error("the document does not list the right")
			}
			written, err := try(t, slices.DeleteFunc(slices.Clone(rules), func(r string) bool { return r == right }))
			name := strings.ReplaceAll(right[1:], "|", " ")
			if err == nil || !strings.Contains(err.Error(), "may have been written before") || !strings.Contains(err.Error(), "NOPERM") || !strings.Contains(strings.ReplaceAll(strings.ToLower(err.Error()), "|", " "), name) {
				t.Errorf("error %v, want one that names %s", err, right)
			}
			if written != 0 {
				t.Errorf("%d entries written", written)
			}
		})
	}
}
