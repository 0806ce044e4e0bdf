package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// newRegistry makes the process's registry: the instruments belong to the first
// provider that there is.
var newRegistry = sync.OnceValues(func() (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	exporter, err := promexporter.New(promexporter.WithRegisterer(registry), promexporter.WithoutScopeInfo(), promexporter.WithoutTargetInfo())
	if err != nil {
		return nil, err
	}
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)))
	return registry, nil
})

// exported are the metrics as Prometheus names them: NAME{labels} of all that
// is measured. It measures something of every instrument first.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	registry, err := newRegistry()
	if err != nil {
		t.Fatal(err)
	}
	measureAll(t.Context())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{}
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			if !strings.HasPrefix(l.GetName(), "otel_scope") {
				labels = append(labels, l.GetName())
			}
		}
		names[f.GetName()] = labels
	}
	return names
}

var (
	counters   = []*Counter{EntriesRead, BytesRead, Redelivered, Acknowledged, AckFailures, GapsHealed, Skipped, Lost, LossesUnknown, Replaced, GroupsHealed, DeadLetters, ReadRetries, Written, WriteDeadLetters, WriteRetries, Repeated}
	gauges     = []*Gauge{Lag, AcksPending, WatermarkAge}
	histograms = []*Histogram{FlushLatency, BatchSize}
)

func measureAll(ctx context.Context) {
	of := Of{Stream: "in:0", Group: "g"}
	for _, c := range counters {
		where := of.Where()
		if c.Namespace == WriteNamespace {
			where = ByCommand("XADD")
		}
		c.Add(ctx, 1, where)
	}
	for _, g := range gauges {
		g.Set(ctx, of, 1)
	}
	for _, h := range histograms {
		h.Observe(ctx, 1, ByCommand("XADD"))
		h.ObserveInBundle(ctx, 1)
	}
}

// prometheusName is the family's name that belongs to d.
func prometheusName(t *testing.T, names map[string][]string, d Definition) string {
	t.Helper()
	base := strings.ReplaceAll(d.OTelName(), ".", "_")
	var found []string
	for name := range names {
		rest, ok := strings.CutPrefix(name, base)
		switch {
		case ok && (rest == "" || rest == "_total" || rest == "_bytes_total" || rest == "_milliseconds" || rest == "_microseconds"):
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s is exported as %v, of %v", d.OTelName(), found, names)
	}
	return found[0]
}

// metricsTable is the table of docs/observability.md.
func metricsTable(t *testing.T, names map[string][]string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Beam | OpenTelemetry | Prometheus | kind | unit | attributes | |\n|---|---|---|---|---|---|---|\n")
	for _, d := range Definitions() {
		beamName := "`" + d.Name + "`"
		if d.Kind == KindGauge {
			beamName = "`" + d.Name + ".`stream"
		}
		var attributes []string
		for _, a := range AttributesOf(d.Namespace) {
			attributes = append(attributes, "`"+string(a)+"`")
		}
		fmt.Fprintf(&b, "| `%s` %s | `%s` | `%s` | %s | %s | %s | %s |\n", d.Namespace, beamName, d.OTelName(), prometheusName(t, names, d),
			d.Kind, d.Unit, strings.Join(attributes, ", "), d.Description)
	}
	return b.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocsAndDashboardShowTheMetricsThereAre(t *testing.T) {
	names := exported(t)
	if len(counters)+len(gauges)+len(histograms) != len(Definitions()) {
		t.Fatal("this test does not measure all there is")
	}
	for _, d := range Definitions() {
		labels := names[prometheusName(t, names, d)]
		for _, a := range AttributesOf(d.Namespace) {
			if !strings.Contains(strings.Join(labels, " "), strings.ReplaceAll(string(a), ".", "_")) {
				t.Errorf("%s has labels %v, want %s", d.OTelName(), labels, a)
			}
		}
	}
	if table := metricsTable(t, names); !strings.Contains(read(t, "docs/observability.md"), table) {
		t.Errorf("docs/observability.md lacks this table:\n%s", table)
	}
	for _, expr := range dashboardQueries(t) {
		metrics := regexp.MustCompile(`redisio_[a-z_]+`).FindAllString(expr, -1)
		if len(metrics) == 0 {
			t.Errorf("a query of the dashboard asks for no metric of the connector: %s", expr)
		}
		for _, m := range metrics {
			family := m
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				family = strings.TrimSuffix(family, suffix)
			}
			if _, ok := names[family]; !ok {
				t.Errorf("the dashboard asks for %s, which is not exported", m)
			}
		}
		for _, label := range regexp.MustCompile(`(?:messaging|db)_[a-z_]+`).FindAllString(expr, -1) {
			if !strings.Contains(fmt.Sprint(names), label) {
				t.Errorf("the dashboard asks for label %s, which is not exported", label)
			}
		}
	}
}

func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/dashboards/redisio.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	if len(queries) == 0 {
		t.Fatal("the dashboard asks for nothing")
	}
	return queries
}
