package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio"
)

func init() {
	register.DoFn3x1[context.Context, string, func(fileGroup), error](&listFn{})
	register.DoFn3x1[context.Context, fileGroup, func(redisio.Message), error](&readFn{})
	register.Emitter1[fileGroup]()
}

// fileGroup is the files of one stream in the order of their entries.
type fileGroup struct {
	Stream string
	Names  []string
}

// listFn finds the files that a glob names, and which belong together.
type listFn struct{}

// ProcessElement lists the files of one glob.
func (fn *listFn) ProcessElement(ctx context.Context, glob string, emit func(fileGroup)) error {
	names, err := list(ctx, glob)
	if err != nil {
		return fmt.Errorf("--input: %w", err)
	}
	if len(names) == 0 {
		return fmt.Errorf("--input: no file matches %s", glob)
	}
	byStream := map[string][]firstLine{}
	for _, name := range names {
		first, err := readFirst(ctx, name)
		if err != nil {
			return err
		}
		if !first.empty {
			byStream[first.stream] = append(byStream[first.stream], first)
		}
	}
	for stream, files := range byStream {
		slices.SortFunc(files, func(a, b firstLine) int { return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.name, b.name)) })
		g := fileGroup{Stream: stream}
		for _, f := range files {
			g.Names = append(g.Names, f.name)
		}
		emit(g)
	}
	return nil
}

// firstLine is what a file begins with.
type firstLine struct {
	name   string
	stream string
	id     redisio.EntryID
	empty  bool
}

func readFirst(ctx context.Context, name string) (firstLine, error) {
	first := firstLine{name: name, empty: true}
	err := eachRecord(ctx, name, func(r record) error {
		first.stream, first.id, first.empty = r.Stream, r.entryID, false
		return io.EOF
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return first, err
}

// readFn reads the files of a stream one after another and places what they
// hold.
type readFn struct {
	Sink    redisio.Topic
	KeepIDs bool

	streams []string
}

// Setup names the streams once.
func (fn *readFn) Setup() { fn.streams = names(fn.Sink) }

// ProcessElement reads the files of one stream. Parts of a backup share the entry
// at which they meet, if they were made up to and from its ID: it is read once.
func (fn *readFn) ProcessElement(ctx context.Context, g fileGroup, emit func(redisio.Message)) error {
	var last redisio.Message
	lastIn := ""
	for _, name := range g.Names {
		err := eachRecord(ctx, name, func(r record) error {
			if fn.KeepIDs && r.Partitions != len(fn.streams) {
				return fmt.Errorf("--keep_ids: %d partitions cannot become %d: IDs of a stream only grow; give --sink_partitions %d",
					r.Partitions, len(fn.streams), r.Partitions)
			}
			if lastIn != "" && !last.ID.Less(r.entryID) {
				if same(&last, &r.Message) {
					return nil
				}
				return fmt.Errorf("entry %s of %s comes after %s in %s: both hold a part of the same IDs; give files that follow each other", r.ID, r.Stream, last.ID, lastIn)
			}
			last, lastIn = r.Message, name
			emit(place(r.Message, r.Partition, r.Partitions, fn.Sink, fn.streams))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// same reports whether two messages are the same entry.
func same(a, b *redisio.Message) bool {
	return a.ID == b.ID && a.Key == b.Key && a.EmptyKey == b.EmptyKey && slices.Equal(a.Fields, b.Fields)
}

// eachRecord calls f for each line of a file. Errors name the file and the line.
func eachRecord(ctx context.Context, name string, f func(record) error) error {
	fs, err := filesystem.New(ctx, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer fs.Close()
	from, err := fs.OpenRead(ctx, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer from.Close()
	lines := bufio.NewReaderSize(from, bufferBytes)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", name, err)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			r, parseErr := parseRecord(line)
			if parseErr == nil {
				parseErr = f(r)
			}
			if parseErr != nil {
				return fmt.Errorf("%s line %d: %w", name, n, parseErr)
			}
		}
		if err != nil {
			return nil
		}
	}
}
