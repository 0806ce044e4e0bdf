package sinks

import (
	"errors"
	"fmt"
	"time"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// TrimOptions bound the streams that are written. The zero value does not.
type TrimOptions struct {
	// MaxLen keeps that many entries of each stream, the newest; 0: no bound.
	MaxLen int64 `json:"max_len,omitempty"`
	// MinID removes entries before this ID; 0-0: none.
	MinID message.EntryID `json:"min_id,omitzero"`
	// MaxAge removes entries whose ID is older than that by the worker's clock;
	// 0: none.
	MaxAge time.Duration `json:"max_age,omitempty"`
	// Exact removes everything beyond the bound at once. Otherwise the server
	// keeps up to a node (100 entries by default) more, which is much cheaper.
	Exact bool `json:"exact,omitempty"`
	// Limit bounds how many entries one trimming examines; 0: the server's own
	// bound. It cannot be combined with Exact.
	Limit int64 `json:"limit,omitempty"`
}

// Validate reports everything that is wrong with o.
func (o TrimOptions) Validate() error {
	var errs []error
	bounds := 0
	for _, set := range []bool{o.MaxLen != 0, !o.MinID.IsZero(), o.MaxAge != 0} {
		if set {
			bounds++
		}
	}
	switch {
	case bounds > 1:
		errs = append(errs, errors.New("of MaxLen, MinID and MaxAge only one bounds a stream"))
	case bounds == 0 && o.Exact:
		errs = append(errs, errors.New("an exact trimming has no bound: give MaxLen, MinID or MaxAge"))
	case bounds == 0 && o.Limit != 0:
		errs = append(errs, errors.New("a limit bounds nothing by itself: give MaxLen, MinID or MaxAge"))
	}
	if o.MaxLen < 0 || o.MaxAge < 0 || o.Limit < 0 {
		errs = append(errs, fmt.Errorf("MaxLen %d, MaxAge %v or Limit %d is negative", o.MaxLen, o.MaxAge, o.Limit))
	}
	if o.Exact && o.Limit != 0 {
		errs = append(errs, errors.New("an exact trimming has no limit: leave Exact or Limit out"))
	}
	return errors.Join(errs...)
}

// args returns what gives the arguments of XTRIM, nil without a bound.
func (o TrimOptions) args() func() []any {
	switch {
	case o.MaxAge > 0:
		return func() []any {
			return rdb.TrimArgs(0, message.FirstIDAt(time.Now().Add(-o.MaxAge)), !o.Exact, o.Limit)
		}
	case o.MaxLen > 0, !o.MinID.IsZero():
		args := rdb.TrimArgs(o.MaxLen, o.MinID, !o.Exact, o.Limit)
		return func() []any { return args }
	}
	return nil
}
