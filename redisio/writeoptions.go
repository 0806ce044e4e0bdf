package redisio

import (
	"fmt"
	"time"

	"example.com/beamredis/redisio/sinks"
)

// WithBatchCount bounds the messages in one round trip. Default: 1000.
func WithBatchCount(n int) WriteOption {
	return writeOption{"WithBatchCount", func(cfg *sinks.WriteConfig) error {
		cfg.Batch.MaxCount = n
		return positive("WithBatchCount", n)
	}}
}

// WithBatchBytes bounds the payload bytes in one round trip, which only a
// single larger message exceeds. Default: 1 MiB.
func WithBatchBytes(n int) WriteOption {
	return writeOption{"WithBatchBytes", func(cfg *sinks.WriteConfig) error {
		cfg.Batch.MaxBytes = n
		return positive("WithBatchBytes", n)
	}}
}

// WithFlushInterval lets a batch wait for d to fill up. Default: 0, a message
// is sent as soon as the one before is back.
func WithFlushInterval(d time.Duration) WriteOption {
	return writeOption{"WithFlushInterval", func(cfg *sinks.WriteConfig) error {
		cfg.Batch.Interval = d
		return positive("WithFlushInterval", d)
	}}
}

// WithFlushAtBundleEnd has nothing written before the bundle ends, which is
// then held in memory whole. Default: messages are written as they come.
func WithFlushAtBundleEnd() WriteOption {
	return writeOption{"WithFlushAtBundleEnd", func(cfg *sinks.WriteConfig) error {
		cfg.Batch.AtBundleEnd = true
		return nil
	}}
}

// WithFlushConcurrency has up to n batches on their way at once, each of other
// partitions, or of other keys where documents are written: the order within a
// partition, and of the documents of a key, stays. It helps where round trips
// are long; each holds memory of its own, up to two batches. Default: 1.
func WithFlushConcurrency(n int) WriteOption {
	return writeOption{"WithFlushConcurrency", func(cfg *sinks.WriteConfig) error {
		cfg.Concurrency = n
		return positive("WithFlushConcurrency", n)
	}}
}

// WithWriteRetry sets how long a batch is tried before its bundle fails.
// Default: 1 minute.
func WithWriteRetry(d time.Duration) WriteOption {
	return writeOption{"WithWriteRetry", func(cfg *sinks.WriteConfig) error {
		cfg.Batch.Deadline = d
		if d <= 0 {
			return fmt.Errorf("WithWriteRetry: %v is not positive", d)
		}
		return nil
	}}
}

// WithTopicOf has fn give the topic of each message, in place of the one that
// Write is given, which may then be the zero Topic. fn is a named function
// registered with register.Function1x1. There may be any number of topics. A
// message for which fn gives no valid topic is a dead letter.
func WithTopicOf(fn func(Message) Topic) WriteOption {
	return writeOption{"WithTopicOf", func(cfg *sinks.WriteConfig) (err error) {
		cfg.TopicOf, err = encodedFunc("WithTopicOf", fn)
		return err
	}}
}

// WithEntryIDs adds each message with the ID that it has, instead of one that
// the server assigns: what was read keeps its ID. IDs of a stream only grow, so
// that the messages of each partition have to come in the order of their IDs, by
// [WithOrder] for example, to a stream that ends before them; others are dead
// letters. An entry that the stream has already, the same in every field, counts
// as written, so that it is never there twice. It excludes [WithIdempotence],
// and trimming: an entry that is gone cannot be told from one that comes too late.
// Default: the server assigns IDs.
func WithEntryIDs() WriteOption {
	return writeOption{"WithEntryIDs", func(cfg *sinks.WriteConfig) error {
		cfg.KeepIDs = true
		return nil
	}}
}

// WithMaxLen keeps n entries of each stream, the newest, or up to about a
// hundred more; see [WithExactTrim]. Default: streams are not trimmed.
func WithMaxLen(n int64) WriteOption {
	return writeOption{"WithMaxLen", func(cfg *sinks.WriteConfig) error {
		cfg.Trim.MaxLen = n
		return positive("WithMaxLen", n)
	}}
}

// WithMaxAge removes entries that are older than d, by their IDs and the
// worker's clock, except for up to about a hundred; see [WithExactTrim].
// Default: streams are not trimmed.
func WithMaxAge(d time.Duration) WriteOption {
	return writeOption{"WithMaxAge", func(cfg *sinks.WriteConfig) error {
		cfg.Trim.MaxAge = d
		if d < time.Millisecond {
			return fmt.Errorf("WithMaxAge: %v is less than a millisecond", d)
		}
		return nil
	}}
}

// WithMinID removes entries before id, except for up to about a hundred; see
// [WithExactTrim]. Default: streams are not trimmed.
func WithMinID(id EntryID) WriteOption {
	return writeOption{"WithMinID", func(cfg *sinks.WriteConfig) error {
		cfg.Trim.MinID = id
		if id.IsZero() {
			return fmt.Errorf("WithMinID: nothing is before %v", id)
		}
		return nil
	}}
}

// WithExactTrim removes everything beyond the bound of [WithMaxLen],
// [WithMaxAge] or [WithMinID] with each batch; without one of them it is a
// mistake. Default: the server may keep what shares a node with entries within
// the bound, which is much cheaper.
func WithExactTrim() WriteOption {
	return writeOption{"WithExactTrim", func(cfg *sinks.WriteConfig) error {
		cfg.Trim.Exact = true
		return nil
	}}
}

// WithTrimLimit bounds how many entries one trimming, of which there is one
// for each batch and stream, may remove; without a bound it is a mistake.
// Default: the server's bound, a hundred nodes.
func WithTrimLimit(n int64) WriteOption {
	return writeOption{"WithTrimLimit", func(cfg *sinks.WriteConfig) error {
		cfg.Trim.Limit = n
		return positive("WithTrimLimit", n)
	}}
}

// WithReplicas has a batch of entries count as written only when n replicas
// have it too. Documents do not wait for replicas. Where they do not within
// timeout, the bundle fails, and the runner has it written again: twice, unless
// [WithIdempotence] or [WithEntryIDs] is set. Default: replicas are not waited for.
func WithReplicas(n int, timeout time.Duration) WriteOption {
	return writeOption{"WithReplicas", func(cfg *sinks.WriteConfig) error {
		cfg.Replicas = sinks.ReplicaOptions{Count: n, Timeout: timeout}
		if n < 1 || timeout < time.Millisecond {
			return fmt.Errorf("WithReplicas: %d replicas within %v: want at least one, and a millisecond", n, timeout)
		}
		return nil
	}}
}
