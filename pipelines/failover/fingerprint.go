package main

import (
	"hash/fnv"

	"example.com/beamredis/redisio"
)

const keyField = "_key"

// fingerprint identifies what a message says, the same in every process and
// wherever the message is. The order of its fields does not enter it, because
// the client gives an entry's fields without order.
func fingerprint(m redisio.Message) uint64 {
	var sum uint64
	if m.HasKey() {
		sum = fieldPrint(keyField, m.Key)
	}
	for _, f := range m.Fields {
		sum += fieldPrint(f.Name, f.Value)
	}
	return sum
}

func entryPrint(values map[string]any) (sum uint64) {
	for name, value := range values {
		text, _ := value.(string) // Redis has nothing else in an entry
		sum += fieldPrint(name, text)
	}
	return sum
}

// fieldPrint is mixed, so that the sum of several has all of their bits in it.
func fieldPrint(name, value string) uint64 {
	h := fnv.New64a()
	// A hash takes everything.
	_, _ = h.Write([]byte(name))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(value))
	return mix(h.Sum64())
}
