// Package deploy_test checks what users deploy: docker-compose.yml and the
// files that it mounts.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const composeFile = "../docker-compose.yml"

type service struct {
	Image       string
	Ports       []string
	Volumes     []string
	NetworkMode string                                `yaml:"network_mode"`
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck *struct{ Test []string }
}

type compose struct {
	Services map[string]service
	Volumes  map[string]any
}

func parse(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func services(t *testing.T) compose {
	t.Helper()
	var c compose
	parse(t, composeFile, &c)
	if len(c.Services) == 0 {
		t.Fatalf("%s has no services", composeFile)
	}
	return c
}

func TestImagesArePinnedToAVersion(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z0-9._/-]+:v?[0-9]+\.[0-9]+\.[0-9]+[a-z0-9._-]*$`)
	for name, s := range services(t).Services {
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q has no full version", name, s.Image)
		}
	}
}

func TestImagesFitEachOther(t *testing.T) {
	pom, err := os.ReadFile("../scripts/flink.d/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	runner := regexp.MustCompile(`<artifactId>beam-runners-flink-([0-9.]+)</artifactId>\s*<version>([0-9.]+)</version>`).FindSubmatch(pom)
	if runner == nil {
		t.Fatal("pom.xml names no Beam runner")
	}
	flink, beam := string(runner[1]), string(runner[2])
	c := services(t).Services
	got := []string{c["jobserver"].Image, c["worker"].Image, c["taskmanager"].Image}
	want := []string{"apache/beam_flink" + flink + "_job_server:" + beam, core.DefaultDockerImage, c["jobmanager"].Image}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(c["jobmanager"].Image, "flink:"+flink+".") {
		t.Errorf("image %s is not Flink %s, as the job server needs it", c["jobmanager"].Image, flink)
	}
}

func TestPortsAreOpenOnThisMachineOnly(t *testing.T) {
	open := 0
	for name, s := range services(t).Services {
		for _, p := range s.Ports {
			open++
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to others", name, p)
			}
		}
		if s.NetworkMode == "host" {
			t.Errorf("%s: on the host's network every port is open", name)
		}
	}
	if open == 0 {
		t.Error("no ports at all")
	}
}

func TestMountsExist(t *testing.T) {
	c := services(t)
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(source, ".") {
				if _, ok := c.Volumes[source]; !ok {
					t.Errorf("%s: volume %s is not declared", name, source)
				}
				continue
			}
			if _, err := os.Stat(filepath.Join("..", source)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A service that others wait for has to tell when it is ready. The images of
// the workers and of the collector hold one program and no shell.
func TestServicesTellTheirHealth(t *testing.T) {
	c := services(t).Services
	for name, s := range c {
		if (s.Healthcheck == nil) != (name == "worker" || name == "otel-collector") {
			t.Errorf("%s: health check: %v", name, s.Healthcheck)
		}
		for other, d := range s.DependsOn {
			if c[other].Healthcheck == nil || d.Condition != "service_healthy" {
				t.Errorf("%s depends on %s, condition %q", name, other, d.Condition)
			}
		}
	}
}

func TestPrometheusAsksServicesThatExist(t *testing.T) {
	var config struct {
		ScrapeConfigs []struct {
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	parse(t, "prometheus.yml", &config)
	c := services(t).Services
	var asked []string
	for _, s := range config.ScrapeConfigs {
		for _, static := range s.StaticConfigs {
			for _, target := range static.Targets {
				name, _, _ := strings.Cut(target, ":")
				asked = append(asked, name)
				if _, ok := c[name]; !ok {
					t.Errorf("target %s is no service", target)
				}
			}
		}
	}
	slices.Sort(asked)
	if diff := cmp.Diff([]string{"jobmanager", "otel-collector", "redis-exporter", "taskmanager"}, asked); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}

// Workers send to the collector's port, Prometheus asks it at the other, and the
// dashboards' data source is that Prometheus.
func TestTelemetryFindsItsWay(t *testing.T) {
	var collector struct {
		Receivers struct {
			OTLP struct {
				Protocols struct{ GRPC struct{ Endpoint string } }
			}
		}
		Exporters map[string]struct{ Endpoint string }
		Service   struct {
			Pipelines map[string]struct{ Receivers, Exporters []string }
		}
	}
	parse(t, "otel-collector.yml", &collector)
	var worker struct {
		Services map[string]struct{ Environment map[string]string }
	}
	parse(t, composeFile, &worker)
	endpoint := worker.Services["worker"].Environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
	receives := strings.TrimPrefix(collector.Receivers.OTLP.Protocols.GRPC.Endpoint, "0.0.0.0:")
	if want := "http://otel-collector:" + receives; endpoint != want {
		t.Errorf("workers send to %s, the collector is at %s", endpoint, want)
	}
	text, err := os.ReadFile("prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	shows := strings.TrimPrefix(collector.Exporters["prometheus"].Endpoint, "0.0.0.0:")
	if !strings.Contains(string(text), `"otel-collector:`+shows+`"`) {
		t.Errorf("Prometheus does not ask the collector at port %s", shows)
	}
	for _, signal := range []string{"metrics", "traces"} {
		for _, exporter := range collector.Service.Pipelines[signal].Exporters {
			if _, ok := collector.Exporters[exporter]; !ok {
				t.Errorf("%s go to exporter %q, which there is not", signal, exporter)
			}
		}
		if len(collector.Service.Pipelines[signal].Exporters) == 0 {
			t.Errorf("%s go nowhere", signal)
		}
	}
	var sources struct {
		Datasources []struct{ UID, URL string }
	}
	parse(t, "grafana/datasources.yml", &sources)
	if len(sources.Datasources) != 1 || sources.Datasources[0].URL != "http://prometheus:9090" || sources.Datasources[0].UID != "prometheus" {
		t.Errorf("data sources %+v", sources.Datasources)
	}
}

func TestDockerComposeAcceptsTheFile(t *testing.T) {
	if exec.Command("docker", "compose", "version").Run() != nil {
		t.Skip("SKIPPED: no docker with the compose plugin on the PATH")
	}
	if out, err := exec.Command("docker", "compose", "-f", composeFile, "config", "--quiet").CombinedOutput(); err != nil {
		t.Errorf("docker compose config: %v\n%s", err, out)
	}
}
