// Package cli is what the pipelines' main programs have in common: flags
// beside Beam's own, an orderly end on a signal, one-line errors and exit
// statuses.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/pipelines/internal/beamrun"
)

// The exit statuses; 0 is success.
const (
	StatusFailed      = 1
	StatusUsage       = 2   // the program was called with mistaken arguments
	StatusInterrupted = 130 // as a shell shows a program that SIGINT ended
)

// Program is one main program.
type Program struct {
	// Name begins every line on stderr.
	Name string
	// Summary is the text of --help above the flags.
	Summary string
	// Flags are the program's own; Beam's are accepted beside them.
	Flags *flag.FlagSet
	// Run does the work after the flags are parsed and Beam is initialised.
	Run func(*Signals) error
}

// Main runs p with the process's arguments and returns the exit status. In a
// worker that a runner has started it does not return: Beam takes over.
func Main(p Program) (status int) {
	err := p.main(os.Args[1:])
	return Report(os.Stderr, p.Name, err)
}

func (p Program) main(args []string) error {
	all := flag.CommandLine // holds Beam's flags
	full, verbose := p.shareFlags(all)
	err := Parse(all, args)
	if errors.Is(err, flag.ErrHelp) || err == nil && *full {
		p.help(os.Stdout, all, *full)
		return nil
	}
	if err != nil {
		return err
	}
	beam.Init()
	if err := NoArguments(all); err != nil {
		return err
	}
	if !*verbose {
		beamrun.Quiet(os.Stderr, p.Name)
	}
	signals := notifySignals(os.Stderr, p.Name)
	defer signals.release()
	return signals.explain(p.Run(signals))
}

// shareFlags adds the flags that all programs have, and puts p's own flags
// beside Beam's.
func (p Program) shareFlags(all *flag.FlagSet) (full, verbose *bool) {
	verbose = p.Flags.Bool("verbose", false, "show all that Beam and the runner log, not only warnings and errors")
	full = p.Flags.Bool("help_all", false, "show this help with all of Beam's flags")
	p.Flags.VisitAll(func(f *flag.Flag) { all.Var(f.Value, f.Name, f.Usage) })
	return full, verbose
}

// Parse parses args without writing anything. Its error is a usage error, or
// [flag.ErrHelp].
func Parse(fs *flag.FlagSet, args []string) error {
	fs.Init(fs.Name(), flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	err := fs.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	if unknown, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return Usagef("there is no flag --%s, see --help", unknown)
	}
	if value, rest, ok := strings.Cut(err.Error(), " for flag -"); ok { // as the flags are written here
		name, why, _ := strings.Cut(rest, ": ")
		return Usagef("%s for flag --%s: %s, see --help", value, name, why)
	}
	return Usage(err)
}

// NoArguments refuses arguments that are not flags.
func NoArguments(fs *flag.FlagSet) error {
	if fs.NArg() > 0 {
		return Usagef("unexpected argument %q: there are flags only, see --help", fs.Arg(0))
	}
	return nil
}

// usageError marks mistakes in how the program was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usagef is [fmt.Errorf] for an error that ends the program with
// [StatusUsage].
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Usage marks err as [Usagef] does; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

func statusOf(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return StatusUsage
	case errors.Is(err, errInterrupted):
		return StatusInterrupted
	}
	return StatusFailed
}

// Report writes err, unless it is nil, as one line that begins with the
// program's name, and returns the exit status.
func Report(w io.Writer, name string, err error) (status int) {
	if err != nil {
		fmt.Fprintf(w, "%s%s: %s\n", beamrun.LineStart(w), name, beamrun.OneLine(err.Error()))
	}
	return statusOf(err)
}
