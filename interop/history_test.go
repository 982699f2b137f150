package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/command/commandtest"
	"redoubt/internal/redistest"
)

// historyDBs is how many databases histories use; nodes have 16.
const historyDBs = 4

// A history is random commands over all types that several clients send to a
// server: single ones, pipelines, transactions and clients that wait. Lines are
// made from our command table. Many are refused, some of them only by one of the
// two kinds of servers.
type history struct {
	t       *testing.T
	s       *redistest.Server
	clients []*redistest.Client
	waiting []*redistest.Client
	rows    []*command.Row
	lines   commandtest.Lines
	sent    int
	recent  []string // for a failure
	// dbs is how many databases are used.
	dbs int
}

func newHistory(t *testing.T, s *redistest.Server, seed uint64) *history {
	h := &history{t: t, dbs: historyDBs}
	h.lines = commandtest.Lines{Rand: rand.New(rand.NewPCG(seed, 4)), Keys: 8, Databases: h.dbs}
	// A row has its syntax once it is in a table. Fields of hashes do not expire in the
	// redis-server that these histories reach, too: command.HashExpiry is not among them.
	table := command.NewTable(
		command.Strings, command.Counters, command.Ranges, command.Bits, command.BitFields, command.HyperLogLogs, command.Geo, command.GeoSearches, command.Keys, command.Expiry, command.Serialization,
		command.Lists, command.ListMoves, command.Hashes, command.Sets, command.SetOperations,
		command.ZSets, command.ZPops, command.ZRanges, command.ZSetOperations, command.Waits,
		command.Streams, command.StreamGroups, command.StreamReads, command.StreamClaims)
	for _, r := range table.Rows() {
		for _, sub := range r.Sub {
			if sub.Is(command.Write) {
				h.rows = append(h.rows, sub)
			}
		}
		if r.Is(command.Write) && len(r.Sub) == 0 && r.Name != "restore-asking" {
			h.rows = append(h.rows, r)
		}
	}
	h.connect(s)
	return h
}

// connect makes the history go on at a server, after a restart or at another.
func (h *history) connect(s *redistest.Server) {
	h.s, h.clients, h.waiting = s, nil, nil
	for range 3 {
		h.clients = append(h.clients, s.Client())
		h.waiting = append(h.waiting, s.Client())
	}
}

// run sends so many batches of commands.
func (h *history) run(batches int) {
	h.t.Helper()
	l := &h.lines
	for range batches {
		l.Now = time.Now().UnixMilli()
		c := h.clients[l.IntN(len(h.clients))]
		switch l.IntN(15) {
		case 12, 13:
			h.send(c, h.script())
		case 14:
			h.send(c, h.library(), h.script())
		case 0:
			h.wait(h.waiting[l.IntN(len(h.waiting))])
		case 1, 2, 3:
			h.send(c, h.bulk())
		case 4:
			h.keepPayload(c)
		case 5:
			if h.dbs > 1 {
				h.send(c, h.databases())
			}
		default:
			h.send(c, h.batch()...)
		}
	}
}

// batch is a few lines, which may be a transaction.
func (h *history) batch() (batch [][]any) {
	l := &h.lines
	for range 1 + l.IntN(12) {
		line := []any{}
		for _, arg := range l.Line(h.rows[l.IntN(len(h.rows))]) {
			line = append(line, arg)
		}
		batch = append(batch, line)
	}
	if l.IntN(3) == 0 {
		batch = slices.Concat([][]any{{"MULTI"}}, batch, [][]any{{"EXEC"}})
	}
	return batch
}

// bulk changes a key by many elements at once, so that it becomes large, or
// small again.
func (h *history) bulk() []any {
	l := &h.lines
	n := 1 + l.IntN(300)
	key := func(group string) string { return l.Key(group) }
	text := func() string { return strings.Repeat(fmt.Sprint("text", l.IntN(500)), 1+l.IntN(3)*l.IntN(20)) }
	many := func(line []any, element func() []any) []any {
		for range n {
			line = append(line, element()...)
		}
		return line
	}
	switch l.IntN(17) {
	case 0, 1:
		return many([]any{"RPUSH", key("list")}, func() []any { return []any{text()} })
	case 2:
		return many([]any{"LPUSH", key("list")}, func() []any { return []any{l.IntN(1000)} })
	case 3, 4:
		return many([]any{"SADD", key("set")}, func() []any { return []any{text()} })
	case 5:
		return many([]any{"SADD", key("set")}, func() []any { return []any{l.Int64() - l.Int64()} })
	case 6, 7:
		return many([]any{"HSET", key("hash")}, func() []any { return []any{text(), text()} })
	case 8, 9:
		return many([]any{"ZADD", key("sorted-set")}, func() []any { return []any{l.NormFloat64() * 100, text()} })
	case 10:
		return []any{"SPOP", key("set"), n}
	case 11:
		return []any{"ZREMRANGEBYRANK", key("sorted-set"), l.IntN(20), n}
	case 12:
		return []any{"LTRIM", key("list"), l.IntN(20), n}
	case 13:
		return []any{"SET", key("string"), strings.Repeat("large", n*100)}
	case 15:
		return many([]any{"XADD", key("stream"), "MAXLEN", "~", l.IntN(200), "*"}, func() []any { return []any{text(), text()} })
	case 14:
		return []any{"SORT", key([]string{"list", "set", "sorted-set"}[l.IntN(3)]), "ALPHA", "STORE", key("list")}
	}
	return []any{"COPY", key(""), key(""), "REPLACE"}
}

// databases is a command on whole databases.
func (h *history) databases() []any {
	l := &h.lines
	switch n := l.IntN(50); {
	case n == 0:
		return []any{"FLUSHALL"}
	case n == 1:
		return []any{"FLUSHDB"}
	case n < 10:
		return []any{"SWAPDB", l.IntN(h.dbs), l.IntN(h.dbs)}
	}
	return []any{"SELECT", l.IntN(h.dbs)}
}

// wait makes a client wait, not for longer than keys live that expire soon.
func (h *history) wait(c *redistest.Client) {
	l := &h.lines
	line := [][]any{
		{"BLMOVE", l.Key("list"), l.Key("list"), "LEFT", "RIGHT", "0.05"},
		{"BLPOP", l.Key("list"), l.Key("list"), "0.05"},
		{"BZPOPMIN", l.Key("sorted-set"), "0.05"},
		{"BLMPOP", "0.05", 2, l.Key("list"), l.Key("list"), "RIGHT", "COUNT", 2},
		{"BZMPOP", "0.05", 1, l.Key("sorted-set"), "MAX", "COUNT", 3},
		{"XREADGROUP", "GROUP", "group0", "consumer0", "BLOCK", 50, "STREAMS", l.Key("stream"), l.Key("stream"), ">", ">"},
	}[l.IntN(6)]
	h.send(c, []any{"SELECT", l.IntN(h.dbs)}, []any{"DEL", line[1]})
	if err := c.Send(line); err != nil {
		h.t.Fatal(err)
	}
	h.send(h.clients[0], []any{"RPUSH", l.Key("list"), "for those who wait"}, []any{"ZADD", l.Key("sorted-set"), 1, "likewise"},
		[]any{"XADD", l.Key("stream"), "*", "and", "so on"})
	if _, err := c.ReadRaw(); err != nil {
		h.t.Fatal(err)
	}
}

// keepPayload keeps what DUMP gives for RESTORE.
func (h *history) keepPayload(c *redistest.Client) {
	reply, err := c.Do("DUMP", h.lines.Key(""))
	if payload, ok := reply.(string); ok && err == nil && len(payload) > 10 {
		h.lines.Payloads = append(h.lines.Payloads, []byte(payload))
	}
}

// send sends commands in a pipeline. They may be refused.
func (h *history) send(c *redistest.Client, batch ...[]any) {
	h.t.Helper()
	if h.recent = append(h.recent, fmt.Sprintf("%.200q", batch)); len(h.recent) > 20 {
		h.recent = h.recent[1:]
	}
	if _, err := c.Pipeline(batch...); err != nil {
		h.t.Fatalf("%v, after\n%s", err, strings.Join(h.recent, "\n"))
	}
	h.sent += len(batch)
}

// calm waits until no key is left that expires soon, so that digests stand still.
func (h *history) calm() {
	h.t.Helper()
	c := h.s.Client()
	redistest.Until(h.t, settle, "keys that expire soon are gone", func() error {
		for db := range h.dbs {
			if h.dbs > 1 {
				if _, err := c.Do("SELECT", db); err != nil {
					return err
				}
			}
			reply, err := c.Do("KEYS", "*")
			if err != nil {
				return err
			}
			// redis-server does not list what has expired, and has it in the digest until
			// it is deleted.
			if n, err := c.Do("DBSIZE"); err != nil || n != int64(len(reply.([]any))) {
				return fmt.Errorf("database %d lists %d keys and has %v, %v", db, len(reply.([]any)), n, err)
			}
			for _, key := range reply.([]any) {
				ttl, err := c.Do("PTTL", key)
				if n, ok := ttl.(int64); err != nil || ok && n >= 0 && n < commandtest.Late/2 {
					return fmt.Errorf("%v of database %d: %v, %v", key, db, ttl, err)
				}
			}
		}
		return nil
	})
}

// types is how many keys of each type a server has.
func types(t *testing.T, s *redistest.Server) map[string]int {
	t.Helper()
	c, n := s.Client(), map[string]int{}
	for db := range historyDBs {
		if _, err := c.Do("SELECT", db); err != nil {
			t.Fatal(err)
		}
		keys, err := c.Do("KEYS", "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys.([]any) {
			typ, err := c.Do("TYPE", key)
			if err != nil {
				t.Fatal(err)
			}
			n[typ.(string)]++
		}
	}
	return n
}

// sameDigest waits until two servers have the same data.
func sameDigest(t *testing.T, a, b *redistest.Server) {
	t.Helper()
	redistest.Until(t, settle, fmt.Sprintf("%v on port %d has the data of %v on port %d", b.Kind, b.Port, a.Kind, a.Port), func() error {
		if digest(a) != digest(b) {
			return errors.New(difference(t, a, b))
		}
		if x, y := libraries(a), libraries(b); !slices.Equal(x, y) {
			return fmt.Errorf("the libraries are %q and %q", x, y)
		}
		return nil
	})
}

// fromDifference is two texts from shortly before they differ.
func fromDifference(a, b string) (string, string) {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	n = max(0, n-50)
	return a[n:], b[n:]
}

// difference names keys that two servers have and that differ.
func difference(t *testing.T, a, b *redistest.Server) string {
	x, y := a.Client(), b.Client()
	var all []string
	for db := range historyDBs {
		keys := map[any]bool{}
		for _, c := range []*redistest.Client{x, y} {
			if _, err := c.Do("SELECT", db); err != nil {
				t.Fatal(err)
			}
			reply, err := c.Do("KEYS", "*")
			if err != nil {
				return err.Error()
			}
			for _, key := range reply.([]any) {
				keys[key] = true
			}
		}
		for key := range keys {
			for _, line := range [][]any{{"TYPE", key}, {"PEXPIRETIME", key}, {"DEBUG", "DIGEST-VALUE", key}, {"ZRANGE", key, 0, -1, "WITHSCORES"}} {
				p, err1 := x.Do(line...)
				q, err2 := y.Do(line...)
				if one, other := fmt.Sprint(p, err1), fmt.Sprint(q, err2); one != other {
					one, other = fromDifference(one, other)
					all = append(all, fmt.Sprintf("database %d: %v: %.100s and %.100s", db, line, one, other))
				}
			}
		}
	}
	for db := range historyDBs {
		for _, c := range []*redistest.Client{x, y} {
			c.Do("SELECT", db)
			n, err := c.Do("DBSIZE")
			all = append(all, fmt.Sprintf("~ database %d has %v keys %v", db, n, err))
		}
	}
	slices.Sort(all)
	return fmt.Sprintf("%d differences: %s", len(all), strings.Join(all[:min(8, len(all))], "\n"))
}
