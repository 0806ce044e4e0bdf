package rdb

import (
	"errors"
	"strings"
	"testing"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func TestEntryThatIsTooLargeLeavesTheOthersAndTheirIDsInPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		setting string
		acl     string // what the user may not do
		refused bool
	}{
		"smaller than it":     {"2mb", "", true},
		"large enough":        {"4mb", "", false},
		"user may not ask":    {"4mb", "-config", false},
		"the least it can be": {"1mb", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			if err := s.Client().ConfigSet(t.Context(), "proto-max-bulk-len", tc.setting).Err(); err != nil {
				t.Fatal(err)
			}
			if tc.acl != "" {
				if err := s.Client().Do(t.Context(), "acl", "setuser", "default", tc.acl).Err(); err != nil {
					t.Fatal(err)
				}
			}
			c, err := Open(s.Config())
			if err != nil {
				t.Fatal(err)
			}
			adds := make([]Add, 3)
			for i, value := range []string{"a", strings.Repeat("x", 3<<20), "c"} {
				adds[i] = Add{Stream: "out", Fields: []message.Field{{Name: "v", Value: value}}}
			}
			a := NewAdder(c)
			errs := a.Write(t.Context(), adds)
			var large *TooLargeError
			if got := errors.As(errs[1], &large); got != tc.refused || got && Classify(errs[1]) != ElementFault {
				t.Errorf("error %v of the large one, class %v; want it refused: %v", errs[1], Classify(errs[1]), tc.refused)
			}
			ids, err := s.Client().XRange(t.Context(), "out", "-", "+").Result()
			if err != nil || errs[0] != nil || errs[2] != nil {
				t.Fatal(err, errs)
			}
			for i, at := range map[int]int{0: 0, 2: len(ids) - 1} {
				if id, err := a.ID(i); err != nil || id.String() != ids[at].ID {
					t.Errorf("entry %d has the ID %s, %v; want %s", i, id, err, ids[at].ID)
				}
			}
		})
	}
}
