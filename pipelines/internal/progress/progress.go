// Package progress shows how far a long piece of work has come: a bar on a
// terminal, a line now and then elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

const (
	lineEvery = time.Second
	barEvery  = 100 * time.Millisecond
	barWidth  = 12 // leaves room on 80 columns for what is done and the rate
)

// Show shows on w how far what, such as "copying", has come on its way to
// total, which is above 0, until finish is called. It asks done, from another
// goroutine, at intervals. finish clears the bar; the summary is the caller's.
func Show(w io.Writer, what string, total int64, done func() int64) (finish func()) {
	if !IsTerminal(w) {
		return every(lineEvery, func() { line(w, what, total, done()) })
	}
	bar := newBar(w, what, total)
	// A terminal that does not take the bar is no reason to end the work.
	_ = bar.RenderBlank()
	stop := every(barEvery, func() { _ = bar.Set64(min(done(), total)) })
	return func() {
		stop()
		_ = bar.Clear()
	}
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func line(w io.Writer, what string, total, done int64) {
	fmt.Fprintf(w, "%s: %s of %s (%d %%)\n", what, Thousands(done), Thousands(total), done*100/total)
}

func newBar(w io.Writer, what string, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("entries"),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
	)
}

// every calls f at each interval until stop, which returns when f is done.
func every(interval time.Duration, f func()) (stop func()) {
	quit := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f()
			case <-quit:
				return
			}
		}
	})
	return func() {
		close(quit)
		running.Wait()
	}
}
