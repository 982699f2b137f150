package storage

import "redoubt/slots"

// list is the value of a list.
type list struct {
	items  sequence[[]byte]
	bytes  int // of the elements
	packed int // of the elements as listpack entries
	plain  int // elements above Limits.Packed when they came
	large  bool
}

func newList() value { return new(list) }

func (v *list) typ() Type { return TypeList }

func (v *list) encoding() string {
	if v.large {
		return "quicklist"
	}
	return "listpack"
}

func (v *list) size() int { return v.bytes + 24*v.items.len() }

func (v *list) clone() value {
	c := *v
	c.items = v.items.clone()
	return &c
}

// image shares the elements, which are never changed in place.
func (v *list) image() value { return v.clone() }

func (v *list) digest(d *digester) {
	v.items.ascend(0, func(b []byte) bool {
		d.mix(b)
		return true
	})
}

func (v *list) count(b []byte, n int, l *Limits) {
	v.bytes += n * len(b)
	v.packed += n * packedSize(b)
	if len(b) >= l.Packed {
		v.plain += n
	}
}

// listpackFrame is what a listpack has beside its entries: header and end.
const listpackFrame = 7

// grew and shrank choose between the names of the two encodings
// (listTypeTryConversion): a list of n elements that outgrows one node is a
// quicklist, and it is a listpack again when half a node would hold it.
func (v *list) grew(l *Limits, n int) {
	if bytes, elements := l.list(); v.packed+listpackFrame > bytes || n > elements || v.plain > 0 {
		v.large = true
	}
}

func (v *list) shrank(l *Limits) {
	bytes, elements := l.list()
	if v.packed+listpackFrame <= bytes/2 && v.items.len() <= elements/2 && v.plain == 0 {
		v.large = false
	}
}

// List is a list as a command works on it; positions count from 0.
type List struct{ collection }

// List is the entry's list; its type must be TypeList.
func (e Entry) List() List {
	return List{collection{tx: e.tx, key: e.rec.key(), p: place{slot: slots.Of(e.rec.key()), rec: e.rec}}}
}

// EditList finds key for a command that changes a list; see collection.
func (tx *Tx) EditList(key []byte) (List, bool) {
	c, ok := tx.edit(key, TypeList)
	return List{c}, ok
}

func (l *List) value() *list { return l.collection.value().(*list) }

// Len is the number of elements; 0 if the key does not exist.
func (l *List) Len() int {
	if !l.p.found() {
		return 0
	}
	return l.value().items.len()
}

// At is the element at position i, which must exist.
func (l *List) At(i int) []byte { return l.value().items.at(i) }

// Insert puts an element, which is copied, before position i; i may be the
// length.
func (l *List) Insert(i int, element []byte) {
	before := l.change(newList)
	v := l.value()
	b := append([]byte(nil), element...)
	v.items.insert(i, b)
	v.count(b, 1, &l.tx.ks.limits)
	v.grew(&l.tx.ks.limits, v.items.len())
	l.changed(before, v.items.len(), 1)
}

// PushFront puts an element before all others.
func (l *List) PushFront(element []byte) { l.Insert(0, element) }

// PushBack puts an element behind all others.
func (l *List) PushBack(element []byte) { l.Insert(l.Len(), element) }

// Set replaces the element at position i, which must exist.
func (l *List) Set(i int, element []byte) {
	before := l.change(newList)
	v := l.value()
	b := append([]byte(nil), element...)
	v.count(b, 1, &l.tx.ks.limits)
	// Redis makes room for the new element before the old one goes.
	v.grew(&l.tx.ks.limits, v.items.len()+1)
	v.count(v.items.at(i), -1, &l.tx.ks.limits)
	v.items.set(i, b)
	v.shrank(&l.tx.ks.limits)
	l.changed(before, v.items.len(), 1)
}

// Remove takes n elements from position i on out. The key goes with its last
// element.
func (l *List) Remove(i, n int) {
	if n == 0 {
		return
	}
	before := l.change(newList)
	v := l.value()
	for range n {
		v.count(v.items.at(i), -1, &l.tx.ks.limits)
		v.items.remove(i)
	}
	v.shrank(&l.tx.ks.limits)
	l.changed(before, v.items.len(), n)
}

// Rotate moves the element at position from, so that it stands at position to
// afterwards.
func (l *List) Rotate(from, to int) {
	before := l.change(newList)
	v := l.value()
	b := v.items.at(from)
	v.items.remove(from)
	v.items.insert(to, b)
	l.changed(before, v.items.len(), 1)
}

// Ascend calls f for the elements from position i on until it returns false.
func (l *List) Ascend(i int, f func(element []byte) bool) {
	if l.p.found() {
		l.value().items.ascend(i, f)
	}
}

// Descend calls f for the elements from position i down to the first until it
// returns false.
func (l *List) Descend(i int, f func(element []byte) bool) {
	if l.p.found() {
		l.value().items.descend(min(i, l.Len()-1), f)
	}
}
