// Package inspect tells how the partitions of a topic stand, and how far a
// consumer group of it has come.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// Errors of [Topic].
var (
	// ErrNoTopic says that none of the topic's streams exists.
	ErrNoTopic = errors.New("the topic does not exist")
	// ErrNoGroup says that none of the topic's streams has the group.
	ErrNoGroup = errors.New("the topic has no such group")
)

// Options of [Topic].
type Options struct {
	// Group is the consumer group; empty: the topic's, if it has one only.
	Group string
	// StuckAfter is how long entries may be pending, or wait for somebody to read
	// them, before their partition counts as stuck; 0: a minute.
	StuckAfter time.Duration
}

// Report is what was found.
type Report struct {
	Topic string `json:"topic"`
	// Group is the group that was looked at; empty: there is none, or several of
	// which none was named.
	Group      string      `json:"group"`
	Groups     []string    `json:"groups"`
	Partitions []Partition `json:"partitions"`
	Total      Counts      `json:"total"`
}

// Counts are the numbers of a partition, and their sums. Those of a group are
// nil without one, and where the server does not tell; a sum is nil where one
// of its partitions is.
type Counts struct {
	// Length is the number of entries.
	Length int64 `json:"length"`
	// Lag is the number of entries that were not delivered to the group yet.
	Lag *int64 `json:"lag"`
	// Pending is the number of entries that are delivered and not acknowledged.
	Pending *int64 `json:"pending"`
	// OldestPendingMs is how many milliseconds ago the pending entry with the
	// smallest ID was last delivered, in total the longest of those; nil: none is
	// pending.
	OldestPendingMs *int64 `json:"oldest_pending_ms"`
}

// Partition is one stream.
type Partition struct {
	Partition int    `json:"partition"`
	Stream    string `json:"stream"`
	Exists    bool   `json:"exists"`
	Counts
	// Consumers is the number of the group's consumers, one that marks the group
	// for idempotent writing included.
	Consumers *int64 `json:"consumers"`
	// First and Last are the oldest and the newest entry; nil: there is none.
	First *Entry `json:"first"`
	Last  *Entry `json:"last"`
	// Warning says why the partition is stuck, or that the group is missing here;
	// empty: neither.
	Warning string `json:"warning,omitempty"`
}

// Entry is where and when an entry was added.
type Entry struct {
	ID string `json:"id"`
	// AgeMs is how many milliseconds ago that was, by its ID and the server's
	// clock.
	AgeMs int64 `json:"age_ms"`
}

// Topic looks at a topic and a group. Its error wraps [ErrNoTopic] or
// [ErrNoGroup] where there is nothing to look at.
func Topic(ctx context.Context, c conn.Config, t topic.Topic, o Options) (Report, error) {
	if err := t.Validate(); err != nil {
		return Report{}, err
	}
	client, err := rdb.Open(c)
	if err != nil {
		return Report{}, err
	}
	parts := t.Parts()
	if _, err := client.Preflight(ctx, streamsOf(parts)...); err != nil {
		return Report{}, err
	}
	r := Report{Topic: t.Name, Group: o.Group}
	if err := r.findGroup(ctx, client, parts); err != nil {
		return r, err
	}
	if o.StuckAfter == 0 {
		o.StuckAfter = time.Minute
	}
	if r.Group != "" {
		r.Total = noneOfGroup()
	}
	for _, part := range parts {
		p, err := look(ctx, client, part, r.Group, o.StuckAfter)
		if err != nil {
			return r, fmt.Errorf("partition %s: %w", part.Stream, err)
		}
		r.Partitions = append(r.Partitions, p)
		if p.Exists {
			r.Total.add(p.Counts)
		}
	}
	return r, r.check(parts)
}

func streamsOf(parts []topic.Partition) []string {
	streams := make([]string, len(parts))
	for i, p := range parts {
		streams[i] = p.Stream
	}
	return streams
}

// findGroup lists the groups, and takes the one there is if none was named.
func (r *Report) findGroup(ctx context.Context, client *rdb.Client, parts []topic.Partition) error {
	r.Groups = []string{}
	for _, part := range parts {
		names, err := client.Groups(ctx, part.Stream)
		if err != nil {
			return fmt.Errorf("partition %s: %w", part.Stream, err)
		}
		r.Groups = append(r.Groups, names...)
	}
	slices.Sort(r.Groups)
	r.Groups = slices.Compact(r.Groups)
	if r.Group == "" && len(r.Groups) == 1 {
		r.Group = r.Groups[0]
	}
	return nil
}

// check finds out whether there was anything to look at.
func (r *Report) check(parts []topic.Partition) error {
	if !slices.ContainsFunc(r.Partitions, func(p Partition) bool { return p.Exists }) {
		return fmt.Errorf("%w: there is no stream %s: check its name and the number of partitions", ErrNoTopic, listOf(streamsOf(parts)))
	}
	if r.Group != "" && !slices.Contains(r.Groups, r.Group) {
		return fmt.Errorf("%w: %q is none of its groups (%s)", ErrNoGroup, r.Group, listOf(r.Groups))
	}
	return nil
}

// listOf names a few.
func listOf(names []string) string {
	switch n := len(names); {
	case n == 0:
		return "it has none"
	case n > 3:
		return names[0] + " … " + names[n-1]
	}
	return strings.Join(names, ", ")
}

func look(ctx context.Context, client *rdb.Client, part topic.Partition, group string, stuckAfter time.Duration) (Partition, error) {
	p := Partition{Partition: part.Index, Stream: part.Stream}
	st, err := client.State(ctx, part.Stream, group)
	if err != nil || !st.Stream.Exists {
		return p, err
	}
	p.Exists, p.Length = true, st.Stream.Length
	if st.Stream.Length > 0 {
		p.First, p.Last = entryOf(st.Stream.First, st.Now), entryOf(st.Stream.Last, st.Now)
	}
	if group == "" {
		return p, nil
	}
	if !st.Group.Exists {
		p.Warning = fmt.Sprintf("the group is missing here, so that nobody reads these %d entries", p.Length)
		return p, nil
	}
	p.Pending, p.Consumers = &st.Group.Pending, &st.Group.Consumers
	if st.Group.Lag != rdb.Unknown {
		p.Lag = &st.Group.Lag
	}
	rows, err := client.Pending(ctx, part.Stream, group, rdb.PendingQuery{To: message.MaxID, Count: 1})
	if err != nil {
		return p, err
	}
	if len(rows) > 0 {
		ms := rows[0].Idle.Milliseconds()
		p.OldestPendingMs = &ms
	}
	idle, everRead, err := client.SinceLastRead(ctx, part.Stream, group)
	if err != nil {
		return p, err
	}
	p.Warning = warning(p.Counts, st.Group.LastDelivered.Less(st.Stream.Last), idle, everRead, stuckAfter)
	return p, nil
}

func entryOf(id message.EntryID, now int64) *Entry {
	return &Entry{ID: id.String(), AgeMs: max(0, now-int64(min(id.Ms, uint64(now))))}
}

// warning is the pure rule: a partition is stuck if entries are pending for too
// long, or wait while nobody asks for them. Where the lag is not known, behind
// says whether there are entries that were not delivered.
func warning(c Counts, behind bool, idle time.Duration, everRead bool, after time.Duration) string {
	if c.OldestPendingMs != nil {
		if since := time.Duration(*c.OldestPendingMs) * time.Millisecond; since >= after {
			return fmt.Sprintf("%d entries are pending, the oldest since %s ago: they were delivered and not acknowledged", *c.Pending, rounded(since))
		}
	}
	wait := "entries wait"
	if c.Lag != nil {
		behind, wait = *c.Lag > 0, fmt.Sprint(*c.Lag, " entries wait")
	}
	switch {
	case !behind:
		return ""
	case !everRead:
		return wait + ", and no consumer of the group has ever read"
	case idle >= after:
		return fmt.Sprintf("%s, and no consumer of the group has read for %s", wait, rounded(idle))
	}
	return ""
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Second) }

// noneOfGroup are the counts of no partition, but of a group.
func noneOfGroup() Counts { return Counts{Lag: new(int64), Pending: new(int64)} }

// add sums up; the oldest is the longest.
func (c *Counts) add(p Counts) {
	c.Length += p.Length
	c.Lag, c.Pending = plus(c.Lag, p.Lag), plus(c.Pending, p.Pending)
	if p.OldestPendingMs != nil && (c.OldestPendingMs == nil || *p.OldestPendingMs > *c.OldestPendingMs) {
		c.OldestPendingMs = p.OldestPendingMs
	}
}

// plus is the sum, nil where a part of it is not known.
func plus(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	sum := *a + *b
	return &sum
}
