package storage

import (
	"unsafe"

	"redoubt/storage/tree"
)

// collection is a key of one type as a command works on it: what List, Hash, Set
// and ZSet have in common. It stays valid until another key of the unit is
// written or the command ends. Views of elements that it returns are valid until
// the next call of one of its methods. A nil collection is one without elements,
// for reading.
//
// The value of the key's record is a packed leaf, or names the nodes of a tree
// that lie outside of the record; package storage/tree knows the one from the
// other.
type collection struct {
	tx   *Tx
	key  []byte
	p    place      // its record is zero while the key does not exist
	tree *tree.Tree // opened on the record's value
	typ  Type
	// zeros are the members of a sorted set that got 0 instead of -0.
	zeros [][]byte
	now   int64 // fields of a hash that are due before it are hidden

	// While many is set the record does not have the changes since BeginMany.
	many    bool
	pending struct {
		changes int
		before  int64 // the record's size before them
		coding  byte  // the name of the encoding after them
	}
}

// opened is scratch of an executor: a collection with its tree, which are opened
// on one key after another. All trees are the same but for the methods of their
// kinds.
type opened struct {
	collection
	list tree.ListTree
	log  Log
}

// treeKinds are the trees of the types that are trees.
var treeKinds = [...]tree.Kind{TypeList: tree.List, TypeSet: tree.Set, TypeZSet: tree.ZSet, TypeHash: tree.Hash, TypeStream: tree.Map}

func (t Type) tree() tree.Kind { return treeKinds[t] }

// env is what trees of the executor live in, for the unit at hand.
func (tx *Tx) env() *tree.Env {
	v := &tx.e.env
	v.Epoch, v.Captured = tx.ks.captures, tx.ks.newestReader()
	return v
}

// maxOpened is how many collections an executor keeps as scratch.
const maxOpened = 64

// scratch returns a collection that nobody uses until the command ends.
func (e *Executor) scratch() *opened {
	if e.inUse == len(e.collections) {
		o := new(opened)
		o.tree = &o.list.Tree
		e.collections = append(e.collections, o)
	}
	e.inUse++
	return e.collections[e.inUse-1]
}

// scratchTree is scratch for who needs the tree only.
func (e *Executor) scratchTree() *tree.ListTree { return &e.scratch().list }

// closeAll takes back what scratch has returned.
func (e *Executor) closeAll() {
	e.inUse = 0
	if len(e.collections) > maxOpened {
		clear(e.collections[maxOpened:])
		e.collections = e.collections[:maxOpened]
	}
}

// open returns the collection of the record that p found, or an empty one.
func (tx *Tx) open(key []byte, p *place, t Type) (*collection, *tree.ListTree) {
	o := tx.openScratch(key, p, t)
	return &o.collection, &o.list
}

func (tx *Tx) openScratch(key []byte, p *place, t Type) *opened {
	o := tx.e.scratch()
	var value []byte
	if p.found() {
		value = treeOf(t, p.rec.value())
	}
	o.tx, o.key, o.p, o.typ, o.zeros, o.many = tx, key, *p, t, nil, false
	o.tree.Open(tx.env(), t.tree(), value)
	return o
}

// read returns the entry's collection, for reading.
func (e Entry) read(t Type) (*collection, *tree.ListTree) {
	return e.tx.open(e.rec.key(), &place{rec: e.rec}, t)
}

// edit finds key for a command that changes a collection of type t. The key need
// not exist: then the first element makes it. ok is false if it holds another
// type.
func (tx *Tx) edit(key []byte, t Type) (c *collection, s *tree.ListTree, ok bool) {
	p, ok := tx.findToEdit(key, t)
	if !ok {
		return nil, nil, false
	}
	c, s = tx.open(key, &p, t)
	return c, s, true
}

// findToEdit finds key for a command that changes a value of type t; ok is false if
// it holds another type.
func (tx *Tx) findToEdit(key []byte, t Type) (p place, ok bool) {
	if p = tx.find(key, forWrite); p.found() {
		if p.rec.typ() != t {
			return p, false
		}
		tx.ks.access.touch(tx, p.rec)
	}
	return p, true
}

// Exists reports whether the key exists: it does from the first element to the
// last.
func (c *collection) Exists() bool {
	if c != nil && c.many {
		return c.tree.Len() > 0
	}
	return c != nil && c.p.found()
}

// BeginMany says that several elements are about to be added, changed or removed
// one by one, and EndMany that they were: the record is written once. Nothing else
// may be done with the key in between.
func (c *collection) BeginMany() {
	c.many = true
	c.pending.changes = 0
}

// EndMany writes what has come since BeginMany to the record.
func (c *collection) EndMany() {
	c.many = false
	if p := &c.pending; p.changes > 0 {
		c.changed(p.before, p.coding, p.changes)
	}
}

// Len is the number of elements; 0 if the key does not exist.
func (c *collection) Len() int {
	if c == nil {
		return 0
	}
	return c.tree.Len()
}

// change precedes every change of the tree. It returns the record's size before.
func (c *collection) change() (before int64) {
	switch {
	case c.many && c.pending.changes > 0:
		return c.pending.before
	case !c.p.found():
		return 0
	}
	c.tx.preimage(c.p.slot, c.p.rec)
	return c.tx.ks.size(c.p.rec)
}

// coding is the name of the collection's encoding, 0 for a new one.
func (c *collection) coding() byte {
	switch {
	case c.many && c.pending.changes > 0:
		return c.pending.coding
	case !c.p.found():
		return 0
	}
	return c.p.rec.coding()
}

// changed follows a change of n elements: the record gets what the tree has
// become, and the name of its encoding. A collection without elements does not
// exist: its key is removed.
func (c *collection) changed(before int64, coding byte, n int) {
	if c.many {
		c.pending.changes += n
		c.pending.before, c.pending.coding = before, coding
		return
	}
	tx := c.tx
	switch v := c.tree.Value(); {
	case len(v) == 0:
		c.removed(before)
	case !c.p.found():
		r := tx.newRecord(c.kind(v, coding), c.key, len(v), 0)
		copy(r.value(), v)
		tx.insert(&c.p, r)
		c.tree.Stored(r.value())
	default:
		due := c.p.rec.due()
		if old := c.p.rec.value(); len(old) != len(v) || unsafe.SliceData(old) != unsafe.SliceData(v) {
			tx.reshape(&c.p, c.kind(v, coding), len(v), 0, c.p.rec.expireAt(), 0)
			copy(c.p.rec.value(), v)
		} else {
			c.p.rec.setKind(c.kind(v, coding))
		}
		c.tree.Stored(c.p.rec.value())
		tx.resized(tx.ks.size(c.p.rec) - before)
		if now := c.p.rec.due(); now != due {
			tx.countDue(now)
		}
	}
	tx.dirty += n
	tx.changed(c.p.slot, c.key)
}

// kind is the kind byte of a record with a value.
func (c *collection) kind(value []byte, coding byte) byte {
	if c.typ == TypeHash {
		coding = hashCoding(value, coding)
	}
	kind := kindOf(c.typ) | coding<<codingShift
	if tree.Outside(c.tx.ks.space, c.typ.tree(), value) > 0 {
		kind |= kindOutside
	}
	return kind
}

// removed removes the key of a collection whose last element has gone, and all
// nodes with it.
func (c *collection) removed(before int64) {
	if !c.p.found() {
		return
	}
	c.p.rec.setKind(*c.p.rec.byte(0) &^ kindOutside)
	c.tx.resized(c.tx.ks.size(c.p.rec) - before)
	c.tx.remove(c.p)
	c.p.rec = record{}
	c.tree.Stored(nil)
}

// empty removes the key with all its n elements. Its nodes are freed like those
// of any other deleted key: later and bit by bit if there are many.
func (c *collection) empty(n int) {
	tx := c.tx
	tx.remove(c.p)
	c.p.rec = record{}
	c.tree.Open(tx.env(), c.typ.tree(), nil)
	tx.dirty += n
	tx.changed(c.p.slot, c.key)
}

// freeNow is up to how many bytes the nodes of a value are freed at once. Larger
// ones are left to Reclaim.
const freeNow = 64 << 10

// freeTree frees the nodes of the value of a record that is going.
func (tx *Tx) freeTree(r record) {
	k, v := r.typ().tree(), r.tree()
	if tree.Outside(tx.ks.space, k, v) > freeNow {
		tx.ks.discard(garbage{kind: k, value: append([]byte(nil), v...)})
		return
	}
	tx.e.freeTree(tx.env(), k, v, 1<<30)
}

// freeTree frees about budget nodes of a value and returns what is left of it.
func (e *Executor) freeTree(env *tree.Env, k tree.Kind, value []byte, budget int) (rest []byte) {
	t := e.scratchTree()
	rest = t.Tree.Free(env, k, value, budget)
	e.inUse--
	return rest
}
