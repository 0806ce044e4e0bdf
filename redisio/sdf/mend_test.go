package sdf

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

func TestDiagnosisOfGroupAndStream(t *testing.T) {
	pos := id(50, 3)
	state := func(end message.EntryID, delivered ...message.EntryID) rdb.State {
		st := rdb.State{Stream: rdb.StreamState{Exists: true, LastGenerated: end}}
		for _, d := range delivered {
			st.Group = rdb.GroupState{Exists: true, LastDelivered: d}
		}
		return st
	}
	for name, tc := range map[string]struct {
		st     rdb.State
		pos    message.EntryID
		ahead  bool
		want   remedy
		needed bool
	}{
		"as expected":                     {state(id(90, 0), pos), pos, false, remedy{}, false},
		"nothing new":                     {state(pos, pos), pos, false, remedy{}, false},
		"group ahead of the reader":       {state(id(90, 0), id(80, 0)), pos, false, remedy{}, false},
		"group behind the reader":         {state(id(90, 0), id(10, 0)), pos, false, remedy{}, false},
		"both gone":                       {rdb.State{}, pos, false, remedy{createGroup: true, replaced: true}, true},
		"made anew, still shorter":        {state(id(50, 2)), pos, false, remedy{createGroup: true, replaced: true}, true},
		"group destroyed":                 {state(id(90, 0)), pos, false, remedy{createGroup: true, at: pos}, true},
		"group destroyed, nothing new":    {state(pos), pos, false, remedy{createGroup: true, at: pos}, true},
		"group destroyed, nothing read":   {state(id(90, 0)), id(0, 0), false, remedy{createGroup: true}, true},
		"new job, stream not there yet":   {rdb.State{}, id(0, 0), false, remedy{createGroup: true}, true},
		"older copy of stream and group":  {state(id(40, 0), id(30, 0)), pos, false, remedy{replaced: true, at: id(30, 0)}, true},
		"made anew by a failed bundle":    {state(id(3, 0), id(0, 0)), pos, false, remedy{replaced: true}, true},
		"older copy, group at its end":    {state(id(40, 0), id(40, 0)), pos, false, remedy{replaced: true, at: id(40, 0)}, true},
		"group set beyond its stream":     {state(id(40, 0), pos), pos, false, remedy{replaced: true, setGroup: true, at: id(40, 0)}, true},
		"empty stream, group set beyond":  {state(id(0, 0), pos), pos, false, remedy{replaced: true, setGroup: true}, true},
		"group beyond, the reader is not": {state(id(50, 3), id(99, 0)), pos, false, remedy{setGroup: true, at: pos}, true},
		"start ahead of the stream":       {state(id(40, 0), pos), pos, true, remedy{}, false},
		"start ahead, group destroyed":    {state(id(40, 0)), pos, true, remedy{createGroup: true, at: pos}, true},
		"start ahead, stream not there":   {rdb.State{}, pos, true, remedy{createGroup: true, at: pos}, true},
		"start ahead, stream came there":  {state(id(60, 0), pos), pos, true, remedy{}, false},
		"one entry short of the position": {state(id(50, 2), id(50, 2)), pos, false, remedy{replaced: true, at: id(50, 2)}, true},
	} {
		got, needed := diagnose(tc.st, tc.pos, tc.ahead)
		if needed != tc.needed {
			t.Errorf("%s: needed %v, want %v", name, needed, tc.needed)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(remedy{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
