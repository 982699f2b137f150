package command

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// node is the least a handler needs: a keyspace, a clock that stands still, and
// a stream that keeps what it is given.
type node struct {
	ks     *storage.Keyspace
	exec   *storage.Executor
	table  *Table
	now    int64
	sent   []string
	end    replication.Offset
	lazy   bool     // lazyfree-lazy-server-del
	noted  []string // events, as "name key"
	sparse int      // hll-sparse-max-bytes, if it is not the default
}

func newNode() *node {
	n := &node{now: 1_000_000, table: NewTable(Strings, Counters, Ranges, Bits, BitFields, HyperLogLogs, Geo, GeoSearches, Keys, Expiry, Iteration,
		Serialization, Introspection, Lists, ListMoves, Hashes, HashExpiry, Sets, SetOperations, ZSets, ZPops, ZRanges, ZSetOperations, Waits, Sorting,
		Streams, StreamGroups, StreamReads, StreamClaims, StreamInfo)}
	n.ks = storage.New(storage.Config{Databases: 16, Stream: n})
	n.exec = n.ks.NewExecutor()
	return n
}

func (n *node) Announce() {}

func (n *node) Append(_, _ int, unit []byte) replication.Offset {
	n.sent = append(n.sent, string(unit))
	n.end += replication.Offset(len(unit))
	return n.end
}

func (n *node) End() replication.Offset     { return n.end }
func (n *node) Keyspace() *storage.Keyspace { return n.ks }
func (n *node) Table() *Table               { return n.table }
func (n *node) ClusterEnabled() bool        { return false }
func (n *node) Now() int64                  { return n.now }
func (n *node) LFU() bool                   { return false }
func (n *node) SharedIntegers() bool        { return true }
func (n *node) MaxBulk() int64              { return 512 << 20 }
func (n *node) HLLSparseMax() int           { return cmp.Or(n.sparse, 3000) }
func (n *node) LazyServerDel() bool         { return n.lazy }
func (n *node) DB() int                     { return 0 }
func (n *node) Proto() int                  { return 2 }
func (n *node) NoTouch() bool               { return false }
func (n *node) Redact(...int)               {}
func (n *node) Block(*Ctx, *Wait) bool      { return false }

// do runs one command as a unit of its own and returns the reply and what it
// left in the stream, as words.
func (n *node) do(words ...string) (reply, effect string) {
	var line [][]byte
	for _, w := range words {
		line = append(line, []byte(w))
	}
	n.sent = nil
	reply = flat(string(n.run(line, 2)))
	return reply, flat(strings.Join(n.sent, ""))
}

// run runs one command as dispatch would, without its gates, and returns the
// bytes of the reply.
func (n *node) run(line [][]byte, proto int) []byte { return n.runOn(n, line, proto) }

// runOn is run with another host.
func (n *node) runOn(h Host, line [][]byte, proto int) []byte {
	out := resp.NewWriter(nil, proto)
	row, known := n.table.Resolve(line)
	switch {
	case known == nil:
		out.Error(resp.ErrUnknownCommand(line))
		return out.Bytes()
	case row == nil && len(line) > 1:
		out.Error(resp.ErrUnknownSubcommand(known.Name, line[1]))
		return out.Bytes()
	case row == nil:
		out.Error(resp.ErrArity(known.Name))
		return out.Bytes()
	case !row.Takes(len(line)):
		out.Error(resp.ErrArity(row.FullName()))
		return out.Bytes()
	}
	c := &Ctx{Row: row, Args: line, Out: out, Exec: n.exec, Caller: n, Host: h}
	switch row.Needs(line) {
	case LockWorld:
		c.Tx = n.exec.BeginWorld(n.now)
		if row.Is(TouchesArbitraryKeys) {
			c.Tx.Loose()
		}
	case LockKeys:
		pos, _ := row.AppendKeys(nil, line)
		var ss []slots.Slot
		for _, p := range pos {
			ss = append(ss, slots.Of(line[p]))
		}
		c.Tx = n.exec.Begin(n.now, ss)
	}
	if c.Tx != nil {
		c.Tx.Command(resp.AppendArray(nil, line...))
	}
	row.Run(c)
	if c.Tx != nil {
		c.Tx.CommandEnd()
		for _, e := range c.Tx.Events() {
			name := e.Name
			if e.DB != 0 {
				name = fmt.Sprintf("%d:%s", e.DB, name)
			}
			n.noted = append(n.noted, name+" "+string(e.Key))
		}
		n.exec.End()
	}
	return out.Bytes()
}

// listen makes the node note events from now on, all but those that follow from the
// others (a key is new) or that reading causes.
func (n *node) listen() { n.listenTo(^(storage.ClassNew | storage.ClassMiss)) }

func (n *node) listenToAll() { n.listenTo(^storage.Class(0)) }

func (n *node) listenTo(classes storage.Class) {
	n.exec.BeginWorld(n.now).Listen(classes)
	n.exec.End()
}

// doStream runs a command line and hands its effects on, as a stream's reader
// would.
func (n *node) doStream(t *testing.T, line string, apply func([]Effect)) {
	t.Helper()
	reply, _ := n.do(strings.Fields(line)...)
	if strings.HasPrefix(reply, "-") {
		t.Fatalf("%s: %s", line, reply)
	}
	apply(effectsOf(t, n.sent))
}

// effectsOf is the commands of a stream.
func effectsOf(t *testing.T, stream []string) (unit []Effect) {
	t.Helper()
	for _, sent := range stream {
		for rest := []byte(sent); len(rest) > 0; {
			var p resp.Parser
			used, err := p.Parse(rest)
			if err != nil || used == 0 {
				t.Fatalf("stream %q: %v", sent, err)
			}
			if name := string(p.Args[0]); name != "MULTI" && name != "EXEC" {
				unit = append(unit, Effect{Args: p.Args})
			}
			rest = rest[used:]
		}
	}
	return unit
}

// flat makes RESP readable on a line: lengths of bulk strings are left out.
func flat(s string) string {
	var words []string
	for _, l := range strings.Split(s, "\r\n") {
		if l == "" || (l[0] == '$' && l != "$-1") || (l[0] == '*' && l != "*-1" && len(words) == 0) {
			continue
		}
		words = append(words, l)
	}
	return strings.Join(words, " ")
}

func TestRepliesAndEffects(t *testing.T) {
	for _, c := range []struct {
		name, setup, line, reply, effect string
	}{
		{"SET goes out as it came", "", "set k v", "+OK", "set k v"},
		{"SET with a TTL goes out with an absolute time", "", "set k v EX 10 NX", "+OK", "SET k v PXAT 1010000"},
		{"SET with PXAT goes out in the same form, without what was a condition", "", "set k v pxat 2000000 nx", "+OK", "SET k v PXAT 2000000"},
		{"SET GET goes out without GET", "set k old", "set k v get", "old", "set k v"},
		{"SET NX on a key changes nothing", "set k old", "set k v nx", "$-1", ""},
		{"SET XX without a key changes nothing", "", "set k v xx", "$-1", ""},
		{"SET with NX and XX is refused", "", "set k v nx xx", "-ERR syntax error", ""},
		{"SET IFEQ sets what is as expected, and goes out without it", "set k old", "set k v IFEQ old", "+OK", "set k v"},
		{"SET IFEQ and its like", "set k old px 5000", "set k v ifeq old get keepttl", "old", "set k v keepttl"},
		{"SET IFEQ with a TTL", "set k old", "set k v ifeq old ex 10", "+OK", "SET k v PXAT 1010000"},
		{"SET IFEQ of something else", "set k old", "set k v ifeq other", "$-1", ""},
		{"SET IFEQ GET of something else", "set k old", "set k v ifeq other get", "old", ""},
		{"SET IFEQ without a key", "", "set k v ifeq old", "$-1", ""},
		{"SET IFEQ of another type", "rpush k old", "set k v ifeq old", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"SET with IFEQ and NX is refused", "", "set k v ifeq old nx", "-ERR syntax error", ""},
		{"SET with IFEQ that has no value is refused", "", "set k v ifeq", "-ERR syntax error", ""},
		{"SET IFNE sets what is something else", "set k old", "set k v IFNE other", "+OK", "set k v"},
		{"SET IFNE of the same", "set k old", "set k v ifne old", "$-1", ""},
		{"SET IFNE without a key", "", "set k v ifne old", "+OK", "set k v"},
		{"GEOSEARCHSTORE goes out as it came", "geoadd g 1 1 a", "geosearchstore d g fromlonlat 1 2 byradius 200 km", ":1", "geosearchstore d g fromlonlat 1 2 byradius 200 km"},
		{"GEOSEARCHSTORE STOREDIST goes out with what was stored", "geoadd g 1 1 a", "geosearchstore d g fromlonlat 1 2 byradius 200 km storedist", ":1", "ZADD d 111.22636015752661 a"},
		{"GEORADIUS STOREDIST replaces what was there", "geoadd g 1 1 a", "georadius g 1 2 200 km storedist g", ":1", "MULTI *2 DEL g *4 ZADD g 111.22636015752661 a *1 EXEC"},
		{"GEOSEARCHSTORE STOREDIST that finds nothing", "geoadd g 1 1 a", "geosearchstore g g fromlonlat 1 2 byradius 1 km storedist", ":0",
			"geosearchstore g g fromlonlat 1 2 byradius 1 km storedist"},
		{"DELEX is a DEL, of any type", "rpush k v", "delex k", ":1", "DEL k"},
		{"DELEX without a key", "", "delex k", ":0", ""},
		{"DELEX IFEQ", "set k v", "delex k ifeq v", ":1", "DEL k"},
		{"DELEX IFNE of the same", "set k v", "delex k ifne v", ":0", ""},
		{"DELEX IFNE without a key", "", "delex k ifne v", ":0", ""},
		{"DELEX IFNE of another type", "rpush k v", "delex k ifne v", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"DELEX with a digest is refused", "set k v", "delex k ifdeq 0", "-ERR syntax error", ""},
		{"MSETEX is a SET for each key", "", "msetex 2 a 1 b 2 px 5", ":1", "MULTI *5 SET a 1 PXAT 1000005 *5 SET b 2 PXAT 1000005 *1 EXEC"},
		{"MSETEX of one key", "", "msetex 1 a 1", ":1", "SET a 1"},
		{"MSETEX KEEPTTL", "set a 0 px 5", "msetex 1 a 1 keepttl", ":1", "SET a 1 KEEPTTL"},
		{"MSETEX NX with a key that is there", "set b 1", "msetex 2 a 1 b 2 nx", ":0", ""},
		{"MSETEX XX with a key that is not there", "set b 1", "msetex 2 a 1 b 2 xx", ":0", ""},
		{"MSETEX XX", "mset a 1 b 1", "msetex 2 a 1 b 2 xx", ":1", "MULTI *3 SET a 1 *3 SET b 2 *1 EXEC"},
		{"MSETEX with too few keys", "", "msetex 2 a 1 b", "-ERR wrong number of arguments for 'msetex' command", ""},
		{"MSETEX of no keys", "", "msetex 0 a 1", "-ERR numkeys should be greater than 0", ""},
		{"MSETEX with a wrong option", "", "msetex 1 a 1 get", "-ERR syntax error", ""},
		{"DELIFEQ is a DEL", "set k v", "delifeq k v", ":1", "DEL k"},
		{"DELIFEQ of something else", "set k v", "delifeq k w", ":0", ""},
		{"DELIFEQ without a key", "", "delifeq k w", ":0", ""},
		{"DELIFEQ of another type", "rpush k v", "delifeq k v", "-WRONGTYPE Operation against a key holding the wrong kind of value", ""},
		{"SET with a TTL of zero is refused", "", "set k v px 0", "-ERR invalid expire time in 'set' command", ""},
		{"SET with a TTL that overflows is refused", "", "set k v ex 9223372036854775807", "-ERR invalid expire time in 'set' command", ""},
		{"SETEX is a SET", "", "setex k 10 v", "+OK", "SET k v PXAT 1010000"},
		{"GETDEL is a DEL", "set k v", "getdel k", "v", "DEL k"},
		{"GETDEL without a key is nothing", "", "getdel k", "$-1", ""},
		{"GETEX without options is a read", "set k v", "getex k", "v", ""},
		{"GETEX with a TTL is a PEXPIREAT", "set k v", "getex k px 5", "v", "PEXPIREAT k 1000005"},
		{"GETEX with a past time is a DEL", "set k v", "getex k exat 1", "v", "DEL k"},
		{"GETEX PERSIST", "set k v ex 5", "getex k persist", "v", "PERSIST k"},
		{"GETSET is a SET", "set k old", "getset k v", "old", "SET k v"},
		{"INCR goes out as it came", "set k 41", "incr k", ":42", "incr k"},
		{"INCR of text is refused", "set k x", "incr k", "-ERR value is not an integer or out of range", ""},
		{"INCR past the end is refused", "set k 9223372036854775807", "incr k", "-ERR increment or decrement would overflow", ""},
		{"DECRBY of the smallest number is refused", "", "decrby k -9223372036854775808", "-ERR decrement would overflow", ""},
		{"INCRBYFLOAT is a SET of the result", "set k 3.0", "incrbyfloat k 1.2", "4.2", "SET k 4.2 KEEPTTL"},
		{"INCRBYFLOAT has the digits of a long double", "set k 1", "incrbyfloat k -1.1", "-0.1", "SET k -0.1 KEEPTTL"},
		{"INCRBYFLOAT of infinity is refused", "set k 1", "incrbyfloat k inf", "-ERR increment would produce NaN or Infinity", ""},
		{"APPEND goes out as it came", "set k ab", "append k cd", ":4", "append k cd"},
		{"SETRANGE pads with zero bytes", "", "setrange k 2 x", ":3", "setrange k 2 x"},
		{"GETRANGE from the end", "set k hello", "getrange k -3 -1", "llo", ""},
		{"SETBIT returns the bit before", "set k a", "setbit k 1 0", ":1", "setbit k 1 0"},
		{"GETBIT beyond the end", "set k a", "getbit k 100", ":0", ""},
		{"MSETNX with a key that is there", "set b 1", "msetnx a 1 b 2", ":0", ""},
		{"DEL counts", "mset a 1 b 2", "del a b c", ":2", "del a b c"},
		{"DEL of nothing is nothing", "", "del a", ":0", ""},
		{"EXPIRE is a PEXPIREAT", "set k v", "expire k 10", ":1", "PEXPIREAT k 1010000"},
		{"EXPIRE in the past is a DEL", "set k v", "expire k -1", ":1", "DEL k"},
		{"EXPIRE keeps its option", "set k v", "expire k 10 nx", ":1", "PEXPIREAT k 1010000 nx"},
		{"EXPIRE GT without a TTL fails", "set k v", "expire k 10 gt", ":0", ""},
		{"EXPIRE LT without a TTL holds", "set k v", "expire k 10 lt", ":1", "PEXPIREAT k 1010000 lt"},
		{"PEXPIREAT goes out as it came", "set k v", "pexpireat k 2000000", ":1", "pexpireat k 2000000"},
		{"TTL rounds", "set k v px 1500", "ttl k", ":2", ""},
		{"PTTL without a key", "", "pttl k", ":-2", ""},
		{"RENAME", "set a 1", "rename a b", "+OK", "rename a b"},
		{"RENAME without a key", "", "rename a b", "-ERR no such key", ""},
		{"RENAMENX onto a key", "mset a 1 b 2", "renamenx a b", ":0", ""},
		{"COPY", "set a 1", "copy a b", ":1", "copy a b"},
		{"COPY onto itself", "set a 1", "copy a a", "-ERR source and destination objects are the same", ""},
		{"COPY to another database", "set a 1", "copy a a db 3", ":1", "copy a a db 3"},
		{"MOVE", "set a 1", "move a 3", ":1", "move a 3"},
		{"OBJECT ENCODING of a number", "set a 123", "object encoding a", "int", ""},
		{"OBJECT FREQ without LFU", "set a 1", "object freq a", "-" + string(resp.ErrLFUOff), ""},
		{"LCS", "mset a ohmytext b mynewtext", "lcs a b", "mytext", ""},
		{"LCS LEN", "mset a ohmytext b mynewtext", "lcs a b len", ":6", ""},
		{"RESTORE of junk", "", "restore k 0 junk", "-ERR DUMP payload version or checksum are wrong", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode()
			if c.setup != "" {
				n.do(strings.Fields(c.setup)...)
			}
			reply, effect := n.do(strings.Fields(c.line)...)
			if reply != c.reply || effect != c.effect {
				t.Errorf("%s: reply %q, effect %q; want %q, %q", c.line, reply, effect, c.reply, c.effect)
			}
		})
	}
}

// rdb_changes_since_last_save counts them, and save points act on it.
func TestWhatMovesAKeyIsOneChange(t *testing.T) {
	for _, line := range []string{"move a 3", "rename a b", "copy a b"} {
		n := newNode()
		n.do("set", "a", "1", "px", "1000")
		before := n.ks.Stats().Dirty
		n.do(strings.Fields(line)...)
		if got := n.ks.Stats().Dirty - before; got != 1 {
			t.Errorf("%s counts as %d changes", line, got)
		}
	}
}

func TestMoveTakesTheTTLAlong(t *testing.T) {
	n := newNode()
	n.do("set", "a", "1", "px", "1000")
	n.do("move", "a", "3")
	if reply, _ := n.do("exists", "a"); reply != ":0" {
		t.Errorf("the source is left behind: %s", reply)
	}
	n.do("set", "a", "2")
	if reply, _ := n.do("move", "a", "3"); reply != ":0" {
		t.Errorf("onto a key that is there: %s", reply)
	}
	tx := n.exec.Begin(n.now, []slots.Slot{slots.Of([]byte("a"))})
	defer n.exec.End()
	tx.Select(3)
	if e, found := tx.Peek([]byte("a")); !found || string(e.Bytes()) != "1" || e.ExpireAt() != n.now+1000 {
		t.Error("the key has not arrived with its TTL")
	}
}

func TestScanSeesEveryKeyOnce(t *testing.T) {
	n := newNode()
	want := map[string]bool{}
	for i := range 1000 {
		k := "key:" + string(itoa(int64(i)))
		n.do("set", k, "v")
		want[k] = true
	}
	cursor, rounds := "0", 0
	for rounds == 0 || cursor != "0" {
		reply, _ := n.do("scan", cursor, "count", "7")
		words := strings.Fields(reply)
		cursor = words[0]
		for _, k := range words[2:] {
			if !want[k] {
				t.Fatalf("%q came twice or was never set", k)
			}
			delete(want, k)
		}
		if rounds++; rounds > 1000 {
			t.Fatal("the iteration does not end")
		}
	}
	if len(want) > 0 {
		t.Errorf("%d keys were not seen", len(want))
	}
}

func TestDumpRestoresWithItsTTL(t *testing.T) {
	n := newNode()
	n.do("set", "a", "value")
	out := resp.NewWriter(nil, 2)
	c := &Ctx{Args: [][]byte{nil, []byte("a")}, Out: out, Tx: n.exec.Begin(n.now, []slots.Slot{slots.Of([]byte("a"))}), Host: n}
	dump(c)
	n.exec.End()
	_, payload, _ := strings.Cut(string(out.Bytes()), "\r\n")
	payload = strings.TrimSuffix(payload, "\r\n")
	if reply, effect := n.do("restore", "b", "500", payload); reply != "+OK" || !strings.HasPrefix(effect, "RESTORE b 1000500 ") || !strings.HasSuffix(effect, " ABSTTL") {
		t.Errorf("restore: %q, %q", reply, effect)
	}
	if reply, _ := n.do("restore", "b", "0", payload); reply != "-"+string(resp.ErrBusyKey) {
		t.Errorf("restore onto a key: %q", reply)
	}
	if reply, _ := n.do("pttl", "b"); reply != ":500" {
		t.Errorf("pttl: %q", reply)
	}
}

func TestGetAndSetDoNotAllocate(t *testing.T) {
	allocs := allocations(newNode())
	if a := allocs("SET k abcdefghij"); a != 0 {
		t.Errorf("SET allocates %v times", a)
	}
	if a := allocs("GET k"); a != 0 {
		t.Errorf("GET allocates %v times", a)
	}
}

// The text of an error is made when it is given: what these allocate is what they may
// wait with, and what they claim.
func TestStreamsMakeNoErrorsInVain(t *testing.T) {
	allocs := allocations(newNode())
	allocs("XADD k * f v")
	allocs("XGROUP CREATE k g $")
	for line, most := range map[string]float64{
		"XREADGROUP GROUP g c STREAMS k >": 3, "XREADGROUP GROUP g c BLOCK 5 STREAMS k >": 5,
		"XREADGROUP GROUP g c STREAMS k 0": 3, "XCLAIM k g c 0 1-1": 2, "XAUTOCLAIM k g c 0 0": 2,
	} {
		if a := allocs(line); a > most {
			t.Errorf("%s allocates %v times, not %v", line, a, most)
		}
	}
}

// allocations makes a function that tells how often a command on the key k allocates,
// in a unit of a keyspace of its own.
func allocations(n *node) func(line string) float64 {
	out := resp.NewWriter(make([]byte, 0, 1024), 2)
	c := &Ctx{Out: out, Caller: n, Host: n}
	ss := []slots.Slot{slots.Of([]byte("k"))}
	n.ks = storage.New(storage.Config{Databases: 1})
	n.exec = n.ks.NewExecutor()
	return func(line string) float64 {
		var args [][]byte
		for _, word := range strings.Fields(line) {
			args = append(args, []byte(word))
		}
		raw := resp.AppendArray(nil, args...)
		c.Row, _ = n.table.Resolve(args)
		return testing.AllocsPerRun(200, func() {
			out.SetBuffer(out.Bytes()[:0])
			c.Args, c.Tx = args, n.exec.Begin(n.now, ss)
			c.Tx.Command(raw)
			c.Row.Run(c)
			c.Tx.CommandEnd()
			n.exec.End()
		})
	}
}

func TestExpiredKeysFoundOnTheWayAreDeletedOneByOne(t *testing.T) {
	for _, line := range []string{"randomkey", "scan 0 count 100"} {
		n := newNode()
		n.do("set", "{a}1", "v", "pxat", "1000001")
		n.do("set", "{a}2", "v", "pxat", "1000001")
		n.now += 2
		_, effect := n.do(strings.Fields(line)...)
		if strings.Count(effect, "DEL") != 2 || strings.Contains(effect, "MULTI") {
			t.Errorf("%s: the stream has %q", line, effect)
		}
	}
}

func TestCommandListNamesSubcommandsToo(t *testing.T) {
	reply, _ := newNode().do("command", "list")
	if words := strings.Fields(reply); !slices.Contains(words, "get") || !slices.Contains(words, "object|encoding") {
		t.Errorf("COMMAND LIST: %v", words)
	}
}

// TestWhatALookUpLeavesBehind: only reads count as hits and misses, and only
// what uses a key renews its idle time.
func TestWhatALookUpLeavesBehind(t *testing.T) {
	for _, c := range []struct {
		line         string
		hits, misses int64
		used         bool // k is no longer idle
	}{
		{"GET k", 1, 0, true},
		{"GET n", 0, 1, false},
		{"TOUCH k n", 1, 1, true},
		{"STRLEN k", 1, 0, true},
		{"DUMP k", 1, 0, true},
		{"GETEX k PERSIST", 1, 0, true},
		// They ask about the key.
		{"EXISTS k n", 1, 1, false},
		{"TYPE k", 1, 0, false},
		{"TYPE n", 0, 1, false},
		{"TTL k", 1, 0, false},
		{"PEXPIRETIME n", 0, 1, false},
		{"OBJECT ENCODING k", 1, 0, false},
		{"SCAN 0", 0, 0, false},
		// They change it, or would have.
		{"APPEND k 1", 0, 0, true},
		{"APPEND n 1", 0, 0, false},
		{"SETRANGE k 0 1", 0, 0, true},
		{"SETBIT k 0 0", 0, 0, true},
		{"INCR k", 0, 0, true},
		{"INCRBYFLOAT n 1", 0, 0, false},
		{"EXPIRE k 100", 0, 0, true},
		{"EXPIRE k 100 XX", 0, 0, true},
		{"PERSIST k", 0, 0, true},
		{"SETNX k v", 0, 0, true},
		{"SET k v NX", 0, 0, true},
		{"MSETNX k v", 0, 0, true},
		{"RENAME k k", 0, 0, true},
		{"RENAMENX other k", 0, 0, true},
		{"COPY other k", 1, 0, true},
	} {
		n := newNode()
		n.do("MSET", "k", "12", "other", "v")
		n.now += 1_000_000
		before := n.ks.Stats()
		n.do(strings.Fields(c.line)...)
		after := n.ks.Stats()
		if hits, misses := after.Hits-before.Hits, after.Misses-before.Misses; hits != c.hits || misses != c.misses {
			t.Errorf("%s: %d hits and %d misses, want %d and %d", c.line, hits, misses, c.hits, c.misses)
		}
		idle, _ := n.do("OBJECT", "IDLETIME", "k")
		if used := idle == ":0"; used != c.used {
			t.Errorf("%s: the key has been idle for %s seconds after it, used is to be %v", c.line, idle, c.used)
		}
	}
}

func TestACommandThatChangesNothingIsNoWrite(t *testing.T) {
	n := newNode()
	n.do("SET", "k", "a")
	for _, line := range []string{"SETBIT k 0 0", "SETBIT k 1 1", "GETEX k PERSIST", "SETRANGE k 0 ", "PERSIST k"} {
		if _, effect := n.do(strings.Split(line, " ")...); effect != "" {
			t.Errorf("%s: in the stream stands %s", line, effect)
		}
	}
	for _, line := range []string{"SETBIT k 0 1", "SETBIT k 8 0", "SETBIT n 0 0"} {
		if _, effect := n.do(strings.Fields(line)...); effect == "" {
			t.Errorf("%s: nothing is in the stream", line)
		}
	}
}
