package sdf

import (
	"encoding/json"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// RangeConfig is what reading a part of a topic's history needs to know; it
// travels in the job graph.
type RangeConfig struct {
	// Config holds what both kinds of reading share: connection, key field, event
	// time, dead letters, and for how long Redis may be out of reach.
	Config
	// Ordered reads each partition as one range, from its first entry to its last.
	Ordered bool `json:"ordered,omitempty"`
	// RangeEntries is about how many entries a range has.
	RangeEntries int `json:"range_entries"`
	// GroupAtEnd is a consumer group that is moved to the end of what was read;
	// empty: none.
	GroupAtEnd string `json:"group_at_end,omitempty"`
	// AllowMissing takes a topic none of whose streams exists for an empty one.
	AllowMissing bool `json:"allow_missing,omitempty"`
	// FailOnLoss fails where entries were trimmed before they were read.
	FailOnLoss bool `json:"fail_on_loss,omitempty"`
}

// RangeDefaults returns the configuration that everything starts from.
func RangeDefaults() RangeConfig {
	return RangeConfig{Config: Defaults(), RangeEntries: 50_000}
}

// RangeRequest asks for a part of a topic's history.
type RangeRequest struct {
	Topic topic.Topic `json:"topic"`
	From  Bound       `json:"from,omitzero"`
	To    Bound       `json:"to,omitzero"`
}

// Range is a run of entries of one partition, the element that [RangeFn] reads.
// Its bounds are those of entries that were there when it was planned.
type Range struct {
	Stream string `json:"stream"`
	// After and To are the range: after the one, up to the other.
	After message.EntryID `json:"after"`
	To    message.EntryID `json:"to"`
	// First is the first entry of the range, and Last the last one of all that is
	// read of the partition, to which Added entries had been added by then:
	// what is gone while it is read is told by them.
	First message.EntryID `json:"first"`
	Last  message.EntryID `json:"last"`
	Added int64           `json:"added"`
	// Entries is about how many there are, EntryBytes what one takes in a reply,
	// and MostBytes what the larger one of the stream's first and last takes.
	Entries    float64 `json:"entries"`
	EntryBytes float64 `json:"entry_bytes"`
	MostBytes  int     `json:"most_bytes"`
}

// The elements are few, so that JSON does; what runners keep by them needs it
// to be deterministic, which it is.
func init() {
	register.Function1x2(encodeRequest)
	register.Function1x2(decodeRequest)
	register.Function1x2(encodeRange)
	register.Function1x2(decodeRange)
	registerCoder(reflect.TypeFor[RangeRequest](), encodeRequest, decodeRequest)
	registerCoder(reflect.TypeFor[Range](), encodeRange, decodeRange)
}

func registerCoder(t reflect.Type, encode, decode any) {
	beam.RegisterType(t)
	coder.RegisterDeterministicCoder(t, encode, decode)
}

func encodeRequest(r RangeRequest) ([]byte, error) { return json.Marshal(r) }

func decodeRequest(b []byte) (r RangeRequest, err error) { return r, json.Unmarshal(b, &r) }

func encodeRange(r Range) ([]byte, error) { return json.Marshal(r) }

func decodeRange(b []byte) (r Range, err error) { return r, json.Unmarshal(b, &r) }
