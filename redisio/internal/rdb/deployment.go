package rdb

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"example.com/beamredis/redisio/conn"
)

const (
	// connMaxIdle closes connections well before the idle timeouts of usual
	// load balancers and firewalls do, which would do it silently.
	connMaxIdle = 5 * time.Minute
	// bufferBytes holds a batch of a few hundred small entries per system call.
	bufferBytes = 64 << 10
)

// connect makes the client of a deployment. It expects cfg with its defaults
// filled in, and does not connect yet. replace is called where the client's
// connections are to be replaced by those of a new one.
func connect(cfg conn.Config, replace func(*connections)) *connections {
	opts := options(cfg)
	switch cfg.Mode {
	case conn.Cluster:
		cluster := redis.NewClusterClient(clusterOptions(opts))
		watch := clusterWatch{cluster}
		cluster.OnNewNode(func(node *redis.Client) {
			node.AddHook(noHiddenRetries{})
			node.AddHook(watch) // sees what some of our pipelines send past the cluster's client
			node.AddHook(rawErrors{})
		})
		cluster.AddHook(honestErrors{cluster: true})
		cluster.AddHook(watch)
		return &connections{UniversalClient: cluster}
	case conn.Sentinel:
		return connectBySentinels(cfg, opts, replace)
	}
	single := redis.NewClient(opts.Simple())
	single.AddHook(honestErrors{})
	single.AddHook(rawErrors{})
	return &connections{UniversalClient: single}
}

// connectBySentinels makes a client of the primary, or of replicas where opts
// say so.
func connectBySentinels(cfg conn.Config, opts *redis.UniversalOptions, replace func(*connections)) *connections {
	failover := opts.Failover()
	failover.ReplicaOnly = opts.ReadOnly
	var err error
	if failover.SentinelUsername, failover.SentinelPassword, err = cfg.ResolveSentinel(context.Background()); err != nil {
		return refusing(err)
	}
	c := &connections{}
	again := func() { replace(c) }
	if cfg.Credentials != "" {
		// go-redis 9.23 has connections log in again for single servers and
		// clusters only; its client for sentinels panics.
		s := newSuccession(cfg, again)
		failover.CredentialsProviderContext, c.end = s.credentials, s.stop
		failover.StreamingCredentialsProvider = nil
	}
	server := redis.NewFailoverClient(failover)
	server.AddHook(honestErrors{sentinels: &sentinelSecret{cfg, failover.SentinelPassword, again}})
	server.AddHook(rawErrors{})
	c.UniversalClient = server
	return c
}

func clusterOptions(opts *redis.UniversalOptions) *redis.ClusterOptions {
	cluster := opts.Cluster()
	// They ask for COMMAND, which the user may not be allowed, to learn what is
	// known here: every command of ours has a key.
	cluster.DisableRoutingPolicies = true
	return cluster
}

func options(cfg conn.Config) *redis.UniversalOptions {
	opts := &redis.UniversalOptions{
		Addrs:      cfg.Addrs(),
		MasterName: cfg.MasterName,
		ClientName: cfg.ClientName,
		Protocol:   cfg.Protocol,
		DB:         cfg.DB,

		// We retry ourselves (see Retry): go-redis repeats a whole pipeline when
		// one command of it met a retryable error, and would so write the
		// commands that had succeeded a second time.
		MaxRetries:    -1,
		DialerRetries: 1,

		DialTimeout:           cfg.DialTimeout,
		ReadTimeout:           cfg.ReadTimeout,
		WriteTimeout:          cfg.WriteTimeout,
		ContextTimeoutEnabled: true,

		PoolSize:        cfg.PoolSize,
		ConnMaxIdleTime: connMaxIdle,
		ReadBufferSize:  bufferBytes,
		WriteBufferSize: bufferBytes,
		// One pool for everything, so that PoolSize is the bound it claims to
		// be: a second pool for pipelines would add to it.
		PipelinePoolSize: -1,

		// Both would send commands of their own at every connect, and some
		// servers and ACLs refuse them.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.Credentials == "" {
		opts.CredentialsProviderContext = cfg.Resolve
	} else {
		opts.StreamingCredentialsProvider = newIssuer(cfg)
	}
	opts.Dialer = dialPlain(cfg)
	if cfg.TLS {
		opts.Dialer = dialTLS(cfg)
	}
	return opts
}

// noHiddenRetries keeps a cluster's client from sending a command again on its
// own, on each of its nodes: after a lost reply it may have been carried out,
// and only its caller knows what that means. MOVED and ASK are still followed.
type noHiddenRetries struct{}

var _ redis.Hook = noHiddenRetries{}

// DialHook changes nothing.
func (noHiddenRetries) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook hides what the client would take for a reason to try again.
func (noHiddenRetries) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if _, isReply := reply(err); err == nil || isReply || errors.Is(err, redis.Nil) {
			return err
		}
		return &hiddenError{err}
	}
}

// ProcessPipelineHook changes nothing: of the pipelines, those of XADD, of
// documents and of what is written once refuse to be repeated by the type of
// their commands, and the others may be.
func (noHiddenRetries) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// hiddenError has no Unwrap on purpose.
type hiddenError struct{ err error }

func (e *hiddenError) Error() string { return e.err.Error() }

// clusterWatch looks for the cluster's new shape as soon as a node cannot be
// reached, or is not the right one: nobody sends MOVED in place of a dead node,
// and by itself the client looks once a minute.
type clusterWatch struct{ cluster *redis.ClusterClient }

var _ redis.Hook = clusterWatch{}

// DialHook changes nothing.
func (clusterWatch) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook shows the error that was hidden from the client.
func (w clusterWatch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if hidden := hiddenIn(err); hidden != nil {
			err = hidden
			cmd.SetErr(err)
		}
		w.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook shows hidden errors, too: those of the commands by which a
// connection begins, before the first of the pipeline's own.
func (w clusterWatch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil {
			return nil
		}
		for _, cmd := range cmds {
			if hidden := hiddenIn(cmd.Err()); hidden != nil {
				cmd.SetErr(hidden)
			}
		}
		err = shown(err)
		w.look(ctx, err)
		return err
	}
}

// hiddenIn returns the error that err hides; nil: none.
func hiddenIn(err error) error {
	if hidden := (*hiddenError)(nil); errors.As(err, &hidden) {
		return hidden.err
	}
	return nil
}

// shown is err without what hides it.
func shown(err error) error {
	if hidden := hiddenIn(err); hidden != nil {
		return hidden
	}
	return err
}

func (w clusterWatch) look(ctx context.Context, err error) {
	slow := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil // an inner deadline
	if err != nil && (slow || Classify(err) == Retryable) {
		w.cluster.ReloadState(ctx) // in the background, a few times a second at most
	}
}
