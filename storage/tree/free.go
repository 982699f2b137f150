package tree

import (
	"slices"

	"redoubt/storage/slab"
)

// What is left of a value that is being freed is its descriptor, and then:
//
//	0 phase u8 | 1 where it goes on: the place of a child at each level
//
// The phases are the main tree, the index and the ids.
const (
	freeMain = iota
	freeRows
	freeIDs
	freed
)

// Free gives the nodes of a collection back, about budget of them, and returns
// what is left of its value: nothing once all are gone. It is for values that no
// record holds any more; what it returns may be given to Free only. A value that
// a capture may still read is freed to Env.Keep.
func (t *Tree) Free(e *Env, k Kind, value []byte, budget int) (rest []byte) {
	t.Open(e, k, value)
	if !IsLarge(value) {
		t.removeAll()
		return nil
	}
	size := descriptorOf(k, value[0])
	if len(value) == size {
		value = append(slices.Clip(value), make([]byte, 1+maxHeight)...)
	}
	phase, path := &value[size], value[size+1:]
	for budget > 0 && *phase != freed {
		done := false
		switch *phase {
		case freeMain:
			done = t.freeNext(&t.main, path, &budget)
		case freeRows:
			done = t.rows.root == 0 || t.freeNext(&t.rows, path, &budget)
		default:
			t.freeIDs()
			done = true
		}
		if done {
			clear(path)
			if *phase++; *phase == freeIDs && k != ZSet {
				*phase = freed
			}
		}
	}
	if *phase == freed {
		return nil
	}
	return value
}

// freeNext frees the next leaf of a tree, and nodes that have no children left.
// It reports whether that was the root.
func (t *Tree) freeNext(s *spine, path []byte, budget *int) bool {
	r := s.root
	for l := range s.height {
		b := s.bytes(r)
		if int(path[l]) == children(b) {
			s.drop(r)
			*budget--
			path[l] = 0
			if l > 0 {
				path[l-1]++
			}
			return l == 0
		}
		r = child(b, int(path[l]))
	}
	t.dropItemsIn(s, s.bytes(r))
	s.drop(r)
	*budget--
	if s.height > 0 {
		path[s.height-1]++
	}
	return s.height == 0
}

// dropUnder gives a node of the main tree and all below back.
func (t *Tree) dropUnder(r slab.Ref) {
	b := t.env.Space.Bytes(r)
	if nodeLevel(b) > 0 {
		for i := range children(b) {
			t.dropUnder(child(b, i))
		}
	} else {
		t.dropItemsIn(&t.main, b)
	}
	t.drop(r)
}

// dropItemsIn gives the blocks of the long items of a leaf back, which is going.
func (t *Tree) dropItemsIn(s *spine, b []byte) {
	if b[nodeHeader]&(flagRefsA|flagRefsB) != 0 {
		s.leaf.openNode(s.sh, b)
		s.dropEntries(0, s.leaf.n)
	}
}
