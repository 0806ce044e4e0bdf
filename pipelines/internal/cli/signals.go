package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/beamredis/pipelines/internal/beamrun"
)

var errInterrupted = errors.New("interrupted")

// Signals tells a program when to end. The first SIGINT or SIGTERM asks it to,
// the second one insists.
type Signals struct {
	// Stop ends with the first signal. Work that can be dropped at any time
	// runs under it.
	Stop context.Context
	// Kill ends with the second signal. Work that stops in order when Stop
	// ends runs under it.
	Kill context.Context

	release func()
}

// hardLimit is how long the program may take to end after the second signal.
const hardLimit = 5 * time.Second

func notifySignals(w io.Writer, name string) *Signals {
	stop, askStop := context.WithCancelCause(context.Background())
	kill, askKill := context.WithCancelCause(context.Background())
	arrived := make(chan os.Signal, 2)
	signal.Notify(arrived, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	s := &Signals{Stop: stop, Kill: kill, release: func() {
		signal.Stop(arrived)
		close(done)
	}}
	next := func() bool {
		select {
		case <-arrived:
			return true
		case <-done:
			return false
		}
	}
	go func() {
		if !next() {
			return
		}
		fmt.Fprintf(w, "%s%s: stopping; once more to stop at once\n", beamrun.LineStart(w), name)
		askStop(errInterrupted)
		if !next() {
			return
		}
		askKill(errInterrupted)
		select {
		case <-time.After(hardLimit):
			os.Exit(StatusInterrupted)
		case <-done:
		}
	}()
	return s
}

// Stopping reports whether the first signal has come.
func (s *Signals) Stopping() bool { return s.Stop.Err() != nil }

// Interrupted is the error of work that the first signal has ended; what says
// what became of it.
func (s *Signals) Interrupted(what string) error { return interruption(what) }

// interruption is the end of work by a signal, told by what became of the work.
type interruption string

func (i interruption) Error() string { return errInterrupted.Error() + ": " + string(i) }

// Unwrap returns what the exit status goes by.
func (i interruption) Unwrap() error { return errInterrupted }

// explain puts the signal in the place of the error that it has caused.
func (s *Signals) explain(err error) error {
	var told interruption
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return told
	case s.Kill.Err() != nil:
		return fmt.Errorf("%w at once: what was not acknowledged is pending, and is delivered again", errInterrupted)
	case s.Stopping() && (errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled)):
		return fmt.Errorf("%w before the pipeline began", errInterrupted)
	}
	return err
}
