package tree

import (
	"encoding/binary"

	"redoubt/storage/slab"
)

// A Reader reads a value as a capture found it, on any goroutine, while the
// collection goes on changing: as long as the Env that it changes in has
// Captured above the epochs of all nodes that there were at the capture.
type Reader struct {
	space *slab.Space
	kind  Kind
	value []byte
	views [2][]byte
}

// Open opens a value on a copy of the bytes that its record held at the capture.
func (r *Reader) Open(space *slab.Space, k Kind, value []byte) {
	r.space, r.kind, r.value = space, k, value
}

// Len is the number of elements, fields or members.
func (r *Reader) Len() int {
	switch {
	case len(r.value) == 0:
		return 0
	case IsLarge(r.value):
		return int(binary.LittleEndian.Uint64(r.value[8:]))
	}
	return int(binary.LittleEndian.Uint16(r.value[1:]))
}

// An Element is one of a list, a member of a set, with its score if that is
// sorted, a field of a hash with its value and when it is due, 0 for never, or a row
// of a map.
type Element struct {
	Text, Value []byte
	Score       float64
	Due         int64
	Key         uint64 // of a row of a map
}

// Each calls f for all elements in their order until it returns false. Texts are
// valid until f returns.
func (r *Reader) Each(f func(e Element) bool) {
	if len(r.value) == 0 {
		return
	}
	if IsLarge(r.value) {
		r.under(getRef(r.value[4:]), f)
		return
	}
	var l leaf
	l.open(&shapes[r.kind], r.value, len(r.value))
	r.leaf(&l, f)
}

func (r *Reader) under(ref slab.Ref, f func(e Element) bool) bool {
	b := r.space.Bytes(ref)
	if nodeLevel(b) == 0 {
		var l leaf
		l.openNode(&shapes[r.kind], b)
		return r.leaf(&l, f)
	}
	for i := range children(b) {
		if !r.under(child(b, i), f) {
			return false
		}
	}
	return true
}

func (r *Reader) leaf(l *leaf, f func(e Element) bool) bool {
	return l.ascend(r.space, 0, &r.views, func(key uint64, a, b []byte) bool {
		e := Element{Text: a, Value: b}
		switch {
		case l.sh.pairs && l.sh.order == byScore:
			e.Key = key
		case l.sh.pairs:
			e.Due = int64(key)
		case l.sh.keys:
			e.Score = scoreOf(key)
		}
		return f(e)
	})
}
