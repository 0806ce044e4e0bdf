package sdf

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// CreateInitialRestriction finds out where the group stands, creating it where
// it is missing, and fixes where the read begins and ends.
func (fn *ReadFn) CreateInitialRestriction(ctx context.Context, part topic.Partition) (Restriction, error) {
	client, err := rdb.Open(fn.Config.Conn)
	if err != nil {
		return Restriction{}, err
	}
	var rest Restriction
	first := beginning{client: client, cfg: &fn.Config, part: part}
	err = client.Retry(ctx, func(ctx context.Context) (err error) {
		rest, err = first.restriction(ctx)
		err = client.Explained(err)
		first.warnOfRefusal(ctx, err)
		return err
	})
	if err != nil {
		return Restriction{}, fmt.Errorf("partition %s: %w", part.Stream, err)
	}
	return rest, nil
}

// beginning makes the first restriction of a partition.
type beginning struct {
	client *rdb.Client
	cfg    *Config
	part   topic.Partition
	warned bool
}

func (b *beginning) log() *slog.Logger {
	return logs.Of(b.part.Stream, b.cfg.Group).With("address", b.cfg.Conn.WithDefaults().Addr)
}

// warnOfRefusal says once that the server does not let a job begin (it is full,
// perhaps) while it is tried again.
func (b *beginning) warnOfRefusal(ctx context.Context, err error) {
	if err == nil || b.warned || rdb.Classify(err) != rdb.Retryable {
		return
	}
	b.warned = true
	b.log().WarnContext(ctx, "reading does not begin yet, will try again", "error", err)
}

// warnOfStart says, once in a process for the partitions of a group, that it
// does not begin where it was asked to.
func (b *beginning) warnOfStart(ctx context.Context, st rdb.State) {
	at, start := st.Group.LastDelivered, b.cfg.Start
	_, ours := groupsCreated.Load(keyOf(b.cfg, b.part.Stream))
	if !b.cfg.StartGiven || ours || !start.Latest && at == start.After || start.Latest && at == st.Stream.LastGenerated {
		return
	}
	key := keyOf(b.cfg, b.part.Stream)
	if b.cfg.Topic.Len() > 0 {
		key.stream = b.cfg.Topic.Key(0)
	}
	if _, said := startsWarnedOf.LoadOrStore(key, true); !said {
		b.log().WarnContext(ctx, "the group exists already, so that the start has no effect; to begin there, name another group or remove this one",
			"stands_at", at, "start", start)
	}
}

// groupsCreated are those of this process: when a pipeline that failed is
// submitted again, they stand where its start had them begin.
// startsWarnedOf are those that were warned of, by their topics' first streams.
var groupsCreated, startsWarnedOf sync.Map // of readerKey

func (b *beginning) restriction(ctx context.Context) (Restriction, error) {
	client, cfg, part := b.client, b.cfg, b.part
	start := cfg.Start.After.String()
	if cfg.Start.Latest {
		start = rdb.LatestStart
	}
	created, err := client.CreateGroup(ctx, part.Stream, cfg.Group, start)
	if err != nil {
		return Restriction{}, err
	}
	if created {
		groupsCreated.Store(keyOf(cfg, part.Stream), true)
	}
	st, err := client.State(ctx, part.Stream, cfg.Group)
	if err != nil {
		return Restriction{}, err
	}
	if !st.Group.Exists {
		return Restriction{}, fmt.Errorf("group %s of %s vanished right after it was created", cfg.Group, part.Stream)
	}
	b.warnOfStart(ctx, st)
	at := st.Group.LastDelivered
	rest := Restriction{Start: at, Position: at, Stop: message.MaxID, Deadline: NoLimit, Remaining: NoLimit}
	rest.Ahead = !cfg.Start.Latest && at == cfg.Start.After && st.Stream.LastGenerated.Less(at)
	switch {
	case cfg.StopAt != nil:
		rest.Stop = *cfg.StopAt
	case cfg.StopAtLatest:
		rest.Stop = st.Stream.LastGenerated
	}
	if cfg.MaxEntries > 0 {
		rest.Remaining = cfg.MaxEntries
	}
	if cfg.MaxTime > 0 {
		rest.Deadline = time.Now().Add(cfg.MaxTime).UnixMilli()
	}
	return rest, nil
}
