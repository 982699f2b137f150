package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/redistest"
	"redoubt/storage"
)

// TestEventsAreThoseOfRedis runs random commands by the handlers and by a
// redis-server: the events of each must be the same, in order, with those of new
// keys and of misses.
func TestEventsAreThoseOfRedis(t *testing.T) {
	redistest.Tool(t, "redis-server")
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			h := newTwins(t, 100+seed, 2)
			h.there(strings.Fields("CONFIG SET notify-keyspace-events EAnm"))
			h.there(strings.Fields("DEBUG SET-ACTIVE-EXPIRE 0"))
			h.listenAll()
			compared := 0
			for range 3000 {
				compared += h.stepEvents()
			}
			if compared < 2000 {
				t.Errorf("only %d events were compared", compared)
			}
		})
	}
}

// listenAll has the client of events hear of all databases, and of the end of a
// command.
func (h *twins) listenAll() {
	h.events = h.redis.Client()
	for range 2 {
		if _, err := h.events.DoRaw("PSUBSCRIBE", "__keyevent@*", "done"); err != nil {
			h.t.Fatal(err)
		}
	}
	h.drainEvents()
}

// stepEvents runs one command on both and compares the events.
func (h *twins) stepEvents() int {
	words := h.eventCommand()
	h.node.noted = nil
	h.here(words)
	h.there(words)
	ours, theirs := h.node.noted, h.drainEvents()
	for command, event := range map[string]string{
		"SORT": "keymiss", // of which keys depends on an order of elements that is the server's own
		// 7.0 makes a consumer when there is an item for it, 7.2 before.
		"XREADGROUP": "createconsumer", "XCLAIM": "createconsumer", "XAUTOCLAIM": "createconsumer",
		"RESTORE": "expired", // Redis overwrites what has expired without a word
	} {
		if strings.EqualFold(words[0], command) {
			ours, theirs = without(ours, event), without(theirs, event)
		}
	}
	if !slices.Equal(ours, theirs) {
		h.t.Fatalf("%q:\nours:  %q\nredis: %q", words, ours, theirs)
	}
	return len(ours)
}

// drainEvents is the events up to now.
func (h *twins) drainEvents() (events []string) {
	h.there([]string{"PUBLISH", "done", "-"})
	for {
		raw, err := h.events.ReadRaw()
		if err != nil {
			h.t.Fatal(err)
		}
		parts := strings.Split(string(raw), "\r\n")
		if len(parts) < 9 || parts[2] != "pmessage" {
			continue // of a subscription
		}
		if parts[6] == "done" {
			return events
		}
		db, name, _ := strings.Cut(strings.TrimPrefix(parts[6], "__keyevent@"), "__:")
		if db != "0" {
			name = db + ":" + name
		}
		events = append(events, name+" "+parts[8])
	}
}

// eventCommands are commands beside those of the other history. $k is a key of any
// type, $s most often that of a string.
var eventCommands = []string{
	"SET $s $v", "SET $s $v", "SET $s $v EX 1000", "SET $s $v PXAT 99999999999999", "SET $s $v NX", "SET $s $v XX", "SET $s $v GET", "SET $s $v NX GET",
	"SET $s $v KEEPTTL", "SET $k $v XX KEEPTTL", "SET $s $v EXAT 1", "SET $s", "SET $s $v EX 0",
	"SETNX $s $v", "SETEX $s 1000 $v", "PSETEX $s 100000 $v", "PSETEX $s 0 $v", "GETSET $s $v", "GETDEL $s", "GETDEL $k",
	"GETEX $s", "GETEX $s EX 1000", "GETEX $s PERSIST", "GETEX $s EXAT 1", "GETEX $s PXAT 99999999999999",
	"MSET $s $v $s $v", "MSET $k $v", "MSETNX $s $v $s $v", "MSETNX new:$v $v", "MGET $s $k",
	"INCR $s", "INCRBY $s $n", "DECR $s", "DECRBY $s $n", "INCRBYFLOAT $s 0.5", "INCRBYFLOAT $k x",
	"APPEND $s $v", "APPEND $s ", "SETRANGE $s 3 $v", "SETRANGE $s 0 ", "SETRANGE $s 3", "SETBIT $s 7 1", "SETBIT $s 9 0", "GETBIT $s 1",
	"STRLEN $k", "GETRANGE $k 0 3", "LCS $s $s", "GET $k", "GET none",
	"DEL $k", "DEL $s $k none", "UNLINK $k $k", "EXISTS $k none", "TOUCH $k none", "TYPE $k", "TTL none", "PTTL $k", "EXPIRETIME none",
	"RENAME $k $k", "RENAME $s $s", "RENAMENX $k new:$v", "RENAMENX $k $k", "COPY $k $k", "COPY $k $k REPLACE", "COPY $k $k DB 3", "COPY $k $k DB 3 REPLACE", "COPY $k other",
	"MOVE $k 3", "MOVE $k 4", "MOVE none 3",
	"EXPIRE $k 1000", "EXPIRE $k 1000 NX", "PEXPIREAT $k 88888888888888 GT", "EXPIRE $s -1", "PEXPIRE $k 100000", "EXPIREAT $s 1", "PEXPIREAT $k 99999999999999", "PERSIST $k",
	"OBJECT ENCODING none", "OBJECT FREQ $k", "DUMP none", "SPOP $e", "SPOP $e 1000", "SPOP $e 0",
	"RESTORE $k 0 $p", "RESTORE $k 0 $p REPLACE", "RESTORE $k 1 $p REPLACE ABSTTL", "RESTORE $k 500000 $p REPLACE", "RESTORE new:$v 0 bad",
	"SORT $k ALPHA STORE list:a", "SORT none STORE $k", "SORT $k BY nosort GET string:a STORE list:b", "SMOVE $k $k $v", "LMOVE $k $k LEFT RIGHT",
	"SINTERSTORE $k $k none", "SUNIONSTORE $k set:a set:b", "SDIFFSTORE set:c set:a none", "ZUNIONSTORE $k 2 zset:a set:a", "ZINTERSTORE $k 2 zset:a none", "ZDIFFSTORE zset:c 2 zset:a zset:b",
	"ZRANGESTORE zset:c zset:a 0 -1", "ZRANGESTORE $k none 0 -1",
	"BITOP AND string:c string:a string:b", "BITOP NOT string:a none", "BITOP OR $s none none", "BITFIELD $s SET u8 0 200 INCRBY u8 8 1", "BITFIELD $s GET u8 0",
	"BITFIELD $s SET u8 0 0", "BITFIELD_RO none GET u8 0", "BITCOUNT none", "BITPOS $k 1",
	"PFADD hll:a $v", "PFADD hll:b", "PFADD $s $v", "PFMERGE hll:c hll:a hll:b", "PFMERGE $s hll:a", "PFCOUNT hll:a none", "PFCOUNT hll:a",
	"GEOADD geo:a 1 1 m$v", "GEOADD geo:a XX CH 1 1 m", "GEOADD geo:a 1 1 m$v", "GEOSEARCHSTORE geo:b geo:a FROMLONLAT 1 1 BYRADIUS 100 km",
	"GEOSEARCHSTORE $k none FROMLONLAT 1 1 BYRADIUS 100 km", "GEORADIUS geo:a 1 1 100 km STORE geo:b", "GEORADIUS none 1 1 100 km STORE $k", "GEODIST none a b", "GEOPOS none a",
	"XADD $x * f v", "XADD $x * f v", "XADD $x MAXLEN 3 * f v", "XADD none NOMKSTREAM * f v", "XADD $k * f v", "XTRIM $x MAXLEN 1", "XTRIM $x MAXLEN 9", "XDEL $x 1-1",
	"XADD new:$v 1-1 f v", "XDEL new:$v 1-1", "XSETID $x 99999999999999-0", "XRANGE none - +", "XLEN none", "XINFO STREAM $x", "XREAD STREAMS $x none 0 0",
	"XGROUP CREATE $x g 0", "XGROUP CREATE $x g $ MKSTREAM", "XGROUP SETID $x g 0", "XGROUP CREATECONSUMER $x g c", "XGROUP DELCONSUMER $x g c", "XGROUP DESTROY $x g",
	"XREADGROUP GROUP g c2 COUNT 1 STREAMS $x >", "XREADGROUP GROUP g c2 STREAMS $x 0", "XACK $x g 1-1", "XAUTOCLAIM $x g c3 0 0", "XCLAIM $x g c4 0 1-1", "XPENDING $x g",
	"BLPOP list:a list:b 0.01", "BLMOVE list:a list:c LEFT LEFT 0.01", "BZPOPMIN zset:a 0.01", "BLMPOP 0.01 2 list:a list:b LEFT", "BZMPOP 0.01 1 zset:b MAX",
}

// payloads are values as DUMP has them: of a string and of a list, which every
// version reads.
var payloads = []string{
	"\x00\xc0\x0a\x09\x00\xbe\x6d\x06\x89\x5a\x28\x00\x0a",
}

func (h *twins) eventCommand() []string {
	if h.rand.IntN(3) == 0 {
		for {
			words, like := h.command()
			if like != chosen {
				return words
			}
		}
	}
	words := strings.Split(eventCommands[h.rand.IntN(len(eventCommands))], " ")
	for i, w := range words {
		switch {
		case w == "$k":
			words[i] = h.key(h.pick("list", "hash", "set", "zset", "string"))
		case w == "$s":
			words[i] = h.key("string")
		case w == "$e":
			words[i] = h.pick("set:single", "none")
		case w == "$x":
			words[i] = "stream:" + h.pick("a", "b")
		case w == "$n":
			words[i] = h.number()
		case w == "$p":
			words[i] = payloads[h.rand.IntN(len(payloads))]
		case strings.Contains(w, "$v"):
			words[i] = strings.ReplaceAll(w, "$v", h.element())
		}
	}
	return words
}

// TestEventsOfFieldsThatExpire has the events of Valkey 9, by its tests.
func TestEventsOfFieldsThatExpire(t *testing.T) {
	n := newNode()
	n.listenToAll()
	for _, c := range []struct{ line, events string }{
		{"HSET h a 1 b 2", "new h,hset h"},
		{"HEXPIRE h 100 FIELDS 1 a", "hexpire h"},
		{"HEXPIRE h 100 XX FIELDS 1 b", ""},
		{"HPERSIST h FIELDS 1 a", "hpersist h"},
		{"HSETEX h EX 100 FIELDS 1 a 5", "hset h,hexpire h"},
		{"HGETEX h PERSIST FIELDS 1 a", "hpersist h"},
		{"HGETDEL h FIELDS 1 a", "hdel h"},
		{"HEXPIREAT h 1 FIELDS 1 b", "hexpired h,del h"},
		{"HTTL h FIELDS 1 b", "keymiss h"},
	} {
		n.noted = nil
		n.do(strings.Fields(c.line)...)
		if got := strings.Join(n.noted, ","); got != c.events {
			t.Errorf("%s: %q, want %q", c.line, got, c.events)
		}
	}
}

// TestClassesHaveTheirLetters: what is asked for is noted, and nothing else.
func TestClassesHaveTheirLetters(t *testing.T) {
	lines := []string{"SET s 1", "LPUSH l 1", "SADD e 1", "HSET h a 1", "ZADD z 1 a", "DEL s", "GET none"}
	for letters, want := range map[string]string{
		"": "", "KE": "", "$": "set s", "l": "lpush l", "s": "sadd e", "h": "hset h", "z": "zadd z", "g": "del s", "m": "keymiss none",
		"n":  "new s,new l,new e,new h,new z",
		"A":  "set s,lpush l,sadd e,hset h,zadd z,del s",
		"$g": "set s,del s", "xetd": "",
	} {
		n := newNode()
		n.exec.BeginWorld(n.now).Listen(storage.ParseClasses(letters))
		n.exec.End()
		for _, l := range lines {
			n.do(strings.Fields(l)...)
		}
		if got := strings.Join(n.noted, ","); got != want {
			t.Errorf("%q: %q, want %q", letters, got, want)
		}
	}
}
