package message_test

import (
	"fmt"
	"time"

	"example.com/beamredis/redisio/message"
)

func ExampleParseEntryID() {
	id, err := message.ParseEntryID("1700000000000-7")
	fmt.Println(id.Ms, id.Seq, err)
	fmt.Println(id.Next(), id.Prev())

	_, err = message.ParseEntryID("yesterday")
	fmt.Println(err)
	// Output:
	// 1700000000000 7 <nil>
	// 1700000000000-8 1700000000000-6
	// not an entry ID: "yesterday" (want milliseconds-sequence, such as 1700000000000-0)
}

func ExampleFirstIDAt() {
	fmt.Println(message.FirstIDAt(time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)))
	// Output: 1709208000000-0
}

func ExampleDecodeMessage() {
	m := message.Message{Key: "customer-17", Fields: []message.Field{{Name: "total", Value: "9.90"}}}
	b := message.AppendMessage(nil, m)
	back, err := message.DecodeMessage(b)
	fmt.Println(len(b), back.Key, back.Fields, err)
	// Output: 29 customer-17 [{total 9.90}] <nil>
}
