package redisio

import (
	"errors"

	"example.com/beamredis/redisio/sdf"
)

// RangeOption sets an option of [ReadRange] and [ReadRanges].
type RangeOption interface {
	applyRange(*sdf.RangeConfig) error
}

type rangeOption func(*sdf.RangeConfig) error

func (f rangeOption) applyRange(cfg *sdf.RangeConfig) error { return f(cfg) }

// sourceOption is an option of both kinds of reading.
type sourceOption func(*sdf.Config) error

func (f sourceOption) applyRead(cfg *sdf.Config) error { return f(cfg) }

func (f sourceOption) applyRange(cfg *sdf.RangeConfig) error { return f(&cfg.Config) }

func (name errorStream) applyRange(cfg *sdf.RangeConfig) error { return name.applyRead(&cfg.Config) }

func (name keyField) applyRange(cfg *sdf.RangeConfig) error { return name.applyRead(&cfg.Config) }

var errTwoEventTimes = errors.New("WithEventTime and WithEventTimeField exclude each other")

// WithOrder has each partition read as one range, from its first entry to its
// last: what is fused with the read, such as [Write], gets the entries in order.
// Partitions are read in parallel still. Default: partitions are cut.
func WithOrder() RangeOption {
	return rangeOption(func(cfg *sdf.RangeConfig) error {
		cfg.Ordered = true
		return nil
	})
}

// WithRangeEntries sets about how many entries a range has that is read at a
// time, of at most 1024 for each partition. A runner that fails repeats a range,
// and Flink takes no checkpoint of a streaming job while one is being read.
// Ranges of large entries are cut to about 64 MiB. Default: 50,000.
func WithRangeEntries(n int) RangeOption {
	return rangeOption(func(cfg *sdf.RangeConfig) error {
		cfg.RangeEntries = n
		return positive("WithRangeEntries", n)
	})
}

// WithGroupAtEnd has a consumer group stand at the end of what was read when
// all of it is read, and the runner has it for good: a [Read] of this group
// then begins with the entry after. The group is created where it is missing;
// one that has come further stays. Default: no group is touched.
func WithGroupAtEnd(group string) RangeOption {
	return rangeOption(func(cfg *sdf.RangeConfig) error {
		cfg.GroupAtEnd = group
		return notEmpty("WithGroupAtEnd", group)
	})
}

// WithFailOnLoss has a bundle fail by an error that wraps [ErrTrimmed], where
// entries were trimmed before they were read, or may have been. Default: what is
// left is read; a warning and the counter losses_uncounted tell.
func WithFailOnLoss() RangeOption {
	return rangeOption(func(cfg *sdf.RangeConfig) error {
		cfg.FailOnLoss = true
		return nil
	})
}

// WithMissingTopic takes a topic none of whose streams exists for an empty one.
// Default: it is an error.
func WithMissingTopic() RangeOption {
	return rangeOption(func(cfg *sdf.RangeConfig) error {
		cfg.AllowMissing = true
		return nil
	})
}
