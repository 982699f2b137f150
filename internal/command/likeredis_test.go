package command

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/redistest"
	"redoubt/internal/resp"
)

// TestRandomHistoriesOfCollections runs random commands by the handlers and by a
// redis-server. Replies, events, effects and, at the end, the data must be the
// same.
func TestRandomHistoriesOfCollections(t *testing.T) {
	redistest.Tool(t, "redis-server")
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			h := newTwins(t, seed, 2+int(seed%2))
			for range 4000 {
				h.step()
			}
			h.compareCounts()
			h.compareEvents()
			h.compareEffects()
			h.compareData()
		})
	}
}

// TestRandomHistoriesOfBits is the same for the commands on bits; at the end the
// strings are the same, byte by byte.
func TestRandomHistoriesOfBits(t *testing.T) {
	randomHistories(t, 3000, (*twins).bitCommand)
}

// randomHistories compares histories of commands that one function makes up, and of
// some at the end.
func randomHistories(t *testing.T, length int, command func(h *twins, line liner) []string, last ...string) {
	redistest.Tool(t, "redis-server")
	line := func(name string, more ...[]string) []string { return append([]string{name}, slices.Concat(more...)...) }
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			h := newTwins(t, seed, 2+int(seed%2))
			for range length {
				words := command(h, line)
				h.remember(words)
				ours, theirs := h.both(words)
				h.compare(ours, theirs, false)
			}
			for _, words := range last {
				ours, theirs := h.both(strings.Fields(words))
				h.compare(ours, theirs, false)
			}
			h.compareCounts()
			h.compareEvents()
			h.compareEffects()
			h.compareData()
		})
	}
}

// twins are two servers that are told the same.
type twins struct {
	t       *testing.T
	rand    *rand.Rand
	proto   int
	node    *node
	effects []string
	redis   *redistest.Server
	client  *redistest.Client
	events  *redistest.Client
	last    []string // the latest commands, for a failure
}

func newTwins(t *testing.T, seed uint64, proto int) *twins {
	h := &twins{t: t, proto: proto, rand: rand.New(rand.NewPCG(seed, 1)), node: newNode()}
	h.node.listenToAll()
	h.redis = redistest.Start(t, redistest.Redis, "--save", "", "--appendonly", "yes", "--appendfsync", "always",
		"--auto-aof-rewrite-percentage", "0", "--notify-keyspace-events", "EAn", "--enable-debug-command", "yes")
	h.client, h.events = h.redis.Client(), h.redis.Client()
	if _, err := h.client.DoRaw("HELLO", proto); err != nil {
		t.Fatal(err)
	}
	if _, err := h.events.DoRaw("PSUBSCRIBE", "__keyevent@0__:*"); err != nil {
		t.Fatal(err)
	}
	h.both(strings.Fields("ZADD " + ascendingKey + " 1 -3 2 1 3 10 4 15 4 2 5 21 6 5"))
	return h
}

// likeness says how much of two replies must agree.
type likeness uint8

const (
	exactly   likeness = iota
	unordered          // the order is the server's own
	asMany             // elements are chosen at random: their number agrees
	chosen             // and they are taken out: both must go on without all of them
)

func (h *twins) step() {
	words, like := h.command()
	h.remember(words)
	ours, theirs := h.both(words)
	switch {
	case bytes.HasPrefix(ours, []byte("-")) || bytes.HasPrefix(theirs, []byte("-")):
		h.compare(ours, theirs, false)
	case like == asMany:
		h.compare(firstLine(ours), firstLine(theirs), false)
	case like == chosen:
		h.compare(firstLine(ours), firstLine(theirs), false)
		h.reconcile(words[1], ours, theirs)
	default:
		h.compare(ours, theirs, like == unordered)
	}
}

func (h *twins) remember(words []string) {
	if h.last = append(h.last, strings.Join(words, " ")); len(h.last) > 20 {
		h.last = h.last[1:]
	}
}

// both runs a command on both and returns the replies.
func (h *twins) both(words []string) (ours, theirs []byte) {
	return h.here(words), h.there(words)
}

func (h *twins) here(words []string) []byte {
	var line [][]byte
	for _, w := range words {
		line = append(line, []byte(w))
	}
	h.node.sent = nil
	reply := h.node.run(line, h.proto)
	h.effects = append(h.effects, h.node.sent...)
	return reply
}

func (h *twins) there(words []string) []byte {
	args := make([]any, len(words))
	for i, w := range words {
		args[i] = w
	}
	reply, err := h.client.DoRaw(args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply
}

// firstLine is the head of an aggregate; of a bulk string it is only its type.
func firstLine(reply []byte) []byte {
	line, _, _ := bytes.Cut(reply, []byte("\r\n"))
	if line[0] == '$' && !bytes.Equal(line, []byte("$-1")) {
		return []byte("$0\r\n\r\n")
	}
	line = append([]byte("+"), line...)
	return append(line, "\r\n"...)
}

func (h *twins) compare(ours, theirs []byte, unordered bool) {
	h.t.Helper()
	o, err := redistest.Show(ours, unordered)
	if err != nil {
		h.t.Fatalf("%q: %v", ours, err)
	}
	r, err := redistest.Show(theirs, unordered)
	if err != nil {
		h.t.Fatalf("%q: %v", theirs, err)
	}
	if o != r {
		h.t.Fatalf("ours:   %s\nredis:  %s\nafter:\n%s", o, r, strings.Join(h.last, "\n"))
	}
}

// reconcile removes from either what only the other has popped. Neither the
// events nor the effects of it count.
func (h *twins) reconcile(key string, ours, theirs []byte) {
	noted, effects := len(h.node.noted), len(h.effects)
	h.here(append([]string{"SREM", key}, bulks(theirs)...))
	h.there(append([]string{"SREM", key}, bulks(ours)...))
	h.node.noted, h.effects = h.node.noted[:noted], h.effects[:effects]
}

// bulks is the bulk strings of a reply; a member that cannot exist stands for
// none.
func bulks(reply []byte) []string {
	words := []string{"(none)"}
	for _, l := range strings.Split(string(reply), "\r\n") {
		if l != "" && !strings.ContainsRune("$*~_", rune(l[0])) {
			words = append(words, l)
		}
	}
	return words
}

// compareCounts compares what INFO shows of all that: hits, misses and changes.
func (h *twins) compareCounts() {
	ours := h.node.ks.Stats()
	for field, n := range map[string]int64{
		"keyspace_hits": ours.Hits, "keyspace_misses": ours.Misses, "rdb_changes_since_last_save": ours.Dirty,
	} {
		if theirs := h.redis.Info(field); theirs != strconv.FormatInt(n, 10) {
			h.t.Errorf("%s is %d, redis has %s", field, n, theirs)
		}
	}
}

// compareEvents compares the keyspace events, without those of a SPOP and what
// follows from it, since a reconciling SREM cannot be told from a client's.
func (h *twins) compareEvents() {
	h.equal("events", without(h.node.noted, poppedKey, "keymiss"), without(h.published(), poppedKey))
}

// published is the events of the redis-server.
func (h *twins) published() (theirs []string) {
	h.there([]string{"SET", "the-end", "v"})
	for {
		raw, err := h.events.ReadRaw()
		if err != nil {
			h.t.Fatal(err)
		}
		parts := strings.Split(string(raw), "\r\n")
		name, key := strings.TrimPrefix(parts[6], "__keyevent@0__:"), parts[8]
		if key == "the-end" {
			return theirs
		}
		theirs = append(theirs, name+" "+key)
	}
}

// stringKey begins the keys that commands on strings are tried on.
const stringKey = "string:"

// poppedKey is the only key that SPOP is tried on.
const poppedKey = "set:popped"

func without(lines []string, words ...string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(l, w) })
	})
}

func (h *twins) compareEffects() {
	h.equal("effects", h.commands([]byte(strings.Join(h.effects, ""))), h.commands(h.appended()))
}

// appended is what redis-server has appended to its file.
func (h *twins) appended() []byte {
	files, err := filepath.Glob(filepath.Join(h.redis.Dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		h.t.Fatalf("append-only files: %v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		h.t.Fatal(err)
	}
	return raw
}

// commands is a stream as lines.
func (h *twins) commands(stream []byte) (lines []string) {
	for len(stream) > 0 {
		var p resp.Parser
		n, err := p.Parse(stream)
		if err != nil || n == 0 {
			h.t.Fatalf("stream %.100q: %v", stream, err)
		}
		words := make([]string, len(p.Args))
		for i, a := range p.Args {
			words[i] = string(a)
		}
		words[0] = strings.ToUpper(words[0])
		if line := strings.Join(words, " "); words[0] != "SELECT" && !strings.Contains(line, "the-end") {
			lines = append(lines, line)
		}
		stream = stream[n:]
	}
	// Up to 7.0 each member of a SPOP has an SREM of its own, so that there is a
	// MULTI where we have none. Distances that are stored go out as such, not with
	// the command that finds them.
	return without(lines, poppedKey, distanceKey, "MULTI", "EXEC")
}

func (h *twins) equal(what string, ours, theirs []string) {
	h.t.Helper()
	for i := range min(len(ours), len(theirs)) {
		if ours[i] != theirs[i] {
			before := max(0, i-5)
			h.t.Fatalf("%s differ at %d:\nours:  %q\nredis: %q", what, i, ours[before:i+1], theirs[before:i+1])
		}
	}
	if len(ours) != len(theirs) {
		h.t.Fatalf("%d %s here, %d there", len(ours), what, len(theirs))
	}
	if len(ours) < 500 {
		h.t.Errorf("only %d %s were compared", len(ours), what)
	}
}

func (h *twins) compareData() {
	h.there([]string{"DEL", "the-end"})
	tx := h.node.exec.BeginWorld(h.node.now)
	ours := fmt.Sprintf("+%x\r\n", tx.Digest())
	h.node.exec.End()
	if theirs := h.there([]string{"DEBUG", "DIGEST"}); ours != string(theirs) {
		h.t.Errorf("the digest is %q, redis has %q", ours, theirs)
	}
}

// What follows makes commands up.

func (h *twins) pick(words ...string) string { return words[h.rand.IntN(len(words))] }

// key is mostly one of type t, which is the first part of its name.
func (h *twins) key(t string) string {
	if h.rand.IntN(40) == 0 {
		t = h.pick("list", "hash", "set", "zset", "string")
	}
	return t + ":" + h.pick("a", "b", "c")
}

func (h *twins) element() string {
	if h.rand.IntN(100) == 0 {
		return strings.Repeat("x", h.rand.IntN(300))
	}
	return strconv.Itoa(h.rand.IntN(30) - 5)
}

func (h *twins) elements() (e []string) {
	for range 1 + h.rand.IntN(4) {
		e = append(e, h.element())
	}
	return e
}

func (h *twins) number() string {
	if h.rand.IntN(30) == 0 {
		return h.pick("x", "", "1.5", "-9223372036854775807", "9223372036854775807", "-0")
	}
	return strconv.Itoa(h.rand.IntN(25) - 10)
}

func (h *twins) keys(t string) (keys []string) {
	for range 1 + h.rand.IntN(3) {
		keys = append(keys, h.key(t))
	}
	return keys
}

func (h *twins) command() (words []string, like likeness) {
	line := func(name string, more ...[]string) []string { return append([]string{name}, slices.Concat(more...)...) }
	one := func(words ...string) []string { return words }
	switch h.rand.IntN(17) {
	case 0:
		if h.rand.IntN(3) > 0 {
			return h.sortCommand(line)
		}
		// They empty a key as DEL does.
		if h.rand.IntN(2) == 0 {
			key := h.key("set")
			return one("SDIFFSTORE", key, key, key), exactly
		}
		return one("LTRIM", h.key("list"), "5", "3"), exactly
	case 1:
		if h.rand.IntN(2) == 0 {
			return one("SETNX", stringKey+h.pick("a", "b", "c"), "v"), exactly
		}
		return one(h.pick("TYPE", "EXISTS", "GET"), h.key("string")), exactly
	case 2, 3, 4:
		return h.listCommand(line), exactly
	case 5, 6, 7:
		return h.hashCommand(line)
	case 8, 9, 10, 11, 12:
		return h.zsetCommand(line)
	default:
		return h.setCommand(line)
	}
}

type liner func(name string, more ...[]string) []string

func (h *twins) listCommand(line liner) []string {
	key, side := []string{h.key("list")}, func() string { return h.pick("LEFT", "RIGHT", "left") }
	switch h.rand.IntN(16) {
	case 0, 1, 2, 3:
		return line(h.pick("LPUSH", "RPUSH", "LPUSHX", "RPUSHX"), key, h.elements())
	case 4:
		return line(h.pick("LPOP", "RPOP"), key)
	case 5:
		return line(h.pick("LPOP", "RPOP"), key, []string{h.number()})
	case 6:
		return line(h.pick("LLEN", "LPOP"), key)
	case 7:
		return line("LINDEX", key, []string{h.number()})
	case 8:
		return line("LSET", key, []string{h.number(), h.element()})
	case 9:
		return line(h.pick("LRANGE", "LRANGE", "LTRIM"), key, []string{h.number(), h.number()})
	case 10:
		return line("LREM", key, []string{h.number(), h.element()})
	case 11:
		return line("LINSERT", key, []string{h.pick("BEFORE", "AFTER"), h.element(), h.element()})
	case 12:
		words := line("LPOS", key, []string{h.element()})
		for _, option := range []string{"RANK", "COUNT", "MAXLEN"} {
			if h.rand.IntN(2) == 0 {
				words = append(words, option, h.number())
			}
		}
		return words
	case 13:
		return line("LMOVE", key, []string{h.key("list"), side(), side()})
	case 14:
		return line("RPOPLPUSH", key, []string{h.key("list")})
	}
	keys := h.keys("list")
	words := line("LMPOP", []string{strconv.Itoa(len(keys))}, keys, []string{side()})
	if h.rand.IntN(2) == 0 {
		words = append(words, "COUNT", h.number())
	}
	return words
}

func (h *twins) hashCommand(line liner) ([]string, likeness) {
	key, field := []string{h.key("hash")}, []string{h.element()}
	switch h.rand.IntN(14) {
	case 0, 1:
		var pairs []string
		for range 1 + h.rand.IntN(3) {
			pairs = append(pairs, h.element(), h.element())
		}
		return line(h.pick("HSET", "HMSET"), key, pairs), exactly
	case 2:
		return line("HSETNX", key, field, []string{h.element()}), exactly
	case 3:
		return line("HMGET", key, h.elements()), exactly
	case 4:
		return line(h.pick("HGETALL", "HKEYS", "HVALS"), key), unordered
	case 5:
		return line(h.pick("HGET", "HSTRLEN", "HEXISTS"), key, field), exactly
	case 6:
		return line("HLEN", key), exactly
	case 7, 8:
		return line("HDEL", key, h.elements()), exactly
	case 9, 10:
		return line("HINCRBY", key, field, []string{h.number()}), exactly
	case 11:
		return line("HINCRBYFLOAT", key, field, []string{h.pick("0.5", "-3", "1e3", "x", "inf")}), exactly
	case 12:
		words := line("HRANDFIELD", key)
		if h.rand.IntN(3) > 0 {
			words = append(words, strconv.Itoa(h.rand.IntN(40)-20))
			if h.rand.IntN(2) == 0 {
				words = append(words, "WITHVALUES")
			}
		}
		return words, asMany
	}
	return line("HSCAN", key, []string{"0", "COUNT", "1000", "MATCH", h.pick("*", "1*", "?")}), unordered
}

func (h *twins) setCommand(line liner) ([]string, likeness) {
	key, member := []string{h.key("set")}, []string{h.element()}
	switch h.rand.IntN(14) {
	case 0, 1, 2:
		return line("SADD", key, h.elements()), exactly
	case 3:
		return line("SREM", key, h.elements()), exactly
	case 4:
		return line("SMOVE", key, []string{h.key("set")}, member), exactly
	case 5:
		return line(h.pick("SISMEMBER", "SMISMEMBER"), key, member), exactly
	case 6:
		return line("SCARD", key), exactly
	case 7:
		return line("SADD", []string{poppedKey}, h.elements()), exactly
	case 8:
		words := line("SPOP", []string{poppedKey})
		if h.rand.IntN(2) == 0 {
			words = append(words, strconv.Itoa(h.rand.IntN(8)))
		}
		return words, chosen
	case 9:
		words := line("SRANDMEMBER", key)
		if h.rand.IntN(3) > 0 {
			words = append(words, strconv.Itoa(h.rand.IntN(40)-20))
		}
		return words, asMany
	case 10:
		return line(h.pick("SINTER", "SUNION", "SDIFF"), h.keys("set")), unordered
	case 11:
		return line(h.pick("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"), key, h.keys("set")), exactly
	case 12:
		keys := h.keys("set")
		words := line("SINTERCARD", []string{strconv.Itoa(len(keys))}, keys)
		if h.rand.IntN(2) == 0 {
			words = append(words, "LIMIT", h.number())
		}
		return words, exactly
	}
	return line(h.pick("SMEMBERS"), key), unordered
}

// score is a number that Redis 7.0 and 7.2 print alike.
func (h *twins) score() string {
	if h.rand.IntN(20) == 0 {
		return h.pick("inf", "-inf", "x", "nan", "0x10", "1e3", "-1.25e-1")
	}
	return h.pick("", "-") + strconv.Itoa(1+h.rand.IntN(9)) + h.pick("", ".5", ".25")
}

func (h *twins) scoreBound() string {
	if h.rand.IntN(5) == 0 {
		return h.pick("-inf", "+inf", "", "x")
	}
	return h.pick("", "(") + h.score()
}

func (h *twins) lexBound() string {
	if h.rand.IntN(4) == 0 {
		return h.pick("-", "+", "", "x", "-x")
	}
	return h.pick("[", "(") + h.element()
}

func (h *twins) sometimes(words ...string) []string {
	if h.rand.IntN(3) > 0 {
		return nil
	}
	return words
}

func (h *twins) limit() []string { return h.sometimes("LIMIT", h.number(), h.number()) }

// zsetKey is the key of a sorted set; those for ranges by the bytes of members
// have only one score.
func (h *twins) zsetKey() []string { return []string{h.key("zset")} }

const lexKey = "zset:lex"

// ascendingKey has members whose order is that of their scores.
const ascendingKey = "zset:ascending"

func (h *twins) zsetCommand(line liner) ([]string, likeness) {
	key := h.zsetKey()
	switch h.rand.IntN(24) {
	case 0, 1, 2, 3, 4, 5:
		words := line("ZADD", key, h.sometimes(h.pick("NX", "XX")), h.sometimes(h.pick("GT", "LT")), h.sometimes("CH"))
		if h.rand.IntN(4) == 0 {
			words = append(words, "INCR")
		}
		for range 1 + h.rand.IntN(3) {
			words = append(words, h.score(), h.element())
		}
		return words, exactly
	case 6:
		return line("ZINCRBY", key, []string{h.score(), h.element()}), exactly
	case 7:
		return line(h.pick("ZSCORE", "ZRANK", "ZREVRANK"), key, []string{h.element()}), exactly
	case 8:
		return line(h.pick("ZMSCORE", "ZREM"), key, h.elements()), exactly
	case 9:
		if h.rand.IntN(2) == 0 {
			return line("ZADD", []string{lexKey, "0", h.element()}), exactly
		}
		if h.rand.IntN(2) == 0 {
			return line(h.pick("ZRANGEBYLEX", "ZREVRANGEBYLEX"), []string{ascendingKey, h.lexBound(), h.lexBound()}), exactly
		}
		return line("ZCARD", key), exactly
	case 10:
		return line(h.pick("ZRANGE", "ZREVRANGE"), key, []string{h.number(), h.number()}, h.sometimes("WITHSCORES")), exactly
	case 11:
		return line(h.pick("ZRANGEBYSCORE", "ZREVRANGEBYSCORE"), key, []string{h.scoreBound(), h.scoreBound()}, h.sometimes("WITHSCORES"), h.limit()), exactly
	case 12:
		return line(h.pick("ZRANGEBYLEX", "ZREVRANGEBYLEX"), []string{lexKey, h.lexBound(), h.lexBound()}, h.limit()), exactly
	case 13:
		by, bound := "BYSCORE", h.scoreBound
		switch h.rand.IntN(3) {
		case 0:
			by, bound, key = "BYLEX", h.lexBound, []string{lexKey}
		case 1:
			by, bound = "", h.number
		}
		return h.someRange(line, key, by, bound), exactly
	case 14:
		return line("ZCOUNT", key, []string{h.scoreBound(), h.scoreBound()}), exactly
	case 15:
		return line(h.pick("ZLEXCOUNT", "ZREMRANGEBYLEX"), []string{lexKey, h.lexBound(), h.lexBound()}), exactly
	case 16:
		return line("ZREMRANGEBYRANK", key, []string{h.number(), h.number()}), exactly
	case 17:
		return line("ZREMRANGEBYSCORE", key, []string{h.scoreBound(), h.scoreBound()}), exactly
	case 18, 19:
		return h.combineCommand(line), exactly
	case 20:
		words := line(h.pick("ZPOPMIN", "ZPOPMAX"), key)
		if h.rand.IntN(2) == 0 {
			words = append(words, h.number())
		}
		return words, exactly
	case 21:
		keys := h.keys("zset")
		return line("ZMPOP", []string{strconv.Itoa(len(keys))}, keys, []string{h.pick("MIN", "max", "MID")}, h.sometimes("COUNT", h.number())), exactly
	case 22:
		words := line("ZRANDMEMBER", key)
		if h.rand.IntN(3) > 0 {
			words = append(words, strconv.Itoa(h.rand.IntN(40)-20))
			words = append(words, h.sometimes("WITHSCORES")...)
		}
		return words, asMany
	}
	return line("ZSCAN", key, []string{"0", "COUNT", "1000", "MATCH", h.pick("*", "1*", "?")}), unordered
}

func (h *twins) someRange(line liner, key []string, by string, bound func() string) []string {
	words := line("ZRANGE", key, []string{bound(), bound()})
	if h.rand.IntN(2) == 0 {
		words = line("ZRANGESTORE", []string{h.key("zset")}, key, []string{bound(), bound()})
	}
	if by != "" {
		words = append(words, by)
	}
	return append(append(append(words, h.sometimes("REV")...), h.limit()...), h.sometimes("WITHSCORES")...)
}

func (h *twins) combineCommand(line liner) []string {
	name := h.pick("ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD")
	words := []string{name}
	if name != "ZINTERCARD" && h.rand.IntN(2) == 0 {
		words = []string{name + "STORE", h.key("zset")}
	}
	keys := h.keys("zset")
	if h.rand.IntN(3) == 0 {
		keys = append(keys, h.key("set"))
	}
	words = append(append(words, strconv.Itoa(len(keys))), keys...)
	if h.rand.IntN(3) == 0 {
		words = append(words, "WEIGHTS")
		for range keys {
			words = append(words, h.pick("1", "2", "-1", "0", "0.5", "inf", "x"))
		}
	}
	words = append(words, h.sometimes("AGGREGATE", h.pick("SUM", "min", "MAX", "AVG"))...)
	words = append(words, h.sometimes("WITHSCORES")...)
	if name == "ZINTERCARD" {
		words = append(words, h.sometimes("LIMIT", h.number())...)
	}
	return words
}

// sortCommand sorts anything; a set that is not sorted has an order of the
// server's own, and so has what LIMIT leaves of it.
func (h *twins) sortCommand(line liner) ([]string, likeness) {
	key := h.key(h.pick("list", "list", "set", "zset"))
	words := line("SORT", []string{key}, h.sometimes(h.pick("ASC", "DESC")))
	alpha := h.rand.IntN(4) > 0
	if alpha {
		words = append(words, "ALPHA")
	}
	stored := h.rand.IntN(3) == 0
	// A sorted set that is sorted in another way begins in no order.
	like, list, zset := exactly, strings.HasPrefix(key, "list"), strings.HasPrefix(key, "zset")
	switch h.rand.IntN(5) {
	case 0:
		words = append(words, "BY", h.pick("list:*", "hash:*->1", "string:*", "set:*"))
		if alpha && !list {
			like, stored = asMany, false
		}
	case 1:
		words = append(words, "BY", "nosort")
		if !stored && !list && !zset {
			like = asMany
		}
	}
	if h.rand.IntN(3) == 0 {
		words = append(words, "LIMIT", h.number(), h.number())
	}
	for range h.rand.IntN(3) {
		words = append(words, "GET", h.pick("#", "hash:*->1", "string:*", "x", "hash:*->"))
	}
	if stored {
		words = append(words, "STORE", h.key("list"))
	}
	return words, like
}
