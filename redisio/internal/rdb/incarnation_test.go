package rdb

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/beamredis/redisio/internal/redistest"
)

// TestAnIncarnationLivesAsLongAsItsGroup: it goes with the group and with the
// stream, and stays when another client asks.
func TestAnIncarnationLivesAsLongAsItsGroup(t *testing.T) {
	server := redistest.Start(t)
	c := openOn(t, server)
	ask := func(renew bool) uint64 {
		t.Helper()
		if _, err := c.CreateGroup(t.Context(), "s", "g", "0"); err != nil {
			t.Fatal(err)
		}
		n, err := c.Incarnation(t.Context(), "s", "g", renew)
		if err != nil || n == 0 {
			t.Fatalf("incarnation %d, error %v", n, err)
		}
		return n
	}
	first := ask(false)
	if again := ask(false); again != first {
		t.Errorf("incarnation %d, then %d", first, again)
	}
	seen := map[uint64]string{first: "at first"}
	for name, change := range map[string]func() uint64{
		"the group was destroyed": func() uint64 { server.Client().XGroupDestroy(t.Context(), "s", "g"); return ask(false) },
		"the stream was deleted":  func() uint64 { server.Client().Del(t.Context(), "s"); return ask(false) },
		"renewed":                 func() uint64 { return ask(true) },
	} {
		n := change()
		if before, ok := seen[n]; ok {
			t.Errorf("%s: incarnation is still that of: %s", name, before)
		}
		seen[n] = name
	}
	if consumers := server.Client().XInfoConsumers(t.Context(), "s", "g").Val(); len(consumers) != 1 {
		t.Errorf("the group has %d consumers, want the mark alone", len(consumers))
	}
}

func TestAMissingGroupHasNoIncarnation(t *testing.T) {
	if n, err := openOn(t, redistest.Start(t)).Incarnation(t.Context(), "s", "g", false); n != 0 || err == nil {
		t.Errorf("incarnation %d, error %v; want an error", n, err)
	}
}

// marksOf are the consumers of group g of s.
func marksOf(t *testing.T, server *redistest.Server) (names []string) {
	t.Helper()
	for _, c := range server.Client().XInfoConsumers(t.Context(), "s", "g").Val() {
		names = append(names, c.Name)
	}
	return names
}

func allow(t *testing.T, server *redistest.Server, rules ...any) {
	t.Helper()
	if err := server.Client().Do(t.Context(), append([]any{"ACL", "SETUSER", "default"}, rules...)...).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutPermissionThereIsNoIncarnation(t *testing.T) {
	for _, lacking := range []struct {
		names string
		rules []any
	}{
		{"evalsha", []any{"-eval", "-evalsha"}},
		{"eval", []any{"-eval"}},
		{"XINFO CONSUMERS", []any{"-xinfo|consumers"}},
	} {
		server := redistest.Start(t)
		c := openOn(t, server)
		if _, err := c.CreateGroup(t.Context(), "s", "g", "0"); err != nil {
			t.Fatal(err)
		}
		allow(t, server, lacking.rules...)
		n, err := c.Incarnation(t.Context(), "s", "g", false)
		if n != 0 || !errors.Is(err, ErrNoIncarnation) || !IsNoPermission(err) || !strings.Contains(err.Error(), lacking.names) {
			t.Errorf("without %s: incarnation %d, error %v", lacking.names, n, err)
		}
	}
}

// TestARenewalThatIsRefusedLeavesNoIncarnation: the old one would have entries
// taken for those that had their IDs before.
func TestARenewalThatIsRefusedLeavesNoIncarnation(t *testing.T) {
	for _, right := range []string{"xgroup|delconsumer", "xinfo|consumers"} {
		t.Run(right, func(t *testing.T) {
			server := redistest.Start(t)
			c := openOn(t, server)
			if _, err := c.CreateGroup(t.Context(), "s", "g", "0"); err != nil {
				t.Fatal(err)
			}
			first, err := c.Incarnation(t.Context(), "s", "g", false)
			if err != nil {
				t.Fatal(err)
			}
			allow(t, server, "-"+right)
			if n, err := c.Incarnation(t.Context(), "s", "g", true); !errors.Is(err, ErrNoIncarnation) {
				t.Errorf("renewed: incarnation %d, error %v", n, err)
			}
			for range 3 {
				if n, err := c.Incarnation(t.Context(), "s", "g", false); !errors.Is(err, ErrNoIncarnation) {
					t.Errorf("afterwards: incarnation %d, error %v", n, err)
				}
			}
			allow(t, server, "+"+right)
			if n := len(marksOf(t, server)); n != 2 {
				t.Errorf("%d marks, want two however often it was tried", n)
			}
			n, err := c.Incarnation(t.Context(), "s", "g", false)
			if n == 0 || n == first || err != nil {
				t.Errorf("with the right: incarnation %d after %d, error %v", n, first, err)
			}
			if again, err := c.Incarnation(t.Context(), "s", "g", false); again != n || err != nil || len(marksOf(t, server)) != 1 {
				t.Errorf("incarnation %d after %d, error %v, marks %q", again, n, err, marksOf(t, server))
			}
		})
	}
}

func TestAFullServerGivesAnIncarnation(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(3)
		b.do("xgroup create s g 0")
		b.do("config set maxmemory 1")
		n, err := b.c.Incarnation(b.Context(), "s", "g", false)
		if n == 0 || err != nil {
			b.Fatalf("incarnation %d, error %v", n, err)
		}
		if again, err := b.c.Incarnation(b.Context(), "s", "g", true); again == 0 || again == n || err != nil {
			b.Errorf("renewed: incarnation %d after %d, error %v", again, n, err)
		}
		b.do("config set maxmemory 0")
		if st, err := b.c.State(b.Context(), "s", "g"); err != nil || !st.Group.LastDelivered.IsZero() || st.Group.Pending != 0 {
			b.Errorf("state %+v, error %v: entries were delivered", st, err)
		}
	})
}

func TestReplicasKnowTheIncarnation(t *testing.T) {
	primary := redistest.Start(t)
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := openOn(t, primary)
	if _, err := c.CreateGroup(t.Context(), "s", "g", "0"); err != nil {
		t.Fatal(err)
	}
	// The replica has all that was there; what it is told from now on is what counts.
	replica := redistest.Start(t, redistest.Args("--replicaof", host+" "+port))
	for deadline := time.Now().Add(time.Minute); primary.Client().Wait(t.Context(), 1, time.Second).Val() < 1; {
		if time.Now().After(deadline) {
			t.Fatal("the replica has not come within a minute")
		}
	}
	for _, renew := range []bool{false, true} {
		if _, err := c.Incarnation(t.Context(), "s", "g", renew); err != nil {
			t.Fatal(err)
		}
		if n := primary.Client().Wait(t.Context(), 1, time.Minute).Val(); n != 1 {
			t.Fatalf("%d replicas", n)
		}
		if got, want := marksOf(t, replica), marksOf(t, primary); len(want) != 1 || len(got) != 1 || got[0] != want[0] {
			t.Errorf("the replica has %q, the primary %q", got, want)
		}
	}
}
