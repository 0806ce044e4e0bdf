package redisio

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/protox"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/sdf"
)

func init() {
	register.Function1x2(functionalTime)
	register.Function1x0(collect)
	register.Function1x0(collectFailed)
	register.Function1x1(refuse)
}

// functionalTime is registered; its name begins like that of a closure.
func functionalTime(m Message) (time.Time, error) {
	if m.Key == "timeless" {
		return time.Time{}, errors.New("no time in it")
	}
	return time.UnixMilli(7), nil
}

// forgottenTime is not registered.
func forgottenTime(Message) (time.Time, error) { return time.Time{}, nil }

var (
	orders   = Topic{Name: "orders", Partitions: 2}
	somehost = Conn{Addr: "redis.example.com:6379"}
)

func TestReadOptionsDefaultToTheDocumentedValues(t *testing.T) {
	got, err := readConfig(beam.NewPipeline().Root(), somehost, orders, "g", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := sdf.Config{
		Conn: somehost, Topic: orders, Group: "g", Consumer: "beam", Ack: AckOnCheckpoint, Start: StartLatest(), KeyField: "_key",
		ClaimIdle: time.Minute, BundleEntries: 10_000, BundleBytes: 8 << 20, BundleTime: 500 * time.Millisecond,
		IdleTime: 200 * time.Millisecond, RetryFor: 2 * time.Minute,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadOptionsSetWhatTheySay(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	stop := EntryID{Ms: 5, Seq: 6}
	beforeAt := EntryID{Ms: 1_700_000_000_122, Seq: message.MaxID.Seq}
	for name, tc := range map[string]struct {
		opt  ReadOption
		want func(*sdf.Config)
	}{
		"WithAckStrategy":       {WithAckStrategy(AckOnEmit), func(c *sdf.Config) { c.Ack = AckOnEmit }},
		"WithStart latest":      {WithStart(StartLatest()), func(c *sdf.Config) { c.Start, c.StartGiven = sdf.Start{Latest: true}, true }},
		"WithStart earliest":    {WithStart(StartEarliest()), func(c *sdf.Config) { c.Start, c.StartGiven = sdf.Start{}, true }},
		"WithStart after":       {WithStart(StartAfter(stop)), func(c *sdf.Config) { c.Start, c.StartGiven = sdf.Start{After: stop}, true }},
		"WithStart at":          {WithStart(StartAt(at)), func(c *sdf.Config) { c.Start, c.StartGiven = sdf.Start{After: beforeAt}, true }},
		"WithStart before 1970": {WithStart(StartAt(time.Time{})), func(c *sdf.Config) { c.Start, c.StartGiven = sdf.Start{}, true }},
		"WithConsumer":          {WithConsumer("me"), func(c *sdf.Config) { c.Consumer = "me" }},
		"WithClaimIdle":         {WithClaimIdle(time.Hour), func(c *sdf.Config) { c.ClaimIdle = time.Hour }},
		"WithDeliveryLimit":     {WithDeliveryLimit(3), func(c *sdf.Config) { c.DeliveryLimit = 3 }},
		"WithWatermarkSkew":     {WithWatermarkSkew(time.Second), func(c *sdf.Config) { c.Skew = time.Second }},
		"WithEventTimeField":    {WithEventTimeField("at"), func(c *sdf.Config) { c.EventTimeField = "at" }},
		"WithStopAtLatest":      {WithStopAtLatest(), func(c *sdf.Config) { c.StopAtLatest = true }},
		"WithStopAt":            {WithStopAt(stop), func(c *sdf.Config) { c.StopAt = &stop }},
		"WithStopAtTime":        {WithStopAtTime(at), func(c *sdf.Config) { c.StopAt = &beforeAt }},
		"WithMaxEntries":        {WithMaxEntries(9), func(c *sdf.Config) { c.MaxEntries = 9 }},
		"WithMaxTime":           {WithMaxTime(time.Minute), func(c *sdf.Config) { c.MaxTime = time.Minute }},
		"WithReadRetry":         {WithReadRetry(time.Second), func(c *sdf.Config) { c.RetryFor = time.Second }},
		"WithErrorStream":       {WithErrorStream("errors"), func(c *sdf.Config) { c.ErrorStream = "errors" }},
		"WithKeyField":          {WithKeyField("k"), func(c *sdf.Config) { c.KeyField = "k" }},
		"WithKeyField empty":    {WithKeyField(""), func(c *sdf.Config) { c.KeyField = "" }},
		"WithBundleBounds": {WithBundleBounds(1, 2, 3*time.Second), func(c *sdf.Config) {
			c.BundleEntries, c.BundleBytes, c.BundleTime = 1, 2, 3*time.Second
		}},
		"WithBundleBounds short": {WithBundleBounds(1, 2, time.Millisecond), func(c *sdf.Config) {
			c.BundleEntries, c.BundleBytes, c.BundleTime, c.IdleTime = 1, 2, time.Millisecond, time.Millisecond
		}},
	} {
		got, want := sdf.Defaults(), sdf.Defaults()
		tc.want(&want)
		if err := tc.opt.applyRead(&got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(EntryID{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEventTimeFunctionTravelsByItsName(t *testing.T) {
	cfg := sdf.Defaults()
	if err := WithEventTime(functionalTime).applyRead(&cfg); err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.EventTimeFn.Fn.Name(), reflectx.FunctionName(functionalTime); got != want {
		t.Errorf("function %s, want %s", got, want)
	}
}

func TestMistakesInReadOptionsNameTheOption(t *testing.T) {
	closure := func(Message) (time.Time, error) { return time.Time{}, nil }
	for name, tc := range map[string]struct {
		opts []ReadOption
		want []string
	}{
		"ack strategy":     {[]ReadOption{WithAckStrategy("sometimes")}, []string{`WithAckStrategy: "sometimes" is no ack strategy`}},
		"consumer":         {[]ReadOption{WithConsumer("")}, []string{"WithConsumer: is empty"}},
		"claim idle":       {[]ReadOption{WithClaimIdle(0)}, []string{"WithClaimIdle: 0s is not positive"}},
		"low limit":        {[]ReadOption{WithDeliveryLimit(2), WithErrorStream("e")}, []string{"WithDeliveryLimit: 2 is below 3"}},
		"homeless limit":   {[]ReadOption{WithDeliveryLimit(3)}, []string{"WithDeliveryLimit: entries beyond the limit need a place to go"}},
		"no-ack, limit":    {[]ReadOption{WithAckStrategy(NoAck), WithDeliveryLimit(3)}, []string{"WithDeliveryLimit: with no-ack"}},
		"limit, no-ack":    {[]ReadOption{WithDeliveryLimit(3), WithAckStrategy(NoAck)}, []string{"WithDeliveryLimit: with no-ack"}},
		"skew":             {[]ReadOption{WithWatermarkSkew(-1)}, []string{"WithWatermarkSkew: -1ns is negative"}},
		"time field":       {[]ReadOption{WithEventTimeField("")}, []string{"WithEventTimeField: is empty"}},
		"nil function":     {[]ReadOption{WithEventTime(nil)}, []string{"WithEventTime: the function is nil"}},
		"closure":          {[]ReadOption{WithEventTime(closure)}, []string{"WithEventTime: ", "register.Function1x2"}},
		"not registered":   {[]ReadOption{WithEventTime(forgottenTime)}, []string{"forgottenTime cannot be found by a worker", "register.Function1x2"}},
		"two event times":  {[]ReadOption{WithEventTime(functionalTime), WithEventTimeField("at")}, []string{"WithEventTime and WithEventTimeField exclude"}},
		"two stops":        {[]ReadOption{WithStopAt(EntryID{Ms: 1}), WithStopAtLatest()}, []string{"WithStopAtLatest excludes"}},
		"disorder":         {[]ReadOption{WithEventTimeField("at"), WithOutOfOrderness(-1)}, []string{"WithOutOfOrderness: -1ns is negative"}},
		"disorder of IDs":  {[]ReadOption{WithOutOfOrderness(time.Second)}, []string{"WithOutOfOrderness: entry IDs come in order"}},
		"disorder, skew":   {[]ReadOption{WithWatermarkSkew(1), WithEventTimeField("at"), WithOutOfOrderness(1)}, []string{"WithOutOfOrderness and WithWatermarkSkew exclude"}},
		"no idle advance":  {[]ReadOption{WithEventTimeField("at"), WithOutOfOrderness(1), WithIdleAdvance(0)}, []string{"WithIdleAdvance: 0s"}},
		"idle without":     {[]ReadOption{WithIdleAdvance(1)}, []string{"WithIdleAdvance needs WithOutOfOrderness"}},
		"max entries":      {[]ReadOption{WithMaxEntries(-1)}, []string{"WithMaxEntries: -1 is not positive"}},
		"max time":         {[]ReadOption{WithMaxTime(0)}, []string{"WithMaxTime: 0s"}},
		"bundle":           {[]ReadOption{WithBundleBounds(0, -1, 0)}, []string{"WithBundleBounds: entries: 0", "WithBundleBounds: bytes: -1", "WithBundleBounds: time: 0s"}},
		"retry":            {[]ReadOption{WithReadRetry(-1)}, []string{"WithReadRetry: -1ns"}},
		"error stream":     {[]ReadOption{WithErrorStream("")}, []string{"WithErrorStream: is empty"}},
		"service name":     {[]ReadOption{WithServiceName("")}, []string{"WithServiceName: is empty"}},
		"own error stream": {[]ReadOption{WithErrorStream("orders:1")}, []string{`WithErrorStream: "orders:1" is a partition of the topic that is read`}},
		"all at once": {[]ReadOption{WithMaxEntries(0), WithConsumer(""), WithDeliveryLimit(5)},
			[]string{"WithMaxEntries", "WithConsumer", "WithDeliveryLimit"}},
	} {
		_, err := TryRead(beam.NewPipeline().Root(), somehost, orders, "g", tc.opts...)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not say %q", name, err, want)
			}
		}
	}
}

func TestEveryMistakeOfAReadIsReportedAtOnce(t *testing.T) {
	_, err := TryRead(beam.Scope{}, Conn{Addr: "no-port"}, Topic{Name: "t"}, "", WithConsumer(""), WithMaxTime(-1), WithDeliveryLimit(1))
	_, _, failedErr := TryReadWithFailed(beam.Scope{}, Conn{Addr: "no-port"}, Topic{Name: "t"}, "", WithConsumer(""), WithMaxTime(-1), WithDeliveryLimit(1))
	for _, err := range []error{err, failedErr} {
		for _, want := range []string{"not a valid scope", "no-port", "Partitions is 0", "group: is empty", "WithConsumer", "WithMaxTime", "WithDeliveryLimit"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in the error:\n%v", want, err)
			}
		}
	}
}

func TestReadPanicsWhereTryReadReturns(t *testing.T) {
	s := beam.NewPipeline().Root()
	wantPanic(t, "group: is empty", func() { Read(s, somehost, orders, "") })
	wantPanic(t, "group: is empty", func() { ReadWithFailed(s, somehost, orders, "") })
}

func wantPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if p := recover(); !strings.Contains(fmt.Sprint(p), text) {
			t.Errorf("panic with %v, want one that says %q", p, text)
		}
	}()
	f()
}

func TestDeadLettersAreAPlaceForTheDeliveryLimit(t *testing.T) {
	if _, _, err := TryReadWithFailed(beam.NewPipeline().Root(), somehost, orders, "g", WithDeliveryLimit(3)); err != nil {
		t.Error(err)
	}
	if _, err := TryRead(beam.NewPipeline().Root(), somehost, orders, "g", WithDeliveryLimit(3), WithErrorStream("e")); err != nil {
		t.Error(err)
	}
}

func TestStartAndAckStrategyAreReadFromText(t *testing.T) {
	for text, want := range map[string]Start{
		"latest": StartLatest(), "earliest": {}, "5-7": {After: EntryID{Ms: 5, Seq: 7}}, "5": {After: EntryID{Ms: 5}},
		"1970-01-01T00:00:01Z": {After: EntryID{Ms: 999, Seq: message.MaxID.Seq}},
	} {
		if got, err := ParseStart(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "newest", "$", "-1", "5-", "2026-01-02"} {
		if got, err := ParseStart(text); err == nil || !strings.Contains(err.Error(), "earliest") {
			t.Errorf("%q: %+v, %v; want an error that lists what is possible", text, got, err)
		}
	}
	for _, a := range []AckStrategy{AckOnCheckpoint, AckOnEmit, NoAck} {
		if got, err := ParseAckStrategy(string(a)); got != a || err != nil {
			t.Errorf("%s: %v, %v", a, got, err)
		}
	}
	if _, err := ParseAckStrategy("On-Emit"); err == nil {
		t.Error("an ack strategy in another spelling was accepted")
	}
}

// TestNoSecretTravels: a reference to the password does, the password itself
// only where its user says so.
func TestNoSecretTravels(t *testing.T) {
	const secret = "s3cr3t-of-the-worker"
	t.Setenv("READ_TEST_PASSWORD", secret)
	c, err := ParseURL("redis://app@redis.example.com?password_env=READ_TEST_PASSWORD")
	if err != nil {
		t.Fatal(err)
	}
	if job := serialized(t, c); strings.Contains(job, secret) || !strings.Contains(job, "READ_TEST_PASSWORD") {
		t.Error("want the pipeline to hold the name of the variable, and not what is in it")
	}
	if _, err := ParseURL("redis://app:" + secret + "@redis.example.com"); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a password in the URL: error %v", err)
	}
	c.PasswordEnv, c.Password = "", secret
	_, s := beam.NewPipelineWithRoot()
	if _, err := TryRead(s, c, orders, "g"); err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "PasswordMayTravel") {
		t.Errorf("a password in the configuration: error %v", err)
	}
	c, err = ParseURL("redis://app:"+secret+"@redis.example.com", conn.AllowPasswordToTravel())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(serialized(t, c), secret) {
		t.Error("the password that may travel does not: this test would not see the other one")
	}
}

// serialized is a pipeline that reads and writes, as it goes to a runner.
func serialized(t *testing.T, c Conn) string {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	msgs, failed := ReadWithFailed(s, c, orders, "g", WithEventTime(functionalTime))
	Write(s, c, Topic{Name: "out", Partitions: 1}, msgs, WithErrorStream("errors"))
	beam.ParDo0(s, collectFailed, failed)
	return marshalled(t, p)
}

func marshalled(t *testing.T, p *beam.Pipeline) string {
	t.Helper()
	edges, _, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	env, err := graphx.CreateEnvironment(t.Context(), "beam:env:default:v1", func(context.Context) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	job, err := graphx.Marshal(edges, &graphx.Options{Environment: env})
	if err != nil {
		t.Fatal(err)
	}
	return unfold(string(protox.MustEncode(job)), 3)
}

var base64Run = regexp.MustCompile(`[A-Za-z0-9+/]{40,}={0,2}`)

// unfold adds to text what it holds in base64, which is how functions travel.
func unfold(text string, depth int) string {
	for _, run := range base64Run.FindAllString(text, -1) {
		for cut := range 4 { // the bytes before the run may look like a part of it
			inner, err := base64.StdEncoding.DecodeString(run[cut:])
			if err == nil && depth > 0 {
				text += "\n" + unfold(string(inner), depth-1)
			}
		}
	}
	return text
}

// collected is what the direct runner emitted, in this process.
var collected struct {
	sync.Mutex
	messages []Message
	failed   []DeadLetter
}

func collect(m Message) {
	collected.Lock()
	defer collected.Unlock()
	collected.messages = append(collected.messages, m)
}

func collectFailed(d DeadLetter) {
	collected.Lock()
	defer collected.Unlock()
	collected.failed = append(collected.failed, d)
}

func resetCollected() {
	collected.Lock()
	defer collected.Unlock()
	collected.messages, collected.failed = nil, nil
}

// addOrders adds n entries with the keys k0 to k(n-1) to partition 0.
func addOrders(t *testing.T, s *redistest.Server, keys ...string) {
	t.Helper()
	for i, key := range keys {
		add := &redis.XAddArgs{Stream: "orders:0", ID: fmt.Sprintf("%d-0", i+1), Values: []string{"_key", key, "n", fmt.Sprint(i)}}
		if err := s.Client().XAdd(t.Context(), add).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectRunnerRefusesAReadWithoutEnd(t *testing.T) {
	s := redistest.Start(t)
	p, root := beam.NewPipelineWithRoot()
	beam.ParDo0(root, collect, Read(root, s.Config(), orders, "g"))
	_, err := direct.Execute(t.Context(), p)
	if err == nil || !strings.Contains(err.Error(), "WithStopAtLatest") || !strings.Contains(err.Error(), "--runner=prism") {
		t.Errorf("error %v, want one that names the options and runners that help", err)
	}
}

func TestDirectRunnerReadsToEveryBoundAndAcknowledges(t *testing.T) {
	for name, tc := range map[string]struct {
		bounds []ReadOption
		want   int
	}{
		"latest":    {[]ReadOption{WithStopAtLatest()}, 25},
		"ID":        {[]ReadOption{WithStopAt(EntryID{Ms: 10})}, 10},
		"time":      {[]ReadOption{WithStopAtTime(time.UnixMilli(11))}, 10},
		"entries":   {[]ReadOption{WithMaxEntries(7), WithStopAtLatest()}, 7}, // the other partition is empty
		"most time": {[]ReadOption{WithMaxTime(time.Second)}, 25},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			var keys []string
			for i := range 25 {
				keys = append(keys, fmt.Sprint("k", i))
			}
			addOrders(t, s, keys...)
			resetCollected()
			p, root := beam.NewPipelineWithRoot()
			opts := append([]ReadOption{WithStart(StartEarliest()), WithBundleBounds(4, 1<<20, time.Second)}, tc.bounds...)
			beam.ParDo0(root, collect, Read(root, s.Config(), orders, "g", opts...))
			if _, err := direct.Execute(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range collected.messages {
				got = append(got, m.Key)
			}
			if diff := cmp.Diff(keys[:tc.want], got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := s.Client().XPending(t.Context(), "orders:0", "g").Val().Count; n != 0 {
				t.Errorf("%d entries are pending still", n)
			}
			groups := s.Client().XInfoGroups(t.Context(), "orders:0").Val()
			if want := fmt.Sprintf("%d-0", tc.want); len(groups) != 1 || groups[0].LastDeliveredID != want {
				t.Errorf("groups %+v, want one that stands at %s", groups, want)
			}
		})
	}
}

func TestDirectRunnerDeliversWhatFailed(t *testing.T) {
	s := redistest.Start(t)
	addOrders(t, s, "a", "timeless", "b", "timeless")
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	msgs, failed := ReadWithFailed(root, s.Config(), orders, "g", WithStart(StartEarliest()), WithStopAtLatest(), WithEventTime(functionalTime),
		WithErrorStream("errors"))
	beam.ParDo0(root, collect, msgs)
	beam.ParDo0(root, collectFailed, failed)
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var ids []uint64
	for _, d := range collected.failed {
		ids = append(ids, d.Message.ID.Ms)
		if !strings.Contains(d.Reason, "no time in it") || d.Message.Stream != "orders:0" || d.Attempts != 1 {
			t.Errorf("dead letter %+v", d)
		}
	}
	if !slices.Equal(ids, []uint64{2, 4}) || len(collected.messages) != 2 {
		t.Errorf("dead letters of %v and %d messages, want those of 2 and 4, and 2 messages", ids, len(collected.messages))
	}
	if n := s.Client().XLen(t.Context(), "errors").Val(); n != 2 {
		t.Errorf("%d entries in the error stream, want 2", n)
	}
	if n := s.Client().XPending(t.Context(), "orders:0", "g").Val().Count; n != 0 {
		t.Errorf("%d entries are pending still", n)
	}
}

func TestEntryThatCannotBeDeliveredFailsTheReadWhereNobodyCollects(t *testing.T) {
	s := redistest.Start(t)
	addOrders(t, s, "timeless")
	p, root := beam.NewPipelineWithRoot()
	beam.ParDo0(root, collect, Read(root, s.Config(), orders, "g", WithStart(StartEarliest()), WithStopAtLatest(), WithEventTime(functionalTime)))
	_, err := direct.Execute(t.Context(), p)
	for _, want := range []string{"1-0", "orders:0", "no time in it", "ReadWithFailed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %s", err, want)
		}
	}
	if n := s.Client().XPending(t.Context(), "orders:0", "g").Val().Count; n != 1 {
		t.Errorf("%d entries pending, want the one that was not delivered", n)
	}
}

// A pipeline that fails has not written everything, wherever it fails.
func TestDirectRunnerAcknowledgesNothingOfAFailedPipeline(t *testing.T) {
	for name, tc := range map[string]struct {
		fail func(root beam.Scope, s *redistest.Server, msgs beam.PCollection)
	}{
		"in an element": {func(root beam.Scope, _ *redistest.Server, msgs beam.PCollection) { beam.ParDo0(root, refuse, msgs) }},
		"in a sink's last batch": {func(root beam.Scope, s *redistest.Server, msgs beam.PCollection) {
			Write(root, s.Config(), Topic{Name: "out", Partitions: 1}, msgs)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			addOrders(t, s, "a", "b", "c")
			if err := s.Client().Set(t.Context(), "out:0", "not a stream", 0).Err(); err != nil {
				t.Fatal(err)
			}
			p, root := beam.NewPipelineWithRoot()
			tc.fail(root, s, Read(root, s.Config(), orders, "g", WithStart(StartEarliest()), WithStopAtLatest()))
			if _, err := direct.Execute(t.Context(), p); err == nil {
				t.Fatal("the pipeline did not fail")
			}
			if n := s.Client().XPending(t.Context(), "orders:0", "g").Val().Count; n != 3 {
				t.Errorf("%d entries are pending, want the 3 that were not written", n)
			}
		})
	}
}

func refuse(Message) error { return errors.New("the test refuses it") }
