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

func (c *Ctx) list(key []byte) (l storage.List, found, ok bool) {
	return collectionAt(c, key, storage.TypeList, storage.Entry.List)
}

func (c *Ctx) hash(key []byte) (h storage.Hash, found, ok bool) {
	return collectionAt(c, key, storage.TypeHash, storage.Entry.Hash)
}

func (c *Ctx) set(key []byte) (s storage.Set, found, ok bool) {
	return collectionAt(c, key, storage.TypeSet, storage.Entry.Set)
}

func (c *Ctx) zset(key []byte) (z storage.ZSet, found, ok bool) {
	return collectionAt(c, key, storage.TypeZSet, storage.Entry.ZSet)
}

func collectionAt[T any](c *Ctx, key []byte, t storage.Type, open func(storage.Entry) T) (v T, found, ok bool) {
	e, found := c.Tx.Find(key)
	switch {
	case !found:
		return v, false, true
	case e.Type() != t:
		c.Out.Error(resp.ErrWrongType)
		return v, true, false
	}
	return open(e), true, true
}

func (c *Ctx) editList(key []byte) (storage.List, bool) { return editable(c, key, c.Tx.EditList) }
func (c *Ctx) editHash(key []byte) (storage.Hash, bool) { return editable(c, key, c.Tx.EditHash) }
func (c *Ctx) editSet(key []byte) (storage.Set, bool)   { return editable(c, key, c.Tx.EditSet) }
func (c *Ctx) editZSet(key []byte) (storage.ZSet, bool) { return editable(c, key, c.Tx.EditZSet) }

func editable[T any](c *Ctx, key []byte, edit func([]byte) (T, bool)) (T, bool) {
	v, ok := edit(key)
	if !ok {
		c.Out.Error(resp.ErrWrongType)
	}
	return v, ok
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
