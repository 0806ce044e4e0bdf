package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
)

// The attributes of instruments, by OpenTelemetry's semantic conventions.
const (
	StreamKey  = semconv.MessagingDestinationNameKey
	GroupKey   = semconv.MessagingConsumerGroupNameKey
	CommandKey = semconv.DBOperationNameKey
)

// AttributesOf lists the attributes of the instruments in a namespace.
func AttributesOf(namespace string) []attribute.Key {
	if namespace == WriteNamespace {
		return []attribute.Key{CommandKey}
	}
	return []attribute.Key{StreamKey, GroupKey}
}

// ByCommand is where a sink measures that writes with command.
func ByCommand(command string) Where { return At(CommandKey.String(command)) }
