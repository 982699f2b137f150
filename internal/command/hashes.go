package command

import (
	"math/rand/v2"
	"strconv"

	"redoubt/internal/glob"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// Hashes is the rows of the hash commands.
var Hashes = []*Row{
	{Name: "hset", Arity: -4, Flags: Write | DenyOOM | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyUpdate), Run: hSet,
		Doc: Doc{Summary: "Sets fields of a hash, which is created if missing, and counts the new ones.", Since: "2.0.0", Group: "hash", Complexity: "O(N) where N is the number of fields",
			Args: []Arg{key("key"), block("data", text("field"), text("value")).multiple()}, History: []Change{{"4.0.0", "Takes several fields and values."}}}},
	{Name: "hmset", Arity: -4, Flags: Write | DenyOOM | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyUpdate), Run: hMSet,
		Doc: Doc{Summary: "Sets fields of a hash, which is created if missing.", Since: "2.0.0", Group: "hash", Complexity: "O(N) where N is the number of fields",
			Args: []Arg{key("key"), block("data", text("field"), text("value")).multiple()}, Deprecated: "4.0.0", ReplacedBy: "`HSET` with multiple field-value pairs"}},
	{Name: "hsetnx", Arity: 4, Flags: Write | DenyOOM | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyInsert), Run: hSetNX,
		Doc: Doc{Summary: "Sets a field of a hash if the hash does not have it.", Since: "2.0.0", Group: "hash", Complexity: "O(1)",
			Args: []Arg{key("key"), text("field"), text("value")}}},
	{Name: "hget", Arity: 3, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hGet,
		Doc: Doc{Summary: "Returns the value of a field of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(1)",
			Args: []Arg{key("key"), text("field")}}},
	{Name: "hmget", Arity: -3, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hMGet,
		Doc: Doc{Summary: "Returns the values of fields of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(N) where N is the number of fields",
			Args: []Arg{key("key"), text("field").multiple()}}},
	{Name: "hgetall", Arity: 2, Flags: ReadOnly, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hGetAll,
		Doc: Doc{Summary: "Returns all fields of a hash with their values.", Since: "2.0.0", Group: "hash", Complexity: "O(N) where N is the size of the hash",
			Args: []Arg{key("key")}, Tips: []string{anyOrder}}},
	{Name: "hkeys", Arity: 2, Flags: ReadOnly, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hKeys,
		Doc: Doc{Summary: "Returns all fields of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(N) where N is the size of the hash",
			Args: []Arg{key("key")}, Tips: []string{anyOrder}}},
	{Name: "hvals", Arity: 2, Flags: ReadOnly, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hVals,
		Doc: Doc{Summary: "Returns all values of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(N) where N is the size of the hash",
			Args: []Arg{key("key")}, Tips: []string{anyOrder}}},
	{Name: "hlen", Arity: 2, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO), Run: hLen,
		Doc: Doc{Summary: "Returns the number of fields of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(1)",
			Args: []Arg{key("key")}}},
	{Name: "hstrlen", Arity: 3, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO), Run: hStrLen,
		Doc: Doc{Summary: "Returns the length of the value of a field.", Since: "3.2.0", Group: "hash", Complexity: "O(1)",
			Args: []Arg{key("key"), text("field")}}},
	{Name: "hexists", Arity: 3, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO), Run: hExists,
		Doc: Doc{Summary: "Tells whether a hash has a field.", Since: "2.0.0", Group: "hash", Complexity: "O(1)",
			Args: []Arg{key("key"), text("field")}}},
	{Name: "hdel", Arity: -3, Flags: Write | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyDelete), Run: hDel,
		Doc: Doc{Summary: "Removes fields from a hash and counts those it had.", Since: "2.0.0", Group: "hash", Complexity: "O(N) where N is the number of fields",
			Args: []Arg{key("key"), text("field").multiple()}, History: []Change{{"2.4.0", "Takes several fields."}}}},
	{Name: "hincrby", Arity: 4, Flags: Write | DenyOOM | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: hIncrBy,
		Doc: Doc{Summary: "Adds a number to the integer in a field; a missing field counts as 0.", Since: "2.0.0", Group: "hash", Complexity: "O(1)",
			Args: []Arg{key("key"), text("field"), integer("increment")}}},
	{Name: "hincrbyfloat", Arity: 4, Flags: Write | DenyOOM | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: hIncrByFloat,
		Doc: Doc{Summary: "Adds a floating-point number to the number in a field; a missing field counts as 0.", Since: "2.6.0", Group: "hash", Complexity: "O(1)",
			Args: []Arg{key("key"), text("field"), double("increment")}}},
	{Name: "hrandfield", Arity: -2, Flags: ReadOnly, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hRandField,
		Doc: Doc{Summary: "Returns fields of a hash chosen at random.", Since: "6.2.0", Group: "hash", Complexity: "O(N) where N is the number of fields returned",
			Args: []Arg{key("key"), block("options", integer("count"), word("WITHVALUES").optional()).optional()}, Tips: []string{changing}}},
	{Name: "hscan", Arity: -3, Flags: ReadOnly, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hScan,
		Doc: Doc{Summary: "Iterates over the fields of a hash.", Since: "2.8.0", Group: "hash", Complexity: "O(1) for each call, O(N) for a whole iteration",
			Args: append(collectionScanArgs(), word("NOVALUES").optional().since("7.4.0")),
			Tips: []string{changing}, History: []Change{{"7.4.0", "The option `NOVALUES` came."}}}},
}

func hSet(c *Ctx) {
	if added, ok := setFields(c); ok {
		c.Out.Int(added)
	}
}

func hMSet(c *Ctx) {
	if _, ok := setFields(c); ok {
		c.Out.OK()
	}
}

// setFields matches hsetCommand.
func setFields(c *Ctx) (added int64, ok bool) {
	if len(c.Args)%2 == 1 {
		c.Out.Error(resp.ErrArity(c.Row.Name))
		return 0, false
	}
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return 0, false
	}
	c.expireFields(&h, c.Args[2:], 2)
	h.BeginMany()
	for i := 2; i < len(c.Args); i += 2 {
		if h.Set(c.Args[i], c.Args[i+1]) {
			added++
		}
	}
	h.EndMany()
	c.Tx.Note(storage.ClassHash, "hset", c.Args[1])
	return added, true
}

func hSetNX(c *Ctx) {
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return
	}
	if _, found := h.Get(c.Args[2]); found {
		c.Out.Int(0)
		return
	}
	c.expireFields(&h, c.Args[2:3], 1)
	h.Set(c.Args[2], c.Args[3])
	c.Out.Int(1)
	c.Tx.Note(storage.ClassHash, "hset", c.Args[1])
}

func hGet(c *Ctx) {
	if h, _, ok := c.hash(c.Args[1]); ok {
		replyField(c, &h, c.Args[2])
	}
}

func replyField(c *Ctx, h *storage.Hash, name []byte) {
	if v, found := h.Get(name); found {
		c.Out.Bulk(v)
	} else {
		c.Out.Null()
	}
}

func hMGet(c *Ctx) {
	h, _, ok := c.hash(c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, name := range c.Args[2:] {
		replyField(c, &h, name)
	}
}

func hGetAll(c *Ctx) {
	if h, _, ok := c.hash(c.Args[1]); ok {
		c.Out.Map(h.Visible())
		h.Each(func(name, value []byte) bool {
			c.Out.Bulk(name)
			c.Out.Bulk(value)
			return true
		})
	}
}

func hKeys(c *Ctx) {
	if h, _, ok := c.hash(c.Args[1]); ok {
		c.Out.Array(h.Visible())
		h.Each(func(name, _ []byte) bool { c.Out.Bulk(name); return true })
	}
}

func hVals(c *Ctx) {
	if h, _, ok := c.hash(c.Args[1]); ok {
		c.Out.Array(h.Visible())
		h.Each(func(_, value []byte) bool { c.Out.Bulk(value); return true })
	}
}

// hLen counts fields whose time is past until they are deleted, as Valkey's HLEN.
func hLen(c *Ctx) {
	if h, _, ok := c.hash(c.Args[1]); ok {
		c.Out.Int(int64(h.Len()))
	}
}

func hStrLen(c *Ctx) {
	if h, _, ok := c.hash(c.Args[1]); ok {
		v, _ := h.Get(c.Args[2])
		c.Out.Int(int64(len(v)))
	}
}

func hExists(c *Ctx) {
	if h, _, ok := c.hash(c.Args[1]); ok {
		_, found := h.Get(c.Args[2])
		c.replyYes(found)
	}
}

// replyYes answers with 1 or 0, in either protocol.
func (c *Ctx) replyYes(yes bool) {
	if yes {
		c.Out.Int(1)
	} else {
		c.Out.Int(0)
	}
}

func hDel(c *Ctx) {
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return
	}
	n, hides := 0, h.Hides()
	var gone [][]byte
	h.BeginMany()
	for _, name := range c.Args[2:] {
		if !h.Delete(name) {
			continue
		}
		if n++; hides {
			gone = append(gone, name)
		}
	}
	h.EndMany()
	c.Out.Int(int64(n))
	if n > 0 {
		if hides {
			c.Tx.Effect(append([][]byte{nameHDel, c.Args[1]}, gone...)...) // fields that are hidden stay, here and there
		}
		c.noteRemoved(storage.ClassHash, "hdel", c.Args[1], h.Exists())
	}
}

// hIncrBy matches hincrbyCommand. The field keeps its expiry.
func hIncrBy(c *Ctx) {
	n, ok := c.integer(c.Args[3])
	if !ok {
		return
	}
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return
	}
	var old int64
	v, due, found := h.GetDue(c.Args[2])
	if found {
		if old, ok = resp.ParseInt(v); !ok {
			c.Out.Error(resp.ErrHashInteger)
			return
		}
	}
	if addOverflows(old, n) {
		c.Out.Error(resp.ErrIncrOverflow)
		return
	}
	c.expireFields(&h, c.Args[2:3], 1)
	var digits [20]byte
	h.SetDue(c.Args[2], strconv.AppendInt(digits[:0], old+n, 10), due)
	c.Out.Int(old + n)
	c.Tx.Note(storage.ClassHash, "hincrby", c.Args[1])
}

var nameHSet = []byte("HSET")

// hIncrByFloat matches hincrbyfloatCommand. Its effect is the result, since a
// replica might add with another precision. The field keeps its expiry.
func hIncrByFloat(c *Ctx) {
	n := parseFloat(c.Args[3])
	switch {
	case n == nil:
		c.Out.Error(resp.ErrNotFloat)
		return
	case n.IsInf():
		c.Out.Error(resp.ErrNaNOrInf)
		return
	}
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return
	}
	v, due, found := h.GetDue(c.Args[2])
	if found {
		old := parseFloat(v)
		if old == nil {
			c.Out.Error(resp.ErrHashFloat)
			return
		}
		if old.IsInf() {
			c.Out.Error(resp.ErrIncrNaN)
			return
		}
		n.Add(old, n)
	}
	if overflows(n) {
		c.Out.Error(resp.ErrIncrNaN)
		return
	}
	sum := formatFloat(n)
	c.expireFields(&h, c.Args[2:3], 1)
	h.SetDue(c.Args[2], sum, due)
	if due == 0 {
		c.Tx.Effect(nameHSet, c.Args[1], c.Args[2], sum)
	} else {
		c.Tx.Effect(nameHSetEx, c.Args[1], wordPXAT, itoa(due), wordFields, itoa(1), c.Args[2], sum)
	}
	c.Out.Bulk(sum)
	c.Tx.Note(storage.ClassHash, "hincrbyfloat", c.Args[1])
}

// hRandField matches hrandfieldCommand. A count is read before the key is looked
// at.
func hRandField(c *Ctx) {
	count, many, withValues := int64(1), len(c.Args) > 2, false
	if many {
		var ok bool
		if count, withValues, ok = c.drawOptions("WITHVALUES"); !ok {
			return
		}
	}
	h, found, ok := c.hash(c.Args[1])
	switch {
	case !ok:
	case !found && many:
		c.Out.Array(0)
	case !found:
		c.Out.Null()
	case many:
		c.drawFields(&h, count, withValues)
	default:
		c.drawField(&h)
	}
}

// drawField answers with a field chosen at random.
func (c *Ctx) drawField(h *storage.Hash) {
	const tries = 100
	for range tries {
		if name, _, ok := h.At(rand.IntN(h.Len())); ok {
			c.Out.Bulk(name)
			return
		}
	}
	// Nearly all fields have expired.
	places := h.Places()
	if len(places) == 0 {
		c.Out.Null()
		return
	}
	name, _, _ := h.At(places[rand.IntN(len(places))])
	c.Out.Bulk(name)
}

// drawFields answers with fields chosen at random: with their values as pairs,
// which RESP2 has one after the other.
func (c *Ctx) drawFields(h *storage.Hash, count int64, withValues bool) {
	width, pairs := 1, withValues && c.Out.Proto() == resp.Proto3
	if withValues && !pairs {
		width = 2
	}
	reply := func(name, value []byte) bool {
		if pairs {
			c.Out.Array(2)
		}
		c.Out.Bulk(name)
		if withValues {
			c.Out.Bulk(value)
		}
		return true
	}
	n, place := h.Len(), func(i int) int { return i }
	if h.Hides() {
		places := h.Places()
		n, place = len(places), func(i int) int { return places[i] }
	}
	if n == 0 {
		c.Out.Array(0)
		return
	}
	c.draw(n, count, width, func(i int) {
		name, value, _ := h.At(place(i))
		reply(name, value)
	}, func() { h.Each(reply) })
}

// hScan matches hscanCommand.
func hScan(c *Ctx) {
	cursor, ok := c.cursor(c.Args[2])
	if !ok {
		return
	}
	e, found, ok := c.scanned(c.Args[1], storage.TypeHash)
	if !found || !ok {
		return
	}
	o, ok := parseScanOptions(c, c.Args[3:], storage.TypeHash)
	if !ok {
		return
	}
	h := e.Hash()
	var fields copies
	next := h.Scan(cursor, o.atOnce(e, h.Len()), func(name, value []byte) {
		if o.match != nil && !glob.Match(o.match, name) {
			return
		}
		fields.add(name)
		if !o.namesOnly {
			fields.add(value)
		}
	})
	c.replyScan(next, fields)
}
