package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// OrderCount is how many orders a demo works on.
const OrderCount = 100_000

const (
	customers = 5_000
	fillBatch = 1_000
)

// Orders makes the same orders at every start.
type Orders struct {
	rng  *rand.Rand
	next int
}

// NewOrders returns the orders from the first one on.
func NewOrders() *Orders { return &Orders{rng: rand.New(rand.NewPCG(1, 2))} }

var catalogue = []struct {
	item  string
	cents int
}{
	{"espresso cups, set of 4", 2_490}, {"bicycle bell", 1_195}, {"desk lamp", 5_900}, {"notebook, A5", 480},
	{"rain jacket", 8_950}, {"USB-C cable, 2 m", 1_290}, {"pepper mill", 3_400}, {"hiking socks", 1_650},
}

var firstOrder = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)

// Next makes an order. Its key is the customer, so that the orders of
// one customer stay in sequence.
func (o *Orders) Next() redisio.Message {
	o.next++
	product := catalogue[o.rng.IntN(len(catalogue))]
	quantity := 1 + o.rng.IntN(5)
	return redisio.Message{
		Key: fmt.Sprintf("customer-%04d", o.rng.IntN(customers)),
		Fields: []redisio.Field{
			{Name: "order", Value: fmt.Sprintf("2026-%06d", o.next)},
			{Name: "item", Value: product.item},
			{Name: "quantity", Value: strconv.Itoa(quantity)},
			{Name: "total", Value: fmt.Sprintf("%.2f", float64(quantity*product.cents)/100)},
			{Name: "currency", Value: "EUR"},
			{Name: "ordered_at", Value: firstOrder.Add(time.Duration(o.next) * 700 * time.Millisecond).Format(time.RFC3339)},
		},
	}
}

// Fill adds n orders to topic, the same at every start, each to the partition
// of its key, the customer, and counts them in filled. The key is in the field
// keyField of an entry, or nowhere if that is empty.
func Fill(ctx context.Context, client *redis.Client, topic redisio.Topic, keyField string, n int, filled *atomic.Int64) error {
	made := NewOrders()
	for n > 0 {
		batch := min(n, fillBatch)
		_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for range batch {
				m := made.Next()
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: topic.Key(topic.PartitionOf(&m)), Values: values(&m, keyField)})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("fill topic %s: %w", topic.Name, err)
		}
		n -= batch
		filled.Add(int64(batch))
	}
	return nil
}

// values is the entry of m, its key first.
func values(m *redisio.Message, keyField string) []string {
	var list []string
	if keyField != "" {
		list = append(list, keyField, m.Key)
	}
	for _, f := range m.Fields {
		list = append(list, f.Name, f.Value)
	}
	return list
}
