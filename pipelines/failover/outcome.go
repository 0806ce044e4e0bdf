package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio"
)

// outcome is what became of the entries of each partition of the source.
type outcome struct {
	in         []int64
	again      []int64 // given to the failing function after the first time
	duplicated []int64 // in the sink beyond the first time
	lost       []int64 // not in the sink
	pending    []int64
	unknown    int64 // in the sink and not in the source
	failures   int64
}

// takeStock reads both topics and the workers' counts.
func (j *job) takeStock(ctx context.Context, client *redis.Client) (outcome, error) {
	o, err := j.compare(ctx, client)
	if err != nil {
		return outcome{}, fmt.Errorf("compare the topics: %w", err)
	}
	var errs [3]error
	var given []int64
	o.pending, errs[0] = demo.Pending(ctx, client, j.source, j.group)
	given, errs[1] = j.tally().given(ctx, client, j.source)
	o.failures, errs[2] = j.tally().failures(ctx, client)
	if err := errors.Join(errs[:]...); err != nil {
		return outcome{}, fmt.Errorf("count what was copied: %w", err)
	}
	o.again = make([]int64, len(given))
	for i := range given {
		o.again[i] = max(0, given[i]-o.in[i])
	}
	return o, nil
}

// sent is an entry of the source: its partition, and how often it has still to
// be found in the sink.
type sent struct {
	partition int
	left      int64
}

// compare reads the source and then the sink, and holds one against the other
// by what the entries say.
func (j *job) compare(ctx context.Context, client *redis.Client) (outcome, error) {
	o := outcome{in: make([]int64, j.source.Len()), duplicated: make([]int64, j.source.Len()), lost: make([]int64, j.source.Len())}
	entries := map[uint64]*sent{}
	err := eachEntry(ctx, client, j.source, func(partition int, print uint64) {
		o.in[partition]++
		if entries[print] == nil {
			entries[print] = &sent{partition: partition}
		}
		entries[print].left++
	})
	if err != nil {
		return o, err
	}
	err = eachEntry(ctx, client, j.sink, func(_ int, print uint64) {
		switch e := entries[print]; {
		case e == nil:
			o.unknown++
		case e.left == 0:
			o.duplicated[e.partition]++
		default:
			e.left--
		}
	})
	for _, e := range entries {
		o.lost[e.partition] += e.left
	}
	return o, err
}

const pageSize = 2_000

// eachEntry calls f with every entry of t.
func eachEntry(ctx context.Context, client *redis.Client, t redisio.Topic, f func(partition int, print uint64)) error {
	for i, p := range t.Parts() {
		for from := "-"; ; {
			page, err := client.XRangeN(ctx, p.Stream, from, "+", pageSize).Result()
			if err != nil {
				return err
			}
			for _, e := range page {
				f(i, entryPrint(e.Values))
				from = "(" + e.ID
			}
			if len(page) < pageSize {
				break
			}
		}
	}
	return nil
}

const (
	titles = "  partition   entries in   delivered again   duplicated   %10s   pending\n"
	row    = "  %9s   %10s   %15s   %10s   %10s   %7s\n"
)

// write writes the table. What a stopped copy lacks is not lost.
func (o outcome) write(w io.Writer, stopped bool) {
	missing := "lost"
	if stopped {
		missing = "not copied"
	}
	head := fmt.Sprintf(titles, missing)
	rule := "  " + strings.Repeat("-", len(head)-3) + "\n"
	fmt.Fprint(w, "\n", head, rule)
	columns := [][]int64{o.in, o.again, o.duplicated, o.lost, o.pending}
	for i := range o.in {
		writeRow(w, fmt.Sprint(i), columns, func(c []int64) int64 { return c[i] })
	}
	fmt.Fprint(w, rule)
	writeRow(w, "all", columns, demo.Sum)
	fmt.Fprintln(w)
}

func writeRow(w io.Writer, name string, columns [][]int64, of func([]int64) int64) {
	cells := []any{name}
	for _, c := range columns {
		cells = append(cells, progress.Thousands(of(c)))
	}
	fmt.Fprintf(w, row, cells...)
}

// verify checks that nothing was lost, made up or left pending.
func (o outcome) verify(stopped bool) error {
	var errs []error
	report := func(n int64, format string) {
		if n != 0 {
			errs = append(errs, fmt.Errorf(format, progress.Thousands(n)))
		}
	}
	if stopped {
		errs = append(errs, errors.New("stopped before the end: what was not copied stays in the source"))
	} else {
		report(demo.Sum(o.lost), "%s entries were lost")
	}
	report(demo.Sum(o.pending), "%s entries are still pending, none should be")
	report(o.unknown, "%s entries of the sink are not in the source")
	return errors.Join(errs...)
}
