package rdb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Class says what to do about an error of a command.
type Class int

// The classes of [Classify]. There is no fourth: what is not known to be one
// of the first two is Fatal.
const (
	// Fatal errors stay whatever is tried: a password, a permission, a command
	// that the server does not have, a mistake of ours. The bundle fails.
	Fatal Class = iota
	// Retryable errors pass with time: the network, a failover, a full or busy
	// server. The same command may succeed later; whether it was carried out
	// the first time is unknown for those of the network.
	Retryable
	// ElementFault errors are the fault of this one element (its key, its
	// size, its ID): others will pass, this one never will. It becomes a dead
	// letter.
	ElementFault
)

// String is the class as logs show it.
func (c Class) String() string {
	switch c {
	case Retryable:
		return "retryable"
	case ElementFault:
		return "element's fault"
	default:
		return "fatal"
	}
}

// replyClasses lists the starts of the server's error replies. NOSCRIPT counts
// as retryable because a restarted server has forgotten the scripts, and
// whoever sends one again loads it; a plain EXECABORT because nothing was done
// and the command at fault has an error of its own.
var replyClasses = []struct {
	prefix string
	class  Class
}{
	{"LOADING ", Retryable},
	{"READONLY ", Retryable},
	{"CLUSTERDOWN ", Retryable},
	{"TRYAGAIN ", Retryable},
	{"MASTERDOWN ", Retryable},
	{"MISCONF ", Retryable},
	{"OOM ", Retryable},
	{"BUSY ", Retryable},
	{"NOREPLICAS ", Retryable},
	{"MOVED ", Retryable},
	{"ASK ", Retryable},
	{"UNBLOCKED ", Retryable},
	{"NOSCRIPT ", Retryable},
	{plainAbort, Retryable},
	{"ERR max number of clients", Retryable},
	// A primary that has become a replica since it took the write.
	{"ERR WAIT cannot be used with replica instances", Retryable},

	{"WRONGTYPE ", ElementFault},
	// XADD and XSETID: the ID that the element came with.
	{"ERR The ID specified in ", ElementFault},
	{"ERR Invalid stream ID ", ElementFault},
	{"ERR Elements are too large to be stored", ElementFault},
	{"ERR string exceeds maximum allowed size", ElementFault},
	// EXPIRE and JSON.SET with what the element asked for.
	{"ERR invalid expire time", ElementFault},
	{"ERR hash value is not ", ElementFault},

	// RedisJSON, whose replies may lack the usual first word.
	{rootMissing, ElementFault},
	{"ERR array index out of range", ElementFault},
	{"Err wrong static path", ElementFault},
	{"Couldn't parse as UTF-8 string", ElementFault},
}

// rootMissing is JSON.SET's reply for a path within a document that does not
// exist.
const rootMissing = "ERR new objects must be created at the root"

// badJSON matches what RedisJSON says of a value that it cannot parse: the
// words of Rust's serde_json, which end with the place.
var badJSON = regexp.MustCompile(` at line \d+ column \d+$`)

// FaultError is an element's own fault that the server told in another way than
// by an error, or that was seen before it was asked.
type FaultError struct{ Err error }

func (e *FaultError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FaultError) Unwrap() error { return e.Err }

// elementFaultTexts are parts of replies. Those for an element that breaks the
// protocol's own bounds come before the server closes the connection.
var elementFaultTexts = []string{
	"Existing key has wrong Redis type", // RedisJSON
	"Protocol error: invalid bulk length",
	"Protocol error: invalid multibulk length",
}

const (
	// abortReason precedes the true reason where EXEC itself was refused.
	abortReason = "EXECABORT Transaction discarded because of: "
	// plainAbort comes where a command before EXEC was refused.
	plainAbort = "EXECABORT Transaction discarded because of previous errors"
)

// Classify says what to do about err, the error of a command, nil excluded.
// Everything unknown is [Fatal]: an element taken for a dead letter by mistake
// leaves the stream of data for good, and a mistake repeated for ever hides,
// while a failed bundle is seen, loses nothing and is tried again by the
// runner.
//
// The end of a context is Fatal, too, since trying again under the same one is
// vain. Callers whose own context still lives know that an inner timeout has
// struck, and may try again, as [Retry] does. A deadline that cuts a read or
// write in progress shows as a network timeout, which is Retryable.
func Classify(err error) Class {
	err = shown(err)
	if strange := (*ClusterError)(nil); errors.As(err, &strange) {
		return Fatal
	}
	if reply, ok := reply(err); ok {
		return classifyReply(reply)
	}
	if isTooLarge(err) {
		return ElementFault
	}
	if isConnectionError(err) {
		return Retryable
	}
	if fault := (*FaultError)(nil); errors.As(err, &fault) {
		return ElementFault
	}
	return Fatal
}

func classifyReply(text string) Class {
	text = strings.TrimPrefix(text, abortReason)
	for _, r := range replyClasses {
		if strings.HasPrefix(text, r.prefix) {
			return r.class
		}
	}
	for _, fault := range elementFaultTexts {
		if strings.Contains(text, fault) {
			return ElementFault
		}
	}
	if badJSON.MatchString(text) {
		return ElementFault
	}
	return Fatal
}

// isConnectionError tells failures of the way to the server from the end of
// the caller's context (which is a net.Error as well) and from other failures
// of the operating system, such as a missing password file (so is its errno).
func isConnectionError(err error) bool {
	for _, broken := range brokenConnection {
		if errors.Is(err, broken) {
			return true
		}
	}
	if isAlert(err) {
		return false
	}
	var opErr *net.OpError
	var dnsErr *net.DNSError
	var netErr net.Error
	return errors.As(err, &opErr) || errors.As(err, &dnsErr) ||
		errors.As(err, &netErr) && netErr.Timeout() && !errors.Is(netErr, context.DeadlineExceeded)
}

// isAlert finds what the server says of the TLS handshake, such as that it
// refuses a certificate. Package tls hides its type in a net.OpError.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, new(tls.AlertError)) || errors.As(err, &op) && op.Op == "remote error"
}

var brokenConnection = []error{
	io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED,
	redis.ErrPoolTimeout, redis.ErrPoolExhausted,
	// That of a node which has left the cluster: go-redis closes it a minute later,
	// whoever uses it.
	redis.ErrClosed,
	errRenewed,
}

// reply returns the server's error reply in err, if there is one.
func reply(err error) (text string, ok bool) {
	if err == nil {
		return "", false // what follows would cost an allocation
	}
	var re redis.Error
	if !errors.As(err, &re) || errors.Is(err, redis.Nil) {
		return "", false
	}
	return re.Error(), true
}

func replyStarts(err error, prefix string) bool {
	text, ok := reply(err)
	return ok && strings.HasPrefix(text, prefix)
}

// IsNoGroup reports whether the consumer group, or its stream, is missing.
// XINFO and XGROUP say "no such key" instead where the stream is missing; see
// [IsNoSuchKey].
func IsNoGroup(err error) bool { return replyStarts(err, "NOGROUP ") }

// IsBusyGroup reports whether a consumer group to be created exists already.
func IsBusyGroup(err error) bool { return replyStarts(err, "BUSYGROUP ") }

// IsWrongType reports whether a key holds another type than the command wants.
func IsWrongType(err error) bool { return replyStarts(err, "WRONGTYPE ") }

// IsNoSuchKey reports whether a command needed a key that does not exist.
func IsNoSuchKey(err error) bool {
	text, ok := reply(err)
	return ok && (strings.HasPrefix(text, "ERR no such key") ||
		// XGROUP other than CREATE MKSTREAM
		strings.HasPrefix(text, "ERR The XGROUP subcommand requires the key to exist"))
}

// IsNoPermission reports whether the ACL of the user refuses the command or
// the key.
func IsNoPermission(err error) bool { return replyStarts(err, "NOPERM ") }
