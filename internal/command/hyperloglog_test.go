package command

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/internal/hll"
	"redoubt/storage"
)

func TestHyperLogLogs(t *testing.T) {
	n := newNode()
	for _, c := range []struct{ line, reply, effect string }{
		{"PFADD h", ":1", "PFADD h"},
		{"PFADD h", ":0", ""},
		{"PFADD h a b c", ":1", "PFADD h a b c"},
		{"PFADD h a b c", ":0", ""},
		// The count is kept in the value, which goes to replicas.
		{"PFCOUNT h", ":3", "PFCOUNT h"},
		{"PFCOUNT h", ":3", ""},
		{"PFCOUNT h none h", ":3", ""},
		{"PFCOUNT none", ":0", ""},
		{"OBJECT ENCODING h", "raw", ""},
		{"PFDEBUG DECODE h", "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603", ""},
		{"PFMERGE m h none", "+OK", "PFMERGE m h none"},
		{"PFCOUNT m", ":3", "PFCOUNT m"},
		{"PFMERGE m", "+OK", "PFMERGE m"},
		{"PFDEBUG ENCODING m", "+sparse", ""},
		{"PFDEBUG TODENSE m", ":1", "PFDEBUG TODENSE m"},
		{"PFDEBUG TODENSE m", ":0", ""},
		{"PFDEBUG DECODE m", "-ERR HLL encoding is not sparse", ""},
		{"PFMERGE h m", "+OK", "PFMERGE h m"},
		{"PFDEBUG ENCODING h", "+dense", ""},
		{"PFCOUNT h", ":3", "PFCOUNT h"},
		{"PFADD h d", ":1", "PFADD h d"},
		{"PFCOUNT h", ":4", "PFCOUNT h"},
		{"PFDEBUG GETREG none", "-ERR The specified key does not exist", ""},
		{"PFDEBUG X h", "-ERR Unknown PFDEBUG subcommand 'X'", ""},
		{"SET s text", "+OK", "SET s text"},
		{"PFADD s a", "-WRONGTYPE Key is not a valid HyperLogLog string value.", ""},
		{"PFCOUNT h s", "-WRONGTYPE Key is not a valid HyperLogLog string value.", ""},
		{"PFMERGE s h", "-WRONGTYPE Key is not a valid HyperLogLog string value.", ""},
		{"RPUSH l a", ":1", "RPUSH l a"},
		{"PFCOUNT l", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"PFSELFTEST", "+OK", ""},
	} {
		if reply, effect := n.do(strings.Fields(c.line)...); reply != c.reply || effect != c.effect {
			t.Errorf("%s: %q, in the stream %q", c.line, reply, effect)
		}
	}
}

// What a value ends in that has not all registers is refused, and stays as it is.
func TestCorruptHyperLogLogsAreRefused(t *testing.T) {
	n := newNode()
	for tail, broken := range map[string]bool{"": false, "hello": true, "\x40": true, "\x80": true} {
		n.do("DEL", "h", "m")
		n.do("PFADD", "h", "a", "b", "c")
		n.do("APPEND", "h", tail)
		before, _ := n.do("GET", "h")
		for _, line := range []string{"PFADD h d e f", "PFCOUNT h", "PFCOUNT h none", "PFMERGE m h", "PFMERGE h none", "PFDEBUG TODENSE h", "PFDEBUG GETREG h"} {
			reply, effect := n.do(strings.Fields(line)...)
			if refused := reply == "-INVALIDOBJ Corrupted HLL object detected"; refused != broken || refused && effect != "" {
				t.Errorf("with %q at its end, %s: %.80q, in the stream %q", tail, line, reply, effect)
			}
		}
		if after, _ := n.do("GET", "h"); broken && after != before {
			t.Errorf("with %q at its end it has become %q", tail, after)
		}
	}
}

// A replica's data are those of its primary: it does not keep what it has counted.
func TestAReplicaCountsWithoutKeepingTheCount(t *testing.T) {
	n := newNode()
	n.do("PFADD", "h", "a", "b")
	before, _ := n.do("GET", "h")
	n.exec.BeginWorld(n.now).SetRole(storage.RoleReplica)
	n.exec.End()
	if reply, effect := n.do("PFCOUNT", "h"); reply != ":2" || effect != "" {
		t.Errorf("it counts %s, in the stream %q", reply, effect)
	}
	if after, _ := n.do("GET", "h"); after != before {
		t.Error("the value has changed")
	}
}

func TestSparseMaxBytesActs(t *testing.T) {
	for limit, want := range map[int]string{200: "+dense", 3000: "+sparse"} {
		n := newNode()
		n.sparse = limit
		for i := range 100 {
			n.do("PFADD", "h", fmt.Sprint("e", i))
			n.do("PFADD", "m", fmt.Sprint("f", i))
		}
		if got, _ := n.do("PFDEBUG", "ENCODING", "h"); got != want {
			t.Errorf("up to %d bytes: %s", limit, got)
		}
		n.do("PFMERGE", "m", "h")
		if got, _ := n.do("PFDEBUG", "ENCODING", "m"); got != want {
			t.Errorf("a merger up to %d bytes: %s", limit, got)
		}
		if got, _ := n.do("PFCOUNT", "m"); got != ":198" && got != ":199" && got != ":200" && got != ":201" {
			t.Errorf("it counts %s", got)
		}
	}
}

// Adding what was added before writes nothing, whatever the form.
func TestAddingAgainIsNoChange(t *testing.T) {
	n := newNode()
	for i := range 5000 {
		n.do("PFADD", "h", fmt.Sprint(i))
	}
	if v, _ := n.do("STRLEN", "h"); v != fmt.Sprint(":", hll.DenseBytes) {
		t.Fatalf("the value has %s bytes", v)
	}
	before := n.ks.Stats().Dirty
	for i := range 5000 {
		n.do("PFADD", "h", fmt.Sprint(i))
	}
	if after := n.ks.Stats().Dirty; after != before {
		t.Errorf("%d changes", after-before)
	}
}
