package redisio_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"example.com/beamredis/redisio"
)

func init() {
	register.Function2x0(large)
	register.Emitter1[redisio.Message]()
}

// large passes on the orders of 100 and more.
func large(m redisio.Message, emit func(redisio.Message)) {
	total, _ := m.Get("total")
	if n, err := strconv.ParseFloat(total, 64); err == nil && n >= 100 {
		emit(m)
	}
}

func copyLargeOrders(ctx context.Context, url string) error {
	conn, err := redisio.ParseURL(url)
	if err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	orders := redisio.Topic{Name: "orders", Partitions: 4}
	msgs := redisio.Read(s, conn, orders, "order-processor",
		redisio.WithStart(redisio.StartEarliest()),
		redisio.WithStopAtLatest()) // leave this out to go on for ever
	largeOrders := redisio.Topic{Name: "large-orders", Partitions: 4}
	redisio.Write(s, conn, largeOrders, beam.ParDo(s, large, msgs))
	if err := beamx.Run(ctx, p); err != nil {
		return err
	}
	return redisio.Drain(ctx) // acknowledgements run in the background
}

// Orders of 100 and more are copied to another topic, the rest is acknowledged
// and left where it is.
func Example() {
	if !beam.Initialized() {
		beam.Init()
	}
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	addOrder(server, "anna", "35.00")
	addOrder(server, "boris", "249.90")
	addOrder(server, "carla", "99.90")
	addOrder(server, "dora", "12.50")
	addOrder(server, "anna", "120.00")

	if err := copyLargeOrders(context.Background(), "redis://"+server.Addr()); err != nil {
		fmt.Println(err)
	}
	for _, order := range ordersIn(server, "large-orders") {
		fmt.Println(order)
	}
	// Output:
	// [_key anna total 120.00]
	// [_key boris total 249.90]
}

func addOrder(server *miniredis.Miniredis, customer, total string) {
	m := redisio.Message{Key: customer}
	topic := redisio.Topic{Name: "orders", Partitions: 4}
	if _, err := server.XAdd(topic.Key(topic.PartitionOf(&m)), "*", []string{"_key", customer, "total", total}); err != nil {
		log.Fatal(err)
	}
}

// ordersIn returns the fields of the topic's entries, sorted.
func ordersIn(server *miniredis.Miniredis, topic string) []string {
	var orders []string
	for i := range 4 {
		entries, err := server.Stream(fmt.Sprint(topic, ":", i))
		if err != nil {
			continue // nothing was written to this partition
		}
		for _, e := range entries {
			orders = append(orders, fmt.Sprint(e.Values))
		}
	}
	slices.Sort(orders)
	return orders
}

// What the README shows is what the example runs.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(readme), "```go\n")
	shown, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatal("README.md has no Go example")
	}
	for part := range strings.SplitSeq(shown, "\n\n") {
		if part = strings.TrimSpace(part); !strings.Contains(string(source), part) {
			t.Errorf("example_test.go does not have this part of README.md:\n%s", part)
		}
	}
}
