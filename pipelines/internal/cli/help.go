package cli

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// helpWidth keeps the help readable on an 80-column terminal.
const helpWidth = 78

// writeHelp writes summary, and the flags with their defaults.
func writeHelp(w io.Writer, summary string, fs *flag.FlagSet) {
	fmt.Fprintf(w, "%s\n\nFlags:\n", strings.TrimSpace(summary))
	fs.VisitAll(func(f *flag.Flag) { writeFlag(w, f) })
}

func (p Program) help(w io.Writer, all *flag.FlagSet, full bool) {
	writeHelp(w, p.Summary, p.Flags)
	if !full {
		fmt.Fprint(w, "\nBeam's flags are accepted as well, such as --runner (default prism), --endpoint\nand --environment_type; --help_all lists them.\n")
		return
	}
	fmt.Fprint(w, "\nFlags of Beam and its runners (--runner is prism by default):\n")
	all.VisitAll(func(f *flag.Flag) {
		if p.Flags.Lookup(f.Name) == nil {
			writeFlag(w, f)
		}
	})
}

func writeFlag(w io.Writer, f *flag.Flag) {
	value, usage := flag.UnquoteUsage(f)
	if value != "" {
		value = " " + value
	}
	if f.DefValue != "" && f.DefValue != "false" {
		usage += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(w, "  --%s%s\n%s", f.Name, value, wrap(usage, "        "))
}

// wrap breaks text into lines of helpWidth at most, each after indent.
func wrap(text, indent string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+len(word) > helpWidth:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
	return b.String()
}
