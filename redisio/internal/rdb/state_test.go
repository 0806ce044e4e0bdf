package rdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

// serverBinEnv names another redis-server or valkey-server that the tests of
// this file and of reading and groups run with as well.
const serverBinEnv = "BEAMREDIS_SERVER_BIN"

// bench is a server, our client of it, and a plain one to check with.
type bench struct {
	*testing.T
	server *redistest.Server
	c      *Client
	plain  *redis.Client
}

// onEachServer runs test on every kind of server that is there, in both
// versions of the protocol.
func onEachServer(t *testing.T, test func(b bench)) {
	t.Helper()
	binaries := []string{""}
	if other := os.Getenv(serverBinEnv); other != "" {
		binaries = append(binaries, other)
	}
	for _, binary := range binaries {
		for _, protocol := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s/RESP%d", filepath.Base(binary), protocol), func(t *testing.T) {
				putOnPath(t, binary)
				s := redistest.Start(t)
				test(bench{T: t, server: s, c: clientOf(t, s, protocol), plain: s.Client()})
			})
		}
	}
}

// putOnPath makes binary the redis-server of this test.
func putOnPath(t *testing.T, binary string) {
	t.Helper()
	if binary == "" {
		return
	}
	dir := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(dir, "redis-server")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// clientOf is like Open, but can speak RESP2.
func clientOf(t *testing.T, s *redistest.Server, protocol int) *Client {
	t.Helper()
	cfg := s.Config().WithDefaults()
	cfg.ReadTimeout = 2 * time.Second
	cfg.Protocol = protocol
	c := &Client{cfg: cfg}
	t.Cleanup(func() { _ = c.close() })
	return c
}

// do runs commands, each given as one line, on the plain client.
func (b bench) do(lines ...string) {
	b.Helper()
	for _, line := range lines {
		var args []any
		for _, word := range strings.Fields(line) {
			args = append(args, word)
		}
		if err := b.plain.Do(b.Context(), args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
			b.Fatalf("%s: %v", line, err)
		}
	}
}

// fill adds the entries 1-0 to n-0, each with the field f of its number.
func (b bench) fill(n int) {
	b.Helper()
	pipe := b.plain.Pipeline()
	for i := range n {
		pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: "s", ID: fmt.Sprintf("%d-0", i+1), Values: []string{"f", fmt.Sprint(i + 1)}})
	}
	if _, err := pipe.Exec(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// counts reports whether the server keeps the counts of Redis 7.
func (b bench) counts() bool {
	b.Helper()
	v, err := b.c.Preflight(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return v.AtLeast(7, 0)
}

// entriesOf are the entries that fill adds, first to last.
func entriesOf(first, last int) []Entry {
	var list []Entry
	for i := first; i <= last; i++ {
		list = append(list, Entry{ID: eid(uint64(i), 0), Fields: []message.Field{{Name: "f", Value: fmt.Sprint(i)}}})
	}
	return list
}

func (b bench) equal(what string, want, got any) {
	b.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestStateOfStreamAndGroup(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(10)
		b.do("xgroup create s g 0", "xreadgroup group g c count 4 streams s >", "xtrim s minid = 3", "xgroup create s other 9-0")
		before := time.Now().UnixMilli()
		st, err := b.c.State(b.Context(), "s", "g")
		if err != nil {
			b.Fatal(err)
		}
		if st.Now < before-1 || st.Now > time.Now().UnixMilli()+1 {
			b.Errorf("server's clock %d, ours was %d", st.Now, before)
		}
		want := State{
			Stream: StreamState{Exists: true, Length: 8, LastGenerated: eid(10, 0), First: eid(3, 0), Last: eid(10, 0), EntriesAdded: 10, EntryBytes: st.Stream.EntryBytes},
			Group:  GroupState{Exists: true, LastDelivered: eid(4, 0), EntriesRead: 4, Lag: 6, Pending: 4, Consumers: 1},
			Now:    st.Now,
		}
		if !b.counts() {
			want.Stream.EntriesAdded, want.Group.EntriesRead, want.Group.Lag = Unknown, Unknown, Unknown
		}
		b.equal("state", want, st)
		if entries, n, err := b.c.Range(b.Context(), "s", eid(9, 0), eid(10, 0), 1); err != nil || len(entries) != 1 || st.Stream.EntryBytes < n-10 || st.Stream.EntryBytes > n {
			b.Errorf("the last entry takes %d bytes, want about the %d of a reply with it alone (%v)", st.Stream.EntryBytes, n, err)
		}
	})
}

func TestStateOfWhatIsMissing(t *testing.T) {
	onEachServer(t, func(b bench) {
		st, err := b.c.State(b.Context(), "nothing", "g")
		if err != nil || st.Now == 0 {
			b.Fatalf("%+v, %v", st, err)
		}
		want := State{Now: st.Now, Stream: StreamState{EntriesAdded: Unknown}, Group: GroupState{EntriesRead: Unknown, Lag: Unknown}}
		b.equal("without a stream", want, st)
		b.fill(2)
		if st, err = b.c.State(b.Context(), "s", "g"); err != nil || st.Group.Exists || !st.Stream.Exists {
			b.Errorf("without a group: %+v, %v", st, err)
		}
		b.equal("group", want.Group, st.Group)
	})
}

func TestLagIsUnknownWhereADeletionHidesIt(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(10)
		b.do("xgroup create s g 0", "xreadgroup group g c count 4 streams s >", "xdel s 7-0")
		st, err := b.c.State(b.Context(), "s", "g")
		if err != nil || st.Group.Lag != Unknown {
			b.Errorf("lag %d, %v; want Unknown", st.Group.Lag, err)
		}
	})
}

func TestStateOfAKeyThatIsNoStream(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.do("set s v")
		if _, err := b.c.State(b.Context(), "s", "g"); !IsWrongType(err) {
			b.Errorf("error %v, want WRONGTYPE", err)
		}
	})
}
