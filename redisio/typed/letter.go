package typed

import (
	"fmt"

	"example.com/beamredis/redisio/message"
)

// Unserialized makes the dead letter of an element that cannot become a
// message: m, of which there is the key at most, with [Describe]'s text of the
// element. Where nobody keeps dead letters, its error fails the bundle instead.
func Unserialized(m message.Message, element any, fault error, kept bool) (message.DeadLetter, error) {
	m.Fields = Describe(element)
	reason := fmt.Errorf("serialize: %w", fault)
	if !kept {
		return message.DeadLetter{}, fmt.Errorf("element %.64s of type %T%s: %w (to keep such elements aside, name an error stream or consume Failed)",
			m.Fields[0].Value, element, withKey(&m), reason)
	}
	return message.DeadLetter{Message: m, Reason: message.OneLine(reason)}, nil
}

// withKey tells people the key of a message, if there is one.
func withKey(m *message.Message) string {
	if !m.HasKey() {
		return ""
	}
	return fmt.Sprintf(" with key %.64q", m.Key)
}
