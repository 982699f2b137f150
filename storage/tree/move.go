package tree

import "redoubt/storage/slab"

// Where Move goes on is a phase and, below it, a position: of an entry in the
// main tree, of a row in the index, or of a page of ids.
const (
	movePhase = 62
	moveMain  = 0 << movePhase
	moveRows  = 1 << movePhase
	moveIDs   = 2 << movePhase
	movePlace = 1<<movePhase - 1
)

// Moves counts what a call of Move has done.
type Moves struct {
	Moved  int // blocks
	Stayed int // blocks that it looked at, and that lie where they may stay or must
}

// Moves returns the counts of the last call of Move.
func (t *Tree) Moves() Moves { return t.moves }

func (m *Moves) count(moved bool) {
	if moved {
		m.Moved++
	} else {
		m.Stayed++
	}
}

// Move moves what lies in sparse pages of the space, and looks at about budget
// leaves for it. more says that it is to be called again: it goes on where it
// was, and what a change of the collection in between made it miss is left to
// the next compaction. What a capture may read stays where it is.
func (t *Tree) Move(budget int) (more bool) {
	t.moves = Moves{}
	if t.main.n == 0 {
		return false
	}
	if t.main.small() {
		t.main.open()
		if t.sparseItems() {
			t.change()
			t.moveItems()
		}
		return false
	}
	at := t.moved
	for ; budget > 0; budget-- {
		phase, place := t.moved&^movePlace, int(t.moved&movePlace)
		switch {
		case phase == moveMain && place < t.main.n:
			t.moved = moveMain | uint64(t.moveAt(&t.main, place))
		case phase == moveMain && t.rows.root != 0:
			t.moved = moveRows
		case phase == moveRows && place < t.rows.n:
			t.moved = moveRows | uint64(t.moveAt(&t.rows, place))
		case phase == moveRows && t.kind == ZSet:
			t.moved = moveIDs
		case phase == moveIDs && t.moveIDs(place):
			t.moved++
		default:
			t.moved = 0
			t.changed = t.changed || at != 0
			return false
		}
	}
	t.changed = t.changed || at != t.moved
	return true
}

// moveAt moves the leaf of the entry at a position, the nodes above it and the
// long items in it, where they are to move. It returns the position of the next
// leaf.
func (t *Tree) moveAt(s *spine, place int) (next int) {
	e := t.env
	i := s.downAt(place)
	shared := false
	for l := range s.height + 1 {
		r := s.path[l].ref
		// Below a node that a capture reads all are read by it.
		if shared = shared || !s.sh.private && e.shared(s.path[l].bytes); shared {
			t.moves.Stayed++
			break
		}
		sparse := e.Space.Sparse(r)
		if sparse {
			t.changed = true
			s.copyNode(l, len(s.path[l].bytes))
		}
		t.moves.count(sparse)
	}
	s.open()
	if !shared && !s.sh.private && t.sparseItems() {
		t.changed = true
		t.moveItems()
	}
	return place - i + s.leaf.n
}

// sparseItems reports whether long items of the open leaf are to move.
func (t *Tree) sparseItems() (sparse bool) {
	t.eachRef(func(r slab.Ref) { sparse = sparse || t.movable(r) })
	return sparse
}

func (t *Tree) movable(r slab.Ref) bool {
	return t.env.Space.Sparse(r) && !t.env.shared(t.env.Space.Bytes(r))
}

// moveItems moves long items of the open leaf, which is owned.
func (t *Tree) moveItems() {
	t.eachRefPlace(func(place []byte) {
		if r := getRef(place); t.movable(r) {
			putRef(place, t.copyItem(r))
			t.drop(r)
			t.moves.Moved++
		}
	})
}

// moveIDs moves the top of the ids, for 0, or the page before place. It reports
// whether there was one.
func (t *Tree) moveIDs(place int) bool {
	x, sp := &t.ids, t.env.Space
	if place == 0 {
		t.moveTable(&x.top)
		return true
	}
	if x.next <= idsInPage || place > x.pages() {
		return false
	}
	at := sp.Bytes(x.top)[4*(place-1):]
	r := getRef(at)
	t.moveTable(&r)
	putRef(at, r)
	return true
}

func (t *Tree) moveTable(r *slab.Ref) {
	sparse := t.env.Space.Sparse(*r)
	if t.moves.count(sparse); !sparse {
		return
	}
	t.changed = true
	to := t.copyBlock(*r)
	t.free(*r)
	*r = to
}
