package rdb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// Document is one key to be written: a JSON value or a hash, as the
// [DocumentWriter] is made for.
type Document struct {
	Key string
	// JSON is the value of a JSON document.
	JSON string
	// Fields are those of a hash, at least one.
	Fields []message.Field
}

// DocumentWriter writes batches of documents. Like [Adder] it keeps its
// commands from one batch to the next, so that a document of the same shape as
// its predecessor costs no memory. It is not safe for concurrent use.
type DocumentWriter struct {
	c *Client
	// script is called for every document; nil: a plain command does it.
	script *script
	// size is the number of a command's arguments, and fill puts them there.
	size func(*Document) int
	fill func([]any, *Document)
	// explain puts what is known about a reply before it.
	explain func(error) error

	slots []*addSlot
	cmds  []redis.Cmder
	errs  []error
	left  []int // the documents that are sent
}

var (
	argEval    any = "eval"
	argEvalSHA any = "evalsha"
	argHSet    any = "hset"
	argJSONSet any = "json.set"
	argOneKey  any = "1"
)

// NewHashWriter returns a writer of hashes. With a time to live, which is
// rounded up to milliseconds, it is set with every write; 0: the key's own
// stays. With replace, fields that are not given go, and so does a time to
// live that is not set anew.
func NewHashWriter(c *Client, ttl time.Duration, replace bool) *DocumentWriter {
	w := &DocumentWriter{c: c, explain: func(err error) error { return err }}
	lead := []any{argHSet, nil}
	switch {
	case replace:
		lead = w.call(replaceHash, ttl)
	case ttl > 0:
		lead = w.call(setHash, ttl)
	}
	w.size = func(d *Document) int { return len(lead) + 2*len(d.Fields) }
	w.fill = func(args []any, d *Document) {
		putLead(args, lead, &d.Key)
		rest := args[len(lead):]
		for i := range d.Fields {
			rest[2*i], rest[2*i+1] = &d.Fields[i].Name, &d.Fields[i].Value
		}
	}
	return w
}

// NewJSONWriter returns a writer of JSON values at path, "$" being the whole
// document. With a time to live, which is rounded up to milliseconds, it is
// set with every write; 0: the key's own stays.
func NewJSONWriter(c *Client, path string, ttl time.Duration) *DocumentWriter {
	w := &DocumentWriter{c: c, explain: func(err error) error { return explainJSON(err, path) }}
	lead := []any{argJSONSet, nil}
	if ttl > 0 {
		lead = w.call(setJSON, ttl)
	}
	w.size = func(*Document) int { return len(lead) + 2 }
	w.fill = func(args []any, d *Document) {
		putLead(args, lead, &d.Key)
		args[len(lead)], args[len(lead)+1] = &path, &d.JSON
	}
	return w
}

// call has the writer call a script, and returns the arguments up to the time
// to live; the key's place is nil.
func (w *DocumentWriter) call(s script, ttl time.Duration) []any {
	w.script = &s
	return []any{argEvalSHA, s.sha, argOneKey, nil, strconv.FormatInt(ceilMs(ttl), 10)}
}

// ceilMs rounds up: 0 would delete the key at once.
func ceilMs(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

func putLead(args, lead []any, key *string) {
	copy(args, lead)
	for i := range lead {
		if lead[i] == nil {
			args[i] = key
		}
	}
}

// Write writes the documents in one pipeline, on a cluster one for each node,
// and returns one error per document, nil for those that were written. The
// returned slice is valid until the next call; docs must not change during the
// call.
//
// The last of several documents of one key wins, also when the errors are
// tried again: where one meets a retryable error, those of the same key that
// were written behind it have an [OvertakenError], so that all of them are
// sent again, in order. A broken connection leaves its error on every document
// without a reply: those may or may not have been written. A document that the
// server can never take is not sent, and has a [TooLargeError].
func (w *DocumentWriter) Write(ctx context.Context, docs []Document) []error {
	w.errs = append(w.errs[:0], make([]error, len(docs))...)
	copy(w.errs, w.c.documentFaults(ctx, docs))
	w.left = w.left[:0]
	if w.c.IsCluster() {
		w.slots = w.slots[:0] // a command remembers its key's slot
	}
	for i, err := range w.errs {
		w.fill(w.slot(ctx, i, w.size(&docs[i])).args, &docs[i])
		if err == nil {
			w.left = append(w.left, i)
		}
	}
	w.send(ctx, w.left)
	if w.script != nil {
		w.send(ctx, w.withSource(docs))
	}
	for i := range docs {
		if err := w.errs[i]; err != nil {
			w.errs[i] = w.explain(err)
		}
		clear(w.slots[i].args) // lets go of the documents' memory
	}
	holdBack(docs, w.errs)
	return w.errs
}

// send sends the commands of some documents.
func (w *DocumentWriter) send(ctx context.Context, which []int) {
	w.cmds = w.cmds[:0]
	for _, at := range which {
		w.cmds = append(w.cmds, w.slots[at].cmd)
	}
	execute(ctx, w.c.raw().Pipeline(), w.cmds)
	for i, at := range which {
		w.errs[at] = w.cmds[i].Err()
	}
}

// withSource returns the documents whose node did not know the script, with
// the source put into their commands, and those of the same keys behind them.
func (w *DocumentWriter) withSource(docs []Document) (again []int) {
	var missed map[string]bool
	for _, at := range w.left {
		if IsNoScript(w.errs[at]) {
			if missed == nil {
				missed = make(map[string]bool)
			}
			missed[docs[at].Key] = true
		}
		if missed[docs[at].Key] {
			again = append(again, at)
		}
	}
	source := any(w.script.src)
	for _, at := range again {
		slot := w.slots[at]
		slot.args[0], slot.args[1] = argEval, source
		slot.cmd.SetErr(nil)
	}
	return again
}

// slot returns command i with room for n arguments.
func (w *DocumentWriter) slot(ctx context.Context, i, n int) *addSlot {
	if i < len(w.slots) && len(w.slots[i].args) == n {
		w.slots[i].cmd.SetErr(nil)
		return w.slots[i]
	}
	slot := &addSlot{args: make([]any, n)}
	// The context of a command is only used by hooks, and slots outlive it.
	slot.cmd = redis.NewZeroCopyStringCmd(context.WithoutCancel(ctx), slot.id[:], slot.args...)
	if i == len(w.slots) {
		w.slots = append(w.slots, slot)
	} else {
		w.slots[i] = slot
	}
	return slot
}

// OvertakenError is the error of a document that was written while an earlier
// one of the same key was not. It is to be written again behind that one.
type OvertakenError struct {
	// Cause is why the earlier one was not written.
	Cause error
}

func (e *OvertakenError) Error() string {
	return "an earlier document of the same key is not written yet: " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *OvertakenError) Unwrap() error { return e.Cause }

// holdBack gives the documents that were written behind an earlier one of
// their key an error where that one is to be tried again.
func holdBack(docs []Document, errs []error) {
	var missed map[string]error
	for i, err := range errs {
		switch {
		case err != nil && Classify(err) != ElementFault:
			if missed == nil {
				missed = make(map[string]error)
			}
			missed[docs[i].Key] = err
		case err == nil && missed[docs[i].Key] != nil:
			errs[i] = &OvertakenError{missed[docs[i].Key]}
		}
	}
}

// errNoPath stands for JSON.SET's nil reply.
var errNoPath = errors.New("the document has no such path, nor a parent that could take it")

// ErrNoJSON is wrapped by the error of a JSON document on a server that does
// not know JSON.SET.
var ErrNoJSON = errors.New("the server does not know JSON.SET: it needs Redis 8, Redis Stack, or the module RedisJSON (--loadmodule rejson.so)")

// explainJSON says what JSON.SET's replies mean for a write at path.
func explainJSON(err error, path string) error {
	text, _ := reply(err)
	switch {
	case errors.Is(err, redis.Nil):
		return &FaultError{fmt.Errorf("path %s: %w", path, errNoPath)}
	case strings.HasPrefix(text, rootMissing):
		return fmt.Errorf("path %s: the document does not exist: %w", path, err)
	case isUnknownCommand(text):
		return fmt.Errorf("%w: %w", ErrNoJSON, err)
	}
	return err
}

// isUnknownCommand also knows the words for a command in a script.
func isUnknownCommand(text string) bool {
	text = strings.ToLower(text)
	return strings.HasPrefix(text, "err unknown command") || strings.Contains(text, "unknown redis command called from")
}
