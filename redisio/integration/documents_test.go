package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

func init() {
	beam.RegisterType(reflect.TypeFor[order]())
	register.Function1x1(orderKey)
	register.Function1x1(orderCustomer)
	register.Function2x0(makeOrders)
	register.Emitter1[order]()
}

// order is what these pipelines write. It follows from its number.
type order struct {
	ID       string    `json:"id"`
	N        int       `json:"n"`
	Customer string    `json:"customer"`
	Total    float64   `json:"total"`
	At       time.Time `json:"at"`
	Note     *note     `json:"note,omitempty"`
}

// note is unreadable where it says so.
type note struct{ Text string }

func (n note) MarshalText() ([]byte, error) {
	if n.Text == "poison" {
		return nil, errors.New("poison cannot be written")
	}
	return []byte(n.Text), nil
}

func (n *note) UnmarshalText(text []byte) error {
	n.Text = string(text)
	return nil
}

// poisonEvery is how many orders have one that cannot be serialized.
const poisonEvery = 100

func orderOf(n int) order {
	o := order{
		ID: strconv.Itoa(n), N: n, Customer: fmt.Sprint("customer-", n%keyCount), Total: float64(n) / 4,
		At: time.Unix(int64(n), 0).UTC(),
	}
	if n%3 == 0 {
		o.Note = &note{"<rush> & \"gift\" ☃"}
	}
	return o
}

func orderKey(o order) string      { return o.ID }
func orderCustomer(o order) string { return o.Customer }

// makeOrders makes count orders, or, below zero, -count with poison among them.
func makeOrders(count int, emit func(order)) {
	for n := range max(count, -count) {
		o := orderOf(n)
		if count < 0 && n%poisonEvery == 7 {
			o.Note = &note{"poison"}
		}
		emit(o)
	}
}

// runOrders runs the pipeline that build makes of count orders.
func (s *server) runOrders(count int, build func(s beam.Scope, orders beam.PCollection)) {
	s.t.Helper()
	p, root := beam.NewPipelineWithRoot()
	build(root, beam.ParDo(root, makeOrders, beam.Create(root, count)))
	if err := runPipeline(s.t.Context(), p); err != nil {
		s.t.Fatal(err)
	}
}

const ttl = time.Hour

// wantOrders fails the test unless the document of every order but the poison
// says what it should, and has its time to live.
func (s *server) wantOrders(n int, poison bool, command string, want func(order) string) {
	s.t.Helper()
	ctx := s.t.Context()
	for from := 0; from < n; from += 1000 {
		pipe := s.client.Pipeline()
		got, ttls := map[int]*redis.Cmd{}, map[int]*redis.DurationCmd{}
		for i := from; i < min(n, from+1000); i++ {
			key := "order:" + strconv.Itoa(i)
			got[i], ttls[i] = pipe.Do(ctx, command, key), pipe.PTTL(ctx, key)
		}
		_, _ = pipe.Exec(ctx) // a document that is missing shows below
		for i, cmd := range got {
			if poison && i%poisonEvery == 7 {
				if ttls[i].Val() > 0 {
					s.t.Fatalf("poisonous order %d was written", i)
				}
				continue
			}
			if text := fmt.Sprint(cmd.Val()); text != want(orderOf(i)) {
				s.t.Fatalf("order %d is %s, want %s", i, text, want(orderOf(i)))
			}
			if left := ttls[i].Val(); left <= 0 || left > ttl {
				s.t.Fatalf("order %d has %v to live, want at most %v", i, left, ttl)
			}
		}
	}
}

func orderText(o order) string {
	rest := "}"
	if o.Note != nil {
		rest = `,"note":"<rush> & \"gift\" ☃"}`
	}
	return fmt.Sprintf(`{"id":"%d","n":%d,"customer":"%s","total":%v,"at":"%s"%s`, o.N, o.N, o.Customer, o.Total, o.At.Format(time.RFC3339), rest)
}

// orderMap is what go-redis makes of HGETALL.
func orderMap(o order) string {
	m := map[any]any{"id": o.ID, "n": o.ID, "customer": o.Customer, "total": fmt.Sprint(o.Total), "at": o.At.Format(time.RFC3339)}
	if o.Note != nil {
		m["note"] = o.Note.Text
	}
	return fmt.Sprint(m)
}

func documentOptions() []redisio.WriteOption {
	return []redisio.WriteOption{redisio.WithKey(orderKey), redisio.WithKeyPrefix("order:"), redisio.WithTTL(ttl)}
}

func TestOrdersBecomeJSONDocuments(t *testing.T) {
	n := sized(20_000, 200_000)
	s := start(t, redistest.JSON(t))
	s.runOrders(n, func(root beam.Scope, orders beam.PCollection) {
		redisio.WriteJSON(root, s.Config(), orders, documentOptions()...)
	})
	s.wantOrders(n, false, "JSON.GET", orderText)
}

func TestOrdersBecomeHashes(t *testing.T) {
	n := sized(20_000, 200_000)
	s := start(t)
	s.runOrders(n, func(root beam.Scope, orders beam.PCollection) {
		redisio.WriteHash(root, s.Config(), orders, documentOptions()...)
	})
	s.wantOrders(n, false, "HGETALL", orderMap)
}

// TestOrdersTravelThroughATopic: written typed, read typed, and written as JSON.
func TestOrdersTravelThroughATopic(t *testing.T) {
	n := sized(20_000, 200_000)
	s := start(t, redistest.JSON(t))
	s.runOrders(n, func(root beam.Scope, orders beam.PCollection) {
		redisio.WriteValues(root, s.Config(), in, orders, redisio.WithKey(orderCustomer))
	})
	for i, p := range in.Parts() {
		last := map[string]int{}
		s.scan(p.Stream, func(e entry) {
			key := e.fields[1]
			if got := sinkPartition(key, in.Len()); got != i {
				t.Fatalf("an order of %q is in partition %d, want %d", key, i, got)
			}
			var o order
			if err := json.Unmarshal([]byte(e.fields[3]), &o); err != nil || o.N < last[key] {
				t.Fatalf("order %d of %s comes after %d: %v", o.N, key, last[key], err)
			}
			last[key] = o.N
		})
	}
	p, root := beam.NewPipelineWithRoot()
	msgs := redisio.Read(root, s.Config(), in, group, redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAtLatest())
	redisio.WriteJSON(root, s.Config(), redisio.Decode[order](root, msgs), documentOptions()...)
	if err := runPipeline(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.wantOrders(n, false, "JSON.GET", orderText)
	s.wantCaughtUp(in, group)
}

// TestPoisonIsSetAsideAndTheRestIsWritten: one element in a hundred cannot be
// serialized. The others are written, and Failed and the error stream hold
// those with their reason.
func TestPoisonIsSetAsideAndTheRestIsWritten(t *testing.T) {
	n := sized(20_000, 200_000)
	out := redisio.Topic{Name: "typed", Partitions: 2}
	for name, write := range map[string]func(s *server, root beam.Scope, orders beam.PCollection, opts ...redisio.WriteOption) redisio.Result{
		"JSON": func(s *server, root beam.Scope, orders beam.PCollection, opts ...redisio.WriteOption) redisio.Result {
			return redisio.WriteJSON(root, s.Config(), orders, append(documentOptions(), opts...)...)
		},
		"hash": func(s *server, root beam.Scope, orders beam.PCollection, opts ...redisio.WriteOption) redisio.Result {
			return redisio.WriteHash(root, s.Config(), orders, append(documentOptions(), opts...)...)
		},
		"topic": func(s *server, root beam.Scope, orders beam.PCollection, opts ...redisio.WriteOption) redisio.Result {
			return redisio.WriteValues(root, s.Config(), out, orders, append(opts, redisio.WithKey(orderKey))...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, redistest.JSON(t))
			s.runOrders(-n, func(root beam.Scope, orders beam.PCollection) {
				res := write(s, root, orders, redisio.WithErrorStream("errors"))
				redisio.Write(root, s.Config(), dead, beam.ParDo(root, deadLetterMessage, res.Failed()))
			})
			switch name {
			case "JSON":
				s.wantOrders(n, true, "JSON.GET", orderText)
			case "hash":
				s.wantOrders(n, true, "HGETALL", orderMap)
			default:
				s.wantEachOrderOnce(out, n)
			}
			for _, stream := range []string{"errors", dead.Keys[0]} {
				s.wantPoison(stream, n/poisonEvery)
			}
		})
	}
}

// wantEachOrderOnce fails the test unless a topic holds each order of n but the
// poison, once and as it was.
func (s *server) wantEachOrderOnce(t redisio.Topic, n int) {
	s.t.Helper()
	found := make([]int, n)
	for _, p := range t.Parts() {
		s.scan(p.Stream, func(e entry) {
			i, err := strconv.Atoi(e.fields[1])
			if err != nil || i < 0 || i >= n || e.fields[3] != orderText(orderOf(i)) {
				s.t.Fatalf("%s holds %q, which is no order", p.Stream, e.fields)
			}
			found[i]++
		})
	}
	for i, times := range found {
		want := 1
		if i%poisonEvery == 7 {
			want = 0
		}
		if times != want {
			s.t.Fatalf("order %d is there %d times, want %d", i, times, want)
		}
	}
}

func (s *server) wantPoison(stream string, n int) {
	s.t.Helper()
	var keys []string
	s.scan(stream, func(e entry) {
		reason, key := e.fields[1], e.fields[slices.Index(e.fields, "key")+1]
		number, err := strconv.Atoi(key)
		if err != nil || number%poisonEvery != 7 || !strings.Contains(reason, "poison cannot be written") {
			s.t.Fatalf("%s: order %s is there for the reason %q", stream, key, reason)
		}
		keys = append(keys, key)
	})
	slices.Sort(keys)
	if all := len(keys); len(slices.Compact(keys)) != n || all != n {
		s.t.Errorf("%s holds %d orders, want %d", stream, all, n)
	}
}
