package main

import (
	"context"
	"encoding/json"
	"reflect"
	"strconv"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

func init() {
	beam.RegisterType(reflect.TypeFor[order]())
	register.Function1x1(orderOf)
	register.Function1x1(orderKey)
}

// order is what is written as a value: one of a user's own type.
type order struct {
	Key      string `json:"-"`
	Seq      int    `json:"seq"`
	Customer int    `json:"customer"`
	Item     string `json:"item"`
}

func orderOf(m redisio.Message) order {
	o := order{Key: m.Key}
	for _, f := range m.Fields {
		o.set(f.Name, f.Value)
	}
	return o
}

func (o *order) set(name, value string) {
	switch name {
	case "seq":
		o.Seq, _ = strconv.Atoi(value)
	case "customer":
		o.Customer, _ = strconv.Atoi(value)
	case "item":
		o.Item = value
	}
}

func orderKey(o order) string { return o.Key }

func writeValues(s beam.Scope, conn redisio.Conn, msgs beam.PCollection) {
	orders := beam.ParDo(s, orderOf, msgs)
	redisio.WriteValues(s, conn, redisio.Topic{Name: sink(), Partitions: *partitions}, orders, redisio.WithKey(orderKey))
}

// addValue is what the plain client does with a message.
func addValue(ctx context.Context, pipe redis.Pipeliner, stream string, m redis.XMessage) error {
	var o order
	for name, value := range m.Values {
		o.set(name, value.(string))
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	pipe.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []any{"_key", m.Values["_key"], "data", text}})
	return nil
}
