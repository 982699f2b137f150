package tree

// A ListTree is a list opened on its value. Positions count from 0.
type ListTree struct{ Tree }

// Open opens a list; see Tree.Open.
func (t *ListTree) Open(e *Env, value []byte) { t.Tree.Open(e, List, value) }

// At returns the element at position i, which must exist (LINDEX).
func (t *ListTree) At(i int) []byte {
	at := t.main.downAt(i)
	return t.main.leaf.a.text(t.env.Space, at, &t.views[0])
}

// Insert puts an element before position i, which may be the length (LPUSH,
// RPUSH, LINSERT).
func (t *ListTree) Insert(i int, element []byte) {
	a := t.newItem(element, 0)
	at := t.main.downAt(i)
	t.change()
	t.main.add(1)
	t.main.put(at, 0, a, item{})
}

// Set replaces the element at position i, which must exist (LSET).
func (t *ListTree) Set(i int, element []byte) {
	a := t.newItem(element, 0)
	at := t.main.downAt(i)
	t.change()
	t.main.set(at, 0, a, item{})
}

// Remove takes n elements from position i on out, which must exist (LPOP, RPOP,
// LTRIM, LREM).
func (t *ListTree) Remove(i, n int) { t.removeRange(i, n) }

// Rotate moves the element at position from so that it stands at position to
// afterwards (LMOVE within a list).
func (t *ListTree) Rotate(from, to int) {
	element := append(t.copied[:0], t.At(from)...)
	t.copied = element
	if t.Len() == 1 {
		return
	}
	t.Remove(from, 1)
	t.Insert(to, element)
}

// Ascend calls f for the elements from position i on until it returns false
// (LRANGE). f must not change the list.
func (t *ListTree) Ascend(i int, f func(element []byte) bool) {
	t.ascend(i, func(_ uint64, a, _ []byte) bool { return f(a) })
}

// Descend calls f for the elements from position i down to the first until it
// returns false. f must not change the list.
func (t *ListTree) Descend(i int, f func(element []byte) bool) {
	t.descend(i, func(_ uint64, a, _ []byte) bool { return f(a) })
}
