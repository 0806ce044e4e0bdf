package tracing

import (
	"context"
	"errors"
	"net"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"example.com/beamredis/redisio/conn"
)

// The attributes for which OpenTelemetry has no convention.
const (
	KeyKey       = attribute.Key("redisio.message.key")
	EventTimeKey = attribute.Key("redisio.message.event_time")
	SourceKey    = attribute.Key("redisio.source.stream")
	SourceIDKey  = attribute.Key("redisio.source.id")
	AttemptsKey  = attribute.Key("redisio.attempts")
	FieldPrefix  = attribute.Key("redisio.field.")
	DocumentKey  = attribute.Key("redisio.document")
	CutKey       = attribute.Key("redisio.contents_cut")
)

// ofServer describes the deployment. It takes nothing but the address and the
// database of the configuration, in which there are no secrets.
func ofServer(c conn.Config) []attribute.KeyValue {
	c = c.WithDefaults()
	attrs := []attribute.KeyValue{semconv.DBSystemNameRedis, semconv.DBNamespace(strconv.Itoa(c.DB))}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return attrs
	}
	attrs = append(attrs, semconv.ServerAddress(host))
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, semconv.ServerPort(n))
	}
	return attrs
}

// messagingSystem is the name that spans give Redis as a messaging system; there
// is none among the known ones.
var messagingSystem = semconv.MessagingSystemKey.String("redis")

// kindOf are the attributes that say what kind of error err is. code is the
// server's word for it, empty where it has not answered.
func kindOf(err error, code func(error) string) []attribute.KeyValue {
	if word := code(err); word != "" {
		return []attribute.KeyValue{semconv.ErrorTypeKey.String(word), semconv.DBResponseStatusCode(word)}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return []attribute.KeyValue{semconv.ErrorTypeKey.String("timeout")}
	}
	return []attribute.KeyValue{semconv.ErrorTypeOther}
}
