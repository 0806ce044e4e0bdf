package main

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
	barInterval  = 100 * time.Millisecond
	lineInterval = time.Second
)

// showProgress shows on out how far written is on its way to count, until done
// is called: a bar on a terminal, else a line a second.
func showProgress(out io.Writer, written func() int64, count int64) (done func()) {
	interval, show, end := lineInterval, lines(out, count), func() {}
	if isTerminal(out) {
		interval = barInterval
		show, end = bar(out, count)
	}
	stop := every(interval, func() { show(written()) })
	return func() {
		stop()
		if interval == barInterval {
			show(written())
		}
		end()
	}
}

// every calls f at each interval until stop, which returns when f is done.
func every(interval time.Duration, f func()) (stop func()) {
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		ticks := time.NewTicker(interval)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				f()
			case <-quit:
				return
			}
		}
	})
	return func() { close(quit); done.Wait() }
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func lines(out io.Writer, count int64) func(int64) {
	return func(n int64) {
		fmt.Fprintf(out, "%d of %d messages, %d %%\n", n, count, n*100/count)
	}
}

func bar(out io.Writer, count int64) (show func(int64), end func()) {
	b := progressbar.NewOptions64(count,
		progressbar.OptionSetWriter(out),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("messages"),
		progressbar.OptionSetWidth(40),
	)
	// A terminal that does not take the bar is no reason to stop.
	show = func(n int64) { _ = b.Set64(n) }
	end = func() { _ = b.Exit(); fmt.Fprintln(out) }
	return show, end
}
