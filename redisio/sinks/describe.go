package sinks

import (
	"fmt"

	"example.com/beamredis/redisio/message"
)

// keyShown is how much of a key an error shows.
const keyShown = 64

func describeKey(m *message.Message) string {
	switch {
	case !m.HasKey():
		return "no key"
	case len(m.Key) > keyShown:
		return fmt.Sprintf("key %q... (%d bytes)", m.Key[:keyShown], len(m.Key))
	}
	return fmt.Sprintf("key %q", m.Key)
}
