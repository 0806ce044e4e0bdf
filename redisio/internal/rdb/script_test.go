package rdb

import (
	"fmt"
	"strings"
	"testing"

	"example.com/beamredis/redisio/internal/redistest"
)

// Redis 6.2 wraps an error that redis.call raises, and the classifier would not
// know it again.
func TestNoScriptRaisesAnErrorOfItsOwn(t *testing.T) {
	for name, s := range map[string]script{
		"takeIncarnation": takeIncarnation, "giveBack": giveBack, "addOnce": addOnce,
		"setHash": setHash, "replaceHash": replaceHash, "setJSON": setJSON,
	} {
		if strings.Contains(s.src, "redis.call(") {
			t.Errorf("%s calls redis.call: want try, or ask", name)
		}
	}
}

func TestAScriptsErrorIsTheServersOwn(t *testing.T) {
	server := redistest.Start(t)
	c := sharedClient(t, server)
	setup(t, server, []any{"set", "text", "x"})
	for _, body := range []string{` return try('HGET', KEYS[1], 'f') `, ` return {try('HGET', KEYS[1], 'f')} `} {
		for range 2 { // by EVAL, and by EVALSHA
			if _, err := c.run(t.Context(), newScript(body), "text"); !IsWrongType(err) || Classify(err) != ElementFault {
				t.Errorf("%s: error %v, want WRONGTYPE", body, err)
			}
		}
	}
	_, err := c.run(t.Context(), newScript(` return nothing.there `), "text")
	if err == nil || !strings.Contains(err.Error(), "ERR in a script: ") || Classify(err) != Fatal {
		t.Errorf("error %v, want a fatal one that says that it is the script's", err)
	}
}

func TestAScriptsErrorNamesTheRightThatIsMissing(t *testing.T) {
	server := redistest.Start(t, redistest.User("app", "pw", "+@all", "~*", "-hget"))
	c := sharedClient(t, server)
	for _, body := range []string{` return try('HGET', KEYS[1], 'f') `, ` return {ask('HGET', KEYS[1], 'f').err} `} {
		reply, err := c.run(t.Context(), newScript(body), "k")
		text := fmt.Sprint(err, reply)
		if !strings.Contains(text, "NOPERM") || !strings.Contains(strings.ToLower(text), "hget") || err != nil && !IsNoPermission(err) {
			t.Errorf("%s: %s, want NOPERM with the name of the command", body, text)
		}
	}
}
