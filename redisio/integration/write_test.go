package integration_test

import (
	"errors"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"

	"example.com/beamredis/redisio"
)

func init() {
	register.Function1x2(serializeWord)
	register.Function1x1(wordTopic)
	register.Function1x1(keyOfMessage)
	register.Function2x0(collectWritten)
}

func serializeWord(word string) (redisio.Message, error) {
	if word == "poison" {
		return redisio.Message{}, errors.New("it is poison")
	}
	return redisio.Message{Key: word, Fields: []redisio.Field{{Name: "word", Value: word}}}, nil
}

func wordTopic(m redisio.Message) redisio.Topic {
	return redisio.Topic{Name: "words-" + m.Key, Partitions: 1}
}

func keyOfMessage(m redisio.Message) string { return m.Key }

func collectWritten(m redisio.Message, emit func(string)) { emit(m.Stream + " " + m.Key) }

// TestElementsOfAnyTypeAreWrittenToTheirTopicsOnceAndComeOut puts the options
// together, on Prism and on the direct runner.
func TestElementsOfAnyTypeAreWrittenToTheirTopicsOnceAndComeOut(t *testing.T) {
	for _, runner := range []string{"prism", "direct"} {
		t.Run(runner, func(t *testing.T) {
			s := start(t)
			for range 2 {
				p, root := beam.NewPipelineWithRoot()
				res := redisio.Write(root, s.Config(), redisio.Topic{}, beam.Create(root, "a", "poison", "b", "a"), redisio.WithSerializer(serializeWord), redisio.WithTopicOf(wordTopic),
					redisio.WithIdempotence("words"), redisio.WithIdempotenceKey(keyOfMessage), redisio.WithErrorStream("errors"))
				passert.Equals(root, beam.ParDo(root, collectWritten, res.Written()), "words-a:0 a", "words-a:0 a", "words-b:0 b")
				passert.Count(root, res.Failed(), "dead letters", 1)
				if _, err := beam.Run(t.Context(), runner, p); err != nil {
					t.Fatal(err)
				}
			}
			for stream, want := range map[string]int64{"words-a:0": 1, "words-b:0": 1, "errors": 2} {
				if n := s.client.XLen(t.Context(), stream).Val(); n != want {
					t.Errorf("%s has %d entries, want %d", stream, n, want)
				}
			}
		})
	}
}
