package cli

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Tool is a main program that runs no pipeline, and so has none of Beam's flags.
type Tool struct {
	// Name begins every line on stderr.
	Name string
	// Summary is the text of --help above the flags.
	Summary string
	Flags   *flag.FlagSet
	// Run does the work after the flags are parsed. The end of ctx asks it to end.
	Run func(ctx context.Context, stdout, stderr io.Writer) error
}

// MainTool runs t with the process's arguments and returns the exit status. The
// first SIGINT or SIGTERM asks t to end, the second one ends the process at once.
func MainTool(t Tool) (status int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return t.Execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// Execute runs t with these arguments and returns the exit status.
func (t Tool) Execute(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	err := Parse(t.Flags, args)
	if errors.Is(err, flag.ErrHelp) {
		writeHelp(stdout, t.Summary, t.Flags)
		return 0
	}
	if err == nil {
		err = NoArguments(t.Flags)
	}
	if err == nil {
		err = t.Run(ctx, stdout, stderr)
	}
	return Report(stderr, t.Name, err)
}
