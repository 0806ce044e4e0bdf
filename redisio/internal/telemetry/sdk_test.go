package telemetry

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"
)

// probeEnv makes the test binary say what it set up, in a process of its own:
// a process does so once.
const probeEnv = "BEAMREDIS_TEST_SDK"

// probed is what such a process says.
type probed struct {
	Instance, Service string
	Spans, Metrics    bool // exported
}

func TestMain(m *testing.M) {
	if how := os.Getenv(probeEnv); how != "" {
		if how == "own tracers" {
			otel.SetTracerProvider(noop.NewTracerProvider())
		}
		s, said := Open("orders"), probed{}
		said.Spans, said.Metrics = s.spans != nil, s.metrics != nil
		for _, kv := range resourceOf("orders").Attributes() {
			switch kv.Key {
			case "service.instance.id":
				said.Instance = kv.Value.AsString()
			case "service.name":
				said.Service = kv.Value.AsString()
			}
		}
		if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func probe(t *testing.T, how string, env ...string) (said probed) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(append(os.Environ(), probeEnv+"="+how), env...)
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, &said)
	}
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// Without that the counters of two workers would be taken for one that goes up
// and down.
func TestProcessesOfOneServiceAreToldApart(t *testing.T) {
	one, other := probe(t, "plain"), probe(t, "plain")
	if len(one.Instance) != 36 || one.Instance == other.Instance || one.Service != "orders" || other.Service != "orders" {
		t.Errorf("two processes are %+v and %+v", one, other)
	}
	if got := probe(t, "plain", "OTEL_RESOURCE_ATTRIBUTES=service.instance.id=worker-7"); got.Instance != "worker-7" {
		t.Errorf("an instance that the environment names is %q", got.Instance)
	}
}

func TestAProgramWithTracersOfItsOwnHasMetricsExported(t *testing.T) {
	if got := probe(t, "own tracers"); got.Spans || !got.Metrics {
		t.Errorf("own spans exported: %v, metrics: %v; want metrics only", got.Spans, got.Metrics)
	}
	if got := probe(t, "own tracers", "OTEL_SDK_DISABLED=true"); got.Spans || got.Metrics {
		t.Errorf("exported although that is turned off: %+v", got)
	}
}

func TestSamplersThatFollowTheParentAreKnown(t *testing.T) {
	for sampler, want := range map[string]bool{
		"": true, "parentbased_always_on": true, "parentbased_traceidratio": true, "ParentBased_Always_Off": true,
		"always_on": false, "always_off": false, "traceidratio": false, "unknown": false,
	} {
		t.Setenv("OTEL_TRACES_SAMPLER", sampler)
		if got := samplesByParent(); got != want {
			t.Errorf("%q: %v, want %v", sampler, got, want)
		}
	}
}
