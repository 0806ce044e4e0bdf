package cli

import (
	"errors"
	"flag"

	"example.com/beamredis/redisio"
)

// Telemetry are the flags that say what is reported to OpenTelemetry.
type Telemetry struct{ service, level, contents string }

// Register adds the flags to fs.
func (t *Telemetry) Register(fs *flag.FlagSet) {
	fs.StringVar(&t.service, "otel_service_name", "", "report metrics and traces to OpenTelemetry as the service of this `name`; "+
		"where to, the environment variables OTEL_* of the workers say")
	fs.StringVar(&t.level, "trace_level", string(redisio.TraceNone), "`which` writes have a span: none, failures, or all")
	fs.StringVar(&t.contents, "trace_contents", string(redisio.TraceNoContents), "`what` the span of a write tells of its element: none, metadata, or all")
}

// Options are what the flags come to, for the read and for every write. The
// error names the flags that are wrong.
func (t *Telemetry) Options() (read []redisio.ReadOption, write []redisio.WriteOption, err error) {
	level, levelErr := redisio.ParseTraceLevel(t.level)
	contents, contentsErr := redisio.ParseTraceContents(t.contents)
	if err := errors.Join(OfFlag("--trace_level", levelErr), OfFlag("--trace_contents", contentsErr)); err != nil {
		return nil, nil, err
	}
	if t.service != "" {
		name := redisio.WithServiceName(t.service)
		read, write = append(read, name), append(write, name)
	}
	if level != redisio.TraceNone {
		write = append(write, redisio.WithTracing(level, contents))
	}
	return read, write, nil
}
