package access_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/rdb"
)

const (
	rightsDoc = "../../../docs/security.md"
	setUser   = "ACL SETUSER app "
	// What the lines of the document are about.
	docUser, docPassword = "app", "PASSWORD"
)

// rights are the lines of the document by the name of their part.
func rights(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(rightsDoc)
	must(t, err)
	parts, part := map[string][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch rule, isRule := strings.CutPrefix(line, "    "+setUser); {
		case isRule:
			parts[part] = append(parts[part], strings.Fields(rule)...)
		case strings.HasSuffix(line, ":"):
			part = strings.TrimSuffix(line, ":")
		}
	}
	return parts
}

// optional are the rights that the document says can be left out, by part.
func optional(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(rightsDoc)
	must(t, err)
	_, table, found := strings.Cut(string(text), "| part | right | without it |\n")
	if !found {
		t.Fatal("the document has no table of optional rights")
	}
	left := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) != 5 {
			break
		}
		part := strings.TrimSpace(cells[1])
		for i, word := range strings.Split(strings.ReplaceAll(cells[2], "\x00", "|"), "`") {
			if i%2 == 1 {
				left[part] = append(left[part], word)
			}
		}
	}
	return left
}

// warden sets the user's rights on servers and sees what they refuse.
type warden struct {
	t       *testing.T
	servers []*redis.Client
}

func (w warden) do(args ...any) {
	w.t.Helper()
	for _, s := range w.servers {
		if err := s.Do(w.t.Context(), args...).Err(); err != nil {
			w.t.Fatalf("%v: %v", args, err)
		}
	}
}

// grant has the user have these rights and no others, and forgets what was
// refused.
func (w warden) grant(rules []string) {
	w.t.Helper()
	must(w.t, rdb.CloseAll())
	w.do("acl", "deluser", docUser)
	w.do(words("acl", "setuser", docUser, rules)...)
	w.do("acl", "log", "reset")
}

func words(lead ...any) (args []any) {
	for _, l := range lead {
		if list, ok := l.([]string); ok {
			for _, s := range list {
				args = append(args, s)
			}
			continue
		}
		args = append(args, l)
	}
	return args
}

// refused lists the commands and keys that were refused to the user.
func (w warden) refused() (objects []string) {
	w.t.Helper()
	for _, s := range w.servers {
		entries, err := s.ACLLog(w.t.Context(), 100).Result()
		must(w.t, err)
		for _, e := range entries {
			objects = append(objects, e.Object)
		}
	}
	return objects
}

// part is one of the document's, proven.
type part struct {
	name  string
	needs []string // the parts that it adds to
	keys  []string // patterns of keys that its scenario looks at beside its own
	// prepare makes the server ready for one run.
	prepare func(*testing.T, *redis.Client)
	// scenario uses every right of the part.
	scenario func(context.Context, redisio.Conn) error
}

// prove runs the part with its rights, and once more without each of them.
func (p part) prove(t *testing.T, w warden, cfg redisio.Conn) {
	all, spare := rights(t), optional(t)[p.name]
	own := all[p.name]
	if len(own) == 0 {
		t.Fatalf("the document has no lines for %q", p.name)
	}
	var base []string
	for _, name := range p.needs {
		base = append(base, all[name]...)
	}
	cfg.Username, cfg.PasswordFile = docUser, writeFile(t, docPassword)
	try := func(t *testing.T, rules []string) error {
		w.t = t
		w.grant(slices.Concat(base, rules, p.keys))
		if p.prepare != nil {
			p.prepare(t, w.servers[0])
		}
		return p.scenario(t.Context(), cfg)
	}
	t.Run("suffices", func(t *testing.T) {
		if err := try(t, own); err != nil {
			t.Error(err)
		}
		w.t = t
		if refused := w.refused(); len(refused) > 0 {
			t.Errorf("the server refused %v", refused)
		}
	})
	for _, right := range slices.Compact(slices.Sorted(slices.Values(own))) {
		if !strings.ContainsRune("+~&", rune(right[0])) {
			continue
		}
		if right[0] == '+' && slices.Contains(base, right) {
			continue
		}
		t.Run("without "+right, func(t *testing.T) {
			p.without(t, w, right, slices.Contains(spare, right), func(t *testing.T) error {
				return try(t, slices.DeleteFunc(slices.Clone(own), func(r string) bool { return r == right }))
			})
		})
	}
	for _, right := range spare {
		if !slices.Contains(own, right) {
			t.Errorf("the table of optional rights names %s, which is not in the lines", right)
		}
	}
}

// without checks that the right is missed: by an error that names it, or, if
// the document says that it can be left out, by the server alone.
func (p part) without(t *testing.T, w warden, right string, spare bool, try func(*testing.T) error) {
	name := strings.TrimSuffix(right[1:], "*")
	err := try(t)
	w.t = t
	if !slices.ContainsFunc(w.refused(), func(object string) bool {
		return right[0] == '~' && strings.HasPrefix(object, name) || object == name
	}) {
		t.Errorf("nobody asked for it: the server refused %v; error: %v", w.refused(), err)
	}
	switch {
	case spare && err != nil:
		t.Errorf("it can be left out, says the document: %v", err)
	case !spare && err == nil:
		t.Error("there is no error")
	case !spare && (!strings.Contains(err.Error(), "NOPERM") || !strings.Contains(strings.ReplaceAll(strings.ToLower(err.Error()), "|", " "), strings.ReplaceAll(name, "|", " "))):
		t.Errorf("the error does not name what is missing: %v", err)
	}
}

func open(cfg redisio.Conn) (*rdb.Client, error) { return rdb.Open(cfg) }

func entries(n int) []redisio.Message {
	msgs := make([]redisio.Message, n)
	for i := range msgs {
		msgs[i] = redisio.Message{Key: fmt.Sprint("k", i), Fields: []redisio.Field{{Name: "n", Value: fmt.Sprint(i)}}}
	}
	return msgs
}
