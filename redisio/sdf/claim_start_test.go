package sdf

import (
	"testing"

	"example.com/beamredis/redisio/message"
)

func startAt(s Start) func(*Config) { return func(cfg *Config) { cfg.Start = s } }

func TestNewGroupBeginsWhereTheStartSays(t *testing.T) {
	for name, tc := range map[string]struct {
		start Start
		want  []int
	}{
		"latest":   {Start{Latest: true}, []int{4, 5}},
		"earliest": {Start{}, upTo(1, 5)},
		"after ID": {Start{After: message.EntryID{Ms: 2000}}, []int{3, 4, 5}},
		"at time":  {Start{After: message.EntryID{Ms: 2000}.Prev()}, []int{2, 3, 4, 5}},
		"ahead":    {Start{After: message.EntryID{Ms: 4500}}, []int{5}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, startAt(tc.start))
			for n := 1; n <= 3; n++ {
				r.addAt(n*1000, n)
			}
			r.open(stream)
			saved := r.checkpoint()
			r.bundle()
			r.restore(saved)
			r.newWorker()
			r.addAt(4000, 4)
			r.addAt(5000, 5)
			wantNumbers(t, r.read(len(tc.want)), tc.want...)
		})
	}
}

func TestExistingGroupContinuesWhereItStands(t *testing.T) {
	for name, start := range map[string]Start{"latest": {Latest: true}, "earliest": {}, "after ID": {After: message.EntryID{Ms: 9}}} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, startAt(start))
			r.createGroup("0")
			ids := r.add(stream, 4)
			r.setGroup(ids[1])
			r.open(stream)
			r.bundle().want(3, 4)
		})
	}
}

func TestReadOfAStreamThatDoesNotExistYetWaitsForIt(t *testing.T) {
	r := newRunner(t, startAt(Start{Latest: true}))
	r.open(stream)
	r.bundle().want()
	r.add(stream, 2)
	wantNumbers(t, r.read(2), 1, 2)
}
