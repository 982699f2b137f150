package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/slots"
)

// slotNode starts a node of a cluster that has every slot and two replicas, and counts
// by slots.
func slotNode(t testing.TB, directives ...string) *node {
	f := newFakeReplication()
	f.attached = 2
	return startParts(t, func(c *Config) {
		c.Cluster, c.Replication = &fakeCluster{elsewhere: slots.Of([]byte("far")), moving: slots.Count}, f
	}, append([]string{"--cluster-enabled", "yes", "--cluster-slot-stats-enabled", "yes"}, directives...)...)
}

// words runs a command whose arguments may have spaces.
func (c *client) words(args ...string) string {
	c.t.Helper()
	var list [][]byte
	for _, a := range args {
		list = append(list, []byte(a))
	}
	c.raw(string(resp.AppendArray(nil, list...)))
	return c.read()
}

// used is the bytes of all slots that have any, but for the slot of key; those of key are
// returned.
func (n *node) used(key string) (of command.SlotUse, others command.SlotUse) {
	for s := range slots.Slot(slots.Count) {
		if s == slots.Of([]byte(key)) {
			of = n.SlotUse(s)
		} else {
			others = others.Plus(n.SlotUse(s))
		}
	}
	return of, others
}

// The sizes are those of the tests of Valkey, unit/cluster/slot-stats; what goes to
// replicas counts twice here.
func TestSlotsCountWhatTheyAreUsedFor(t *testing.T) {
	n := slotNode(t)
	c, other := n.dial(), n.dial()
	const set, lpush = 33, 35 // bytes of SET key value and LPUSH key value
	const call = "return redis.call('get', 'key')"
	c.want("SET key value", "OK")
	for _, test := range []struct {
		name    string
		run     func()
		in, out int64
	}{
		{"a write", func() { c.want("SET key value", "OK") }, set, 5 + 2*set},
		{"a read", func() { c.want("GET key", "value") }, 22, 11},
		{"an inline request", func() { c.raw("SET key value\r\n"); c.wantNext("OK") }, 15, 5 + 2*set},
		{"a command without keys", func() { c.do("INFO") }, 0, 0},
		{"a message", func() { c.want("PUBLISH key value", "0") }, 0, 0},
		{"a request of the wrong length", func() { c.do("GET key key") }, 0, 0},
		{"a transaction", func() {
			c.want("MULTI", "OK")
			c.want("SET key value", "QUEUED")
			c.want("EXEC", "[OK]")
		}, 15 + set + 14, 9 + 2*set},
		{"a transaction that is given up", func() {
			c.want("MULTI", "OK")
			c.want("SET key value", "QUEUED")
			c.want("DISCARD", "OK")
		}, set, 0},
		{"a reply that is not wanted", func() {
			c.send("CLIENT REPLY SKIP")
			c.send("GET key")
			c.want("PING", "PONG")
		}, 22, 0},
		{"a script that names its key", func() { c.words("EVAL", "#!lua\n"+call, "1", "key") }, 74, 11},
		{"a script that names none", func() { c.words("EVAL", "#!lua\n"+call, "0") }, 65, 11},
		{"a script that may use several slots", func() {
			c.words("EVAL", "#!lua flags=allow-cross-slot-keys\n"+call, "0")
			c.words("EVAL", call, "1", "key")
		}, 0, 0},
		{"a transaction with such a script", func() {
			c.want("MULTI", "OK")
			c.words("EVAL", call, "0")
			c.words("EVAL", "#!lua\n"+call, "0")
			c.want("EXEC", "[value value]")
		}, 0, 0},
		{"who subscribes", func() {
			other.want("SSUBSCRIBE key", "[ssubscribe key 1]")
			other.want("SUNSUBSCRIBE", "[sunsubscribe key 0]")
		}, 30, 34},
		{"a message in a slot", func() {
			other.do("SSUBSCRIBE key")
			n.forgetSlots()
			c.want("SPUBLISH key hello", "1")
			other.wantNext("[smessage key hello]")
			other.do("SUNSUBSCRIBE")
		}, 38, 4 + 38},
		{"a message from another node", func() {
			other.do("SSUBSCRIBE key")
			n.forgetSlots()
			n.Publish([]byte("key"), []byte("hello"), true)
			other.wantNext("[smessage key hello]")
			other.do("SUNSUBSCRIBE")
		}, 0, 38},
		{"a command that waits", func() {
			c.want("DEL key", "1")
			n.forgetSlots()
			w := n.blocks("BLPOP key 0")
			if got, _ := n.used("key"); got != (command.SlotUse{}) {
				t.Errorf("a command counts that still waits: %+v", got)
			}
			c.want("LPUSH key value", "1")
			w.wantNext("[key value]")
		}, 31 + lpush, 4 + 24 + 2*(lpush+23)},
	} {
		n.forgetSlots()
		test.run()
		got, others := n.used("key")
		if got.In != test.in || got.Out != test.out {
			t.Errorf("%s: %d bytes in and %d out, want %d and %d", test.name, got.In, got.Out, test.in, test.out)
		}
		if others != (command.SlotUse{}) {
			t.Errorf("%s: other slots %+v", test.name, others)
		}
	}
}

func (n *node) forgetSlots() {
	all := slots.All()
	n.ForgetSlotUse(&all)
}

// What slots and what commands have taken is the same time, exactly.
func TestTheTimeOfSlotsIsThatOfTheirCommands(t *testing.T) {
	n := slotNode(t)
	c := n.dial()
	check := func(names ...string) {
		t.Helper()
		var want time.Duration
		for i, row := range n.table.All() {
			if slices.Contains(names, row.FullName()) {
				want += n.CommandStats(i).Took
			}
		}
		got, _ := n.used("{a}")
		if got.Took != want || want%time.Microsecond != 0 {
			t.Errorf("the slot has taken %v, %v %v", got.Took, names, want)
		}
	}
	c.do("CONFIG RESETSTAT")
	for range 100 {
		c.want("SET {a}b value", "OK")
	}
	w := n.blocks("BLPOP {a}c 0")
	c.want("LPUSH {a}c value", "1")
	w.wantNext("[{a}c value]")
	check("set", "blpop", "lpush")
	c.do("CONFIG RESETSTAT")
	c.want("MULTI", "OK")
	c.want("SET {a}b value", "QUEUED")
	c.want("EXEC", "[OK]")
	check("exec")
	c.do("CONFIG RESETSTAT")
	c.words("EVAL", "#!lua\nreturn redis.call('get', KEYS[1])", "1", "{a}b")
	check("eval")
}

func TestSlotsCountOnlyWhenTheyShall(t *testing.T) {
	n := slotNode(t, "--cluster-slot-stats-enabled", "no")
	c := n.dial()
	c.want("SET key value", "OK")
	if got, _ := n.used("key"); got != (command.SlotUse{}) {
		t.Errorf("%+v was counted", got)
	}
	c.want("CONFIG SET cluster-slot-stats-enabled yes", "OK")
	c.want("SET key value", "OK")
	if got, _ := n.used("key"); got.In != 33 {
		t.Errorf("%+v", got)
	}
	c.want("CONFIG SET cluster-slot-stats-enabled no", "OK")
	c.want("SET key value", "OK")
	if got, _ := n.used("key"); got.In != 33 {
		t.Errorf("%+v was counted after the end", got)
	}
	c.want("CONFIG RESETSTAT", "OK")
	if got, _ := n.used("key"); got != (command.SlotUse{}) {
		t.Errorf("CONFIG RESETSTAT leaves %+v", got)
	}
}

// A refused request has come in, and nothing else of it counts.
func TestRefusedRequestsCountAsReceived(t *testing.T) {
	n := slotNode(t)
	if reply := n.dial().do("GET far"); !strings.Contains(reply, "MOVED") {
		t.Fatal(reply)
	}
	if got, _ := n.used("far"); got != (command.SlotUse{In: 22}) {
		t.Errorf("%+v", got)
	}
}

// Outside of a cluster there is nothing to count.
func TestSlotsDoNotCountOutsideOfACluster(t *testing.T) {
	n := startNode(t, "--cluster-slot-stats-enabled", "yes")
	n.dial().want("SET key value", "OK")
	if got, others := n.used("key"); got != others || got != (command.SlotUse{}) {
		t.Errorf("%+v", got)
	}
}
