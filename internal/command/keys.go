package command

import (
	"math"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// Keys is the rows of the commands on keys of any type.
var Keys = []*Row{
	{Name: "del", Arity: -2, Flags: Write, ACL: CatKeyspace, Keys: KeysFrom(1, -1, 1, KeyRM|KeyDelete), Run: del,
		Doc: Doc{Summary: "Deletes keys.", Since: "1.0.0", Group: "generic", Complexity: "O(N) where N is the number of keys", Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}}},
	{Name: "unlink", Arity: -2, Flags: Write | Fast, ACL: CatKeyspace, Keys: KeysFrom(1, -1, 1, KeyRM|KeyDelete), Run: del,
		Doc: Doc{Summary: "Deletes keys and frees their values in the background.", Since: "4.0.0", Group: "generic", Complexity: "O(1) for each key", Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}}},
	{Name: "exists", Arity: -2, Flags: ReadOnly | Fast, ACL: CatKeyspace, Keys: KeysFrom(1, -1, 1, KeyRO), Run: exists,
		Doc: Doc{Summary: "Counts how many of the keys exist.", Since: "1.0.0", Group: "generic", Complexity: "O(N) where N is the number of keys", Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}}},
	{Name: "touch", Arity: -2, Flags: ReadOnly | Fast | Touches, ACL: CatKeyspace, Keys: KeysFrom(1, -1, 1, KeyRO), Run: touch,
		Doc: Doc{Summary: "Marks keys as used now and counts those that exist.", Since: "3.2.1", Group: "generic", Complexity: "O(N) where N is the number of keys", Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}}},
	{Name: "type", Arity: 2, Flags: ReadOnly | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRO), Run: typeOf,
		Doc: Doc{Summary: "Tells the type of the value at a key.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "rename", Arity: 3, Flags: Write, ACL: CatKeyspace, Keys: []KeySpec{KeyAt(1, KeyRW|KeyAccess|KeyDelete), KeyAt(2, KeyOW|KeyUpdate)}, Run: rename,
		Doc: Doc{Summary: "Renames a key, replacing what had the new name.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "renamenx", Arity: 3, Flags: Write | Fast, ACL: CatKeyspace, Keys: []KeySpec{KeyAt(1, KeyRW|KeyAccess|KeyDelete), KeyAt(2, KeyOW|KeyInsert)}, Run: renameNX,
		Doc: Doc{Summary: "Renames a key if the new name is free.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "copy", Arity: -3, Flags: Write | DenyOOM, ACL: CatKeyspace, Keys: []KeySpec{KeyAt(1, KeyRO|KeyAccess), KeyAt(2, KeyOW|KeyUpdate)}, Run: copyKey,
		Doc: Doc{Summary: "Copies the value at a key to another key.", Since: "6.2.0", Group: "generic", Complexity: "O(N) where N is the size of the value"}},
	{Name: "move", Arity: 3, Flags: Write | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: move,
		Doc: Doc{Summary: "Takes a key over into another database.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "object", Arity: -2, Doc: Doc{Summary: "Tells how values are stored.", Since: "2.2.3", Group: "generic", Complexity: "Depends on the sub-command."}, Sub: []*Row{
		{Name: "encoding", Arity: 3, Flags: ReadOnly, ACL: CatKeyspace, Keys: []KeySpec{KeyAt(2, KeyRO)}, Run: objectEncoding,
			Doc: Doc{Summary: "Tells the encoding of the value at a key.", Since: "2.2.3", Group: "generic", Complexity: "O(1)", Tips: []string{"nondeterministic_output"}}},
		{Name: "freq", Arity: 3, Flags: ReadOnly, ACL: CatKeyspace, Keys: []KeySpec{KeyAt(2, KeyRO)}, Run: objectFreq,
			Doc: Doc{Summary: "Tells the logarithmic access frequency of a key.", Since: "4.0.0", Group: "generic", Complexity: "O(1)", Tips: []string{"nondeterministic_output"}}},
		{Name: "help", Arity: 2, Flags: Loading | Stale, ACL: CatKeyspace, Lock: LockNone, Run: objectHelp,
			Doc: Doc{Summary: "Lists the sub-commands.", Since: "6.2.0", Group: "generic", Complexity: "O(1)"}},
		{Name: "idletime", Arity: 3, Flags: ReadOnly, ACL: CatKeyspace, Keys: []KeySpec{KeyAt(2, KeyRO)}, Run: objectIdleTime,
			Doc: Doc{Summary: "Tells how many seconds ago a key was used.", Since: "2.2.3", Group: "generic", Complexity: "O(1)", Tips: []string{"nondeterministic_output"}}},
		{Name: "refcount", Arity: 3, Flags: ReadOnly, ACL: CatKeyspace, Keys: []KeySpec{KeyAt(2, KeyRO)}, Run: objectRefCount,
			Doc: Doc{Summary: "Tells the number of references to the value at a key.", Since: "2.2.3", Group: "generic", Complexity: "O(1)", Tips: []string{"nondeterministic_output"}}},
	}},
}

func del(c *Ctx) {
	var n int64
	for _, key := range c.Args[1:] {
		if _, found := c.Tx.Peek(key); found && c.Tx.Delete(key) {
			c.Tx.Note(storage.ClassGeneric, "del", key)
			n++
		}
	}
	c.Out.Int(n)
}

func exists(c *Ctx) { count(c, c.Tx.Look) }
func touch(c *Ctx)  { count(c, c.Tx.Find) }

func count(c *Ctx, find func(key []byte) (storage.Entry, bool)) {
	var n int64
	for _, key := range c.Args[1:] {
		if _, found := find(key); found {
			n++
		}
	}
	c.Out.Int(n)
}

func typeOf(c *Ctx) {
	if e, found := c.Tx.Look(c.Args[1]); found {
		c.Out.Simple(e.Type().String())
	} else {
		c.Out.Simple("none")
	}
}

func rename(c *Ctx) {
	if _, found := c.Tx.Use(c.Args[1]); !found {
		c.Out.Error(resp.ErrNoKey)
		return
	}
	if string(c.Args[1]) != string(c.Args[2]) {
		c.renameTo(c.Args[1], c.Args[2])
	}
	c.Out.OK()
}

func (c *Ctx) renameTo(from, to []byte) {
	c.Tx.Rename(from, to)
	c.Tx.Note(storage.ClassGeneric, "rename_from", from)
	c.Tx.Note(storage.ClassGeneric, "rename_to", to)
}

func renameNX(c *Ctx) {
	if _, found := c.Tx.Use(c.Args[1]); !found {
		c.Out.Error(resp.ErrNoKey)
		return
	}
	if _, found := c.Tx.Use(c.Args[2]); found {
		c.Out.Int(0) // also where both names are the same
		return
	}
	c.renameTo(c.Args[1], c.Args[2])
	c.Out.Int(1)
}

// database reads a database's number. It matches getIntFromObjectOrReply and
// selectDb.
func (c *Ctx) database(arg []byte) (int, bool) {
	n, ok := resp.ParseInt(arg)
	if !ok {
		c.Out.Error(resp.ErrNotInteger)
		return 0, false
	}
	if n != int64(int32(n)) {
		c.Out.Error(resp.ErrIntRange)
		return 0, false
	}
	if n < 0 || n >= int64(c.Host.Keyspace().Databases()) {
		c.Out.Error(resp.ErrDBIndex)
		return 0, false
	}
	return int(n), true
}

func copyKey(c *Ctx) {
	from, to, db, replace, elsewhere := c.Args[1], c.Args[2], c.Tx.DB(), false, false
	for i := 3; i < len(c.Args); i++ {
		switch {
		case is(c.Args[i], "REPLACE"):
			replace = true
		case is(c.Args[i], "DB") && i+1 < len(c.Args):
			i++
			// In a cluster there is no other database, but that is said last.
			if n, ok := resp.ParseInt(c.Args[i]); ok && n > 0 && c.Host.ClusterEnabled() {
				elsewhere = true
				continue
			}
			n, ok := c.database(c.Args[i])
			if !ok {
				return
			}
			db, elsewhere = n, false
		default:
			c.Out.Error(resp.ErrSyntax)
			return
		}
	}
	if elsewhere {
		c.Out.Error(resp.ErrCopyCluster)
		return
	}
	if db == c.Tx.DB() && string(from) == string(to) {
		c.Out.Error(resp.ErrSameObject)
		return
	}
	if _, found := c.Tx.Find(from); !found || (!replace && c.existsIn(db, to)) {
		c.Out.Int(0)
		return
	}
	c.Tx.Copy(from, db, to)
	c.noteIn(db, "copy_to", to)
	c.Out.Int(1)
}

// existsIn looks for a key in another database of the same unit.
func (c *Ctx) existsIn(db int, key []byte) bool {
	own := c.Tx.DB()
	c.Tx.Select(db)
	_, found := c.Tx.Use(key)
	c.Tx.Select(own)
	return found
}

// noteIn notes an event of a key in another database of the same unit.
func (c *Ctx) noteIn(db int, event string, key []byte) {
	own := c.Tx.DB()
	c.Tx.Select(db)
	c.Tx.Note(storage.ClassGeneric, event, key)
	c.Tx.Select(own)
}

func move(c *Ctx) {
	if c.Host.ClusterEnabled() {
		c.Out.Error(resp.ErrMoveCluster)
		return
	}
	db, ok := c.database(c.Args[2])
	if !ok {
		return
	}
	if db == c.Tx.DB() {
		c.Out.Error(resp.ErrSameObject)
		return
	}
	if _, found := c.Tx.Use(c.Args[1]); !found || c.existsIn(db, c.Args[1]) {
		c.Out.Int(0)
		return
	}
	c.Tx.Move(c.Args[1], db)
	c.Tx.Note(storage.ClassGeneric, "move_from", c.Args[1])
	c.noteIn(db, "move_to", c.Args[1])
	c.Out.Int(1)
}

// object finds the key of an OBJECT sub-command without touching it and
// answers a null if there is none.
func (c *Ctx) object() (storage.Entry, bool) {
	e, found := c.Tx.Inspect(c.Args[2])
	if !found {
		c.Out.Null()
	}
	return e, found
}

func objectEncoding(c *Ctx) {
	if e, found := c.object(); found {
		c.Out.BulkString(e.Encoding())
	}
}

func objectRefCount(c *Ctx) {
	e, found := c.object()
	if !found {
		return
	}
	if n, ok := resp.ParseInt(e.Bytes()); ok && c.Host.SharedIntegers() && e.Encoding() == "int" && 0 <= n && n < sharedIntegers {
		c.Out.Int(math.MaxInt32)
		return
	}
	c.Out.Int(1)
}

// sharedIntegers is how many small integers Redis keeps one object each for,
// with a count of references that never changes. Here no value is shared; the
// reply is what a client of Redis sees.
const sharedIntegers = 10000

func objectIdleTime(c *Ctx) {
	if e, found := c.object(); found {
		if c.Host.LFU() {
			c.Out.Error(resp.ErrLFUOn)
			return
		}
		c.Out.Int(e.IdleSeconds())
	}
}

func objectFreq(c *Ctx) {
	if e, found := c.object(); found {
		if !c.Host.LFU() {
			c.Out.Error(resp.ErrLFUOff)
			return
		}
		c.Out.Int(int64(e.Freq()))
	}
}

func objectHelp(c *Ctx) {
	Help(c,
		"ENCODING <key>", "    How the value is stored.",
		"FREQ <key>", "    The access frequency, a logarithmic counter.",
		"IDLETIME <key>", "    Seconds since the key was last used.",
		"REFCOUNT <key>", "    References to the value.")
}

// Help answers a HELP sub-command: a title, the lines, and HELP itself, as
// Redis's addReplyHelp lays them out.
func Help(c *Ctx, lines ...string) {
	c.Out.Array(len(lines) + 3)
	c.Out.Simple(upper(string(c.Args[0])) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, l := range lines {
		c.Out.Simple(l)
	}
	c.Out.Simple("HELP")
	c.Out.Simple("    Prints this help.")
}

func upper(s string) string {
	b := []byte(s)
	for i, ch := range b {
		if 'a' <= ch && ch <= 'z' {
			b[i] = ch - 'a' + 'A'
		}
	}
	return string(b)
}
