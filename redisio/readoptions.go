package redisio

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/sdf"
)

// ReadOption sets an option of [Read].
type ReadOption interface {
	applyRead(*sdf.Config) error
}

type readOption func(*sdf.Config) error

func (f readOption) applyRead(cfg *sdf.Config) error { return f(cfg) }

func (name errorStream) applyRead(cfg *sdf.Config) error {
	cfg.ErrorStream = string(name)
	return notEmpty("WithErrorStream", string(name))
}

func (name keyField) applyRead(cfg *sdf.Config) error {
	cfg.KeyField = string(name)
	return nil
}

// AckStrategy says when Read acknowledges an entry, and so what a restart reads
// again.
type AckStrategy = sdf.AckStrategy

const (
	// AckOnCheckpoint acknowledges when the runner has made the bundle durable.
	// A restart reads everything again that the runner had not committed.
	AckOnCheckpoint = sdf.AckOnCheckpoint
	// AckOnEmit acknowledges right after the entry was emitted. A restart reads
	// again only what was not emitted yet; what was emitted and not committed is
	// lost.
	AckOnEmit = sdf.AckOnEmit
	// NoAck never has entries pending. A restart reads nothing again.
	NoAck = sdf.NoAck
)

// ParseAckStrategy reads "on-checkpoint", "on-emit" or "no-ack".
func ParseAckStrategy(s string) (AckStrategy, error) {
	switch a := AckStrategy(s); a {
	case AckOnCheckpoint, AckOnEmit, NoAck:
		return a, nil
	}
	return "", fmt.Errorf("%q is no ack strategy: want on-checkpoint, on-emit or no-ack", s)
}

// WithAckStrategy sets when entries are acknowledged. Default:
// [AckOnCheckpoint].
func WithAckStrategy(a AckStrategy) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.Ack = a
		_, err := ParseAckStrategy(string(a))
		return inOption("WithAckStrategy", err)
	})
}

// Start says where a new consumer group begins.
type Start = sdf.Start

// StartLatest begins with what is added after the group is created.
func StartLatest() Start { return Start{Latest: true} }

// StartEarliest begins with the oldest entry there is.
func StartEarliest() Start { return Start{} }

// StartAfter begins with the first entry after id.
func StartAfter(id EntryID) Start { return Start{After: id} }

// StartAt begins with the first entry that was added at t or later.
func StartAt(t time.Time) Start { return Start{After: message.FirstIDAt(t).Prev()} }

// ParseStart reads "latest", "earliest", an entry ID (begin after it) or a time
// in RFC 3339 (begin with it).
func ParseStart(s string) (Start, error) {
	switch s {
	case "latest":
		return StartLatest(), nil
	case "earliest":
		return StartEarliest(), nil
	}
	if id, err := message.ParseEntryID(s); err == nil {
		return StartAfter(id), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return StartAt(t), nil
	}
	return Start{}, fmt.Errorf("%q is no start: want latest, earliest, an entry ID such as 1700000000000-0, or a time such as 2026-01-02T15:04:05Z", s)
}

// WithStart sets where a group that does not exist yet begins. Default:
// [StartLatest]. A group that exists continues where it stands, and a worker
// warns that the start has no effect.
func WithStart(start Start) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.Start, cfg.StartGiven = start, true
		return nil
	})
}

// WithConsumer sets the name of the group's consumer that entries are
// delivered to. Default: "beam". What a job leaves pending under its name, the
// next job of the same name is given at once; what others leave, after
// [WithClaimIdle].
func WithConsumer(name string) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.Consumer = name
		return notEmpty("WithConsumer", name)
	})
}

// WithClaimIdle sets how long an entry of another consumer, pending since
// before the job began, must have been idle before it is taken over. Default:
// 1 minute.
func WithClaimIdle(d time.Duration) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.ClaimIdle = d
		return positive("WithClaimIdle", d)
	})
}

// WithDeliveryLimit makes an entry a dead letter that was delivered n times and
// never acknowledged. The last two deliveries happen with the entry alone in
// its bundle, and are counted only if that bundle fails, so that no entry is
// condemned for what happened to others. n is at least 3. Default: no limit.
func WithDeliveryLimit(n int) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.DeliveryLimit = int64(n)
		if n < sdf.MinDeliveryLimit {
			return fmt.Errorf("WithDeliveryLimit: %d is below %d: one delivery in company, two alone", n, sdf.MinDeliveryLimit)
		}
		return nil
	})
}

// WithWatermarkSkew holds the watermark back by d, for event times that lie
// before the entry's own. Default: 0.
func WithWatermarkSkew(d time.Duration) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.Skew = d
		if d < 0 {
			return fmt.Errorf("WithWatermarkSkew: %v is negative", d)
		}
		return nil
	})
}

// WithOutOfOrderness has the watermark follow the event times that
// [WithEventTime] or [WithEventTimeField] give: it is d behind the latest one of
// each partition, and never ahead of the server's clock. What comes out of order
// by more than d may be late. Default: the watermark follows the entry IDs, which
// is right for event times that are at most [WithWatermarkSkew] before them.
func WithOutOfOrderness(d time.Duration) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.FollowEventTimes, cfg.OutOfOrderness = true, d
		if d < 0 {
			return fmt.Errorf("WithOutOfOrderness: %v is negative", d)
		}
		return nil
	})
}

// WithIdleAdvance sets how long nothing must have been added to a partition
// before its watermark goes on with the server's clock, so that it does not hold
// up the windows of the others. It goes with [WithOutOfOrderness], by which it is
// behind the clock. Default: 1 minute.
func WithIdleAdvance(d time.Duration) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.IdleAdvance = d
		return positive("WithIdleAdvance", d)
	})
}

// WithEventTimeField takes the event time from a field: milliseconds since the
// Unix epoch, or RFC 3339. An entry without it cannot be delivered. Default:
// the time of the entry's ID.
func WithEventTimeField(name string) interface {
	ReadOption
	RangeOption
} {
	return sourceOption(func(cfg *sdf.Config) error {
		cfg.EventTimeField = name
		return notEmpty("WithEventTimeField", name)
	})
}

// WithEventTime has fn tell the event time of a message. fn must be a named,
// registered function: register.Function1x2(fn) in an init function. Default:
// the time of the entry's ID.
func WithEventTime(fn func(Message) (time.Time, error)) interface {
	ReadOption
	RangeOption
} {
	return sourceOption(func(cfg *sdf.Config) error {
		if fn == nil {
			return errors.New("WithEventTime: the function is nil")
		}
		if err := requireNamed(fn); err != nil {
			return inOption("WithEventTime", err)
		}
		cfg.EventTimeFn = &beam.EncodedFunc{Fn: reflectx.MakeFunc(fn)}
		return nil
	})
}

// requireNamed refuses functions that a worker could not find by their name.
func requireNamed(fn any) error {
	f := reflectx.MakeFunc(fn)
	if isTopLevel(f.Name()) {
		if _, err := runtime.ResolveFunction(f.Name(), f.Type()); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s cannot be found by a worker: make it a named function and register it in an init function with register.Function%dx%d",
		f.Name(), f.Type().NumIn(), f.Type().NumOut())
}

// isTopLevel tells a function of a package from closures, methods and
// instances of generic functions, whose names can come to mean another one.
func isTopLevel(name string) bool {
	return strings.Count(name[strings.LastIndex(name, "/")+1:], ".") == 1
}

// WithStopAtLatest ends the read at the last entry that each partition holds
// when the job starts, once all of them are acknowledged.
func WithStopAtLatest() ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.StopAtLatest = true
		return nil
	})
}

// WithStopAt ends the read at id, inclusive: when every entry up to it has been
// read, and no other can come.
func WithStopAt(id EntryID) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.StopAt = &id
		return nil
	})
}

// WithStopAtTime ends the read at t, exclusive: entries added at t or later are
// not read.
func WithStopAtTime(t time.Time) ReadOption { return WithStopAt(message.FirstIDAt(t).Prev()) }

// WithMaxEntries ends the read of each partition after n entries. Entries that
// are delivered again do not count. A partition that has fewer waits for them,
// unless another option bounds the read as well.
func WithMaxEntries(n int64) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.MaxEntries = n
		return positive("WithMaxEntries", n)
	})
}

// WithMaxTime ends the read d after the job's start.
func WithMaxTime(d time.Duration) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.MaxTime = d
		return positive("WithMaxTime", d)
	})
}

// WithBundleBounds bounds what one bundle reads of a partition: entries, bytes,
// and time. Larger bundles cost less per entry; smaller ones are acknowledged
// sooner and hold up a checkpoint less. Default: 10,000 entries, 8 MiB, 500 ms.
func WithBundleBounds(entries, bytes int, d time.Duration) ReadOption {
	return readOption(func(cfg *sdf.Config) error {
		cfg.BundleEntries, cfg.BundleBytes, cfg.BundleTime = entries, bytes, d
		cfg.IdleTime = min(cfg.IdleTime, d)
		return errors.Join(positive("WithBundleBounds: entries", entries), positive("WithBundleBounds: bytes", bytes),
			positive("WithBundleBounds: time", d))
	})
}

// WithReadRetry sets how long Redis may be out of reach before the read fails.
// Until then it is tried again in every bundle. Default: 2 minutes.
func WithReadRetry(d time.Duration) interface {
	ReadOption
	RangeOption
} {
	return sourceOption(func(cfg *sdf.Config) error {
		cfg.RetryFor = d
		return positive("WithReadRetry", d)
	})
}
