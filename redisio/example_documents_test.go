package redisio_test

import (
	"context"
	"fmt"
	"log"
	"reflect"

	"github.com/alicebob/miniredis/v2"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"example.com/beamredis/redisio"
)

type customer struct {
	ID   string   `redis:"-"`
	Name string   `redis:"name"`
	Tags []string `redis:"tags,omitempty"`
}

func customerKey(c customer) string { return "customer:" + c.ID }

func init() {
	beam.RegisterType(reflect.TypeFor[customer]())
	register.Function1x1(customerKey)
}

// Customers become hashes.
func ExampleWriteHash() {
	if !beam.Initialized() {
		beam.Init()
	}
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	conn := redisio.Conn{Addr: server.Addr()}
	p, s := beam.NewPipelineWithRoot()
	customers := beam.Create(s, customer{"7", "Anna", []string{"new"}}, customer{"8", "Boris", nil})
	redisio.WriteHash(s, conn, customers, redisio.WithKey(customerKey))
	if err := beamx.Run(context.Background(), p); err != nil {
		fmt.Println(err)
	}
	fmt.Println(server.HGet("customer:7", "name"), server.HGet("customer:7", "tags"))
	fmt.Println(server.HGet("customer:8", "name"))
	// Output:
	// Anna ["new"]
	// Boris
}
