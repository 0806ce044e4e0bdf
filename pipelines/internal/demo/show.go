package demo

import (
	"fmt"
	"io"
	"time"

	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio"
)

// Shown does work of [OrderCount] steps, shows how far it has come, and says
// how fast it was.
func Shown(w io.Writer, what string, done func() int64, work func() error) error {
	began := time.Now()
	finish := progress.Show(w, what, OrderCount, done)
	err := work()
	took := time.Since(began)
	finish()
	if err == nil {
		fmt.Fprintf(w, "%s: %s\n", what, progress.Rate(done(), took))
	}
	return err
}

// Streams names the streams of t, such as "in:0-3".
func Streams(t redisio.Topic) string { return fmt.Sprintf("%s:0-%d", t.Name, t.Partitions-1) }
