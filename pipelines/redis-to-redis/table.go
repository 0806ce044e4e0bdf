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
)

// table is what became of each partition.
type table struct {
	in, out, pending []int64
}

// takeStock counts entries and pending entries on the server.
func takeStock(ctx context.Context, client *redis.Client, j job) (table, error) {
	var t table
	var errs [3]error
	t.in, errs[0] = demo.Lengths(ctx, client, j.Source)
	t.out, errs[1] = demo.Lengths(ctx, client, j.sink)
	t.pending, errs[2] = demo.Pending(ctx, client, j.Source, j.Group)
	if err := errors.Join(errs[:]...); err != nil {
		return table{}, fmt.Errorf("count what was copied: %w", err)
	}
	return t, nil
}

const (
	titles = "  partition   entries in   entries out   pending\n"
	row    = "  %9s   %10s   %11s   %7s\n"
)

func (t table) write(w io.Writer) {
	rule := "  " + strings.Repeat("-", len(titles)-3) + "\n"
	fmt.Fprint(w, "\n", titles, rule)
	for i := range max(len(t.in), len(t.out)) {
		fmt.Fprintf(w, row, fmt.Sprint(i), cell(t.in, i), cell(t.out, i), cell(t.pending, i))
	}
	fmt.Fprint(w, rule)
	fmt.Fprintf(w, row+"\n", "all", progress.Thousands(demo.Sum(t.in)), progress.Thousands(demo.Sum(t.out)), progress.Thousands(demo.Sum(t.pending)))
}

// cell is empty for a partition that only the other topic has.
func cell(counts []int64, i int) string {
	if i >= len(counts) {
		return ""
	}
	return progress.Thousands(counts[i])
}

// verify checks that the copy is whole, or, if it was stopped, that nothing
// hangs in between.
func (t table) verify(stopped bool) error {
	if n := demo.Sum(t.pending); n != 0 {
		return fmt.Errorf("%s entries are still pending, none should be", progress.Thousands(n))
	}
	in, out := demo.Sum(t.in), demo.Sum(t.out)
	if in == out || stopped && out < in {
		return t.verifyPartitions(stopped)
	}
	return fmt.Errorf("%s entries came out of %s", progress.Thousands(out), progress.Thousands(in))
}

// verifyPartitions: with as many partitions on either side, a key's partition
// has the same number on both.
func (t table) verifyPartitions(stopped bool) error {
	if len(t.in) != len(t.out) || stopped {
		return nil
	}
	for i := range t.in {
		if t.in[i] != t.out[i] {
			return fmt.Errorf("partition %d has %s entries where its source has %s", i, progress.Thousands(t.out[i]), progress.Thousands(t.in[i]))
		}
	}
	return nil
}
