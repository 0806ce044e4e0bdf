package conn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"example.com/beamredis/redisio/conn"
)

// panicVariable makes TestAPanicShowsNoSecret panic, in a process of its own.
const panicVariable = "CONN_TEST_PANIC"

// TestAPanicShowsNoSecret: not in what the runtime prints of its value, nor in
// its stack.
func TestAPanicShowsNoSecret(t *testing.T) {
	const secret = "s3cr3t"
	c := conn.Config{Username: "app", Password: secret, PasswordMayTravel: true}
	credentials := conn.Credentials{Username: "app", Password: secret}
	values := map[string]any{
		"a configuration": c, "a pointer to one": &c, "its text": fmt.Sprint(c), "a list of them": []conn.Config{c},
		"an error about it": fmt.Errorf("cannot reach %v %+v %#v", c, &c, c), "its error": conn.Config{Password: secret}.Validate(),
		"credentials": credentials, "a pointer to credentials": &credentials, "the text of credentials": fmt.Sprintf("%+v", credentials),
		"something that holds it": struct{ Conn conn.Config }{c}, "its text ": fmt.Sprintf("%+v", struct{ Conn conn.Config }{c}),
	}
	if name := os.Getenv(panicVariable); name != "" {
		panics(values[name], c)
	}
	for name := range values {
		t.Run(name, func(t *testing.T) {
			child := exec.Command(os.Args[0], "-test.run=^TestAPanicShowsNoSecret$")
			child.Env = append(os.Environ(), panicVariable+"="+name, "GOTRACEBACK=all")
			out, err := child.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "panic: ") || !strings.Contains(string(out), "conn_test.panics(") {
				t.Fatalf("it did not panic: %v\n%s", err, out)
			}
			if strings.Contains(string(out), secret) {
				t.Errorf("the secret shows:\n%s", out)
			}
		})
	}
}

// panics has the configuration among its arguments, of which a stack shows words
// of memory.
//
//go:noinline
func panics(value any, _ conn.Config) { panic(value) }

// registered makes names unique in a process, which runs a test several times
// with -count.
var registered int

func TestCredentialsWhoseFunctionPanicsAreAnErrorWithoutTheSecret(t *testing.T) {
	const secret = "s3cr3t"
	var none map[string]conn.Credentials
	for name, tt := range map[string]struct {
		fetch func()
		want  string
	}{
		"text":        {func() { panic("got " + secret) }, "a string, is not shown"},
		"error":       {func() { panic(errors.New("got " + secret)) }, "a *errors.errorString, is not shown"},
		"credentials": {func() { panic(conn.Credentials{Password: secret}) }, "a conn.Credentials, is not shown"},
		"bug":         {func() { none["x"] = conn.Credentials{Password: secret} }, "panicked: assignment to entry in nil map"},
	} {
		registered++
		name = fmt.Sprint(t.Name(), name, registered)
		conn.RegisterCredentials(name, func(context.Context) (conn.Credentials, error) {
			tt.fetch()
			return conn.Credentials{Password: secret}, nil
		})
		_, password, err := conn.Config{Credentials: name}.Resolve(t.Context())
		if err == nil || password != "" || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: password %q, error %v; want one that says %q", name, password, err, tt.want)
		}
	}
}
