package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"redoubt/replication"
	"redoubt/storage"
)

// The clock stands at 1000000 for the set-up, and goes on by so many milliseconds
// before the line.
func TestRepliesAndEffectsOfFieldExpiry(t *testing.T) {
	const numfields = "-ERR numfields should be greater than 0 and match the provided number of fields"
	for _, c := range []struct {
		name, setup string
		later       int64
		line        string
		reply       string
		effect      string
		events      string
	}{
		{"HEXPIRE is an HPEXPIREAT of what it changed", "hset h a 1 b 2", 0, "hexpire h 10 fields 3 a x b",
			":1 :-2 :1", "HPEXPIREAT h 1010000 FIELDS 2 a b", "hexpire h"},
		{"HPEXPIRE", "hset h a 1", 0, "hpexpire h 10 fields 1 a", ":1", "HPEXPIREAT h 1000010 FIELDS 1 a", "hexpire h"},
		{"HEXPIREAT", "hset h a 1", 0, "hexpireat h 2000 fields 1 a", ":1", "HPEXPIREAT h 2000000 FIELDS 1 a", "hexpire h"},
		{"HPEXPIREAT", "hset h a 1", 0, "hpexpireat h 2000001 fields 1 a", ":1", "HPEXPIREAT h 2000001 FIELDS 1 a", "hexpire h"},
		{"no key", "", 0, "hexpire h 10 fields 2 a b", ":-2 :-2", "", ""},
		{"NX of a field that expires", "hsetex h ex 5 fields 1 a 1; hset h b 2", 0, "hexpire h 10 nx fields 2 a b",
			":0 :1", "HPEXPIREAT h 1010000 FIELDS 1 b", "hexpire h"},
		{"XX of a field that does not", "hsetex h ex 5 fields 1 a 1; hset h b 2", 0, "hexpire h 10 XX fields 2 a b",
			":1 :0", "HPEXPIREAT h 1010000 FIELDS 1 a", "hexpire h"},
		{"GT counts no expiry as never", "hsetex h ex 5 fields 1 a 1; hset h b 2", 0, "hexpire h 10 GT fields 2 a b",
			":1 :0", "HPEXPIREAT h 1010000 FIELDS 1 a", "hexpire h"},
		{"GT of what is not greater", "hsetex h ex 5 fields 1 a 1", 0, "hexpire h 5 gt fields 1 a", ":0", "", ""},
		{"LT", "hsetex h ex 5 fields 1 a 1; hset h b 2", 0, "hexpire h 5 LT fields 2 a b",
			":0 :1", "HPEXPIREAT h 1005000 FIELDS 1 b", "hexpire h"},
		{"a time in the past deletes", "hset h a 1 b 2", 0, "hpexpireat h 1000000 fields 2 a x", ":2 :-2", "HDEL h a", "hexpired h"},
		{"zero deletes", "hset h a 1", 0, "hexpire h 0 fields 1 a", ":2", "HDEL h a", "hexpired h, del h"},
		{"the condition comes before the past", "hsetex h ex 5 fields 1 a 1", 0, "hpexpireat h 1 gt fields 1 a", ":0", "", ""},
		{"a field twice", "hset h a 1", 0, "hexpire h 0 fields 2 a a", ":2 :-2", "HDEL h a", "hexpired h, del h"},
		{"a negative time", "hset h a 1", 0, "hexpire h -1 fields 1 a", "-ERR invalid expire time in 'hexpire' command", "", ""},
		{"a time that is too far", "hset h a 1", 0, "hexpire h 9223372036854775 fields 1 a", "-ERR invalid expire time in 'hexpire' command", "", ""},
		{"the last time there is", "hset h a 1", 0, "hpexpireat h 9223372036854775807 fields 1 a", ":1", "HPEXPIREAT h 9223372036854775807 FIELDS 1 a", "hexpire h"},
		{"no number", "hset h a 1", 0, "hexpire h x fields 1 a", "-ERR value is not an integer or out of range", "", ""},
		{"numfields too small", "hset h a 1", 0, "hexpire h 1 fields 1 a b", numfields, "", ""},
		{"numfields too great", "hset h a 1", 0, "hexpire h 1 fields 3 a b", numfields, "", ""},
		{"numfields of none", "hset h a 1", 0, "hexpire h 1 fields 0 a", numfields, "", ""},
		{"numfields below none", "hset h a 1", 0, "hexpire h 1 fields -1 a", numfields, "", ""},
		{"numfields that is none", "hset h a 1", 0, "hexpire h 1 fields x a", "-ERR value is not an integer or out of range", "", ""},
		{"numfields beyond all bounds", "hset h a 1", 0, "hsetex h fields 9223372036854775807 a b", numfields, "", ""},
		{"no FIELDS", "hset h a 1", 0, "hexpire h 1 field 1 a", numfields, "", ""},
		{"an unknown option", "hset h a 1", 0, "hexpire h 1 yy fields 1 a", "-ERR Unsupported option yy", "", ""},
		{"NX with GT", "hset h a 1", 0, "hexpire h 1 nx gt fields 1 a", "-ERR NX and XX, GT or LT options at the same time are not compatible", "", ""},
		{"GT with LT", "hset h a 1", 0, "hexpire h 1 gt lt fields 1 a", "-ERR GT and LT options at the same time are not compatible", "", ""},
		{"no hash", "set h a", 0, "hexpire h 1 fields 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "", ""},

		{"HTTL", "hsetex h px 1500 fields 1 a 1; hset h b 2", 0, "httl h fields 3 a b c", ":2 :-1 :-2", "", ""},
		{"HPTTL", "hsetex h px 1500 fields 1 a 1; hset h b 2", 400, "hpttl h fields 3 a b c", ":1100 :-1 :-2", "", ""},
		{"HEXPIRETIME", "hsetex h px 1500 fields 1 a 1; hset h b 2", 0, "hexpiretime h fields 3 a b c", ":1002 :-1 :-2", "", ""},
		{"HPEXPIRETIME", "hsetex h px 1500 fields 1 a 1; hset h b 2", 0, "hpexpiretime h fields 3 a b c", ":1001500 :-1 :-2", "", ""},
		{"HTTL in the last millisecond", "hsetex h px 10 fields 1 a 1", 10, "hpttl h fields 1 a", ":0", "", ""},
		{"HTTL behind it", "hsetex h px 10 fields 1 a 1", 11, "hpttl h fields 1 a", ":-2", "", ""},
		{"HTTL without a key", "", 0, "httl h fields 2 a b", ":-2 :-2", "", ""},
		{"HTTL with a wrong number", "", 0, "httl h fields 2 a", "-ERR syntax error", "", ""},
		{"HTTL of no hash", "set h a", 0, "httl h fields 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "", ""},

		{"HPERSIST", "hsetex h ex 5 fields 1 a 1; hset h b 2", 0, "hpersist h fields 3 a b c", ":1 :-1 :-2", "HPERSIST h FIELDS 1 a", "hpersist h"},
		{"HPERSIST of nothing", "hset h a 1", 0, "hpersist h fields 1 a", ":-1", "", ""},
		{"HPERSIST with a wrong number", "hset h a 1", 0, "hpersist h fields 2 a", numfields, "", ""},
		{"HPERSIST of no hash", "set h a", 0, "hpersist h fields 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "", ""},

		{"HGETEX without options reads", "hset h a 1", 0, "hgetex h fields 2 a b", "1 $-1", "", ""},
		{"HGETEX EX", "hset h a 1", 0, "hgetex h ex 10 fields 2 a b", "1 $-1", "HPEXPIREAT h 1010000 FIELDS 1 a", "hexpire h"},
		{"HGETEX PXAT in the past", "hset h a 1 b 2", 0, "hgetex h pxat 5 fields 2 a c", "1 $-1", "HDEL h a", "hexpired h"},
		{"HGETEX EXAT 0 of all", "hset h a 1", 0, "hgetex h exat 0 fields 1 a", "1", "HDEL h a", "hexpired h, del h"},
		{"HGETEX PERSIST", "hsetex h ex 5 fields 1 a 1; hset h b 2", 0, "hgetex h persist fields 3 a b c", "1 2 $-1", "HPERSIST h FIELDS 1 a", "hpersist h"},
		{"HGETEX with two times", "hset h a 1", 0, "hgetex h ex 10 px 5 fields 1 a", "-ERR syntax error", "", ""},
		{"HGETEX KEEPTTL", "hset h a 1", 0, "hgetex h keepttl fields 1 a", "-ERR syntax error", "", ""},
		{"HGETEX without a key", "", 0, "hgetex h ex 5 fields 1 a", "$-1", "", ""},
		{"HGETEX with a negative time", "hset h a 1", 0, "hgetex h ex -5 fields 1 a", "-ERR invalid expire time in 'hgetex' command", "", ""},

		{"HSETEX without options", "", 0, "hsetex h fields 2 a 1 b 2", ":1", "HSETEX h FIELDS 2 a 1 b 2", "hset h"},
		{"HSETEX EX", "", 0, "hsetex h ex 10 fields 1 a 1", ":1", "HSETEX h PXAT 1010000 FIELDS 1 a 1", "hset h, hexpire h"},
		{"HSETEX takes the expiry", "hsetex h ex 5 fields 1 a 1", 0, "hsetex h fields 1 a 2", ":1", "HSETEX h FIELDS 1 a 2", "hset h"},
		{"HSETEX KEEPTTL", "hsetex h ex 5 fields 1 a 1", 0, "hsetex h keepttl fields 2 a 2 b 3", ":1", "HSETEX h KEEPTTL FIELDS 2 a 2 b 3", "hset h"},
		{"HSETEX FNX", "hset h a 1", 0, "hsetex h fnx ex 1 fields 2 b 1 a 2", ":0", "", ""},
		{"HSETEX FNX of new fields", "hset h a 1", 0, "hsetex h fnx ex 1 fields 1 b 1", ":1", "HSETEX h PXAT 1001000 FIELDS 1 b 1", "hset h, hexpire h"},
		{"HSETEX FXX", "hset h a 1", 0, "hsetex h fxx fields 2 a 1 b 2", ":0", "", ""},
		{"HSETEX FXX of old fields", "hset h a 1", 0, "hsetex h fxx fields 1 a 2", ":1", "HSETEX h FIELDS 1 a 2", "hset h"},
		{"HSETEX FXX without a key", "", 0, "hsetex h fxx fields 1 a 2", ":0", "", ""},
		{"HSETEX NX of a key that exists", "hset h a 1", 0, "hsetex h nx fields 1 b 2", ":0", "", ""},
		{"HSETEX XX of one that does not", "", 0, "hsetex h xx fields 1 b 2", ":0", "", ""},
		{"HSETEX NX FXX", "hset h a 1", 0, "hsetex h xx fnx fields 1 b 2", ":1", "HSETEX h FIELDS 1 b 2", "hset h"},
		{"HSETEX FNX FXX", "", 0, "hsetex h fnx fxx fields 1 b 2", "-ERR syntax error", "", ""},
		{"HSETEX EX KEEPTTL", "", 0, "hsetex h ex 1 keepttl fields 1 b 2", "-ERR syntax error", "", ""},
		{"HSETEX GET", "", 0, "hsetex h get fields 1 b 2", "-ERR syntax error", "", ""},
		{"HSETEX PERSIST", "", 0, "hsetex h persist fields 1 b 2", "-ERR syntax error", "", ""},
		{"HSETEX of half a pair", "", 0, "hsetex h fields 2 b 2 c", numfields, "", ""},
		{"HSETEX in the past deletes", "hset h a 1 b 2", 0, "hsetex h pxat 5 fields 2 a 3 c 4", ":1", "HDEL h a", "hset h, hexpire h, hexpired h"},
		{"HSETEX in the past of what has expired", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hsetex h pxat 5 fields 1 a 3", ":1", "HDEL h a", "hset h, hexpire h, hexpired h"},
		{"HSETEX in the past of nothing", "", 0, "hsetex h px 0 fields 1 a 3", ":1", "", "hset h, hexpire h, hexpired h, del h"},
		{"HSETEX with a negative time", "", 0, "hsetex h px -1 fields 1 a 3", "-ERR invalid expire time in 'hsetex' command", "", ""},
		{"HSETEX of no hash", "set h a", 0, "hsetex h fields 1 a 3", "-WRONGTYPE Operation against a key holding the wrong kind of value", "", ""},

		{"HGETDEL", "hset h a 1 b 2", 0, "hgetdel h fields 2 a c", "1 $-1", "HDEL h a", "hdel h"},
		{"HGETDEL of the last field", "hset h a 1", 0, "hgetdel h fields 1 a", "1", "HDEL h a", "hdel h, del h"},
		{"HGETDEL without a key", "", 0, "hgetdel h fields 1 a", "$-1", "", ""},
		{"HGETDEL with a wrong number", "", 0, "hgetdel h fields 2 a", numfields, "", ""},
		{"HGETDEL of no hash", "set h a", 0, "hgetdel h fields 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "", ""},

		{"HSET takes the expiry", "hsetex h ex 5 fields 1 a 1", 0, "hset h a 2", ":0", "hset h a 2", "hset h"},
		{"HINCRBY keeps it", "hsetex h ex 5 fields 1 a 1", 0, "hincrby h a 2", ":3", "hincrby h a 2", "hincrby h"},
		{"HINCRBYFLOAT keeps it", "hsetex h ex 5 fields 1 a 1", 0, "hincrbyfloat h a 2", "3", "HSETEX h PXAT 1005000 FIELDS 1 a 3", "hincrbyfloat h"},

		// What has expired is there until somebody sets it.
		{"HGET", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hget h a", "$-1", "", ""},
		{"HMGET", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hmget h a b", "$-1 2", "", ""},
		{"HGETALL", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hgetall h", "b 2", "", ""},
		{"HKEYS", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hkeys h", "b", "", ""},
		{"HVALS", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hvals h", "2", "", ""},
		{"HLEN counts it", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hlen h", ":2", "", ""},
		{"HSTRLEN", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hstrlen h a", ":0", "", ""},
		{"HEXISTS", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hexists h a", ":0", "", ""},
		{"HSCAN", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hscan h 0", "0 b 2", "", ""},
		{"HRANDFIELD", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hrandfield h", "b", "", ""},
		{"HRANDFIELD of nothing", "hsetex h px 5 fields 1 a 1", 6, "hrandfield h", "$-1", "", ""},
		{"HRANDFIELD with a count", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hrandfield h 5 withvalues", "b 2", "", ""},
		{"HRANDFIELD with a negative count", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hrandfield h -2", "b b", "", ""},
		{"HRANDFIELD of nothing with a count", "hsetex h px 5 fields 1 a 1", 6, "hrandfield h -2", "", "", ""},
		{"EXISTS says that the key is there", "hsetex h px 5 fields 1 a 1", 6, "exists h", ":1", "", ""},
		{"SORT BY it", "hsetex h px 5 fields 1 a 1; rpush l h", 6, "sort l by *->a get *->a", "$-1", "", ""},
		{"HSET of it deletes it first", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hset h a 3", ":1", "MULTI HDEL h a hset h a 3 EXEC", "hexpired h, hset h"},
		{"HSETNX", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hsetnx h a 3", ":1", "MULTI HDEL h a hsetnx h a 3 EXEC", "hexpired h, hset h"},
		{"HINCRBY", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hincrby h a 3", ":3", "MULTI HDEL h a hincrby h a 3 EXEC", "hexpired h, hincrby h"},
		{"HINCRBYFLOAT", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hincrbyfloat h a 3", "3", "MULTI HDEL h a HSET h a 3 EXEC", "hexpired h, hincrbyfloat h"},
		{"HDEL", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hdel h a b", ":1", "HDEL h b", "hdel h"},
		{"HEXPIRE", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hexpire h 5 fields 2 a b", ":-2 :1", "HPEXPIREAT h 1005006 FIELDS 1 b", "hexpire h"},
		{"HPERSIST", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hpersist h fields 1 a", ":-2", "", ""},
		{"HGETEX", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hgetex h ex 5 fields 1 a", "$-1", "", ""},
		{"HGETDEL", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hgetdel h fields 1 a", "$-1", "", ""},
		{"HSETEX KEEPTTL", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hsetex h keepttl fields 1 a 3", ":1", "MULTI HDEL h a HSETEX h KEEPTTL FIELDS 1 a 3 EXEC", "hexpired h, hset h"},
		{"HSETEX FXX", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hsetex h fxx fields 1 a 3", ":0", "", ""},
		{"HSETEX FNX", "hsetex h px 5 fields 1 a 1; hset h b 2", 6, "hsetex h fnx fields 1 a 3", ":1", "MULTI HDEL h a HSETEX h FIELDS 1 a 3 EXEC", "hexpired h, hset h"},
		{"a write of the only field", "hsetex h px 5 fields 1 a 1", 6, "hset h a 3", ":1", "MULTI HDEL h a hset h a 3 EXEC", "hexpired h, hset h"},
		{"a write of another field", "hsetex h px 5 fields 1 a 1", 6, "hset h b 3", ":1", "hset h b 3", "hset h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode()
			n.listen()
			for line := range strings.SplitSeq(c.setup, "; ") {
				if line != "" {
					if reply, _ := n.do(strings.Fields(line)...); strings.HasPrefix(reply, "-") {
						t.Fatalf("%s: %s", line, reply)
					}
				}
			}
			n.noted = nil
			n.now += c.later
			reply, effect := n.do(strings.Fields(c.line)...)
			reply, effect = noLengths(reply), noLengths(effect)
			if events := strings.Join(n.noted, ", "); reply != c.reply || effect != c.effect || events != c.events {
				t.Errorf("%s:\nreply %q, effect %q, events %q;\nwant  %q, %q, %q", c.line, reply, effect, events, c.reply, c.effect, c.events)
			}
		})
	}
}

// noLengths takes the lengths of arrays out of what flat returns.
func noLengths(s string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(s), func(w string) bool { return w[0] == '*' }), " ")
}

// What a primary does, at any time and with the cycle that expires fields between
// the commands, is what its stream does where it is applied, whose clock is
// far ahead. The replica hides what has expired, and deletes nothing by itself.
func TestFieldExpiryGivesTheSameDataInAStream(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 3))
		n, replica := newNode(), newNode()
		replica.exec.BeginWorld(0).SetRole(storage.RoleReplica)
		replica.exec.End()
		field := func() string { return fmt.Sprint("f", r.IntN(12)) }
		key := func() string { return fmt.Sprint("h", r.IntN(3)) }
		digests := func() (a, b storage.Digest) {
			n.ks.World(n.now, func(tx *storage.Tx) { a = tx.Digest() })
			replica.ks.World(n.now, func(tx *storage.Tx) { b = tx.Digest() })
			return a, b
		}
		deleted := 0
		for step := range 1500 {
			n.now += int64(r.IntN(4))
			f, g := field(), field()
			at := fmt.Sprint(n.now + int64(r.IntN(60)) - 10)
			line := [...]string{
				"hset K " + f + " 1 " + g + " 2", "hincrby K " + f + " 3", "hincrbyfloat K " + f + " 2", "hsetnx K " + f + " 4",
				"hdel K " + f + " " + g, "hpexpireat K " + at + " fields 2 " + f + " " + g, "hpexpireat K " + at + " gt fields 1 " + f,
				"hpexpire K 20 nx fields 1 " + f, "hpersist K fields 2 " + f + " " + g, "hgetex K pxat " + at + " fields 2 " + f + " " + g,
				"hgetex K persist fields 1 " + f, "hsetex K pxat " + at + " fields 2 " + f + " 5 " + g + " 6", "hsetex K keepttl fields 1 " + f + " 7",
				"hsetex K fnx px 30 fields 1 " + f + " 8", "hgetdel K fields 2 " + f + " " + g, "copy K " + key() + "x replace", "hgetall K",
				"hrandfield K 3", "hscan K 0",
			}[r.IntN(19)]
			n.sent = nil
			n.doStream(t, strings.ReplaceAll(line, "K", key()), func(unit []Effect) { applyTo(t, replica, n.now*2, unit) })
			if r.IntN(5) == 0 {
				n.sent = nil
				expired, _ := n.exec.ExpireCycle(n.now, 1000)
				deleted += expired
				if got := strings.Join(n.sent, ""); expired > 0 && !strings.Contains(got, "HDEL") {
					t.Fatalf("expired as %q", got)
				}
				applyTo(t, replica, n.now*2, effectsOf(t, n.sent))
			}
			if step%10 > 0 {
				continue
			}
			if a, b := digests(); a != b {
				t.Fatalf("seed %d: after %s the replica has other data", seed, line)
			}
			if a, b := fieldTimes(n, n.now), fieldTimes(replica, n.now); a != b {
				t.Fatalf("seed %d: after %s fields expire at %s, on the replica at %s", seed, line, a, b)
			}
		}
		if n.ks.Stats().Fields == 0 || deleted == 0 {
			t.Fatalf("seed %d: no field has expired", seed)
		}
		if expired, more := replica.exec.ExpireCycle(n.now*2, 1000); expired > 0 || more {
			t.Fatal("a replica expires fields")
		}
		for i := range 3 {
			reply := flat(string(replica.runAt(n.now*2, fmt.Sprint("h", i))))
			if want := flat(string(n.runAt(n.now, fmt.Sprint("h", i)))); len(reply) > len(want) {
				t.Fatalf("the replica shows %q of what is %q", reply, want)
			}
		}
	}
}

// fieldTimes is when the fields expire, as a client is told at a time.
func fieldTimes(n *node, now int64) string {
	own := n.now
	defer func() { n.now = own }()
	n.now = now
	var all []string
	for i := range 3 {
		line := []string{"hpexpiretime", fmt.Sprint("h", i), "fields", "12"}
		for f := range 12 {
			line = append(line, fmt.Sprint("f", f))
		}
		reply, _ := n.do(line...)
		all = append(all, noLengths(reply))
	}
	return strings.Join(all, "; ")
}

// runAt answers HGETALL at a time.
func (n *node) runAt(now int64, key string) []byte {
	own := n.now
	defer func() { n.now = own }()
	n.now = now
	return n.run([][]byte{[]byte("hgetall"), []byte(key)}, 2)
}

// applyTo applies effects to a node, whose time is now.
func applyTo(t *testing.T, n *node, now int64, unit []Effect) {
	t.Helper()
	if len(unit) == 0 {
		return
	}
	a := NewApplier(n.table, n.exec, n)
	a.Failed = func(args [][]byte, err string) { t.Fatalf("%q: %s", args, err) }
	if err := a.Apply(now, unit, replication.Offset(1), nil); err != nil {
		t.Fatal(err)
	}
}

// A hash with many fields that expire at once goes bit by bit, and its key with the
// last of them.
func TestManyFieldsExpireBitByBit(t *testing.T) {
	n := newNode()
	const fields = 5000
	line := []string{"hsetex", "h", "px", "5", "fields", fmt.Sprint(fields)}
	for i := range fields {
		line = append(line, fmt.Sprint("field ", i), "value")
	}
	n.do(line...)
	n.do("hsetex", "h", "px", "500", "fields", "1", "late", "1")
	n.do("hset", "other", "a", "1")
	if got := n.ks.WithDue(0); got != 1 {
		t.Fatalf("%d hashes with fields that expire, not one", got)
	}
	n.now += 6
	units := 0
	for more := true; more; units++ {
		before := n.ks.Stats().Fields
		_, more = n.exec.ExpireCycle(n.now, 100)
		if gone := n.ks.Stats().Fields - before; gone > 1000 {
			t.Fatalf("%d fields have expired at once", gone)
		}
		if units > fields {
			t.Fatal("it does not end")
		}
	}
	if got := n.ks.Stats().Fields; got != fields {
		t.Fatalf("%d fields have expired, not %d", got, fields)
	}
	if reply, _ := n.do("hgetall", "h"); noLengths(reply) != "late 1" {
		t.Fatalf("left: %q", reply)
	}
	n.now += 500
	n.exec.ExpireCycle(n.now, 100)
	if reply, _ := n.do("exists", "h"); reply != ":0" || n.ks.WithDue(0) != 0 {
		t.Errorf("EXISTS answers %s, %d hashes have fields that expire", reply, n.ks.WithDue(0))
	}
}

// Expiries go where the hash goes.
func TestFieldExpiryGoesAlong(t *testing.T) {
	n := newNode()
	n.do("hsetex", "{x}h", "px", "500", "fields", "1", "a", "1")
	n.do("hset", "{x}h", "b", "2")
	payload := string(n.run([][]byte{[]byte("dump"), []byte("{x}h")}, 2))
	_, payload, _ = strings.Cut(strings.TrimSuffix(payload, "\r\n"), "\r\n")
	n.do("copy", "{x}h", "{x}copy")
	n.do("restore", "{x}restored", "0", payload)
	n.do("rename", "{x}h", "{x}renamed")
	for _, key := range []string{"{x}copy", "{x}restored", "{x}renamed"} {
		if reply, _ := n.do("hpexpiretime", key, "fields", "2", "a", "b"); noLengths(reply) != ":1000500 :-1" {
			t.Errorf("%s: %s", key, reply)
		}
		if reply, _ := n.do("object", "encoding", key); reply != "hashtable" {
			t.Errorf("%s is a %s", key, reply)
		}
	}
	n.do("move", "{x}copy", "3")
	if got := [...]int{n.ks.WithDue(0), n.ks.WithDue(3)}; got != [...]int{2, 1} {
		t.Errorf("%d hashes with fields that expire", got)
	}
	n.now += 501
	for range 3 {
		n.exec.ExpireCycle(n.now, 1000)
	}
	if got := n.ks.Stats().Fields; got != 3 {
		t.Errorf("%d fields have expired, not 3", got)
	}
}
