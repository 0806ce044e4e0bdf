package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/beamredis/redisio/inspect"
)

// A row is 80 columns at most, whatever the numbers.
const (
	row     = "%4s %5s  %16s %4s  %16s %4s %5s %5s %4s %5s\n"
	columns = 80
)

// table shows a report.
func table(r inspect.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "topic %s, %s\n\n", r.Topic, groupOf(r))
	fmt.Fprintf(&b, row, "part", "len", "first ID", "age", "last ID", "age", "lag", "pend", "old", "con")
	for _, p := range r.Partitions {
		writePartition(&b, p)
	}
	t := r.Total
	fmt.Fprintf(&b, row, "all", compact(&t.Length), "", "", "", "", compact(t.Lag), compact(t.Pending), ageOf(t.OldestPendingMs), "")
	b.WriteString("\n" + legend)
	return b.String()
}

const legend = "len: entries; lag: entries not delivered to the group yet; pend: delivered, not\n" +
	"acknowledged; old: since the oldest of those was delivered; con: consumers\n"

func groupOf(r inspect.Report) string {
	switch {
	case r.Group != "":
		return "group " + r.Group
	case len(r.Groups) == 0:
		return "no consumer group"
	}
	return "groups " + strings.Join(r.Groups, ", ") + "; name one with --group"
}

func writePartition(b *strings.Builder, p inspect.Partition) {
	part := strconv.Itoa(p.Partition)
	if !p.Exists {
		fmt.Fprintf(b, "%4s  there is no such stream: no entry was ever added to it\n", part)
		return
	}
	firstID, firstAge := entry(p.First)
	lastID, lastAge := entry(p.Last)
	line := fmt.Sprintf(row, part, compact(&p.Length), firstID, firstAge, lastID, lastAge,
		compact(p.Lag), compact(p.Pending), ageOf(p.OldestPendingMs), compact(p.Consumers))
	b.WriteString(line)
	if p.Warning != "" {
		b.WriteString(warningRow(p.Warning))
	}
}

// warningRow is the row below a partition that is stuck.
func warningRow(text string) string {
	const indent = "   ! "
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields("STUCK: " + text) {
		switch {
		case column == 0:
			b.WriteString(indent + word)
			column = len(indent) + len(word)
		case column+1+len(word) > columns:
			b.WriteString("\n     " + word)
			column = len(indent) + len(word)
		default:
			b.WriteString(" " + word)
			column += 1 + len(word)
		}
	}
	return b.String() + "\n"
}

const idWidth = 16

func entry(e *inspect.Entry) (id, age string) {
	if e == nil {
		return "-", ""
	}
	id = e.ID
	if len(id) > idWidth {
		id = "…" + id[len(id)-idWidth+1:]
	}
	return id, ageOf(&e.AgeMs)
}

// compact shows a number in five columns; "?" is one that is not known.
func compact(n *int64) string {
	if n == nil {
		return "?"
	}
	v, unit := *n, ""
	for _, next := range []string{"k", "M", "G", "T", "P", "E"} {
		if v < 10_000 || v < 100_000 && unit == "" {
			break
		}
		v, unit = v/1000, next
	}
	return strconv.FormatInt(v, 10) + unit
}

// ageOf shows milliseconds in four columns.
func ageOf(ms *int64) string {
	if ms == nil {
		return "-"
	}
	d := time.Duration(*ms) * time.Millisecond
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 100*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 10_000*24*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return ">27y"
}
