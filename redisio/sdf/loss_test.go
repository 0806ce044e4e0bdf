package sdf

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// streamOf is a stream that holds the entries first-0 to last-0 and ever had
// added of them.
func streamOf(first, last uint64, added int64) rdb.StreamState {
	s := rdb.StreamState{Exists: true, LastGenerated: id(last, 0), EntriesAdded: added}
	if first > 0 {
		s.First, s.Length = id(first, 0), int64(last-first+1)
	}
	return s
}

var compareTally = cmp.AllowUnexported(tally{}, loss{})

func TestTallyBeginsWithWhatTheServerTells(t *testing.T) {
	group := func(delivered uint64, read int64) rdb.GroupState {
		return rdb.GroupState{Exists: true, LastDelivered: id(delivered, 0), EntriesRead: read}
	}
	for name, tc := range map[string]struct {
		st    rdb.State
		pos   message.EntryID
		index int64
		exact bool
	}{
		"at the stream's end":        {rdb.State{Stream: streamOf(5, 9, 9), Group: group(9, rdb.Unknown)}, id(9, 0), 9, true},
		"at the beginning":           {rdb.State{Stream: streamOf(5, 9, 9), Group: group(0, rdb.Unknown)}, id(0, 0), 4, true},
		"where the group stands":     {rdb.State{Stream: streamOf(5, 9, 9), Group: group(7, 7)}, id(7, 0), 7, false},
		"there, and it cannot tell":  {rdb.State{Stream: streamOf(5, 9, 9), Group: group(7, rdb.Unknown)}, id(7, 0), rdb.Unknown, false},
		"elsewhere":                  {rdb.State{Stream: streamOf(5, 9, 9), Group: group(7, 7)}, id(6, 0), rdb.Unknown, false},
		"Redis 6.2 at the end":       {rdb.State{Stream: streamOf(5, 9, rdb.Unknown), Group: group(9, rdb.Unknown)}, id(9, 0), rdb.Unknown, false},
		"Redis 6.2 at the beginning": {rdb.State{Stream: streamOf(5, 9, rdb.Unknown), Group: group(0, rdb.Unknown)}, id(0, 0), rdb.Unknown, false},
	} {
		want := tally{index: tc.index, exact: tc.exact, delivered: tc.st.Group.EntriesRead}
		if diff := cmp.Diff(want, tallyAt(tc.st, tc.pos), compareTally); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLookTellsWhatWasTrimmedUnread(t *testing.T) {
	for name, tc := range map[string]struct {
		stream rdb.StreamState
		index  int64
		seen   uint64
		want   loss
		after  int64 // index afterwards
	}{
		"all there":                         {streamOf(1, 9, 9), 5, 5, loss{}, 5},
		"trimmed what was read":             {streamOf(5, 9, 9), 5, 5, loss{}, 5},
		"trimmed all that was read":         {streamOf(6, 9, 9), 5, 5, loss{}, 5},
		"trimmed one more":                  {streamOf(7, 9, 9), 5, 5, loss{entries: 1}, 6},
		"emptied":                           {streamOf(0, 9, 9), 5, 5, loss{entries: 4}, 9},
		"emptied, all was read":             {streamOf(0, 9, 9), 9, 9, loss{}, 9},
		"trimmed before anything was read":  {streamOf(4, 9, 9), 0, 0, loss{entries: 3}, 3},
		"begins with what there is":         {streamOf(4, 9, 9), 3, 0, loss{}, 3},
		"nothing known, nothing read":       {streamOf(4, 9, 9), rdb.Unknown, 0, loss{}, rdb.Unknown},
		"index unknown":                     {streamOf(7, 9, 9), rdb.Unknown, 5, loss{uncounted: true}, rdb.Unknown},
		"index unknown, nothing removed":    {streamOf(7, 9, 3), rdb.Unknown, 5, loss{}, rdb.Unknown},
		"index unknown, seen entry there":   {streamOf(5, 9, 9), rdb.Unknown, 5, loss{}, rdb.Unknown},
		"Redis 6.2, entries missing":        {streamOf(7, 9, rdb.Unknown), rdb.Unknown, 5, loss{uncounted: true}, rdb.Unknown},
		"Redis 6.2, seen entry there":       {streamOf(2, 9, rdb.Unknown), rdb.Unknown, 5, loss{}, rdb.Unknown},
		"Redis 6.2, nothing follows":        {streamOf(0, 5, rdb.Unknown), rdb.Unknown, 5, loss{}, rdb.Unknown},
		"position beyond an older stream":   {streamOf(1, 3, 3), 5, 5, loss{}, 5},
		"stream emptied, then added to":     {streamOf(20, 22, 12), 5, 5, loss{entries: 4}, 9},
		"server was upgraded to count late": {streamOf(7, 9, 3), 5, 5, loss{}, 5},
	} {
		ta := tally{index: tc.index}
		got := ta.look(rdb.State{Stream: tc.stream}, id(tc.seen, 0))
		if diff := cmp.Diff(tc.want, got, compareTally); diff != "" || ta.index != tc.after {
			t.Errorf("%s: index %d, want %d (-want +got):\n%s", name, ta.index, tc.after, diff)
		}
		if again := ta.look(rdb.State{Stream: tc.stream}, id(tc.seen, 0)); again != (loss{}) {
			t.Errorf("%s: told twice: %+v", name, again)
		}
	}
}

func TestDrainedTellsWhatWasDeletedAmongTheUnread(t *testing.T) {
	for name, tc := range map[string]struct {
		before tally
		added  int64
		want   loss
		after  tally
	}{
		"all read":               {tally{index: 9, exact: true}, 9, loss{}, tally{index: 9, exact: true}},
		"some missing":           {tally{index: 7, exact: true}, 9, loss{entries: 2}, tally{index: 9, exact: true}},
		"the group's count":      {tally{index: 7}, 9, loss{}, tally{index: 9, exact: true}},
		"unknown":                {tally{index: rdb.Unknown, exact: true}, 9, loss{}, tally{index: 9, exact: true}},
		"more than ever added":   {tally{index: 12, exact: true}, 9, loss{}, tally{index: 9, exact: true}},
		"Redis 6.2 cannot tell":  {tally{index: rdb.Unknown}, rdb.Unknown, loss{}, tally{index: rdb.Unknown}},
		"server stopped telling": {tally{index: 7, exact: true}, rdb.Unknown, loss{}, tally{index: 7, exact: true}},
	} {
		got := tc.before.drained(rdb.State{Stream: streamOf(0, 9, tc.added)})
		if diff := cmp.Diff(tc.want, got, compareTally); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(tc.after, tc.before, compareTally); diff != "" {
			t.Errorf("%s: tally (-want +got):\n%s", name, diff)
		}
	}
}

func TestTallyTakesOverTheGroupsCountWhereItKnowsNone(t *testing.T) {
	unknown, known := tally{index: rdb.Unknown, delivered: 7}, tally{index: 5, delivered: 7}
	unknown.read(3)
	known.read(3)
	unknown.atDelivered()
	known.atDelivered()
	if unknown.index != 7 || known.index != 8 {
		t.Errorf("indexes %d and %d, want 7 and 8", unknown.index, known.index)
	}
}

// TestEveryLossIsCountedOnce compares the tally with a stream at which
// anything happens: when all is drained, the losses told are exactly the
// entries that went unread.
func TestEveryLossIsCountedOnce(t *testing.T) {
	for seed := range uint64(500) {
		m := newStreamModel(rand.New(rand.NewPCG(seed, 2)))
		for range 80 {
			m.step()
		}
		m.fetch(len(m.entries)) // all that is left
		m.fetch(1)
		if m.told != m.lost {
			t.Fatalf("seed %d: %d losses told, %d entries lost", seed, m.told, m.lost)
		}
	}
}

// streamModel is a stream, a reader's tally, and the truth.
type streamModel struct {
	rng        *rand.Rand
	entries    []uint64
	last       uint64
	added      int64
	seen       uint64
	tally      tally
	lost, told int64
}

func newStreamModel(rng *rand.Rand) *streamModel {
	m := &streamModel{rng: rng}
	m.add(rng.IntN(5))
	m.remove(0, rng.IntN(3))
	if rng.IntN(2) == 0 {
		m.seen = m.last
	}
	m.lost = 0 // what went before the reader came is no loss
	m.tally = tallyAt(m.state(), id(m.seen, 0))
	return m
}

func (m *streamModel) add(n int) {
	for range n {
		m.last++
		m.added++
		m.entries = append(m.entries, m.last)
	}
}

func (m *streamModel) remove(at, n int) {
	at = min(at, len(m.entries))
	n = min(n, len(m.entries)-at)
	for _, e := range m.entries[at : at+n] {
		if e > m.seen {
			m.lost++
		}
	}
	m.entries = append(m.entries[:at:at], m.entries[at+n:]...)
}

func (m *streamModel) state() rdb.State {
	s := rdb.StreamState{Exists: true, Length: int64(len(m.entries)), LastGenerated: id(m.last, 0), EntriesAdded: m.added}
	if len(m.entries) > 0 {
		s.First = id(m.entries[0], 0)
	}
	return rdb.State{Stream: s, Group: rdb.GroupState{Exists: true, LastDelivered: id(m.seen, 0), EntriesRead: rdb.Unknown}}
}

func (m *streamModel) fetch(most int) {
	m.told += m.tally.look(m.state(), id(m.seen, 0)).entries
	n := 0
	for _, e := range m.entries {
		if e > m.seen && n < most {
			m.seen = e
			n++
		}
	}
	if n == 0 {
		m.told += m.tally.drained(m.state()).entries
	}
	m.tally.read(n)
}

func (m *streamModel) step() {
	switch m.rng.IntN(6) {
	case 0, 1:
		m.add(m.rng.IntN(6))
	case 2:
		m.remove(0, m.rng.IntN(4))
	case 3:
		m.remove(m.rng.IntN(10), 1)
	default:
		m.fetch(1 + m.rng.IntN(5))
	}
}
