package command

import (
	"strings"
	"testing"
)

// Which commands count as hits and misses and which as use of a key was taken
// from redis-server 7.0.15.
func TestWhatCountsAsAccess(t *testing.T) {
	for _, c := range []struct {
		line         string
		hits, misses int64 // of a key that is there, and that is not
		used         bool
	}{
		{"GET k", 1, 1, true},
		{"GETEX k", 1, 1, true},
		{"STRLEN k", 1, 1, true},
		{"TOUCH k", 1, 1, true},
		{"COPY k z", 1, 1, true},
		{"EXISTS k k", 2, 2, false},
		{"TYPE k", 1, 1, false},
		{"TTL k", 1, 1, false},
		{"PEXPIRETIME k", 1, 1, false},
		{"OBJECT ENCODING k", 1, 1, false},
		{"DEL q", 0, 0, false},
		{"SET k v NX", 0, 0, true},
		{"SETNX k v", 0, 0, true},
		{"MSETNX q v k v", 0, 0, true},
		{"INCR k", 0, 0, true},
		{"INCRBYFLOAT k 1", 0, 0, true},
		{"APPEND k x", 0, 0, true},
		{"SETRANGE k 0 x", 0, 0, true},
		{"SETBIT k 1 1", 0, 0, true},
		{"GETBIT k 1", 1, 1, true},
		{"BITCOUNT k", 1, 1, true},
		{"BITPOS k 1", 1, 1, true},
		{"BITOP NOT z k", 1, 1, true},
		{"BITFIELD k GET u8 0", 1, 1, true},
		{"BITFIELD k SET u8 0 1", 0, 0, true},
		{"BITFIELD_RO k GET u8 0", 1, 1, true},
		{"EXPIRE k 100", 0, 0, true},
		{"PERSIST k", 0, 0, true},
		{"MOVE q 1", 0, 0, false},
		{"RENAMENX q k", 0, 0, false},
		{"RENAMENX k k", 0, 0, true},
	} {
		for _, there := range []bool{true, false} {
			n := newNode()
			if there {
				n.do("SET", "k", "1")
			}
			n.now += 100_000
			before := n.ks.Stats()
			n.do(strings.Fields(c.line)...)
			after := n.ks.Stats()
			wantHits, wantMisses := c.hits, int64(0)
			if !there {
				wantHits, wantMisses = 0, c.misses
			}
			if hits, misses := after.Hits-before.Hits, after.Misses-before.Misses; hits != wantHits || misses != wantMisses {
				t.Errorf("%s, there %v: %d hits, %d misses", c.line, there, hits, misses)
			}
			if !there {
				continue
			}
			want := ":100"
			if c.used {
				want = ":0"
			}
			if idle, _ := n.do("OBJECT", "IDLETIME", "k"); idle != want && idle != strings.TrimPrefix(want, ":") {
				t.Errorf("%s: the key is idle for %s, want %s", c.line, idle, want)
			}
		}
	}
}
