package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/slots"
)

func TestRepliesAndEffectsOfCollections(t *testing.T) {
	for _, c := range []struct {
		name, setup, line, reply, effect, events string
	}{
		{"RPUSH goes out as it came", "", "rpush l a b", ":2", "rpush l a b", "rpush l"},
		{"LPUSHX without a list is nothing", "", "lpushx l a", ":0", "", ""},
		{"LPOP goes out as it came", "rpush l a b", "lpop l", "a", "lpop l", "lpop l"},
		{"the last element takes the key along", "rpush l a", "rpop l 5", "a", "rpop l 5", "rpop l, del l"},
		{"LPOP of no elements is nothing", "rpush l a", "lpop l 0", "", "", ""},
		{"LTRIM of nothing has an event all the same", "rpush l a", "ltrim l 0 -1", "+OK", "", "ltrim l"},
		{"LREM", "rpush l a b a", "lrem l 0 a", ":2", "lrem l 0 a", "lrem l"},
		{"LREM of nothing is nothing", "rpush l a", "lrem l 0 x", ":0", "", ""},
		{"LMOVE notes the push first", "rpush l a", "lmove l m left right", "a", "lmove l m left right", "rpush m, lpop l, del l"},
		{"LMOVE within a list of one", "rpush l a", "lmove l l left right", "a", "lmove l l left right", "rpush l, lpop l"},
		{"RPOPLPUSH stays itself", "rpush l a b", "rpoplpush l m", "b", "rpoplpush l m", "lpush m, rpop l"},
		{"LMPOP is a pop of what was there", "rpush l a b", "lmpop 2 k l left count 5", "l *2 a b", "LPOP l 2", "lpop l, del l"},
		{"LMPOP of one", "rpush l a b", "lmpop 1 l right", "l *1 b", "RPOP l 1", "rpop l"},
		{"LMPOP of nothing is nothing", "", "lmpop 1 l right", "*-1", "", ""},
		{"HSET with what is there is a change", "hset h a 1", "hset h a 1", ":0", "hset h a 1", "hset h"},
		{"HMSET's event is that of HSET", "", "hmset h a 1", "+OK", "hmset h a 1", "hset h"},
		{"HINCRBY goes out as it came", "", "hincrby h a 5", ":5", "hincrby h a 5", "hincrby h"},
		{"HINCRBYFLOAT is an HSET of the result", "hset h a 1", "hincrbyfloat h a 0.5", "1.5", "HSET h a 1.5", "hincrbyfloat h"},
		{"HDEL of the last field", "hset h a 1", "hdel h a b", ":1", "hdel h a b", "hdel h, del h"},
		{"SADD of what is there is nothing", "sadd s a", "sadd s a", ":0", "", ""},
		{"SPOP is an SREM", "sadd s a", "spop s", "a", "SREM s a", "spop s, del s"},
		{"SPOP of all is a DEL", "sadd s a", "spop s 7", "a", "DEL s", "spop s, del s"},
		{"SPOP of none is nothing", "sadd s a", "spop s 0", "", "", ""},
		{"SMOVE goes out as it came", "sadd s a", "smove s t a", ":1", "smove s t a", "srem s, del s, sadd t"},
		{"SMOVE of what is not there is nothing", "sadd s a", "smove s t b", ":0", "", ""},
		{"SINTERSTORE stays itself", "sadd s a b", "sinterstore d s s", ":2", "sinterstore d s s", "sinterstore d"},
		{"SDIFFSTORE of nothing deletes", "sadd s a", "sdiffstore s s s", ":0", "sdiffstore s s s", "del s"},
		{"SDIFFSTORE of nothing to nowhere is nothing", "sadd s a", "sdiffstore d s s", ":0", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode()
			n.listen()
			if c.setup != "" {
				n.do(strings.Fields(c.setup)...)
			}
			n.noted = nil
			reply, effect := n.do(strings.Fields(c.line)...)
			if events := strings.Join(n.noted, ", "); reply != c.reply || effect != c.effect || events != c.events {
				t.Errorf("%s:\nreply %q, effect %q, events %q;\nwant  %q, %q, %q", c.line, reply, effect, events, c.reply, c.effect, c.events)
			}
		})
	}
}

func TestServerDeletionsGoOutAsUnlinkIfAsked(t *testing.T) {
	n := newNode()
	n.do("sadd", "s", "a")
	payload := string(n.run([][]byte{[]byte("dump"), []byte("s")}, 2))
	_, payload, _ = strings.Cut(strings.TrimSuffix(payload, "\r\n"), "\r\n")
	for _, lazy := range []bool{false, true} {
		want := map[bool]string{false: "DEL s", true: "UNLINK s"}[lazy]
		n.lazy = lazy
		n.do("sadd", "s", "a")
		if _, effect := n.do("spop", "s", "1"); effect != want {
			t.Errorf("SPOP goes out as %q, want %q", effect, want)
		}
		n.do("sadd", "s", "a")
		if reply, effect := n.do("restore", "s", "1", payload, "replace", "absttl"); effect != want {
			t.Errorf("RESTORE answers %q and goes out as %q, want %q", reply, effect, want)
		}
	}
}

// A replica must end with the members that the primary kept.
func TestSPopPropagatesWhatItChose(t *testing.T) {
	n, replica := newNode(), newNode()
	a := NewApplier(replica.table, replica.exec, replica)
	apply := func(unit []Effect) {
		unit = slices.DeleteFunc(unit, func(e Effect) bool { return is(e.Args[0], "MULTI") || is(e.Args[0], "EXEC") })
		if err := a.Apply(n.now, unit, n.end, nil); err != nil {
			t.Fatal(err)
		}
	}
	line := []string{"sadd", "s"}
	for i := range 5000 {
		line = append(line, fmt.Sprintf("member:%d", i))
	}
	n.doStream(t, strings.Join(line, " "), apply)
	n.doStream(t, "spop s 3000", apply)
	if got := strings.Count(strings.Join(n.sent, ""), "SREM"); got != 3 {
		t.Errorf("3000 members went out in %d commands", got)
	}
	n.doStream(t, "spop s", apply)
	digest := func(n *node) string {
		tx := n.exec.Begin(n.now, []slots.Slot{slots.Of([]byte("s"))})
		defer n.exec.End()
		return fmt.Sprintf("%x", tx.DigestValue([]byte("s")))
	}
	if digest(n) != digest(replica) {
		t.Error("the sets differ")
	}
	if reply, _ := replica.do("scard", "s"); reply != ":1999" {
		t.Errorf("the replica has %s members", reply)
	}
}

func TestWhatCollectionCommandsCountAs(t *testing.T) {
	for line, want := range map[string]int64{
		"rpush l x y z":            3,
		"lmove l m left left":      1,
		"rpoplpush l l":            1,
		"ltrim l 0 0":              2,
		"lmpop 1 l left count 2":   2,
		"hset h x 1 y 2":           2,
		"hincrbyfloat h a 1":       1,
		"sadd s a x y":             2,
		"smove s t a":              2,
		"spop s 2":                 2,
		"spop s 10":                3,
		"sunionstore s s t":        1,
		"sdiffstore s t t":         1,
		"sinterstore none t none1": 0,
	} {
		n := newNode()
		n.do("rpush", "l", "a", "b", "c")
		n.do("hset", "h", "a", "1")
		n.do("sadd", "s", "a", "b", "c")
		before := n.ks.Stats().Dirty
		n.do(strings.Fields(line)...)
		if got := n.ks.Stats().Dirty - before; got != want {
			t.Errorf("%s counts as %d changes, want %d", line, got, want)
		}
	}
}

func TestDistinctChoosesEachNumberAlike(t *testing.T) {
	for _, k := range []int{0, 1, 3, 5, 10} {
		const n, rounds = 10, 20000
		var seen [n]int
		for range rounds {
			picked := distinct(n, k)
			if len(picked) != k || !slices.IsSorted(picked) || len(slices.Compact(slices.Clone(picked))) != k {
				t.Fatalf("%d of %d: %v", k, n, picked)
			}
			for _, i := range picked {
				seen[i]++
			}
		}
		for i, got := range seen {
			// Ten standard deviations of the most scattered count, k = 5, are 707.
			if want := rounds * k / n; got < want-707 || got > want+707 {
				t.Errorf("%d of %d: %d was chosen %d times, expected %d", k, n, i, got, want)
			}
		}
	}
}

func TestARandomReplyIsBounded(t *testing.T) {
	n := newNode()
	n.do("sadd", "s", strings.Repeat("x", 1<<20))
	n.do("hset", "h", "f", strings.Repeat("x", 1<<20))
	for _, line := range []string{"srandmember s -600", "hrandfield h -600 withvalues"} {
		if reply, _ := n.do(strings.Fields(line)...); reply != "-ERR value is out of range" {
			t.Errorf("%s: %.100s", line, reply)
		}
	}
	if reply, _ := n.do("srandmember", "s", "-3"); len(reply) < 3<<20 {
		t.Errorf("three members are %d bytes", len(reply))
	}
}

func TestScansOfLargeCollectionsSeeEachElementOnce(t *testing.T) {
	n := newNode()
	want := map[string]bool{}
	for i := range 1000 {
		e := fmt.Sprintf("e%d", i)
		n.do("hset", "c{h}", e, "v")
		n.do("sadd", "c{s}", e)
		n.do("zadd", "c{z}", fmt.Sprint(i), e)
		want[e] = true
	}
	for _, line := range []string{"hscan c{h} %s count 7 novalues", "sscan c{s} %s count 7", "zscan c{z} %s noscores count 7"} {
		seen := map[string]bool{}
		cursor, rounds := "0", 0
		for rounds == 0 || cursor != "0" {
			reply, _ := n.do(strings.Fields(fmt.Sprintf(line, cursor))...)
			words := strings.Fields(reply)
			cursor = words[0]
			if len(words)-2 > 20 {
				t.Fatalf("%s: a call returned %d elements", line, len(words)-2)
			}
			for _, e := range words[2:] {
				if seen[e] || !want[e] {
					t.Fatalf("%s: %q came twice or was never added", line, e)
				}
				seen[e] = true
			}
			if rounds++; rounds > 1000 {
				t.Fatal("the iteration does not end")
			}
		}
		if len(seen) != len(want) {
			t.Errorf("%s: %d of %d elements were seen", line, len(seen), len(want))
		}
	}
}

// Many sets take another way than few.
func TestOperationsOnManySets(t *testing.T) {
	n := newNode()
	var keys []string
	for i := range 9 {
		k := fmt.Sprintf("s%d", i)
		keys = append(keys, k)
		n.do("sadd", k, fmt.Sprint(i), fmt.Sprint(i+1), "all")
	}
	n.do("sadd", "first", "0", "5", "9", "all", "none")
	for line, want := range map[string]string{
		"sunion ":        "0 1 2 3 4 5 6 7 8 9 all",
		"sinter ":        "all",
		"sdiff first ":   "none",
		"sdiff missing ": "",
	} {
		reply, _ := n.do(strings.Fields(line + strings.Join(keys, " "))...)
		words := strings.Fields(reply)
		slices.Sort(words)
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// Commands on several keys find some of them expired while they already hold
// others of the same slot.
func TestExpiredCollectionsAmongSeveralKeys(t *testing.T) {
	for _, c := range []struct{ line, reply, effect string }{
		{"lmove {a}live {a}dead left left", "1", "MULTI DEL {a}dead lmove {a}live {a}dead left left EXEC"},
		{"lmove {a}dead {a}live left left", "$-1", "DEL {a}dead"},
		{"rpoplpush {a}live {a}deadset", "2", "MULTI DEL {a}deadset rpoplpush {a}live {a}deadset EXEC"},
		{"lmpop 3 {a}dead {a}none {a}live left", "{a}live *1 1", "MULTI DEL {a}dead LPOP {a}live 1 EXEC"},
		{"lpop {a}dead", "$-1", "DEL {a}dead"},
		{"rpushx {a}dead x", ":0", "DEL {a}dead"},
		{"rpush {a}dead x", ":1", "MULTI DEL {a}dead rpush {a}dead x EXEC"},
		{"smove {a}set {a}deadset m", ":1", "MULTI DEL {a}deadset smove {a}set {a}deadset m EXEC"},
		{"smove {a}deadset {a}set m", ":0", "DEL {a}deadset"},
		{"sinter {a}set {a}deadset {a}dead", "", "MULTI DEL {a}deadset DEL {a}dead EXEC"},
		{"sunion {a}set {a}deadset {a}set", "m", "DEL {a}deadset"},
		{"sunionstore {a}dead {a}set {a}deadset", ":1", "MULTI DEL {a}deadset DEL {a}dead sunionstore {a}dead {a}set {a}deadset EXEC"},
		{"sdiffstore {a}deadset {a}deadset {a}set", ":0", "DEL {a}deadset"},
		{"sintercard 2 {a}set {a}deadset", ":0", "DEL {a}deadset"},
		{"hset {a}dead f v", ":1", "MULTI DEL {a}dead hset {a}dead f v EXEC"},
		{"hincrby {a}deadset f 5", ":5", "MULTI DEL {a}deadset hincrby {a}deadset f 5 EXEC"},
	} {
		t.Run(c.line, func(t *testing.T) {
			n := newNode()
			for _, line := range []string{
				"rpush {a}live 1 2", "rpush {a}dead 1", "pexpire {a}dead 5", "sadd {a}set m", "sadd {a}deadset m", "pexpire {a}deadset 5",
			} {
				n.do(strings.Fields(line)...)
			}
			n.now += 6
			reply, effect := n.do(strings.Fields(c.line)...)
			effect = strings.Join(slices.DeleteFunc(strings.Fields(effect), func(w string) bool { return w[0] == '*' }), " ")
			if reply != c.reply || effect != c.effect {
				t.Errorf("reply %q, effect %q; want %q, %q", reply, effect, c.reply, c.effect)
			}
		})
	}
}
