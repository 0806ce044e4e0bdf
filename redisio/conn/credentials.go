package conn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Credentials are what a connection logs in with: a user with a password, or
// with a token that expires.
type Credentials struct {
	// Username is the ACL user; empty means "default".
	Username string
	Password string
	// ExpiresAt is when the server stops to accept them; the zero time: never.
	// Connections that are open then log in again before, with new ones.
	ExpiresAt time.Time
}

// String keeps the password out of %v.
func (c Credentials) String() string { return c.Username + ":***" }

// GoString keeps the password out of %#v.
func (c Credentials) GoString() string { return "conn.Credentials(" + c.String() + ")" }

// LogValue keeps the password out of package slog.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// CredentialsFunc fetches credentials from where they are issued: a secret
// store, a cloud's token service. It must be safe for concurrent use and return
// soon after the end of its context. Its errors are logged and shown: they must
// not hold the secret. If it panics, that is an error, which shows the value of
// the panic only if it is one of the Go runtime.
type CredentialsFunc func(context.Context) (Credentials, error)

var issuers sync.Map // of CredentialsFunc by name

// RegisterCredentials makes a source of credentials known by a name, for
// [Config.Credentials] and the parameter credentials of a URL. The name travels
// with the job, the function does not: register it in the init function of a
// package that the workers' program has, too. It panics if the name is empty or
// registered already.
func RegisterCredentials(name string, fetch CredentialsFunc) {
	if name == "" || fetch == nil {
		panic("conn: RegisterCredentials without a name or a function")
	}
	if _, taken := issuers.LoadOrStore(name, fetch); taken {
		panic(fmt.Sprintf("conn: credentials %q are registered twice", name))
	}
}

// FetchCredentials calls the function that is registered as c.Credentials.
func (c Config) FetchCredentials(ctx context.Context) (Credentials, error) {
	fetch, ok := issuers.Load(c.Credentials)
	if !ok {
		return Credentials{}, fmt.Errorf("conn: credentials %q are not registered on this worker: call conn.RegisterCredentials in an init function of its program", c.Credentials)
	}
	got, err := fetch.(CredentialsFunc).call(ctx)
	if err == nil && got.Password == "" {
		err = errors.New("there is no password in them")
	}
	if err == nil && !got.ExpiresAt.IsZero() && !got.ExpiresAt.After(time.Now()) {
		err = fmt.Errorf("they expired at %v", got.ExpiresAt.Format(time.RFC3339))
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("conn: credentials %q: %w", c.Credentials, err)
	}
	if got.Username == "" {
		got.Username = DefaultUsername
	}
	return got, nil
}

// call makes an error of a panic: it would end the worker with its value, which
// may hold the secret, in the log.
func (fetch CredentialsFunc) call(ctx context.Context) (got Credentials, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("their function panicked: %w", v)
		default:
			err = fmt.Errorf("their function panicked; the value, a %T, is not shown, since it may hold the secret", v)
		}
	}()
	return fetch(ctx)
}
