package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatusSaysWhatKindOfError(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want int
	}{
		"none":         {nil, 0},
		"failure":      {errors.New("x"), StatusFailed},
		"usage":        {Usagef("--x is %d", 0), StatusUsage},
		"usage within": {fmt.Errorf("y: %w", Usage(errors.New("x"))), StatusUsage},
		"no usage":     {Usage(nil), 0},
		"interrupted":  {fmt.Errorf("x: %w", errInterrupted), StatusInterrupted},
	} {
		if got := statusOf(tc.err); got != tc.want {
			t.Errorf("%s: status %d, want %d", name, got, tc.want)
		}
	}
}

func TestAnErrorIsOneLine(t *testing.T) {
	var out bytes.Buffer
	if status := Report(&out, "p", errors.Join(errors.New("first"), errors.New("second\n\tthird"))); status != StatusFailed {
		t.Errorf("status %d", status)
	}
	if status := Report(&out, "p", nil); status != 0 {
		t.Errorf("status %d without an error", status)
	}
	if diff := cmp.Diff("p: first; second; third\n", out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMistakenFlagsWriteNothingByThemselves(t *testing.T) {
	for args, want := range map[string]string{
		"--colour": "there is no flag --colour, see --help",
		"--n=x":    `invalid value "x" for flag --n: parse error, see --help`,
		"--n":      "flag needs an argument: -n",
	} {
		fs := flag.NewFlagSet("", flag.PanicOnError)
		fs.Int("n", 0, "")
		err := Parse(fs, []string{args})
		if err == nil || err.Error() != want || statusOf(err) != StatusUsage {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestASignalTakesThePlaceOfWhatItCaused(t *testing.T) {
	failure := errors.New("job failed")
	over, end := context.WithCancelCause(t.Context())
	end(errInterrupted)
	after := func(n int) *Signals {
		s := &Signals{Stop: t.Context(), Kill: t.Context()}
		if n > 0 {
			s.Stop = over
		}
		if n > 1 {
			s.Kill = over
		}
		return s
	}
	for name, tc := range map[string]struct {
		signals int
		err     error
		want    string
	}{
		"no error":                     {2, nil, ""},
		"no signal":                    {0, failure, "job failed"},
		"a failure of another kind":    {1, failure, "job failed"},
		"a check that was given up":    {1, fmt.Errorf("ping: %w", context.Canceled), "interrupted before the pipeline began"},
		"a pipeline that was given up": {2, failure, "interrupted at once: what was not acknowledged is pending, and is delivered again"},
	} {
		got := ""
		if err := after(tc.signals).explain(tc.err); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestHelpShowsDefaultsAndFitsATerminal(t *testing.T) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.Int("partitions", 4, "`number` of partitions of the topic that is read, which can be a long text that has to be broken into lines")
	fs.Bool("fast", false, "be fast")
	var out bytes.Buffer
	Program{Summary: "\np does things.", Flags: fs}.help(&out, flag.NewFlagSet("", flag.ContinueOnError), true)
	want := `p does things.

Flags:
  --fast
        be fast
  --partitions number
        number of partitions of the topic that is read, which can be a long
        text that has to be broken into lines (default 4)

Flags of Beam and its runners (--runner is prism by default):
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
