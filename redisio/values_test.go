package redisio

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
)

func init() {
	register.Function1x0(collectOrder)
	register.Function1x2(noOrder)
	beam.RegisterType(reflect.TypeFor[basket]())
	register.Function1x0(collectBasket)
}

// basket has what could be shared by mistake.
type basket struct {
	Items  []string       `json:"items,omitempty"`
	Counts map[string]int `json:"counts,omitempty"`
	First  *int           `json:"first,omitempty"`
}

var decoded struct {
	sync.Mutex
	orders  []order
	baskets []basket
}

func collectOrder(o order) {
	decoded.Lock()
	defer decoded.Unlock()
	decoded.orders = append(decoded.orders, o)
}

func collectBasket(b basket) {
	decoded.Lock()
	defer decoded.Unlock()
	decoded.baskets = append(decoded.baskets, b)
}

func noOrder(order) ([]byte, error) { return nil, errors.New("not today") }

func entriesOf(t *testing.T, s *redistest.Server, topic Topic) (entries []string) {
	t.Helper()
	for _, p := range topic.Parts() {
		for _, e := range s.Client().XRange(t.Context(), p.Stream, "-", "+").Val() {
			entries = append(entries, fmt.Sprint(p.Stream, e.Values))
		}
	}
	slices.Sort(entries)
	return entries
}

func TestValuesTravelAsJSONInThePartitionOfTheirKeyOrJSON(t *testing.T) {
	s := redistest.Start(t)
	const one, two = `{"ID":"1","customer":"anna","total":2.5}`, `{"ID":"2","customer":"boris","total":0}`
	at := func(m Message) string {
		return fmt.Sprintf("out:%d", Topic{Name: "out", Partitions: 7}.PartitionOf(&m))
	}
	for name, tc := range map[string]struct {
		col  func(beam.Scope) beam.PCollection
		opts []WriteOption
		want []string
	}{
		"with a key": {someOrders, []WriteOption{WithKey(orderKey)}, []string{
			at(Message{Key: "1"}) + "map[_key:1 data:" + one + "]", at(Message{Key: "2"}) + "map[_key:2 data:" + two + "]"}},
		"pairs": {func(s beam.Scope) beam.PCollection { return beam.ParDo(s, byCustomer, someOrders(s)) }, nil, []string{
			at(Message{Key: "anna"}) + "map[_key:anna data:" + one + "]", at(Message{Key: "boris"}) + "map[_key:boris data:" + two + "]"}},
		"without a key": {someOrders, nil, []string{
			at(Message{Fields: pairsOf("data", one)}) + "map[data:" + one + "]", at(Message{Fields: pairsOf("data", two)}) + "map[data:" + two + "]"}},
		"another format": {someOrders, []WriteOption{WithKey(orderKey), WithSerializer(bareOrder), WithKeyField("id")}, []string{
			at(Message{Key: "1"}) + "map[data:{} and more id:1]", at(Message{Key: "2"}) + "map[data:{} and more id:2]"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.Client().FlushAll(t.Context())
			out := Topic{Name: "out", Partitions: 7}
			if dead := runDirect(t, func(root beam.Scope) Result { return WriteValues(root, s.Config(), out, tc.col(root), tc.opts...) }); len(dead) > 0 {
				t.Errorf("dead letters %+v", dead)
			}
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, entriesOf(t, s, out)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatWasWrittenIsReadBackTyped(t *testing.T) {
	s := redistest.Start(t)
	p, root := beam.NewPipelineWithRoot()
	WriteValues(root, s.Config(), orders, someOrders(root), WithKey(orderKey))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	decoded.orders = nil
	p, root = beam.NewPipelineWithRoot()
	msgs := Read(root, s.Config(), orders, "g", WithStart(StartEarliest()), WithStopAtLatest())
	beam.ParDo0(root, collectOrder, Decode[order](root, msgs))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(decoded.orders, func(a, b order) int { return strings.Compare(a.ID, b.ID) })
	if diff := cmp.Diff([]order{{"1", "anna", 2.5}, {"2", "boris", 0}}, decoded.orders); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodedValuesShareNothing(t *testing.T) {
	decoded.baskets = nil
	p, root := beam.NewPipelineWithRoot()
	msgs := beam.Create(root, Message{Fields: pairsOf("data", `{"items":["a","b"],"counts":{"x":1},"first":1}`)},
		Message{Fields: pairsOf("data", `{"items":["c"],"counts":{"y":2},"first":2}`)}, Message{Fields: pairsOf("data", `{}`)})
	beam.ParDo0(root, collectBasket, Decode[basket](root, msgs))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	one, two := 1, 2
	want := []basket{{[]string{"a", "b"}, map[string]int{"x": 1}, &one}, {[]string{"c"}, map[string]int{"y": 2}, &two}, {}}
	if diff := cmp.Diff(want, decoded.baskets); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func undecodable(s beam.Scope) beam.PCollection {
	return beam.Create(s, Message{Stream: "in:0", Key: "a", Fields: pairsOf("data", `{"ID":5}`)},
		Message{Key: "b", Fields: pairsOf("n", "1")}, Message{Key: "c", Fields: pairsOf("data", `{} x`)},
		Message{Key: "d", Fields: pairsOf("data", `{"ID":"d"}`)})
}

func TestWhatCannotBeDecodedIsADeadLetter(t *testing.T) {
	resetCollected()
	decoded.orders = nil
	p, root := beam.NewPipelineWithRoot()
	values, failed := DecodeWithFailed[order](root, undecodable(root))
	beam.ParDo0(root, collectOrder, values)
	beam.ParDo0(root, collectFailed, failed)
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]order{{ID: "d"}}, decoded.orders); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	got := map[string]string{}
	for _, d := range collected.failed {
		got[d.Message.Key] = d.Reason
	}
	want := map[string]string{
		"a": `field "data": json: cannot unmarshal number into Go struct field order.ID of type string`,
		"b": `there is no field "data" to decode`,
		"c": `field "data": invalid character 'x' after top-level value`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeDecodedFailsTheBundleWhereNobodyLooks(t *testing.T) {
	p, root := beam.NewPipelineWithRoot()
	beam.ParDo0(root, collectOrder, Decode[order](root, undecodable(root)))
	_, err := direct.Execute(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), `of in:0 with key "a": field "data": json: cannot unmarshal number`) {
		t.Errorf("error %v, want one that names stream, key and reason", err)
	}
}

func TestDecodeTakesMessagesOnly(t *testing.T) {
	s := beam.NewPipeline().Root()
	if _, _, err := TryDecodeWithFailed[order](s, beam.Create(s, "a")); err == nil || !strings.Contains(err.Error(), "want one of redisio.Message") {
		t.Errorf("error %v", err)
	}
	wantPanic(t, "want one of redisio.Message", func() { Decode[order](s, beam.Create(s, "a")) })
}

// One value cannot be serialized, and one partition is no stream.
func TestFailedHoldsWhatCouldNotBeSerializedOrWritten(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().Set(t.Context(), "out:0", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	out := Topic{Name: "out", Partitions: 1}
	want := []string{`WRONGTYPE Operation against a key holding the wrong kind of value of 1`, `serialize: nothing was sold of 2`}
	write := func(root beam.Scope, opts ...WriteOption) Result {
		return WriteValues(root, s.Config(), out, someOrders(root), append(opts, WithKey(orderKey), WithSerializer(orderJSON))...)
	}
	var got []string
	for _, d := range runDirect(t, func(root beam.Scope) Result { return write(root) }) {
		got = append(got, d.Reason+" of "+d.Message.Key)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Failed (-want +got):\n%s", diff)
	}

	p, root := beam.NewPipelineWithRoot()
	write(root, WithErrorStream("errors"))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, e := range s.Client().XRange(t.Context(), "errors", "-", "+").Val() {
		got = append(got, fmt.Sprint(e.Values["reason"], " of ", e.Values["key"]))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error stream (-want +got):\n%s", diff)
	}

	p, root = beam.NewPipelineWithRoot()
	WriteValues(root, s.Config(), orders, someOrders(root), WithKey(orderKey), WithSerializer(noOrder))
	if _, err := direct.Execute(t.Context(), p); err == nil || !strings.Contains(err.Error(), `with key "1": serialize: not today`) {
		t.Errorf("error %v, want one that names key and reason", err)
	}
}

func TestOptionsOfTheTopicDoNotHoldForTheErrorStream(t *testing.T) {
	for name, opts := range map[string][]WriteOption{
		"trimming": {WithMaxLen(1), WithExactTrim()},
		"lanes":    {WithFlushConcurrency(3)},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			p, root := beam.NewPipelineWithRoot()
			opts = append(opts, WithKey(orderKey), WithSerializer(noOrder), WithErrorStream("errors"))
			WriteValues(root, s.Config(), orders, someOrders(root), opts...)
			if _, err := direct.Execute(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if n := s.Client().XLen(t.Context(), "errors").Val(); n != 2 {
				t.Errorf("%d dead letters in the error stream, want 2", n)
			}
		})
	}
}

func TestValuesAreWrittenOnceOnlyWithAKey(t *testing.T) {
	_, root := beam.NewPipelineWithRoot()
	_, err := TryWriteValues(root, Conn{}, orders, someOrders(root), WithKey(orderKey), WithIdempotence("copy"))
	if err == nil || !strings.Contains(err.Error(), "WithIdempotenceKey") {
		t.Errorf("error %v, want one that names WithIdempotenceKey", err)
	}
}
