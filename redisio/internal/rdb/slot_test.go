package rdb

import (
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"example.com/beamredis/redisio/internal/redistest"
)

// awkwardKeys are those whose slot is easily taken for another one.
var awkwardKeys = []string{
	"", "orders:0", "{a}", "a{b}c", "{}a", "{}", "{", "}", "}{", "a{", "a{b", "{{a}}", "{a}{b}", "a}b{c}d", "{}{a}", "\x00\xff", "{\r\n}x", "foo{}{bar}", "foo{{bar}}zap",
}

func TestSlotsAndCompanionsAreWhereTheServerSays(t *testing.T) {
	server := redistest.Start(t, redistest.Args("--cluster-enabled", "yes"))
	rng := rand.New(rand.NewPCG(1, 2))
	keys := awkwardKeys
	for range 2000 {
		b := make([]byte, rng.IntN(12))
		for i := range b {
			b[i] = "ab{}:\x00\xff1"[rng.IntN(8)]
		}
		keys = append(keys, string(b))
	}
	for _, key := range keys {
		want, err := server.Client().ClusterKeySlot(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := slotOf(key); int64(got) != want {
			t.Errorf("slot of %q is %d, the server says %d", key, got, want)
		}
		companion := CompanionKey(key, "a:"+key)
		got, err := server.Client().ClusterKeySlot(t.Context(), companion).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("companion %q of %q is in slot %d, want %d", companion, key, got, want)
		}
	}
}

// Keys with these tags are in users' servers.
func TestSlotTagsAreStableAndShort(t *testing.T) {
	tags := slotTags()
	for slot, tag := range tags {
		if tag == "" || len(tag) > 4 || strings.ContainsAny(tag, "{}") || int(crc16(tag)%slots) != slot {
			t.Fatalf("tag of slot %d is %q", slot, tag)
		}
	}
	if got := crc32.ChecksumIEEE([]byte(strings.Join(tags[:], ","))); got != 0xb2cbebb5 {
		t.Errorf("the tags have checksum %#x", got)
	}
	if got := CompanionKey("orders:0", "x"); got != "beamredis:{3xa}:x" {
		t.Errorf("companion key %q", got)
	}
}
