package command

import (
	"errors"
	"testing"
)

func TestApplyOfAStreamGivesTheSameData(t *testing.T) {
	primary, replica := newNode(), newNode()
	a := NewApplier(replica.table, replica.exec, replica)
	for _, line := range []string{
		"set a 1", "set b v px 5000", "incr a", "append c xyz", "setrange c 5 q", "rename c d",
		"mset x 1 y 2 z 3", "del x", "incrbyfloat f 1.5", "copy y w", "expire y 100", "getdel z",
	} {
		primary.doStream(t, line, func(unit []Effect) {
			recorded := false
			if err := a.Apply(0, unit, primary.end, func() { recorded = true }); err != nil || !recorded {
				t.Fatalf("%s: %v", line, err)
			}
		})
	}
	p, r := primary.exec.BeginWorld(0).Digest(), replica.exec.BeginWorld(0).Digest()
	primary.exec.End()
	replica.exec.End()
	if p != r {
		t.Error("the digests differ")
	}
	if len(replica.sent) != 0 {
		t.Errorf("applying recorded effects of its own: %q", replica.sent)
	}
}

func TestApplyRefusesWhatItDoesNotKnowBeforeItChangesAnything(t *testing.T) {
	n := newNode()
	a := NewApplier(n.table, n.exec, n)
	err := a.Apply(0, []Effect{{Args: args("set k v")}, {Args: args("nosuch l v")}}, 1, nil)
	if !errors.Is(err, ErrUnknownEffect) {
		t.Fatalf("error %v", err)
	}
	if reply, _ := n.do("exists", "k"); reply != ":0" {
		t.Error("a part of the unit was executed")
	}
	if err := a.Apply(0, []Effect{{DB: 99, Args: args("set k v")}}, 1, nil); !errors.Is(err, ErrUnknownEffect) {
		t.Errorf("database 99: %v", err)
	}
}

func TestAnAppliedKeyLivesUntilItsDel(t *testing.T) {
	n := newNode()
	a := NewApplier(n.table, n.exec, n)
	for _, line := range []string{"set k v pxat 5", "append k w", "rename k l"} {
		if err := a.Apply(n.now, []Effect{{Args: args(line)}}, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.ks.Len(0); got != 1 {
		t.Errorf("%d keys, want the expired one", got)
	}
}
