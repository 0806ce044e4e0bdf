package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local" // files without a scheme
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio"
)

func init() { register.DoFn2x1[context.Context, redisio.Message, error](&writeFn{}) }

const (
	suffix = ".jsonl"
	// unfinished ends the name of a file until its bundle is finished.
	unfinished = ".part"
	// bufferBytes is what is held of each partition's file.
	bufferBytes = 256 << 10

	metricsNamespace, linesName = "replay", "lines"
)

// writeFn writes the messages of each partition, which come in order, to a file
// of their own. The bundle that writes a file gives it its name when it is
// finished, so that no file is ever half done, and one that is repeated writes
// the same file again.
type writeFn struct {
	Prefix  string
	Streams map[string]int // partitions by their streams

	lines beam.Counter
	fs    filesystem.Interface
	files map[string]*file
	line  []byte
}

type file struct {
	name string
	to   io.WriteCloser
	buf  *bufio.Writer
	last redisio.EntryID
	n    int64
}

// Setup prepares nothing that could fail.
func (fn *writeFn) Setup() { fn.lines = beam.NewCounter(metricsNamespace, linesName) }

// StartBundle begins without files.
func (fn *writeFn) StartBundle(ctx context.Context) (err error) {
	fn.abandon(ctx)
	fn.files = map[string]*file{}
	fn.fs, err = filesystem.New(ctx, fn.Prefix)
	return err
}

// ProcessElement writes one line.
func (fn *writeFn) ProcessElement(ctx context.Context, m redisio.Message) error {
	f := fn.files[m.Stream]
	if f != nil && !f.last.Less(m.ID) {
		return fmt.Errorf("%s: entry %s comes after %s: the order of %s is not kept", f.name, m.ID, f.last, m.Stream)
	}
	if f == nil {
		var err error
		if f, err = fn.create(ctx, &m); err != nil {
			return err
		}
	}
	fn.line = appendRecord(fn.line[:0], &m, fn.Streams[m.Stream], len(fn.Streams))
	if _, err := f.buf.Write(fn.line); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	f.last = m.ID
	f.n++
	return nil
}

// create begins the file whose first entry is m. Its name tells the place of
// what it holds among the files of the partition.
func (fn *writeFn) create(ctx context.Context, m *redisio.Message) (*file, error) {
	f := &file{name: fmt.Sprintf("%s-%05d-of-%05d-%020d-%020d%s", fn.Prefix, fn.Streams[m.Stream], len(fn.Streams), m.ID.Ms, m.ID.Seq, suffix)}
	var err error
	if f.to, err = fn.fs.OpenWrite(ctx, f.name+unfinished); err != nil {
		return nil, err
	}
	f.buf = bufio.NewWriterSize(f.to, bufferBytes)
	fn.files[m.Stream] = f
	return f, nil
}

// FinishBundle gives the files their names.
func (fn *writeFn) FinishBundle(ctx context.Context) error {
	for stream, f := range fn.files {
		err := f.buf.Flush()
		if err = errors.Join(err, f.to.Close()); err == nil {
			err = filesystem.Rename(ctx, fn.fs, f.name+unfinished, f.name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		fn.lines.Inc(ctx, f.n)
		delete(fn.files, stream)
	}
	return fn.fs.Close()
}

// Teardown removes what a failed bundle has left.
func (fn *writeFn) Teardown(ctx context.Context) { fn.abandon(ctx) }

func (fn *writeFn) abandon(ctx context.Context) {
	for _, f := range fn.files {
		_ = f.to.Close()
		if r, ok := fn.fs.(filesystem.Remover); ok {
			_ = r.Remove(ctx, f.name+unfinished)
		}
	}
	fn.files = nil
}
