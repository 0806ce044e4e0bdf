package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Of names the partition that a gauge tells of.
type Of struct{ Stream, Group string }

// staleAfter is when a gauge no longer tells of a partition that nobody has set
// it for: another worker may read that by now, and two would tell of it.
const staleAfter = time.Minute

// Gauge holds the latest value of each partition. Beam, whose metrics have no
// attributes, knows each as a metric of its own: NAME.STREAM.
type Gauge struct {
	Definition

	mu     sync.Mutex
	latest map[Of]*latest
}

type latest struct {
	value int64
	set   time.Time
	at    Where
	beam  beam.Gauge
}

func newGauge(name, unit, description string) *Gauge {
	g := &Gauge{Definition: define(KindGauge, Namespace, name, unit, description), latest: map[Of]*latest{}}
	must(meter.Int64ObservableGauge(g.OTelName(), metric.WithUnit(unit), metric.WithDescription(description),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			g.observe(time.Now(), o.Observe)
			return nil
		})))
	return g
}

// Set sets the value of a partition. ctx is the context of a running bundle, on
// the bundle's own goroutine.
func (g *Gauge) Set(ctx context.Context, of Of, v int64) {
	g.set(of, v, time.Now()).Set(ctx, v)
}

func (g *Gauge) set(of Of, v int64, now time.Time) beam.Gauge {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.latest[of]
	if l == nil {
		l = &latest{at: At(of.attributes()...), beam: beam.NewGauge(g.Namespace, g.Name+"."+of.Stream)}
		g.latest[of] = l
	}
	l.value, l.set = v, now
	return l.beam
}

// observe tells of all partitions that this process reads.
func (g *Gauge) observe(now time.Time, tell func(int64, ...metric.ObserveOption)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for of, l := range g.latest {
		if now.Sub(l.set) > staleAfter {
			delete(g.latest, of)
			continue
		}
		tell(l.value, l.at)
	}
}

// Where is of for counters.
func (of Of) Where() Where { return At(of.attributes()...) }

func (of Of) attributes() []attribute.KeyValue {
	if of.Group == "" { // a range is read without one
		return []attribute.KeyValue{StreamKey.String(of.Stream)}
	}
	return []attribute.KeyValue{StreamKey.String(of.Stream), GroupKey.String(of.Group)}
}
