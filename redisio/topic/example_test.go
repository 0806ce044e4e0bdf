package topic_test

import (
	"fmt"

	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

func ExampleTopic() {
	orders := topic.Topic{Name: "orders", Partitions: 4}
	for _, p := range orders.Parts() {
		fmt.Println(p.Stream)
	}
	m := message.Message{Key: "customer-17", Fields: []message.Field{{Name: "total", Value: "9.90"}}}
	fmt.Println("belongs in", orders.Key(orders.PartitionOf(&m)))
	// Output:
	// orders:0
	// orders:1
	// orders:2
	// orders:3
	// belongs in orders:3
}

// Streams that exist already are listed by their keys.
func ExampleTopic_keys() {
	audit := topic.Topic{Name: "audit", Keys: []string{"audit-eu", "audit-us"}}
	fmt.Println(audit.Len(), audit.Key(1), audit.Validate())
	// Output: 2 audit-us <nil>
}

func ExampleTopic_Validate() {
	fmt.Println(topic.Topic{Keys: []string{"eu", "", "eu"}}.Validate())
	// Output:
	// topic: Keys[1] is empty
	// topic: Keys[2] "eu" is a duplicate of Keys[0]
}

// The hash is that of Java's String.hashCode, whatever the text.
func ExampleJavaHash() {
	fmt.Println(topic.JavaHash("hello"))
	fmt.Println(topic.JavaHash("größe"))
	fmt.Println(topic.JavaHash("polygenelubricants"))
	// Output:
	// 99162322
	// 98762257
	// -2147483648
}
