package rdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// Add is one XADD.
type Add struct {
	// Stream is the key of the destination.
	Stream string
	// ID is that of the entry; 0-0: the server assigns one. An ID has to be after
	// that of the stream's last entry, unless the stream has this very entry, which
	// then counts as written.
	ID message.EntryID
	// KeyField is the field that holds Key, written before Fields; empty: the
	// key is not written.
	KeyField string
	Key      string
	// Fields are written in order. With no field at all, not even KeyField, the
	// server refuses the command.
	Fields []message.Field
	// Untrimmed keeps [Adder.Trim] from the stream.
	Untrimmed bool
}

// Adder writes batches of entries. It keeps its commands and their arguments
// from one batch to the next, so that an entry of the same shape as its
// predecessor costs no memory. It is not safe for concurrent use.
type Adder struct {
	// Trim gives the arguments of an XTRIM (see [TrimArgs]) that follows each
	// batch, once for each of its streams; nil: streams are not trimmed.
	Trim func() []any
	// Replicas have to have a batch before it counts as written.
	Replicas Replicas

	c     *Client
	slots []*addSlot
	cmds  []redis.Cmder
	errs  []error
	// perStream are the adders of the streams of a cluster.
	perStream map[string]*Adder
}

// addSlot is one reusable command.
type addSlot struct {
	cmd *redis.ZeroCopyStringCmd
	// args is the memory behind the command's arguments. go-redis fixes their
	// number when a command is made.
	args []any
	// id takes the reply: an entry ID is at most 20+1+20 bytes.
	id [48]byte
}

// Boxed once: a constant put into an []any allocates on its own otherwise.
var (
	argXAdd any = "xadd"
	argAuto any = "*"
)

// leadArgs are those before the fields: XADD, key, ID.
const leadArgs = 3

// NewAdder returns an Adder on c.
func NewAdder(c *Client) *Adder { return &Adder{c: c} }

// Write adds the entries in order and returns one error per entry, nil for
// those that were written. The returned slice is valid until the next call;
// adds and the strings it refers to must not change during the call.
//
// The batch is one MULTI/EXEC (on a cluster: one per stream). A plain pipeline
// cannot keep order: where the server refuses one command for lack of memory
// and takes the next of the same stream, because memory was freed in between,
// the refused one can only be sent again behind it. In a transaction a refusal
// of that kind refuses everything, and the batch is sent again as it was. The
// price is that the server answers each command twice: about 9 % of 480,000
// entries a second, see BenchmarkAdderAgainstPlainPipeline. The user needs the
// permission for MULTI and EXEC.
//
// A refused transaction leaves an [AbortError] on every entry that was not the
// cause. A broken connection leaves its error on every entry without a reply:
// those may or may not have been written. An entry that the server can never
// take is not sent, and has a [TooLargeError].
func (a *Adder) Write(ctx context.Context, adds []Add) []error {
	a.errs = append(a.errs[:0], make([]error, len(adds))...)
	if faults := a.c.Faults(ctx, adds); faults != nil {
		return a.writeOthers(ctx, adds, faults)
	}
	if a.c.IsCluster() {
		a.writePerStream(ctx, adds)
	} else {
		a.transact(ctx, adds, a.errs)
	}
	a.takeForWritten(ctx, adds, a.errs)
	return a.errs
}

// ID returns the ID that the server gave to entry i of the last batch, which had
// none of its own and whose error must be nil.
func (a *Adder) ID(i int) (message.EntryID, error) {
	return message.ParseEntryID(string(a.slots[i].cmd.Bytes()))
}

// mostAtOnce bounds the transactions that are under way at once on a cluster,
// and with it the connections.
const mostAtOnce = 8

// writePerStream writes one transaction per stream: the keys of a transaction
// on a cluster must share a slot. What one of them meets concerns no other.
func (a *Adder) writePerStream(ctx context.Context, adds []Add) {
	order, groups := groupByStream(adds)
	a.forgetSurplus()
	for len(a.slots) < len(adds) {
		a.slots = append(a.slots, nil)
	}
	var all sync.WaitGroup
	turns := make(chan struct{}, mostAtOnce)
	for _, stream := range order {
		one := a.adderOf(stream)
		turns <- struct{}{}
		all.Go(func() {
			a.writeStream(ctx, one, adds, groups[stream])
			<-turns
		})
	}
	all.Wait()
}

// mostSlots bounds the commands that are kept where streams are without number.
const mostSlots = 10_000

func (a *Adder) forgetSurplus() {
	kept := 0
	for _, one := range a.perStream {
		kept += len(one.slots)
	}
	if kept > mostSlots {
		a.perStream = nil
	}
}

// adderOf returns the adder of one stream: on a cluster a command remembers its
// slot, so that none is used for two streams.
func (a *Adder) adderOf(stream string) *Adder {
	one := a.perStream[stream]
	if one == nil {
		if a.perStream == nil {
			a.perStream = make(map[string]*Adder)
		}
		one = NewAdder(a.c)
		a.perStream[stream] = one
	}
	one.Trim, one.Replicas = a.Trim, a.Replicas
	return one
}

// writeStream has one write the entries at some indexes, which are all of its
// stream.
func (a *Adder) writeStream(ctx context.Context, one *Adder, adds []Add, indexes []int) {
	part := make([]Add, len(indexes))
	for i, at := range indexes {
		part[i] = adds[at]
	}
	one.errs = append(one.errs[:0], make([]error, len(part))...)
	one.transact(ctx, part, one.errs)
	for i, at := range indexes {
		a.errs[at], a.slots[at] = one.errs[i], one.slots[i]
	}
}

// groupByStream returns the streams in the order of their first entry, and the
// positions of each stream's entries.
func groupByStream(adds []Add) (order []string, groups map[string][]int) {
	groups = make(map[string][]int)
	for i := range adds {
		stream := adds[i].Stream
		if _, ok := groups[stream]; !ok {
			order = append(order, stream)
		}
		groups[stream] = append(groups[stream], i)
	}
	return order, groups
}

// keepSlot makes slot the one that ID reads for entry i.
func (a *Adder) keepSlot(i int, slot *addSlot) {
	for len(a.slots) <= i {
		a.slots = append(a.slots, nil)
	}
	a.slots[i] = slot
}

// transact writes adds in one MULTI/EXEC and fills errs.
func (a *Adder) transact(ctx context.Context, adds []Add, errs []error) {
	if len(adds) == 0 {
		return
	}
	a.cmds = a.cmds[:0]
	for i := range adds {
		a.cmds = append(a.cmds, a.prepare(ctx, i, &adds[i]))
	}
	a.appendTrims(ctx, adds)
	short := a.c.durably(ctx, adds[0].Stream, a.Replicas, func(on pipelines) error {
		clear(errs)
		a.exec(ctx, on.TxPipeline(), errs)
		return cmp.Or(errs...)
	})
	for i := range errs {
		if errs[i] == nil {
			errs[i] = short
		}
	}
	a.release(len(adds))
}

// exec sends the commands and fills errs.
func (a *Adder) exec(ctx context.Context, tx redis.Pipeliner, errs []error) {
	execute(ctx, tx, a.cmds)
	for i := range errs {
		errs[i] = a.cmds[i].Err()
	}
	blameAborts(errs, a.cmds)
}

// appendTrims adds a command for each stream that is to be trimmed. Its own
// error is that of the entries: a stream that cannot be trimmed cannot be added
// to.
func (a *Adder) appendTrims(ctx context.Context, adds []Add) {
	if a.Trim == nil {
		return
	}
	trim := a.Trim()
	done := make(map[string]bool)
	for i := range adds {
		if stream := adds[i].Stream; !adds[i].Untrimmed && !done[stream] {
			done[stream] = true
			a.cmds = append(a.cmds, redis.NewIntCmd(ctx, append([]any{"xtrim", stream}, trim...)...))
		}
	}
}

// prepare fills slot i with one XADD. Strings travel as pointers: a *string in
// an []any needs no memory of its own, a string does.
func (a *Adder) prepare(ctx context.Context, i int, add *Add) redis.Cmder {
	n := leadArgs + add.args()
	slot := a.slot(ctx, i, n)
	slot.args[0], slot.args[1], slot.args[2] = argXAdd, &add.Stream, argAuto
	if !add.ID.IsZero() {
		slot.args[2] = add.ID.String()
	}
	rest := slot.args[leadArgs:]
	if add.KeyField != "" {
		rest[0], rest[1] = &add.KeyField, &add.Key
		rest = rest[2:]
	}
	for j := range add.Fields {
		rest[2*j], rest[2*j+1] = &add.Fields[j].Name, &add.Fields[j].Value
	}
	return slot.cmd
}

// slot returns slot i with room for n arguments.
func (a *Adder) slot(ctx context.Context, i, n int) *addSlot {
	if i < len(a.slots) && a.slots[i] != nil && len(a.slots[i].args) == n {
		a.slots[i].cmd.SetErr(nil)
		return a.slots[i]
	}
	// The context of a command is only used by hooks, and slots outlive it.
	ctx = context.WithoutCancel(ctx)
	slot := &addSlot{args: make([]any, n)}
	slot.cmd = redis.NewZeroCopyStringCmd(ctx, slot.id[:], slot.args...)
	a.keepSlot(i, slot)
	return slot
}

// release drops what the first n slots refer to: a kept slot would keep the
// strings of a whole fetch alive.
func (a *Adder) release(n int) {
	for _, slot := range a.slots[:n] {
		clear(slot.args)
	}
}

// AbortError is the error of an entry that the server did not write because it
// refused the whole transaction. The entry itself may be in order.
type AbortError struct {
	// Cause is why the transaction was refused.
	Cause error
}

func (e *AbortError) Error() string {
	return "not written with the rest of its batch: " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *AbortError) Unwrap() error { return e.Cause }

// ClassifyAdd says what an error of [Adder.Write] calls for. It is [Classify],
// except that an entry is not at fault for the company it was sent in.
func ClassifyAdd(err error) Class {
	class := Classify(err)
	if abort := (*AbortError)(nil); errors.As(err, &abort) && class == ElementFault {
		return Retryable
	}
	return class
}

// execAbort starts the reply for every command of a refused transaction.
const execAbort = "EXECABORT "

// blameAborts puts the reason into the errors of a refused transaction: the
// server tells it only with the command that it refused, be it one of the
// entries' or one behind them, or, where it refused EXEC itself, with the abort.
func blameAborts(errs []error, cmds []redis.Cmder) {
	var cause error
	for i, err := range errs {
		if !isAbort(err) {
			continue
		}
		if cause == nil {
			cause = abortCause(cmds)
		}
		if replyStarts(err, abortReason) || cause == nil {
			errs[i] = &AbortError{Cause: err}
		} else {
			errs[i] = &AbortError{Cause: cause}
		}
	}
}

// abortCause returns the first error that is not the abort itself, with the
// command and the key that it is about.
func abortCause(cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !isAbort(err) {
			return fmt.Errorf("%s %s: %w", strings.ToUpper(cmd.Name()), keyOf(cmd), err)
		}
	}
	return nil
}

// keyOf returns the key of one of [Adder]'s commands, which is its first
// argument.
func keyOf(cmd redis.Cmder) string {
	switch key := cmd.Args()[1].(type) {
	case *string:
		return *key
	case string:
		return key
	}
	return ""
}

func isAbort(err error) bool { return err != nil && replyStarts(err, execAbort) }
