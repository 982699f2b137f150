package node

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/command/commandtest"
	"redoubt/internal/redistest"
	"redoubt/storage"
	"redoubt/storage/chunk"
)

// The rule of all mutations, over the commands that clients really call: what a
// restart replays and what a replica applies gives the data of the primary, in
// every database.
func TestEveryCommandGivesTheSameDataToRestartsAndReplicas(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			dir, port := t.TempDir(), redistest.Port(t)
			args := []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--databases", "4", "--save", ""}
			primary, stop := startNode(t, dir, args...)
			replica, _ := startNode(t, t.TempDir(), "--databases", "4", "--replicaof", fmt.Sprint("127.0.0.1 ", port))
			w := newWriter(t, primary, fmt.Sprint("127.0.0.1:", port), seed)
			w.run(1500)
			want := contents(primary)
			redistest.Until(t, 20*time.Second, "the replica has the primary's data", func() error {
				return w.differs(want, contents(replica))
			})
			joined, _ := startNode(t, t.TempDir(), "--databases", "4", "--replicaof", fmt.Sprint("127.0.0.1 ", port))
			redistest.Until(t, 20*time.Second, "a replica that joins has them, too", func() error {
				return w.differs(want, contents(joined))
			})
			stop()
			restarted, _ := startNode(t, dir, args...)
			if err := w.differs(want, contents(restarted)); err != nil {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
}

// keyIn names a key of a database.
type keyIn struct {
	db  int
	key string
}

// contents is a fingerprint of each value, and one of everything.
func contents(n *Node) map[keyIn]storage.Digest {
	all := map[keyIn]storage.Digest{}
	n.keys.World(now(), func(tx *storage.Tx) {
		all[keyIn{-1, "everything"}] = tx.Digest()
		for db := range n.keys.Databases() {
			tx.Select(db)
			for s, ok := n.keys.NextSlot(db, 0); ok; s, ok = n.keys.NextSlot(db, s+1) {
				var keys []string
				for cursor, more := uint64(0), true; more; more = cursor != 0 {
					cursor = tx.Scan(s, cursor, 100, func(e storage.Entry) { keys = append(keys, string(e.Key())) })
				}
				for _, key := range keys {
					all[keyIn{db, key}] = tx.DigestValue([]byte(key))
					if e, ok := tx.Peek([]byte(key)); ok && e.Type() == storage.TypeHash {
						all[keyIn{db, key + " in time"}] = fieldTimes(e)
					} else if ok && e.Type() == storage.TypeStream {
						all[keyIn{db, key + " with groups"}] = groupsOf(e)
					}
				}
			}
		}
	})
	return all
}

// fieldTimes is a fingerprint of when fields of a hash expire.
func fieldTimes(e storage.Entry) storage.Digest {
	var times []string
	h := e.Hash()
	h.EachDue(func(name, _ []byte, due int64) bool {
		times = append(times, fmt.Sprintf("%q %d", name, due))
		return true
	})
	slices.Sort(times)
	return sha1.Sum([]byte(strings.Join(times, "\n")))
}

// groupsOf is a fingerprint of what streams tell of groups: their consumers, how far
// each was given items, and which are pending with whom. Neither we nor Redis tell of
// items that were delivered once more, because a consumer has read its history, nor of
// when a consumer asked.
func groupsOf(e storage.Entry) storage.Digest {
	var all []string
	l := e.Log()
	all = append(all, fmt.Sprint(l.LastID(), l.MaxDeleted(), l.Added(), l.FirstID()))
	l.EachGroup(func(g *storage.Group) bool {
		all = append(all, fmt.Sprintf("%s %v %d", g.Name(), g.Last, g.Read))
		g.EachConsumer(func(m *storage.Consumer) bool {
			all = append(all, string(m.Name()))
			return true
		})
		for from, more := (chunk.ID{}), true; more; {
			p, ok := g.NextPending(from)
			if !ok {
				break
			}
			all = append(all, fmt.Sprintf("%v %s", p.ID, g.OwnerName(p)))
			from, more = p.ID.Next()
		}
		return true
	})
	return sha1.Sum([]byte(strings.Join(all, "\n")))
}

// writer sends random commands to a node, in all its databases, now and then in
// transactions. Beside it stand clients that wait for elements.
type writer struct {
	t       *testing.T
	c       *redistest.Client
	waiting map[*redistest.Client]int // with the number of replies to come
	waiters []*redistest.Client
	lines   commandtest.Lines
	rows    []*command.Row // that write
	reads   []*command.Row
	streams []*command.Row      // that write, if nothing else is to be written
	last    map[string][]string // the last lines that name a key
}

func newWriter(t *testing.T, n *Node, addr string, seed uint64) *writer {
	w := &writer{t: t, waiting: map[*redistest.Client]int{}, last: map[string][]string{}}
	dial := func() *redistest.Client {
		c, err := redistest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	w.c = dial()
	for range 4 {
		w.waiters = append(w.waiters, dial())
	}
	w.lines = commandtest.Lines{Rand: rand.New(rand.NewPCG(seed, 1)), Keys: 12, Databases: n.keys.Databases(), Now: now()}
	for _, r := range n.server.Table().Rows() {
		for _, sub := range r.Sub {
			if sub.Is(command.Write) {
				w.rows = append(w.rows, sub)
			}
		}
		switch {
		case r.Name == "migrate", len(r.Sub) > 0:
		case r.Is(command.Write):
			w.rows = append(w.rows, r)
		case r.Is(command.ReadOnly):
			w.reads = append(w.reads, r)
		}
	}
	return w
}

// run sends so many commands and returns when nobody waits any more and none of
// the keys is about to expire.
func (w *writer) run(commands int) {
	l := &w.lines
	open := false
	for range commands {
		switch l.IntN(25) {
		case 0:
			w.do("SELECT", l.IntN(l.Databases))
		case 1:
			if open {
				w.do("EXEC")
			} else {
				w.do("MULTI")
			}
			open = !open
		case 2:
			w.wait(w.waiters[l.IntN(len(w.waiters))])
		case 3:
			w.keepPayload()
		case 4:
			w.send(w.lines.Line(w.reads[l.IntN(len(w.reads))]))
		default:
			r := w.rows[l.IntN(len(w.rows))]
			if r.Name == "flushall" && l.IntN(30) > 0 || r.Name == "flushdb" && l.IntN(4) > 0 {
				continue // something should be left of the rest
			}
			l.Now = now()
			w.send(w.ofStreams(w.lines.Line(r)))
		}
	}
	if open {
		w.do("EXEC")
	}
	for c, replies := range w.waiting {
		for range replies {
			if _, err := c.ReadRaw(); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	redistest.Until(w.t, 10*time.Second, "keys that expire soon are gone", w.expiring)
}

// wait makes another client wait for an element of a list, and at most for as
// long as keys live that expire soon.
func (w *writer) wait(c *redistest.Client) {
	l := &w.lines
	line := []any{"BLMOVE", l.Key("list"), l.Key("list"), "LEFT", "RIGHT", "0.05"}
	switch w.lines.IntN(4) {
	case 0:
		line = []any{"BRPOP", l.Key("list"), l.Key("list"), "0.05"}
	case 1:
		line = []any{"XREADGROUP", "GROUP", "group0", "consumer0", "BLOCK", "50", "STREAMS", l.Key("stream"), l.Key("stream"), ">", ">"}
	}
	if err := c.Send([]any{"SELECT", l.IntN(l.Databases)}, line); err != nil {
		w.t.Fatal(err)
	}
	w.waiting[c] += 2
}

// keepPayload keeps what DUMP gives for RESTORE.
func (w *writer) keepPayload() {
	if reply, ok := w.do("DUMP", w.lines.Key("")).(string); ok && len(reply) > 10 {
		w.lines.Payloads = append(w.lines.Payloads, []byte(reply))
	}
}

func (w *writer) send(line [][]byte) {
	args := make([]any, len(line))
	for i, a := range line {
		args[i] = a
	}
	w.do(args...)
	text := fmt.Sprintf("%q", line)
	for _, a := range line[1:] {
		key := string(a)
		w.last[key] = append(w.last[key], text)
	}
}

// do runs a command, which may be refused.
func (w *writer) do(args ...any) any {
	reply, err := w.c.Do(args...)
	var refusal redistest.Error
	if err != nil && !errors.As(err, &refusal) {
		w.t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// expiring reports keys and fields that expire soon.
func (w *writer) expiring() error {
	for db := range w.lines.Databases {
		w.do("SELECT", db)
		for _, key := range w.do("KEYS", "*").([]any) {
			if ttl := w.do("PTTL", key).(int64); ttl >= 0 && ttl < commandtest.Late/2 {
				return fmt.Errorf("%q of database %d expires in %d ms", key, db, ttl)
			}
			if err := w.expiringFields(key); err != nil {
				return fmt.Errorf("database %d: %w", db, err)
			}
		}
	}
	return nil
}

// expiringFields reports fields of a hash that expire soon.
func (w *writer) expiringFields(key any) error {
	if w.do("TYPE", key) != "hash" {
		return nil
	}
	names := w.do("HKEYS", key).([]any)
	if n := w.do("HLEN", key).(int64); n != int64(len(names)) {
		return fmt.Errorf("%d fields of %q have expired", n-int64(len(names)), key)
	}
	for i, ttl := range w.do(append([]any{"HPTTL", key, "FIELDS", len(names)}, names...)...).([]any) {
		if ttl := ttl.(int64); ttl >= 0 && ttl < commandtest.Late/2 {
			return fmt.Errorf("%q of %q expires in %d ms", names[i], key, ttl)
		}
	}
	return nil
}

// differs reports a key whose value is not what it should be, with the last
// commands that name it.
func (w *writer) differs(want, got map[keyIn]storage.Digest) error {
	var wrong []string
	for k := range want {
		if got[k] != want[k] {
			wrong = append(wrong, fmt.Sprintf("%q of database %d", k.key, k.db))
		}
	}
	for k := range got {
		if _, there := want[k]; !there {
			wrong = append(wrong, fmt.Sprintf("%q of database %d, which should not be there", k.key, k.db))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	key := strings.Split(wrong[len(wrong)-1], `"`)[1]
	lines := w.last[key]
	return fmt.Errorf("%d of %d values differ, such as %s; the last commands on %s were\n%s",
		len(wrong), len(want), wrong[len(wrong)-1], key, strings.Join(lines[max(0, len(lines)-8):], "\n"))
}

// A stream is somebody else's bytes. Whatever command it holds, with whatever
// arguments, is executed, passed over or refused. And each command uses the keys
// alone that its row declares: a unit panics when it is asked for another.
func TestNoCommandOfAStreamEndsTheProcess(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--databases", "4")
	lines := commandtest.Lines{Rand: rand.New(rand.NewPCG(1, 2)), Keys: 3, Databases: 4, Now: now()}
	apply := func(line [][]byte) {
		defer func() {
			if p := recover(); p != nil {
				t.Fatalf("%q: %v", line, p) // its unit has not ended
			}
		}()
		effect := command.Effect{DB: lines.IntN(4), Args: line}
		if err := n.applier.Apply(now(), []command.Effect{effect}, 1, nil); err != nil && !errors.Is(err, command.ErrUnknownEffect) {
			t.Errorf("%q: %v", line, err)
		}
	}
	for range 60 {
		for _, r := range n.server.Table().Rows() {
			if r.Run != nil {
				apply(lines.Line(r))
			}
			for _, sub := range r.Sub {
				apply(lines.Line(sub))
			}
		}
	}
}

func TestACommandForClientsIsRefusedInAStream(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	line := strings.Fields("MIGRATE 127.0.0.1 1 k 0 100")
	args := make([][]byte, len(line))
	for i, s := range line {
		args[i] = []byte(s)
	}
	if err := n.applier.Apply(now(), []command.Effect{{Args: args}}, 1, nil); !errors.Is(err, command.ErrUnknownEffect) {
		t.Errorf("MIGRATE in a stream: %v", err)
	}
}

// Fields keep their expiry in a dump and in the snapshot for a replica, both of
// which are files of Valkey 9 as long as there are such fields, and only then.
func TestFieldExpiryIsInFiles(t *testing.T) {
	dir, port := t.TempDir(), redistest.Port(t)
	args := []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--appendonly", "no", "--save", ""}
	primary, stop := startNode(t, dir, args...)
	c, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	do := func(args ...any) {
		t.Helper()
		if _, err := c.Do(args...); err != nil {
			t.Fatalf("%v: %v", args[0], err)
		}
	}
	magic := func() string {
		t.Helper()
		do("SAVE")
		file, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
		if err != nil {
			t.Fatal(err)
		}
		return string(file[:9])
	}
	do("HSET", "plain", "a", 1)
	do("HSETEX", "small", "EX", 1000, "FIELDS", 1, "a", 1)
	do("HSET", "small", "b", 2)
	for i := range 3000 {
		do("HSETEX", "large", "PX", 1_000_000+i, "FIELDS", 2, fmt.Sprint("f", i), i, fmt.Sprint("g", i), i)
		do("HPERSIST", "large", "FIELDS", 1, fmt.Sprint("g", i))
	}
	if got := magic(); got != "VALKEY080" {
		t.Errorf("the dump begins with %q", got)
	}
	want := contents(primary)
	replica, _ := startNode(t, t.TempDir(), "--replicaof", fmt.Sprint("127.0.0.1 ", port))
	redistest.Until(t, 20*time.Second, "the replica has the primary's data", func() error {
		if got := contents(replica); !maps.Equal(got, want) {
			return fmt.Errorf("%d values, not these %d", len(got), len(want))
		}
		return nil
	})
	c.Close()
	stop()
	primary, _ = startNode(t, dir, args...)
	if got := contents(primary); !maps.Equal(got, want) {
		t.Error("a restart from the dump has other data")
	}
	if c, err = redistest.Dial(fmt.Sprint("127.0.0.1:", port)); err != nil {
		t.Fatal(err)
	}
	do("DEL", "large")
	do("HPERSIST", "small", "FIELDS", 1, "a")
	if got := magic(); got != "REDIS0010" {
		t.Errorf("the dump without such fields begins with %q", got)
	}
}
