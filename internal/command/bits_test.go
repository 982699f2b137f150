package command

import (
	"strings"
	"testing"
)

// Replies are those of redis-server 7.0.15.
func TestBits(t *testing.T) {
	n := newNode()
	for _, c := range []struct{ line, reply, effect string }{
		{"SET int 12345", "+OK", "SET int 12345"},
		{"BITCOUNT int", ":17", ""},
		{"BITPOS int 1", ":2", ""},
		{"BITFIELD int GET u8 0", ":49", ""},
		{"SETBIT int 7 0", ":1", "SETBIT int 7 0"},
		{"GET int", "02345", ""},
		{"OBJECT ENCODING int", "raw", ""},
		{"SETBIT int 7 0", ":0", ""},
		// A result has no expiry, whatever was there before.
		{"SETEX old 100 x", "+OK", "SET old x PXAT 1100000"},
		{"BITOP NOT old int", ":5", "BITOP NOT old int"},
		{"TTL old", ":-1", ""},
		{"OBJECT ENCODING old", "raw", ""},
		{"RPUSH list a", ":1", "RPUSH list a"},
		{"BITOP AND list int", ":5", "BITOP AND list int"},
		{"TYPE list", "+string", ""},
		{"BITOP XOR int int list", ":5", "BITOP XOR int int list"},
		{"BITCOUNT int", ":0", ""},
		{"BITOP OR int none", ":0", "BITOP OR int none"},
		{"EXISTS int", ":0", ""},
		{"BITOP OR int none", ":0", ""},
		{"BITCOUNT none 0", ":0", ""},
		{"BITPOS none 0 5 x", ":0", ""},
		{"BITPOS none 1", ":-1", ""},
		// The string grows although nothing is written: that is propagated.
		{"BITFIELD grown OVERFLOW FAIL INCRBY u2 100 5", "$-1", "BITFIELD grown OVERFLOW FAIL INCRBY u2 100 5"},
		{"STRLEN grown", ":13", ""},
		{"BITFIELD grown OVERFLOW FAIL INCRBY u2 100 5", "$-1", ""},
		{"BITFIELD grown SET u8 #1 300 INCRBY i5 100 1", ":0 :1", "BITFIELD grown SET u8 #1 300 INCRBY i5 100 1"},
		{"BITFIELD grown GET u8 8 SET u8 8 44", ":44 :44", ""},
		{"BITFIELD grown", "", ""},
		{"BITFIELD_RO grown GET i64 96", ":36028797018963968", ""},
		{"BITFIELD_RO grown SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand", ""},
		{"SETBIT far 4294967296 1", "-ERR bit offset is not an integer or out of range", ""},
		{"BITFIELD far SET u8 #536870912 1", "-ERR bit offset is not an integer or out of range", ""},
		{"COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0", "k *2 +RO +access", ""},
		{"COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0 SET u8 0 1", "k *3 +RW +access +update", ""},
	} {
		if reply, effect := n.do(strings.Fields(c.line)...); reply != c.reply || effect != c.effect {
			t.Errorf("%s: %q, in the stream %q", c.line, reply, effect)
		}
	}
}

// The operations are those that Redis 8.2 documents; older replicas get the results.
func TestBitOpOfTheFirstAndTheRest(t *testing.T) {
	n := newNode()
	for _, c := range []struct{ line, reply, effect string }{
		{"SET x ab", "+OK", "SET x ab"}, // 0110 0001, 0110 0010
		{"SET y C", "+OK", "SET y C"},   // 0100 0011
		{"SET z @", "+OK", "SET z @"},   // 0100 0000
		{"BITOP DIFF d x y z", ":2", "SET d  b"},
		{"BITOP diff1 d x y z", ":2", "SET d \x02\x00"},
		{"BITOP ANDOR d x y z", ":2", "SET d A\x00"},
		{"BITOP ONE d x y z", ":2", "SET d \"b"},
		{"BITOP ONE d z", ":1", "SET d @"},
		{"SETEX d 100 x", "+OK", "SET d x PXAT 1100000"},
		{"BITOP DIFF d none x", ":2", "SET d \x00\x00"},
		{"TTL d", ":-1", ""},
		{"BITOP DIFF x x y", ":2", "SET x  b"},
		{"BITOP ANDOR d none none", ":0", "DEL d"},
		{"EXISTS d", ":0", ""},
		{"BITOP ANDOR d none none", ":0", ""},
		{"BITOP DIFF d x", "-ERR BITOP DIFF must be called with at least two source keys.", ""},
		{"BITOP DIFF1 d x", "-ERR BITOP DIFF1 must be called with at least two source keys.", ""},
		{"BITOP ANDOR d x", "-ERR BITOP ANDOR must be called with at least two source keys.", ""},
		{"BITOP NAND d x", "-ERR syntax error", ""},
	} {
		if reply, effect := n.do(strings.Fields(c.line)...); reply != c.reply || effect != c.effect {
			t.Errorf("%s: %q, in the stream %q", c.line, reply, effect)
		}
	}
}
