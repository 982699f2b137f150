package storage

import "redoubt/storage/tree"

// The encodings of a list by name.
const (
	codingListpackList = iota
	codingQuicklist
)

// List is a list as a command works on it; positions count from 0.
type List struct {
	*collection
	t *tree.ListTree
}

// List is the entry's list; its type must be TypeList.
func (e Entry) List() List {
	c, t := e.read(TypeList)
	return List{c, t}
}

// EditList finds key for a command that changes a list; see collection.
func (tx *Tx) EditList(key []byte) (List, bool) {
	c, t, ok := tx.edit(key, TypeList)
	return List{c, t}, ok
}

// grown and shrunk choose between the names of the two encodings
// (listTypeTryConversion): a list that outgrows one node is a quicklist, and is a
// listpack again when half a node would hold it. How long the listpack would be is
// known roughly, by the memory of the elements.

// grown is the name of a list of n elements in so many bytes.
func (l *List) grown(n, size int) byte {
	if bytes, elements := l.tx.ks.limits.list(); size > bytes || n > elements {
		return codingQuicklist
	}
	return l.coding()
}

// shrunk is the name of a list, whose present one is coding, after a removal.
func (l *List) shrunk(coding byte) byte {
	bytes, elements := l.tx.ks.limits.list()
	if coding == codingQuicklist && l.tree.Packed() <= bytes/2 && l.Len() <= elements/2 {
		return codingListpackList
	}
	return coding
}

// At is the element at position i, which must exist.
func (l *List) At(i int) []byte { return l.t.At(i) }

// Insert puts an element, which is copied, before position i; i may be the
// length.
func (l *List) Insert(i int, element []byte) {
	before := l.change()
	l.t.Insert(i, element)
	l.changed(before, l.grown(l.Len(), l.tree.Packed()), 1)
}

// PushFront puts an element before all others.
func (l *List) PushFront(element []byte) { l.Insert(0, element) }

// PushBack puts an element behind all others.
func (l *List) PushBack(element []byte) { l.Insert(l.Len(), element) }

// Set replaces the element at position i, which must exist.
func (l *List) Set(i int, element []byte) {
	// Redis makes room for the new element before the old one goes.
	coding := l.grown(l.Len()+1, l.tree.Packed()+len(element))
	before := l.change()
	l.t.Set(i, element)
	if len(element) < l.tx.ks.limits.Packed {
		coding = l.shrunk(coding)
	}
	l.changed(before, coding, 1)
}

// Remove takes n elements from position i on out. The key goes with its last
// element.
func (l *List) Remove(i, n int) {
	switch n {
	case 0:
		return
	case l.Len():
		l.empty(n)
		return
	}
	before := l.change()
	l.t.Remove(i, n)
	l.changed(before, l.shrunk(l.coding()), n)
}

// Rotate moves the element at position from, so that it stands at position to
// afterwards.
func (l *List) Rotate(from, to int) {
	before := l.change()
	l.t.Rotate(from, to)
	l.changed(before, l.coding(), 1)
}

// Ascend calls f for the elements from position i on until it returns false.
func (l *List) Ascend(i int, f func(element []byte) bool) {
	if l.t != nil {
		l.t.Ascend(i, f)
	}
}

// Descend calls f for the elements from position i down to the first until it
// returns false.
func (l *List) Descend(i int, f func(element []byte) bool) {
	if l.t != nil {
		l.t.Descend(min(i, l.Len()-1), f)
	}
}
