package redisio

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/sinks"
)

// someMessages is a PCollection of three messages.
func someMessages(s beam.Scope) beam.PCollection {
	return beam.Create(s, Message{Key: "a", Fields: []Field{{Name: "n", Value: "1"}}},
		Message{Key: "b", Fields: []Field{{Name: "n", Value: "2"}}}, Message{Key: "a", Fields: []Field{{Name: "n", Value: "3"}}})
}

func TestWriteOptionsSetWhatTheySay(t *testing.T) {
	for name, tc := range map[string]struct {
		opt  WriteOption
		want func(*sinks.WriteConfig)
	}{
		"WithBatchCount":       {WithBatchCount(7), func(c *sinks.WriteConfig) { c.Batch.MaxCount = 7 }},
		"WithBatchBytes":       {WithBatchBytes(7), func(c *sinks.WriteConfig) { c.Batch.MaxBytes = 7 }},
		"WithFlushInterval":    {WithFlushInterval(7), func(c *sinks.WriteConfig) { c.Batch.Interval = 7 }},
		"WithFlushAtBundleEnd": {WithFlushAtBundleEnd(), func(c *sinks.WriteConfig) { c.Batch.AtBundleEnd = true }},
		"WithWriteRetry":       {WithWriteRetry(7), func(c *sinks.WriteConfig) { c.Batch.Deadline = 7 }},
		"WithErrorStream":      {WithErrorStream("errors"), func(c *sinks.WriteConfig) { c.ErrorStream = "errors" }},
		"WithKeyField":         {WithKeyField("k"), func(c *sinks.WriteConfig) { c.KeyField = "k" }},
		"WithFlushConcurrency": {WithFlushConcurrency(7), func(c *sinks.WriteConfig) { c.Concurrency = 7 }},
		"WithMaxLen":           {WithMaxLen(7), func(c *sinks.WriteConfig) { c.Trim.MaxLen = 7 }},
		"WithMaxAge":           {WithMaxAge(time.Hour), func(c *sinks.WriteConfig) { c.Trim.MaxAge = time.Hour }},
		"WithMinID":            {WithMinID(EntryID{Ms: 7}), func(c *sinks.WriteConfig) { c.Trim.MinID = EntryID{Ms: 7} }},
		"WithExactTrim":        {WithExactTrim(), func(c *sinks.WriteConfig) { c.Trim.Exact = true }},
		"WithTrimLimit":        {WithTrimLimit(7), func(c *sinks.WriteConfig) { c.Trim.Limit = 7 }},
		"WithReplicas": {WithReplicas(2, time.Second), func(c *sinks.WriteConfig) {
			c.Replicas = sinks.ReplicaOptions{Count: 2, Timeout: time.Second}
		}},
		"WithKeyField empty": {WithKeyField(""), func(c *sinks.WriteConfig) { c.KeyField = "" }},
	} {
		got, want := sinks.WriteConfig{KeyField: "_key"}, sinks.WriteConfig{KeyField: "_key"}
		tc.want(&want)
		if err := tc.opt.applyWrite(&got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWriteDefaultsAreTheDocumentedValues(t *testing.T) {
	got := sinks.BatchOptions{}.WithDefaults()
	want := sinks.BatchOptions{MaxCount: 1000, MaxBytes: 1 << 20, Deadline: time.Minute}
	if diff := cmp.Diff(want, got); diff != "" || sinks.DefaultKeyField != "_key" {
		t.Errorf("key field %q (-want +got):\n%s", sinks.DefaultKeyField, diff)
	}
}

func TestMistakesOfAWriteNameTheOption(t *testing.T) {
	for name, tc := range map[string]struct {
		opts []WriteOption
		want []string
	}{
		"count":            {[]WriteOption{WithBatchCount(0)}, []string{"WithBatchCount: 0 is not positive"}},
		"bytes":            {[]WriteOption{WithBatchBytes(-1)}, []string{"WithBatchBytes: -1 is not positive"}},
		"interval":         {[]WriteOption{WithFlushInterval(-time.Second)}, []string{"WithFlushInterval: -1s is not positive"}},
		"retry":            {[]WriteOption{WithWriteRetry(0)}, []string{"WithWriteRetry: 0s is not positive"}},
		"two ways":         {[]WriteOption{WithFlushAtBundleEnd(), WithFlushInterval(1)}, []string{"WithFlushInterval and WithFlushAtBundleEnd exclude each other"}},
		"IDs and trimming": {[]WriteOption{WithEntryIDs(), WithMinID(EntryID{Ms: 1})}, []string{"WithEntryIDs and trimming (WithMaxLen, WithMaxAge, WithMinID) exclude each other"}},
		"error stream":     {[]WriteOption{WithErrorStream("")}, []string{"WithErrorStream: is empty"}},
		"concurrency":      {[]WriteOption{WithFlushConcurrency(0)}, []string{"WithFlushConcurrency: 0 is not positive"}},
		"replicas":         {[]WriteOption{WithReplicas(0, time.Second)}, []string{"WithReplicas: 0 replicas within 1s"}},
		"length":           {[]WriteOption{WithMaxLen(0)}, []string{"WithMaxLen: 0 is not positive"}},
		"age":              {[]WriteOption{WithMaxAge(1)}, []string{"WithMaxAge: 1ns is less than a millisecond"}},
		"ID":               {[]WriteOption{WithMinID(EntryID{})}, []string{"WithMinID: nothing is before 0-0"}},
		"two bounds":       {[]WriteOption{WithMaxLen(1), WithMinID(EntryID{Ms: 1})}, []string{"trimming: of MaxLen, MinID and MaxAge only one bounds a stream"}},
		"exact and limit":  {[]WriteOption{WithMaxLen(1), WithExactTrim(), WithTrimLimit(1)}, []string{"an exact trimming has no limit"}},
		"name":             {[]WriteOption{WithIdempotence("a b")}, []string{`WithIdempotence: "a b" is no name of a sink`}},
		"no name":          {[]WriteOption{WithIdempotenceTTL(time.Hour)}, []string{"need WithIdempotence"}},
		"TTL":              {[]WriteOption{WithIdempotence("a"), WithIdempotenceTTL(1)}, []string{"WithIdempotenceTTL: 1ns is less than a millisecond"}},
		"window":           {[]WriteOption{WithIdempotence("a"), WithIdempotenceWindow(0)}, []string{"WithIdempotenceWindow: 0 is not positive"}},
		"exact of what":    {[]WriteOption{WithExactTrim()}, []string{"trimming: an exact trimming has no bound: give MaxLen, MinID or MaxAge"}},
		"limit of what":    {[]WriteOption{WithTrimLimit(1)}, []string{"trimming: a limit bounds nothing by itself: give MaxLen, MinID or MaxAge"}},
		"closure": {[]WriteOption{WithTopicOf(func(Message) Topic { return orders })},
			[]string{"WithTopicOf: example.com/beamredis/redisio", "register.Function1x1"}},
		"nil":              {[]WriteOption{WithIdempotence("a"), WithIdempotenceKey(nil)}, []string{"WithIdempotenceKey: the function is nil"}},
		"serializer type":  {[]WriteOption{WithSerializer(serializeWord)}, []string{"WithSerializer: the function: has type func(string)"}},
		"own error stream": {[]WriteOption{WithErrorStream("orders:0")}, []string{`WithErrorStream: "orders:0" is a partition of the topic that is written`}},
		"service name":     {[]WriteOption{WithServiceName("")}, []string{"WithServiceName: is empty"}},
		"trace level":      {[]WriteOption{WithTracing("some", TraceMetadata)}, []string{`WithTracing: "some" is no trace level: want none, failures or all`}},
		"trace contents":   {[]WriteOption{WithTracing(TraceAll, "")}, []string{`WithTracing: "" is no trace contents: want none, metadata or all`}},
		"all at once":      {[]WriteOption{WithBatchCount(-1), WithWriteRetry(-1)}, []string{"WithBatchCount: -1 is not positive", "WithWriteRetry: -1ns"}},
	} {
		s := beam.NewPipeline().Root()
		_, err := TryWrite(s, somehost, orders, someMessages(s), tc.opts...)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) > len(tc.want) {
			t.Errorf("%s: %d complaints, want %d:\n%v", name, len(lines), len(tc.want), err)
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not say %q", name, err, want)
			}
		}
	}
}

func TestEveryMistakeOfAWriteIsReportedAtOnce(t *testing.T) {
	_, err := TryWrite(beam.Scope{}, Conn{Addr: "no-port"}, Topic{Name: "t"}, beam.PCollection{}, WithBatchCount(0))
	for _, want := range []string{"not a valid scope", "no-port", "Partitions is 0", "not a valid PCollection", "WithBatchCount"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
}

func TestWriteTakesMessagesOnly(t *testing.T) {
	s := beam.NewPipeline().Root()
	words := beam.Create(s, "a", "b")
	_, err := TryWrite(s, somehost, orders, words)
	if err == nil || !strings.Contains(err.Error(), "a PCollection of string, want one of redisio.Message") {
		t.Errorf("error %v, want one that names both types", err)
	}
	pairs := beam.ParDo(s, pair, words)
	if _, err := TryWrite(s, somehost, orders, pairs); err == nil {
		t.Error("a PCollection of pairs was accepted")
	}
	wantPanic(t, "want one of redisio.Message", func() { Write(s, somehost, orders, words) })
}

func pair(word string) (string, Message) { return word, Message{} }

func init() { register.Function1x2(serializeWord) }

func serializeWord(string) (Message, error) { return Message{}, errors.New("it is poison") }

func TestWhatCannotBeSerializedFailsTheWriteWhereNobodyCollects(t *testing.T) {
	s := redistest.Start(t)
	p, root := beam.NewPipelineWithRoot()
	Write(root, s.Config(), Topic{Name: "out", Partitions: 1}, beam.Create(root, "poison"), WithSerializer(serializeWord))
	if _, err := direct.Execute(t.Context(), p); err == nil || !strings.Contains(err.Error(), "it is poison") {
		t.Errorf("error %v, want the serializer's", err)
	}
}

func TestDirectRunnerWritesEverythingInOrder(t *testing.T) {
	s := redistest.Start(t)
	p, root := beam.NewPipelineWithRoot()
	Write(root, s.Config(), Topic{Name: "out", Partitions: 1}, someMessages(root), WithKeyField("who"))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	for _, e := range s.Client().XRange(t.Context(), "out:0", "-", "+").Val() {
		got = append(got, e.Values)
	}
	want := []map[string]any{{"who": "a", "n": "1"}, {"who": "b", "n": "2"}, {"who": "a", "n": "3"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDirectRunnerHandsOverWhatCannotBeWritten(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().Set(t.Context(), "out:0", "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	res := Write(root, s.Config(), Topic{Name: "out", Partitions: 1}, someMessages(root))
	beam.ParDo0(root, collectFailed, res.Failed())
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, d := range collected.failed {
		keys = append(keys, d.Message.Key)
		if d.Destination != "out:0" || !strings.Contains(d.Reason, "WRONGTYPE") {
			t.Errorf("dead letter %+v", d)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "a"}, keys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeWrittenFailsTheWriteWhereNobodyCollects(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().Set(t.Context(), "out:0", "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p, root := beam.NewPipelineWithRoot()
	Write(root, s.Config(), Topic{Name: "out", Partitions: 1}, someMessages(root))
	if _, err := direct.Execute(t.Context(), p); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("error %v, want WRONGTYPE", err)
	}
}
