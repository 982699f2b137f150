package command

import (
	"redoubt/internal/resp"
	"strconv"

	"redoubt/internal/glob"
	"redoubt/slots"
	"redoubt/storage"
)

// Iteration is the rows of the commands that look at the whole keyspace.
var Iteration = []*Row{
	{Name: "scan", Arity: -2, Flags: ReadOnly | TouchesArbitraryKeys, ACL: CatKeyspace, Lock: LockSelf, Run: scan,
		Doc: Doc{Summary: "Iterates over the keys of the database.", Since: "2.8.0", Group: "generic", Complexity: "O(1) for each call, O(N) for a whole iteration", Tips: []string{"nondeterministic_output", "request_policy:special", "response_policy:special"}}},
	{Name: "keys", Arity: 2, Flags: ReadOnly, ACL: CatKeyspace | CatDangerous, Lock: LockWorld, Run: keys,
		Doc: Doc{Summary: "Returns all keys that match a pattern.", Since: "1.0.0", Group: "generic", Complexity: "O(N) where N is the number of keys in the database", Tips: []string{"request_policy:all_shards", "nondeterministic_output_order"}}},
	{Name: "randomkey", Arity: 1, Flags: ReadOnly | TouchesArbitraryKeys, ACL: CatKeyspace, Lock: LockWorld, Run: randomKey,
		Doc: Doc{Summary: "Returns a random key of the database.", Since: "1.0.0", Group: "generic", Complexity: "O(1)", Tips: []string{"request_policy:all_shards", "response_policy:special", "nondeterministic_output"}}},
	{Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast, ACL: CatKeyspace, Lock: LockSelf, Run: dbSize,
		Doc: Doc{Summary: "Counts the keys of the database.", Since: "1.0.0", Group: "server", Complexity: "O(1)", Tips: []string{"request_policy:all_shards", "response_policy:agg_sum"}}},
}

// inSlot runs f on one slot: in the transaction's unit, or in one of its own
// whose gate the reply then has.
func (c *Ctx) inSlot(s slots.Slot, f func(tx *storage.Tx)) {
	if c.Tx != nil {
		f(c.Tx)
		return
	}
	one := [1]slots.Slot{s}
	tx := c.Exec.Begin(c.Host.Now(), one[:])
	if tx == nil {
		return // the call is answered with the reason
	}
	tx.Select(c.DB())
	if c.Row.Is(TouchesArbitraryKeys) {
		tx.Loose()
	}
	f(tx)
	c.ReplyGate = max(c.ReplyGate, c.Exec.End())
}

// slotBits is where a client's cursor holds the slot; above it stands the
// cursor within the slot.
const slotBits = 14

// scanOptions is what may follow a cursor.
type scanOptions struct {
	match     []byte
	typ       []byte // of SCAN
	count     int
	namesOnly bool // NOVALUES of HSCAN, NOSCORES of ZSCAN
}

// ofKeys stands for the type of the collection where SCAN goes over the keys.
const ofKeys = storage.TypeModule

// parseScanOptions reads the options of SCAN or, if of is the type of a
// collection, of the command that goes over it. It matches scanGenericCommand.
func parseScanOptions(c *Ctx, args [][]byte, of storage.Type) (o scanOptions, ok bool) {
	o.count = 10
	for len(args) > 0 {
		if of == storage.TypeHash && is(args[0], "NOVALUES") || of == storage.TypeZSet && is(args[0], "NOSCORES") {
			o.namesOnly, args = true, args[1:]
			continue
		}
		if len(args) == 1 {
			c.Out.Error(resp.ErrSyntax)
			return o, false
		}
		switch {
		case is(args[0], "MATCH"):
			o.match = args[1]
		case of == ofKeys && is(args[0], "TYPE"):
			o.typ = args[1]
		case is(args[0], "COUNT"):
			n, ok := resp.ParseInt(args[1])
			if !ok {
				c.Out.Error(resp.ErrNotInteger)
				return o, false
			}
			if n < 1 {
				c.Out.Error(resp.ErrSyntax)
				return o, false
			}
			o.count = int(min(n, 1<<30))
		default:
			c.Out.Error(resp.ErrSyntax)
			return o, false
		}
		args = args[2:]
	}
	if string(o.match) == "*" {
		o.match = nil
	}
	return o, true
}

func (o *scanOptions) matches(e storage.Entry) bool {
	return (o.match == nil || glob.Match(o.match, e.Key())) &&
		(o.typ == nil || equalFold(o.typ, e.Type().String()))
}

func equalFold(b []byte, s string) bool { return is(b, upper(s)) }

// scan goes slot after slot. What a slot yields is bounded by COUNT, and so is
// the number of keys looked at altogether.
func scan(c *Ctx) {
	cursor, ok := c.cursor(c.Args[1])
	if !ok {
		return
	}
	o, ok := parseScanOptions(c, c.Args[2:], ofKeys)
	if !ok {
		return
	}
	slot, within := slots.Slot(cursor&(1<<slotBits-1)), cursor>>slotBits
	var found copies
	seen := 0
	for more := true; more && seen < o.count; {
		if within == 0 {
			if slot, more = c.Host.Keyspace().NextSlot(c.DB(), slot); !more {
				cursor = 0
				break
			}
		}
		c.inSlot(slot, func(tx *storage.Tx) {
			within = tx.Scan(slot, within, o.count-seen, func(e storage.Entry) {
				seen++
				if o.matches(e) {
					found.add(e.Key())
				}
			})
		})
		if within == 0 {
			if slot++; !slot.Valid() {
				cursor = 0
				break
			}
		}
		cursor = within<<slotBits | uint64(slot)
	}
	c.replyScan(cursor, found)
}

// cursor reads what a client got from the call before.
func (c *Ctx) cursor(arg []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(arg), 10, 64)
	if err != nil {
		c.Out.Error(resp.ErrCursor)
	}
	return n, err == nil
}

// replyScan answers with the next cursor and what was found.
func (c *Ctx) replyScan(next uint64, found copies) {
	c.Out.Array(2)
	c.Out.BulkString(strconv.FormatUint(next, 10))
	c.replyBulks(found)
}

func (c *Ctx) replyBulks(found copies) {
	c.Out.Array(found.len())
	for b := range found.all {
		c.Out.Bulk(b)
	}
}

// scanned finds the collection that HSCAN or one of its like goes over. If there
// is none, or the key holds another type, it has been answered: the options are
// read only afterwards.
func (c *Ctx) scanned(key []byte, t storage.Type) (e storage.Entry, found, ok bool) {
	e, found = c.Tx.Find(key)
	switch {
	case !found:
		c.replyScan(0, copies{})
	case e.Type() != t:
		c.Out.Error(resp.ErrWrongType)
		return e, true, false
	}
	return e, found, true
}

// atOnce is how many elements one call goes over. A collection that Redis would
// keep in one piece comes whole, as there.
func (o *scanOptions) atOnce(e storage.Entry, n int) int {
	switch e.Encoding() {
	case "hashtable", "skiplist":
		return o.count
	}
	return n
}

// collectionScanArgs is the syntax of HSCAN and its like.
func collectionScanArgs() []Arg {
	return []Arg{
		key("key"), integer("cursor"),
		pattern("pattern").after("MATCH").optional(),
		integer("count").after("COUNT").optional(),
	}
}

func keys(c *Ctx) {
	o := scanOptions{match: c.Args[1]}
	if string(o.match) == "*" {
		o.match = nil // it matches the empty name, too
	}
	var found copies
	for s, ok := c.Host.Keyspace().NextSlot(c.Tx.DB(), 0); ok; s, ok = c.Host.Keyspace().NextSlot(c.Tx.DB(), s+1) {
		for cursor, again := uint64(0), true; again; again = cursor != 0 {
			cursor = c.Tx.Scan(s, cursor, 1<<10, func(e storage.Entry) {
				if o.matches(e) {
					found.add(e.Key())
				}
			})
		}
		if s == slots.Count-1 {
			break
		}
	}
	c.replyBulks(found)
}

func randomKey(c *Ctx) {
	if e, found := c.Tx.RandomKey(); found {
		c.Out.Bulk(e.Key())
	} else {
		c.Out.Null()
	}
}

func dbSize(c *Ctx) {
	ks := c.Host.Keyspace()
	c.Out.Int(int64(ks.Len(c.DB())))
	c.ReplyGate = max(c.ReplyGate, ks.End()) // it has counted without locks
}
