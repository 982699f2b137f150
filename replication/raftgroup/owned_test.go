package raftgroup

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What the shard has agreed on is what the next primary is told, after restarts and from snapshots,
// too. What was thought of under a claim that is not the last is void.
func TestOwnedIsAgreedOn(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	n := l.leader()
	claim := func(n *labNode) uint64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.epoch
	}
	owned := func(n *labNode) string {
		n.mu.Lock()
		defer n.mu.Unlock()
		return string(n.owned)
	}
	agree := func(n *labNode, what string, greater bool) {
		t.Helper()
		if err := n.group.Agree(claim(n), []byte(what), greater); err != nil || owned(n) != what {
			t.Fatal(err, owned(n))
		}
	}
	agree(n, "one", false)
	if err := n.group.Agree(claim(n)-1, []byte("stale"), false); !errors.Is(err, ErrNotLeader) || owned(n) != "one" {
		t.Fatal(err, owned(n))
	}
	before := n.group.epoch.Load()
	agree(n, "two", true)
	if after := n.group.epoch.Load(); after <= before {
		t.Fatalf("the epoch is %d, and was %d", after, before)
	}
	for _, o := range l.nodes {
		if err := o.group.Agree(claim(o), []byte("not mine"), false); o != n && !errors.Is(err, ErrNotLeader) {
			t.Fatal(err)
		}
		l.until(func() bool { p := o.group.owned.Load(); return p != nil && string(*p) == "two" })
		if o != n {
			if err := o.group.raft.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
			l.kill(o.id)
			l.start(o.id)
		}
	}
	l.kill(n.id)
	if next := l.leader(); owned(next) != "two" {
		t.Fatalf("the next primary is told %q", owned(next))
	}
}

// A snapshot says what was put into it, with and without what a former version had not.
func TestStateOfASnapshot(t *testing.T) {
	c, m, o := Claim{Epoch: 7}, Mark{Line: strings.Repeat("0f", 20), At: 9}, Owned{What: []byte("slots")}
	for _, k := range []struct {
		entries [][]byte
		want    contents
	}{
		{[][]byte{c.encode()}, contents{claim: c}},
		{[][]byte{c.encode(), m.encode()}, contents{claim: c, mark: &m}},
		{[][]byte{c.encode(), o.encode()}, contents{claim: c, owned: &o}},
		{[][]byte{c.encode(), m.encode(), o.encode()}, contents{claim: c, mark: &m, owned: &o}},
	} {
		b := slices.Concat(k.entries...)
		if got, err := readState(bytes.NewReader(b)); err != nil || !reflect.DeepEqual(got, k.want) {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := readState(bytes.NewReader(nil)); err == nil {
			t.Error("nothing is a snapshot")
		}
		if k.want.owned == nil {
			b = b[:len(b)-1]
			if _, err := readState(bytes.NewReader(b)); err == nil {
				t.Errorf("%x is a snapshot", b)
			}
		}
	}
}

// The log is cut behind a snapshot that the member has taken itself, and a member that was away for
// what is not in the log any more gets the snapshot.
func TestLogIsCutBehindASnapshot(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	n := l.leader()
	l.kill("c")
	for i := range 40 {
		if err := n.write(set(i)); err != nil {
			t.Fatal(err)
		}
	}
	n.mu.Lock()
	claim := n.epoch
	n.mu.Unlock()
	if err := n.group.Agree(claim, []byte("slots"), false); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		r := l.node(id).group.raft
		l.until(func() bool { return r.AppliedIndex() == r.LastIndex() })
		config := r.ReloadableConfig()
		config.TrailingLogs = 2
		if err := r.ReloadConfig(config); err != nil {
			t.Fatal(err)
		}
		if err := r.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		if first, last := l.node(id).group.store.first.Load(), l.node(id).group.store.last.Load(); last-first > 4 {
			t.Fatalf("the log of %s begins at %d, and ends at %d", id, first, last)
		}
	}
	c := l.start("c")
	end := n.stream.End()
	l.until(func() bool { return c.stream.Synced() >= end && !c.group.Owes() && c.group.owned.Load() != nil })
	l.kill("a")
	l.kill("b")
	l.start("b")
	next := l.leader()
	if err := next.write(set(100)); err != nil {
		t.Fatal(err)
	}
	if k := keys(t, next); !k["00000039"] || string(*next.group.owned.Load()) != "slots" {
		t.Error("something is not there any more")
	}
}
