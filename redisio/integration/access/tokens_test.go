package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
)

// lives is how long the tokens live. They are replaced 4 s before, or 3 s where
// the first attempt fails.
const lives = 20 * time.Second

// tokenVault issues tokens, each for a user of its own. When one expires, every
// server forgets its user, and with it ends the connections that still go by it.
type tokenVault struct {
	servers []*redistest.Server

	mu      sync.Mutex
	issued  int
	expired int
	ended   map[*redistest.Server]int // connections in use that still went by a token
	failed  error
	timers  []*time.Timer
}

func (v *tokenVault) issue(ctx context.Context) (conn.Credentials, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.issued++
	if v.issued%3 == 2 {
		return conn.Credentials{}, errors.New("the vault has no time") // the last good ones go on
	}
	c := conn.Credentials{Username: fmt.Sprint("app-", v.issued), Password: "token", ExpiresAt: time.Now().Add(lives)}
	for _, s := range v.servers {
		if err := s.Client().Do(ctx, "acl", "setuser", c.Username, "on", "~*", "+@all", ">"+c.Password).Err(); err != nil {
			return conn.Credentials{}, err
		}
	}
	v.timers = append(v.timers, time.AfterFunc(time.Until(c.ExpiresAt), func() { v.expire(c.Username) }))
	return c, nil
}

func (v *tokenVault) expire(user string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.expired++
	for _, s := range v.servers {
		list, err := s.Client().ClientList(context.Background()).Result()
		for line := range strings.Lines(list) {
			if strings.Contains(line, " user="+user+" ") && strings.Contains(line, " idle=0 ") { // used within this second
				v.ended[s]++
			}
		}
		v.failed = errors.Join(v.failed, err, s.Client().Do(context.Background(), "acl", "deluser", user).Err())
	}
}

func (v *tokenVault) expirations() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.expired
}

func (v *tokenVault) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, timer := range v.timers {
		timer.Stop()
	}
}

// TestConnectionsLogInAgainBeforeTheirCredentialsExpire: no command meets an
// error, and no connection that is in use still goes by a token that expires. One
// that nobody uses meanwhile is ended with it. Behind sentinels connections are
// replaced; those of before are open for a while, and unused.
func TestConnectionsLogInAgainBeforeTheirCredentialsExpire(t *testing.T) {
	single, cluster, sentinels := redistest.Start(t), redistest.StartCluster(t), redistest.StartSentinels(t)
	v := &tokenVault{ended: map[*redistest.Server]int{}}
	for _, d := range []deployment{single, cluster, sentinels} {
		v.servers = append(v.servers, serversOf(d)...)
	}
	t.Cleanup(v.close)
	setVault(t, v.issue)
	var clients []*rdb.Client
	for _, cfg := range []redisio.Conn{single.Config(), cluster.Config(), sentinels.Config()} {
		cfg.Credentials = registered
		client, err := rdb.Open(cfg)
		must(t, err)
		eventually(t, "it is connected", func() bool { return client.Ping(t.Context()) == nil })
		clients = append(clients, client)
	}
	begun := v.expirations()
	for deadline := time.Now().Add(2*lives + lives/2); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		for _, client := range clients {
			if err := client.Ping(t.Context()); err != nil && !strings.Contains(err.Error(), "no time") {
				t.Fatalf("a command met the end of credentials: %v", err)
			}
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	must(t, v.failed)
	t.Logf("%d tokens were issued, %d expired", v.issued, v.expired)
	if v.expired < begun+2*len(clients) {
		t.Errorf("%d tokens expired, want two for each client at least: this proves nothing", v.expired-begun)
	}
	for _, d := range []deployment{single, cluster, sentinels} {
		for _, s := range serversOf(d) {
			if n := v.ended[s]; n > 0 {
				t.Errorf("%d connections in use still went by a token that expired", n)
			}
			if list := s.Client().ClientList(t.Context()).Val(); d == deployment(single) && !strings.Contains(list, " user=app-") {
				t.Errorf("no connection goes by a token: this proves nothing: %s", list)
			}
		}
	}
}
