package command

import (
	"redoubt/internal/resp"
	"redoubt/storage"
)

// The functions below find a key for a command on a type. They answer with
// WRONGTYPE and return ok false if it holds another one. list, hash, set and
// zset are for reading; found is false if there is no such key, and then the
// collection is empty. editList and its like are for changing: the key need not
// exist, its first element makes it.

func (c *Ctx) list(key []byte) (v storage.List, found, ok bool) {
	e, found, ok := c.entry(key, storage.TypeList)
	if found && ok {
		v = e.List()
	}
	return v, found, ok
}

func (c *Ctx) hash(key []byte) (v storage.Hash, found, ok bool) {
	e, found, ok := c.entry(key, storage.TypeHash)
	if found && ok {
		v = e.Hash()
	}
	return v, found, ok
}

func (c *Ctx) set(key []byte) (v storage.Set, found, ok bool) {
	e, found, ok := c.entry(key, storage.TypeSet)
	if found && ok {
		v = e.Set()
	}
	return v, found, ok
}

func (c *Ctx) zset(key []byte) (v storage.ZSet, found, ok bool) {
	e, found, ok := c.entry(key, storage.TypeZSet)
	if found && ok {
		v = e.ZSet()
	}
	return v, found, ok
}

// entry finds a key that a command on values of type t reads.
func (c *Ctx) entry(key []byte, t storage.Type) (e storage.Entry, found, ok bool) {
	e, found = c.Tx.Find(key)
	return e, found, c.rightType(!found || e.Type() == t)
}

// rightType answers with WRONGTYPE unless ok, which it returns.
func (c *Ctx) rightType(ok bool) bool {
	if !ok {
		c.Out.Error(resp.ErrWrongType)
	}
	return ok
}

func (c *Ctx) editList(key []byte) (storage.List, bool) {
	v, ok := c.Tx.EditList(key)
	return v, c.rightType(ok)
}

func (c *Ctx) editHash(key []byte) (storage.Hash, bool) {
	v, ok := c.Tx.EditHash(key)
	return v, c.rightType(ok)
}

func (c *Ctx) editSet(key []byte) (storage.Set, bool) {
	v, ok := c.Tx.EditSet(key)
	return v, c.rightType(ok)
}

func (c *Ctx) editZSet(key []byte) (storage.ZSet, bool) {
	v, ok := c.Tx.EditZSet(key)
	return v, c.rightType(ok)
}

// bulk answers with v and returns the copy of it in the reply, which is valid
// until the next write there: views of elements are not once they are removed.
func (c *Ctx) bulk(v []byte) []byte {
	c.Out.Bulk(v)
	b := c.Out.Bytes()
	end := len(b) - len("\r\n")
	return b[end-len(v) : end]
}

// noteRemoved notes that elements of a collection were removed, and that the key
// went with the last of them.
func (c *Ctx) noteRemoved(class storage.Class, event string, key []byte, exists bool) {
	c.Tx.Note(class, event, key)
	if !exists {
		c.Tx.Note(storage.ClassGeneric, "del", key)
	}
}

// keysAfterNumber is keys from argument i+1 on whose number is argument i.
func keysAfterNumber(i int, f KeyFlags) []KeySpec {
	return []KeySpec{{Flags: f, Begin: Begin{Index: i}, Find: Find{KeyNum: true, FirstKey: 1, Step: 1}}}
}
