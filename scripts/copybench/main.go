// Copybench measures the copy of a topic, or of its entries to documents, or the
// reading of a range, on Prism against a plain go-redis loop that does the same with the same server,
// in turns, and prints the ratio. Every measurement is a process of its own, so that its memory is too.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/internal/redisserver"
)

var (
	entries    = flag.Int("entries", 1_000_000, "entries to copy")
	partitions = flag.Int("partitions", 4, "partitions of both topics")
	rounds     = flag.Int("rounds", 3, "measurements of each kind, taken in turns")
	to         = flag.String("to", "stream", "where the entries go: stream, json, hash or values (to a topic, as a user's own type); range: nowhere, they are read by XRANGE, out of one stream")
	ttl        = flag.Duration("ttl", 0, "time to live of documents; the plain client sends a PEXPIRE after each write")
	size       = flag.Int("size", 130, "payload bytes of an entry, roughly")

	trace       = flag.Bool("trace", false, "compare the copy without tracing to one that traces all writes and their metadata, where one trace in 100 is sampled")
	withContext = flag.Bool("context", true, "with -trace, entries carry trace context")
	unreachable = flag.Bool("unreachable", false, "with -trace, what is exported goes to a receiver that takes connections and never answers")

	profile = flag.String("cpuprofile", "", "write a CPU profile of each measured copy to this file")

	child = flag.String("child", "", "internal: what this process measures")
	addr  = flag.String("addr", "", "internal: the server")
	round = flag.Int("round", 0, "internal: the round")
)

func main() {
	flag.Parse()
	beam.Init()
	slog.SetLogLoggerLevel(slog.LevelWarn)
	ctx := context.Background()
	err := fmt.Errorf("-child %s: there is no such measurement", *child)
	switch run := measurements[*child]; {
	case *child == "":
		err = compare(ctx)
	case *child == "load":
		err = load(ctx)
	case run != nil:
		err = timed(ctx, run)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "copybench:", err)
		os.Exit(1)
	}
}

// measurements are what a child can be asked for.
var measurements = map[string]func(context.Context) error{
	"raw":    copyRaw,
	"copy":   profiled(copyPlainly),
	"once":   profiled(copyOnce),
	"traced": profiled(copyTraced),
	"raw-1":  readRaw,
	"range":  profiled(readOrdered),
	"raw-4":  readRaw4,
	"split":  profiled(readSplit),
}

// comparison is which measurements are taken, in turns, and which of them are
// compared with which.
type comparison struct {
	kinds  []string
	ratios [][2]string
}

func comparisonOf() comparison {
	if *trace {
		return comparison{[]string{"copy", "traced"}, [][2]string{{"traced", "copy"}}}
	}
	if *to == "range" {
		return comparison{[]string{"raw-1", "range", "raw-4", "split"}, [][2]string{{"range", "raw-1"}, {"split", "raw-4"}}}
	}
	if *to != "stream" {
		return comparison{[]string{"raw", "copy"}, [][2]string{{"copy", "raw"}}}
	}
	return comparison{[]string{"raw", "copy", "once"}, [][2]string{{"copy", "raw"}, {"once", "copy"}}}
}

// result is what a measuring process reports on its standard output.
type result struct {
	Seconds float64 `json:"seconds"`
	peakMB  float64
}

func (r result) rate() float64 { return float64(*entries) / r.Seconds }

func timed(ctx context.Context, run func(context.Context) error) error {
	start := time.Now()
	if err := run(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result{Seconds: time.Since(start).Seconds()})
}

// profiled writes a CPU profile of run, if one is asked for.
func profiled(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if *profile == "" {
			return run(ctx)
		}
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
		return run(ctx)
	}
}

func compare(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "copybench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	args, err := serverArgs()
	if err != nil {
		return err
	}
	server, err := redisserver.Start(ctx, redisserver.Options{Dir: dir, Args: args})
	if err != nil {
		return err
	}
	defer func() {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "copybench:", err)
		}
	}()
	if *to == "range" {
		*partitions = 1
	}
	fmt.Printf("loading %d entries into %d partitions\n", *entries, *partitions)
	if _, err := measure(server, "load", 0); err != nil {
		return err
	}
	c := comparisonOf()
	if *trace {
		if err := receiveTelemetry(); err != nil {
			return err
		}
	}
	results := map[string][]result{}
	for n := range *rounds {
		for _, kind := range c.kinds {
			r, err := measure(server, kind, n)
			if err != nil {
				return err
			}
			fmt.Printf("round %d: %-6s %9.0f entries/s, peak memory %4.0f MB\n", n+1, kind, r.rate(), r.peakMB)
			results[kind] = append(results[kind], r)
		}
	}
	report(c, results)
	return nil
}

// measure runs this program as a child for one measurement.
func measure(server *redisserver.Server, kind string, n int) (result, error) {
	cmd := exec.Command(os.Args[0], "-child", kind, "-addr", server.Addr(), "-round", fmt.Sprint(n),
		"-entries", fmt.Sprint(*entries), "-partitions", fmt.Sprint(*partitions), "-size", fmt.Sprint(*size), "-to", *to, "-ttl", ttl.String(), "-cpuprofile", *profile,
		fmt.Sprint("-trace=", *trace), fmt.Sprint("-context=", *withContext))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("%s: %w", kind, err)
	}
	var r result
	if kind != "load" {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
			return result{}, fmt.Errorf("%s reported %q: %w", kind, out.String(), err)
		}
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peakMB = float64(usage.Maxrss) / 1024
	}
	return r, nil
}

func report(c comparison, results map[string][]result) {
	best := func(kind string) result {
		return slices.MinFunc(results[kind], func(a, b result) int { return cmp.Compare(a.Seconds, b.Seconds) })
	}
	median := func(kind string) result {
		sorted := slices.SortedFunc(slices.Values(results[kind]), func(a, b result) int { return cmp.Compare(a.Seconds, b.Seconds) })
		return sorted[len(sorted)/2]
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tmedian/s\tbest/s\tpeak MB\t")
	for _, kind := range c.kinds {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t\n", kind, median(kind).rate(), best(kind).rate(), median(kind).peakMB)
	}
	w.Flush()
	for _, of := range c.ratios {
		a, b := of[0], of[1]
		fmt.Printf("ratio %s/%s: %.2f (median), %.2f (best)\n", a, b, median(a).rate()/median(b).rate(), best(a).rate()/best(b).rate())
	}
}
