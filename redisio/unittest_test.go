package redisio_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/filter"
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio"
)

// docs/testing.md shows what is between the two marks below.

// --- from here

func init() { register.Function1x1(isLarge) }

func isLarge(m redisio.Message) bool {
	total, _ := m.Get("total")
	n, err := strconv.Atoi(total)
	return err == nil && n >= 100
}

// largeOrders is the pipeline: it copies orders of 100 and more.
func largeOrders(s beam.Scope, c redisio.Conn, opts ...redisio.ReadOption) {
	orders := redisio.Read(s, c, redisio.Topic{Name: "orders", Partitions: 2}, "large-orders", opts...)
	redisio.Write(s, c, redisio.Topic{Name: "large", Partitions: 1}, filter.Include(s, orders, isLarge))
}

func TestLargeOrdersAreCopied(t *testing.T) {
	server := miniredis.RunT(t)
	for _, order := range [][]string{{"_key", "ann", "total", "99"}, {"_key", "bob", "total", "100"}, {"_key", "cy", "total", "?"}} {
		if _, err := server.XAdd("orders:0", "*", order); err != nil {
			t.Fatal(err)
		}
	}

	p, s := beam.NewPipelineWithRoot()
	largeOrders(s, redisio.Conn{Addr: server.Addr()}, redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAtLatest())
	if _, err := beam.Run(t.Context(), "direct", p); err != nil {
		t.Fatal(err)
	}

	entries, err := server.Stream("large:0")
	if err != nil || len(entries) != 1 {
		t.Fatalf("entries %v, %v; want one", entries, err)
	}
	if diff := cmp.Diff([]string{"_key", "bob", "total", "100"}, entries[0].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// --- to here

func TestDocsShowThisTest(t *testing.T) {
	source, err := os.ReadFile("unittest_test.go")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "// --- from here\n")
	code, _, found := strings.Cut(code, "// --- to here\n")
	if !found || !strings.Contains(string(docs), "```go\n"+strings.TrimSpace(code)+"\n```") {
		t.Error("docs/testing.md does not show the test as it is")
	}
}
