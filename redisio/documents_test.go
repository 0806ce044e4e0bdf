package redisio

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
)

func init() {
	beam.RegisterType(reflect.TypeFor[order]())
	register.Function1x1(orderKey)
	register.Function1x1(wordKey)
	register.Function1x2(orderJSON)
	register.Function1x2(orderMap)
	register.Function1x2(orderFields)
	register.Function1x2(bareOrder)
	register.Function1x2(byCustomer)
}

type order struct {
	ID       string
	Customer string  `json:"customer"`
	Total    float64 `redis:"sum" json:"total"`
}

func orderKey(o order) string  { return o.ID }
func wordKey(w string) string  { return w }
func (o order) method() string { return o.ID }

var errUnsold = errors.New("nothing was sold")

func orderJSON(o order) ([]byte, error) {
	if o.Total == 0 {
		return nil, errUnsold
	}
	return fmt.Appendf(nil, `{"total":%v}`, o.Total), nil
}

func orderMap(o order) (map[string]string, error) {
	return map[string]string{"total": fmt.Sprint(o.Total)}, nil
}

func orderFields(o order) ([]Field, error) {
	return []Field{{Name: "total", Value: fmt.Sprint(o.Total)}}, nil
}

// pairsOf are fields name, value, name, value...
func pairsOf(texts ...string) (fields []Field) {
	for i := 0; i < len(texts); i += 2 {
		fields = append(fields, Field{Name: texts[i], Value: texts[i+1]})
	}
	return fields
}

// bareOrder is what RedisJSON would take without the rest.
func bareOrder(order) ([]byte, error) { return []byte(`{} and more`), nil }

func byCustomer(o order) (string, order) { return o.Customer, o }

func someOrders(s beam.Scope) beam.PCollection {
	return beam.Create(s, order{"1", "anna", 2.5}, order{"2", "boris", 0})
}

// runDirect runs the pipeline that build makes and returns the dead letters.
func runDirect(t *testing.T, build func(s beam.Scope) Result) []DeadLetter {
	t.Helper()
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	beam.ParDo0(root, collectFailed, build(root).Failed())
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return collected.failed
}

func TestEveryWayToMakeJSONDocuments(t *testing.T) {
	server := redistest.Start(t, redistest.JSON(t))
	for name, tc := range map[string]struct {
		col  func(beam.Scope) beam.PCollection
		opts []WriteOption
		want map[string]string
	}{
		"values with a key function": {someOrders, []WriteOption{WithKey(orderKey), WithKeyPrefix("o:")},
			map[string]string{"o:1": `{"ID":"1","customer":"anna","total":2.5}`, "o:2": `{"ID":"2","customer":"boris","total":0}`}},
		"pairs": {func(s beam.Scope) beam.PCollection { return beam.ParDo(s, byCustomer, someOrders(s)) }, nil,
			map[string]string{"anna": `{"ID":"1","customer":"anna","total":2.5}`, "boris": `{"ID":"2","customer":"boris","total":0}`}},
		"messages": {func(s beam.Scope) beam.PCollection {
			return beam.Create(s, Message{Key: "a", Fields: pairsOf("n", `1 "<é>`, "bad", "\x01\xff\n")},
				Message{Key: "b", Fields: pairsOf("n", "1", "data", `{"x":[1]}`)}, Message{Key: "c", Fields: pairsOf("data", "no JSON")})
		}, nil, map[string]string{"a": `{"n":"1 \"<é>","bad":"\u0001�\n"}`, "b": `{"x":[1]}`, "c": `{"data":"no JSON"}`}},
		"messages with a key function": {someMessages, []WriteOption{WithKey(messageNumber)},
			map[string]string{"1": `{"n":"1"}`, "2": `{"n":"2"}`, "3": `{"n":"3"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			server.Client().FlushAll(t.Context())
			if dead := runDirect(t, func(s beam.Scope) Result { return WriteJSON(s, server.Config(), tc.col(s), tc.opts...) }); len(dead) > 0 {
				t.Errorf("dead letters %+v", dead)
			}
			got := map[string]string{}
			for _, key := range server.Client().Keys(t.Context(), "*").Val() {
				got[key], _ = server.Client().Do(t.Context(), "JSON.GET", key).Text()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
}

func messageNumber(m Message) string { return m.Fields[0].Value }

func init() { register.Function1x1(messageNumber) }

func TestEveryWayToMakeHashes(t *testing.T) {
	server := redistest.Start(t)
	type hashes = map[string]map[string]string
	for name, tc := range map[string]struct {
		col  func(beam.Scope) beam.PCollection
		opts []WriteOption
		want hashes
	}{
		"values": {someOrders, []WriteOption{WithKey(orderKey)}, hashes{
			"1": {"ID": "1", "customer": "anna", "sum": "2.5"}, "2": {"ID": "2", "customer": "boris", "sum": "0"}}},
		"pairs": {func(s beam.Scope) beam.PCollection { return beam.ParDo(s, byCustomer, someOrders(s)) }, nil, hashes{
			"anna": {"ID": "1", "customer": "anna", "sum": "2.5"}, "boris": {"ID": "2", "customer": "boris", "sum": "0"}}},
		"a serializer to a map":  {someOrders, []WriteOption{WithKey(orderKey), WithSerializer(orderMap)}, hashes{"1": {"total": "2.5"}, "2": {"total": "0"}}},
		"a serializer to fields": {someOrders, []WriteOption{WithKey(orderKey), WithSerializer(orderFields)}, hashes{"1": {"total": "2.5"}, "2": {"total": "0"}}},
		"messages": {func(s beam.Scope) beam.PCollection {
			return beam.Create(s, Message{Key: "a", Fields: pairsOf("n", "1", "bin", "\x00\xff")},
				Message{Key: "b", Fields: pairsOf("n", "1", "data", ` {"x":[1, 2],"s":"a\"b","no":null,"t":true}`)},
				Message{Key: "c", Fields: pairsOf("data", "[1]")})
		}, nil, hashes{"a": {"n": "1", "bin": "\x00\xff"}, "b": {"x": "[1, 2]", "s": `a"b`, "t": "true"}, "c": {"data": "[1]"}}},
	} {
		t.Run(name, func(t *testing.T) {
			server.Client().FlushAll(t.Context())
			opts := append([]WriteOption{WithTTL(time.Hour)}, tc.opts...)
			if dead := runDirect(t, func(s beam.Scope) Result { return WriteHash(s, server.Config(), tc.col(s), opts...) }); len(dead) > 0 {
				t.Errorf("dead letters %+v", dead)
			}
			got := hashes{}
			for _, key := range server.Client().Keys(t.Context(), "*").Val() {
				got[key] = server.Client().HGetAll(t.Context(), key).Val()
				if ttl := server.Client().PTTL(t.Context(), key).Val(); ttl < 59*time.Minute || ttl > time.Hour {
					t.Errorf("%s has %v to live, want an hour", key, ttl)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("hashes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMistakesOfADocumentWriteNameTheOption(t *testing.T) {
	words := func(s beam.Scope) beam.PCollection { return beam.Create(s, "a") }
	pairs := func(s beam.Scope) beam.PCollection { return beam.ParDo(s, byCustomer, someOrders(s)) }
	closure := func(o order) string { return o.ID }
	type write = func(beam.Scope, Conn, beam.PCollection, ...WriteOption) (Result, error)
	for name, tc := range map[string]struct {
		write write
		col   func(beam.Scope) beam.PCollection
		opts  []WriteOption
		want  string
	}{
		"no key":                {TryWriteJSON, someOrders, nil, "WithKey is missing: nothing tells the key of a redisio.order"},
		"closure":               {TryWriteJSON, someOrders, []WriteOption{WithKey(closure)}, "make it a named function and register it in an init function with register.Function1x1"},
		"method":                {TryWriteJSON, someOrders, []WriteOption{WithKey(order.method)}, "register.Function1x1"},
		"nil function":          {TryWriteJSON, someOrders, []WriteOption{WithKey[order](nil)}, "WithKey: the function is nil"},
		"another type":          {TryWriteJSON, someOrders, []WriteOption{WithKey(wordKey)}, "WithKey: the function takes string, the elements are redisio.order"},
		"two keys":              {TryWriteJSON, pairs, []WriteOption{WithKey(orderKey)}, "WithKey: the elements are pairs"},
		"no TTL":                {TryWriteJSON, pairs, []WriteOption{WithTTL(0)}, "WithTTL: 0s is not positive"},
		"path":                  {TryWriteJSON, pairs, []WriteOption{WithPath("status")}, `WithPath: "status" is no path`},
		"serializer of a hash":  {TryWriteJSON, pairs, []WriteOption{WithSerializer(orderMap)}, "WithSerializer: the function returns map[string]string, want [[]uint8]"},
		"replaced JSON":         {TryWriteJSON, pairs, []WriteOption{WithReplace()}, "WithReplace: WriteJSON has no use for it"},
		"option of streams":     {TryWriteJSON, pairs, []WriteOption{WithKeyField("k")}, "WithKeyField: WriteJSON has no use for it"},
		"trimming":              {TryWriteJSON, pairs, []WriteOption{WithMaxLen(1)}, "WithMaxLen: WriteJSON has no use for it"},
		"exact trimming":        {TryWriteHash, pairs, []WriteOption{WithExactTrim()}, "WithExactTrim: WriteHash has no use for it"},
		"idempotence":           {TryWriteHash, pairs, []WriteOption{WithIdempotence("a")}, "WithIdempotence: WriteHash has no use for it"},
		"idempotence alone":     {TryWriteHash, pairs, []WriteOption{WithIdempotenceTTL(time.Hour)}, "WithIdempotenceTTL: WriteHash has no use for it"},
		"replicas":              {TryWriteJSON, pairs, []WriteOption{WithReplicas(1, time.Second)}, "WithReplicas: WriteJSON has no use for it"},
		"no concurrency":        {TryWriteJSON, pairs, []WriteOption{WithFlushConcurrency(0)}, "WithFlushConcurrency: 0 is not positive"},
		"hash of a word":        {TryWriteHash, words, []WriteOption{WithKey(wordKey)}, "string has no fields"},
		"serializer of JSON":    {TryWriteHash, pairs, []WriteOption{WithSerializer(orderJSON)}, "WithSerializer: the function returns []uint8"},
		"path of a hash":        {TryWriteHash, pairs, []WriteOption{WithPath("$.a")}, "WithPath: WriteHash has no use for it"},
		"two ways to flush":     {TryWriteHash, pairs, []WriteOption{WithFlushInterval(1), WithFlushAtBundleEnd()}, "exclude each other"},
		"batch":                 {TryWriteHash, pairs, []WriteOption{WithBatchCount(0)}, "WithBatchCount: 0 is not positive"},
		"trace level":           {TryWriteHash, pairs, []WriteOption{WithTracing("some", TraceMetadata)}, `WithTracing: "some" is no trace level`},
		"document option":       {tryWriteOrders, someMessages, []WriteOption{WithTTL(1)}, "WithTTL: Write has no use for it"},
		"TTL of a topic":        {tryWriteOrderValues, someOrders, []WriteOption{WithTTL(1)}, "WithTTL: WriteValues has no use for it"},
		"messages as values":    {tryWriteOrderValues, someMessages, nil, "the elements are messages: Write writes them"},
		"serializer for hashes": {tryWriteOrderValues, someOrders, []WriteOption{WithSerializer(orderMap)}, "WithSerializer: the function returns map[string]string"},
	} {
		s := beam.NewPipeline().Root()
		_, err := tc.write(s, somehost, tc.col(s), tc.opts...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, tc.want)
		}
	}
}

func tryWriteOrders(s beam.Scope, c Conn, col beam.PCollection, opts ...WriteOption) (Result, error) {
	return TryWrite(s, c, orders, col, opts...)
}

func tryWriteOrderValues(s beam.Scope, c Conn, col beam.PCollection, opts ...WriteOption) (Result, error) {
	return TryWriteValues(s, c, orders, col, opts...)
}

func TestEveryMistakeOfADocumentWriteIsReportedAtOnce(t *testing.T) {
	_, err := TryWriteHash(beam.Scope{}, Conn{Addr: "no-port"}, beam.PCollection{}, WithTTL(-1), WithPath("x"), WithBatchCount(0), WithErrorStream(""))
	for _, want := range []string{"not a valid scope", "no-port", "not a valid PCollection", "WithTTL", "WithPath", "WithBatchCount", "WithErrorStream"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
	wantPanic(t, "not a valid PCollection", func() { WriteJSON(beam.Scope{}, somehost, beam.PCollection{}) })
}
