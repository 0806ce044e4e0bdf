package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
)

func init() { register.Function1x1(keyOf) }

func keyOf(m redisio.Message) string { return m.Key }

// write writes messages to the topic out.
func write(ctx context.Context, cfg redisio.Conn, msgs []redisio.Message, opts ...redisio.WriteOption) error {
	p, s := beam.NewPipelineWithRoot()
	redisio.Write(s, cfg, redisio.Topic{Name: "out", Partitions: 2}, beam.CreateList(s, msgs), opts...)
	return runPipeline(ctx, p)
}

// read reads the topic in until it has caught up, or as opts say.
func read(ctx context.Context, cfg redisio.Conn, opts ...redisio.ReadOption) error {
	p, s := beam.NewPipelineWithRoot()
	redisio.Read(s, cfg, redisio.Topic{Name: "in", Partitions: 2}, "g", append(opts, redisio.WithStart(redisio.StartEarliest()))...)
	return runPipeline(ctx, p)
}

// left prepares what a job of before may have left behind: entries pending for
// its consumer and for another one, one of which is deleted, and in the other
// partition a group beyond the stream's end.
func left(t *testing.T, c *redis.Client) {
	t.Helper()
	ctx := t.Context()
	must(t, errors.Join(c.FlushAll(ctx).Err(), c.ScriptFlush(ctx).Err()))
	for i := range 8 {
		for _, stream := range []string{"in:0", "in:1"} {
			must(t, c.XAdd(ctx, &redis.XAddArgs{Stream: stream, ID: "1-" + string(rune('1'+i)), Values: []string{"n", "1"}}).Err())
		}
	}
	must(t, c.XGroupCreate(ctx, "in:0", "g", "0").Err())
	must(t, c.XGroupCreate(ctx, "in:1", "g", "9-9").Err())
	for _, consumer := range []string{"beam", "other"} {
		must(t, c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: consumer, Streams: []string{"in:0", ">"}, Count: 2}).Err())
	}
	must(t, c.XDel(ctx, "in:0", "1-3").Err())
}

func fresh(t *testing.T, c *redis.Client) {
	t.Helper()
	must(t, errors.Join(c.FlushAll(t.Context()).Err(), c.ScriptFlush(t.Context()).Err()))
}

// undone is a batch whose second entry the server refuses, so that the first is
// taken back.
func undone(ctx context.Context, cfg redisio.Conn) error {
	c, err := open(cfg)
	if err != nil {
		return err
	}
	reply := rdb.NewOnceAdder(c).Write(ctx, []rdb.OnceBatch{{
		Stream: "out:0", Window: rdb.CompanionKey("out:0", "w"), PrevWindow: rdb.CompanionKey("out:0", "b"), WindowSize: 10, TTL: time.Minute,
		Adds: []rdb.Add{{Fields: []redisio.Field{{Name: "n", Value: "1"}}}, {}}, Members: []string{"a", "b"},
	}})[0]
	if reply.Err == nil || !strings.Contains(reply.Err.Error(), "rong number of arg") {
		return reply.Err
	}
	return nil
}

// dropped is a batch whose mark drops a field, and once more, when the mark is
// another one already.
func dropped(ctx context.Context, cfg redisio.Conn) error {
	c, err := open(cfg)
	if err != nil {
		return err
	}
	batch := rdb.OnceBatch{
		Stream: "out:1", Window: rdb.CompanionKey("out:1", "w"), PrevWindow: rdb.CompanionKey("out:1", "b"), WindowSize: 10, TTL: time.Minute,
		Adds: []rdb.Add{{Fields: []redisio.Field{{Name: "n", Value: "1"}}}}, Members: []string{""},
		Marks: []rdb.Mark{{Key: rdb.CompanionKey("out:1", "m"), Next: "1", Field: "f", Value: "v", Drop: "old"}},
	}
	if err := rdb.NewOnceAdder(c).Write(ctx, []rdb.OnceBatch{batch})[0].Err; err != nil {
		return err
	}
	again := rdb.NewOnceAdder(c).Write(ctx, []rdb.OnceBatch{batch})[0]
	if again.Err == nil && again.Stale == nil {
		return errors.New("the mark is not another one")
	}
	return again.Err
}

// addUnreplicated adds an entry and waits for a replica. That there is none is not
// what this is about.
func addUnreplicated(ctx context.Context, cfg redisio.Conn, id redisio.EntryID) error {
	c, err := open(cfg)
	if err != nil {
		return err
	}
	a := rdb.NewAdder(c)
	a.Replicas = rdb.Replicas{Count: 1, Timeout: time.Millisecond}
	add := rdb.Add{Stream: "out:0", ID: id, Fields: []redisio.Field{{Name: "n", Value: "1"}}}
	var late *rdb.ReplicasError
	if err := a.Write(ctx, []rdb.Add{add})[0]; !errors.As(err, &late) {
		return errors.Join(err, errors.New("there is a replica"))
	}
	return nil
}

// parts are those of a single server.
var parts = []part{
	{"Connection", nil, []string{"~in:*"}, nil, func(ctx context.Context, cfg redisio.Conn) error {
		return redisio.Check(ctx, cfg, redisio.Topic{Name: "in", Partitions: 1})
	}},
	{"Connection to a database other than 0", []string{"Connection"}, nil, nil, func(ctx context.Context, cfg redisio.Conn) error {
		cfg.DB = 1
		return redisio.Check(ctx, cfg)
	}},
	{"Read", []string{"Connection"}, nil, left, func(ctx context.Context, cfg redisio.Conn) error {
		err := read(ctx, cfg, redisio.WithClaimIdle(time.Millisecond), redisio.WithMaxTime(time.Second))
		c, openErr := open(cfg)
		if err != nil || openErr != nil {
			return errors.Join(err, openErr)
		}
		if _, err = c.Incarnation(ctx, "in:0", "g", true); errors.Is(err, rdb.ErrNoIncarnation) {
			return nil // that matters to idempotent writes alone
		}
		return err
	}},
	{"Range (`ReadRange`)", []string{"Connection"}, nil, left, func(ctx context.Context, cfg redisio.Conn) error {
		return readRange(ctx, cfg)
	}},
	{"Range with `WithGroupAtEnd`", []string{"Connection", "Range (`ReadRange`)"}, nil, func(t *testing.T, c *redis.Client) {
		left(t, c)
		must(t, c.XGroupSetID(t.Context(), "in:1", "g", "0").Err())
	}, func(ctx context.Context, cfg redisio.Conn) error {
		return readRange(ctx, cfg, redisio.WithGroupAtEnd("g"))
	}},
	{"Write", []string{"Connection"}, nil, fresh, func(ctx context.Context, cfg redisio.Conn) error {
		return write(ctx, cfg, entries(20))
	}},
	{"Write with trimming", []string{"Connection", "Write"}, nil, fresh, func(ctx context.Context, cfg redisio.Conn) error {
		return write(ctx, cfg, entries(20), redisio.WithMaxLen(5))
	}},
	{"Write with entry IDs (`WithEntryIDs`)", []string{"Connection", "Write"}, nil, fresh, func(ctx context.Context, cfg redisio.Conn) error {
		msgs := entries(5)
		for i := range msgs {
			msgs[i].ID = redisio.EntryID{Ms: 1, Seq: uint64(i) + 1}
		}
		err := write(ctx, cfg, msgs, redisio.WithEntryIDs())
		if err == nil { // as after a reply that was lost
			err = write(ctx, cfg, msgs, redisio.WithEntryIDs())
		}
		return err
	}},
	{"Write with replicas (`WithReplicas`)", []string{"Connection", "Write"}, nil, fresh, func(ctx context.Context, cfg redisio.Conn) error {
		return addUnreplicated(ctx, cfg, redisio.EntryID{})
	}},
	{"Write with entry IDs and replicas", []string{"Write", "Write with entry IDs (`WithEntryIDs`)", "Write with replicas (`WithReplicas`)"}, []string{"on", ">" + docPassword, "+client|setname"}, fresh, func(ctx context.Context, cfg redisio.Conn) error {
		err := addUnreplicated(ctx, cfg, redisio.EntryID{Ms: 1})
		if err == nil { // now it is there
			err = addUnreplicated(ctx, cfg, redisio.EntryID{Ms: 1})
		}
		return err
	}},
	{"Write with idempotence", []string{"Connection", "Write"}, nil, fresh, func(ctx context.Context, cfg redisio.Conn) error {
		err := undone(ctx, cfg)
		if err == nil {
			err = dropped(ctx, cfg)
		}
		for range 2 {
			if err == nil {
				err = write(ctx, cfg, entries(100), redisio.WithIdempotence("once"), redisio.WithIdempotenceWindow(20), redisio.WithIdempotenceKey(keyOf))
			}
		}
		return err
	}},
	{"Write of messages larger than 1 MiB", []string{"Connection", "Write"}, nil, fresh, func(ctx context.Context, cfg redisio.Conn) error {
		return write(ctx, cfg, []redisio.Message{{Key: "k", Fields: []redisio.Field{{Name: "n", Value: strings.Repeat("x", 2<<20)}}}})
	}},
	{"Hashes", []string{"Connection"}, nil, fresh, writeHash()},
	{"Documents with a time to live", []string{"Connection", "Hashes"}, nil, fresh, writeHash(redisio.WithTTL(time.Minute))},
	{"Hashes with `WithReplace`", []string{"Connection", "Hashes"}, nil, func(t *testing.T, c *redis.Client) {
		fresh(t, c)
		must(t, c.HSet(t.Context(), "doc:k1", "old", "1").Err())
	}, writeHash(redisio.WithReplace())},
	{"Error stream", []string{"Connection", "Hashes"}, nil, func(t *testing.T, c *redis.Client) {
		fresh(t, c)
		must(t, c.Set(t.Context(), "doc:k1", "no hash", 0).Err())
	}, writeHash(redisio.WithErrorStream("errors"))},
}

func readRange(ctx context.Context, cfg redisio.Conn, opts ...redisio.RangeOption) error {
	p, s := beam.NewPipelineWithRoot()
	redisio.ReadRange(s, cfg, redisio.Topic{Name: "in", Partitions: 2}, redisio.Earliest(), redisio.Latest(), opts...)
	return runPipeline(ctx, p)
}

func writeHash(opts ...redisio.WriteOption) func(context.Context, redisio.Conn) error {
	return func(ctx context.Context, cfg redisio.Conn) error {
		p, s := beam.NewPipelineWithRoot()
		redisio.WriteHash(s, cfg, beam.CreateList(s, entries(5)), append(opts, redisio.WithKeyPrefix("doc:"))...)
		return runPipeline(ctx, p)
	}
}

func TestEachPartNeedsTheRightsInTheDocsAndNoOthers(t *testing.T) {
	server := redistest.Start(t)
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.prove(t, warden{servers: []*redis.Client{server.Client()}}, server.Config()) })
	}
}

// TestAClusterNeedsTheRightsInTheDocsAndNoOthers: a stream that is about to move
// to another node has ASKING sent to that.
func TestAClusterNeedsTheRightsInTheDocsAndNoOthers(t *testing.T) {
	c := redistest.StartCluster(t)
	var clients []*redis.Client
	for _, node := range c.Nodes() {
		clients = append(clients, node.Client())
	}
	from := c.PrimaryOf("out:0")
	to := c.PrimaryOf("out:1")
	if from == to {
		t.Fatal("both keys are on one node: the test needs others")
	}
	id := func(s *redistest.Server) string { return s.Client().Do(t.Context(), "cluster", "myid").Val().(string) }
	slot := c.Client().ClusterKeySlot(t.Context(), "out:0").Val()
	must(t, to.Client().Do(t.Context(), "cluster", "setslot", slot, "importing", id(from)).Err())
	must(t, from.Client().Do(t.Context(), "cluster", "setslot", slot, "migrating", id(to)).Err())
	p := part{"Connection to a cluster", []string{"Connection", "Write"}, nil, func(t *testing.T, _ *redis.Client) {
		for _, s := range []*redistest.Server{from, to} {
			must(t, s.Client().FlushAll(t.Context()).Err())
		}
	}, func(ctx context.Context, cfg redisio.Conn) error {
		c, err := open(cfg)
		if err != nil {
			return err
		}
		return rdb.NewAdder(c).Write(ctx, []rdb.Add{{Stream: "out:0", Fields: []redisio.Field{{Name: "n", Value: "1"}}}})[0]
	}}
	p.prove(t, warden{servers: clients}, c.Config())
}

func TestSentinelsNeedTheRightsInTheDocsAndNoOthers(t *testing.T) {
	s := redistest.StartSentinels(t)
	var clients []*redis.Client
	for _, sentinel := range s.Sentinels() {
		clients = append(clients, sentinel.Client())
	}
	p := part{"Sentinels", nil, nil, nil, func(ctx context.Context, cfg redisio.Conn) error {
		cfg.SentinelUsername, cfg.SentinelPasswordFile = cfg.Username, cfg.PasswordFile
		cfg.Username, cfg.PasswordFile = "", ""
		c, err := open(cfg)
		if err != nil {
			return err
		}
		return c.Ping(ctx)
	}}
	p.prove(t, warden{servers: clients}, s.Config())
}

func TestJSONNeedsTheRightsInTheDocsAndNoOthers(t *testing.T) {
	server := redistest.Start(t, redistest.JSON(t))
	p := part{"JSON documents", []string{"Connection"}, nil, fresh, func(ctx context.Context, cfg redisio.Conn) error {
		if err := redisio.CheckJSON(ctx, cfg); err != nil {
			return err
		}
		p, s := beam.NewPipelineWithRoot()
		redisio.WriteJSON(s, cfg, beam.CreateList(s, entries(5)), redisio.WithKeyPrefix("doc:"))
		return runPipeline(ctx, p)
	}}
	p.prove(t, warden{servers: []*redis.Client{server.Client()}}, server.Config())
}
