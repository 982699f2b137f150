package raftgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What is acknowledged is on two of three nodes. One of the two comes back without what it
// had acknowledged with, the other is away, and the third has never had the data: nobody may
// lead, or it would be lost. When the other is back the node is added as a new member.
func TestMemberThatHasLostWhatItCountedWith(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, dir, old string){
		"log": func(t *testing.T, dir, _ string) { remove(t, filepath.Join(dir, "raft")) },
		"part of the log": func(t *testing.T, dir, _ string) {
			if err := os.MkdirAll(filepath.Join(dir, "raft", "snapshots", "1-2-3"), 0o755); err != nil {
				t.Fatal(err)
			}
			remove(t, filepath.Join(dir, "raft", "log"))
		},
		"journal": func(t *testing.T, dir, _ string) { remove(t, filepath.Join(dir, "journal")) },
		"both": func(t *testing.T, dir, _ string) {
			remove(t, filepath.Join(dir, "raft"), filepath.Join(dir, "journal"))
		},
		"end of the journal": func(t *testing.T, dir, old string) {
			remove(t, filepath.Join(dir, "journal"))
			copyDir(t, old, filepath.Join(dir, "journal"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newPatientLab(t, "a", "b", "c")
			l.form("a")
			if err := l.leader().write(set(1)); err != nil {
				t.Fatal(err)
			}
			b := l.node("b")
			l.until(func() bool { return b.stream.Synced() >= l.node("a").stream.End() })
			l.kill("b")
			old := filepath.Join(t.TempDir(), "journal")
			copyDir(t, filepath.Join(b.dir, "journal"), old)
			l.start("b")
			former := l.member("b")
			l.mu.Lock()
			l.cut[[2]string{"a", "c"}] = true
			l.mu.Unlock()
			for i := range 20 {
				if err := l.node("a").write(set(i + 100)); err != nil {
					t.Fatal(err)
				}
			}
			if c := l.node("c"); c.stream.End() >= l.node("a").stream.End() {
				t.Fatal("the third has it")
			}
			l.kill("b")
			l.kill("a")
			lose(t, b.dir, old)
			l.start("b")
			for began := time.Now(); time.Since(began) < 4*time.Second; time.Sleep(20 * time.Millisecond) {
				if l.node("b").group.Leads() || l.node("c").group.Leads() {
					t.Fatal("a node leads without what is acknowledged")
				}
			}
			l.mu.Lock()
			clear(l.cut)
			l.mu.Unlock()
			l.start("a")
			l.until(func() bool {
				v, _ := l.leader().group.Voters()
				return len(v) == 3 && slices.Contains(v, l.member("b")) && l.node("b").stream.Synced() >= l.node("a").stream.End()
			})
			if l.member("b") == former {
				t.Error("the node is the member that it was")
			}
			if k := keys(t, l.node("b")); !k["00000119"] {
				t.Error("it lacks what was acknowledged")
			}
		})
	}
}

// A node that belonged to a group founds no other, whatever it has lost; one that has not
// finished founding its own does.
func TestWhoFounds(t *testing.T) {
	l := newLab(t, "a")
	a := l.node("a")
	if err := a.group.store.Set(foundingKey, []byte("it")); err != nil {
		t.Fatal(err)
	}
	l.kill("a")
	a.onRecord = "it"
	l.start("a")
	if err := l.node("a").group.Bootstrap(); err != nil {
		t.Fatal("a founder that was interrupted:", err)
	}
	l.leader()
	l.kill("a")
	remove(t, filepath.Join(a.dir, "raft"))
	l.start("a")
	if err := l.node("a").group.Bootstrap(); err != ErrForgotten {
		t.Fatal("a node whose log is gone:", err)
	}
}

// The log of a shard that the node has left is put away.
func TestLogOfAShardThatWasLeft(t *testing.T) {
	l := newLab(t, "a")
	if err := l.node("a").group.Bootstrap(); err != nil {
		t.Fatal(err)
	}
	l.leader()
	former := l.member("a")
	l.kill("a")
	l.node("a").onRecord = ""
	a := l.start("a")
	if a.group.Name() != "" || a.group.Self() == former {
		t.Fatalf("it is %s of %q", a.group.Self(), a.group.Name())
	}
	if _, err := os.Stat(filepath.Join(a.dir, "raft.old", "log")); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			t.Fatal(err)
		}
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// A node that gives up its data does not lead before it has those of the primary, though its
// log is the longest.
func TestNodeThatForgets(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	l.until(func() bool { return l.node("b").stream.Synced() >= l.node("a").stream.End() })
	b := l.node("b")
	if err := b.group.Without(func() error { b.late.Store(true); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := b.group.wire.RequestPreVote("c", "c", nil, nil); err != errOwes {
		t.Fatal(err)
	}
	if err := l.leader().group.Transfer(b.group.Self()); err == nil {
		t.Fatal("it takes the lead")
	}
	if err := l.leader().write(set(1)); err != nil {
		t.Fatal(err)
	}
	if l.leader().id != "a" || !b.group.Owes() {
		t.Fatal("it has the data")
	}
	b.late.Store(false)
	l.until(func() bool { return !b.group.Owes() }) // nobody writes for that
}

// Who founds a group owes nothing.
func TestFounderOwesNothing(t *testing.T) {
	l := newLab(t, "a")
	g := l.node("a").group
	if err := errors.Join(g.Without(func() error { return nil }), g.Bootstrap()); err != nil || g.store.owes.Load() {
		t.Fatal(err, g.store.owes.Load())
	}
}
