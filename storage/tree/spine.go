package tree

import (
	"encoding/binary"

	"redoubt/storage/slab"
)

// A spine is a tree of nodes: the elements of a collection, or the index of a
// sorted set. Without a root it is the one leaf of a small collection, whose
// bytes lie in the record or in the Tree.
type spine struct {
	t      *Tree
	sh     *shape
	work   *work
	root   slab.Ref
	height int // inner levels
	n      int // entries

	path [maxHeight]step
	leaf leaf   // the one that the path ends at
	made uint32 // id of the leaf that got the entry put last
}

// A step of a path is a node and the place of the child that comes next.
type step struct {
	ref   slab.Ref
	i     int
	bytes []byte // of the node
}

// set is an assignment, field by field: a step that is put together first would be
// copied by instructions that have to wait for those that wrote it.
func (p *step) set(r slab.Ref, i int, bytes []byte) {
	p.ref = r
	p.i = i
	p.bytes = bytes
}

func (s *spine) bytes(r slab.Ref) []byte { return s.t.env.Space.Bytes(r) }

// small reports whether the spine is a leaf outside the space.
func (s *spine) small() bool { return s.root == 0 }

// open opens the leaf that the path ends at.
func (s *spine) open() {
	if s.small() {
		if s.t.small == nil {
			s.t.ownSmall()
		}
		s.leaf.open(s.sh, s.t.room(), len(s.t.small))
		return
	}
	s.leaf.openNode(s.sh, s.path[s.height].bytes)
}

// store writes how many bytes of the open leaf are in use.
func (s *spine) store() {
	if s.small() {
		s.t.small = s.t.small[:s.leaf.used]
		return
	}
	setUsed(s.path[s.height].bytes, nodeHeader+s.leaf.used)
}

// touch loads the lines of a node so that they come side by side. Nobody waits
// for what is loaded.
func (s *spine) touch(b []byte) {
	var x byte
	for i := 64; i < len(b); i += 64 {
		x += b[i]
	}
	s.t.touched = x
}

// down takes the path to the leaf where (k, text) is or would be.
func (s *spine) down(k uint64, text []byte) {
	r := s.root
	for l := range s.height {
		b := s.bytes(r)
		i := 0
		if s.sh.order == byScore {
			i = s.childByScore(b, k, text)
		} else {
			i = childByHash(b, k)
		}
		s.path[l].set(r, i, b)
		r = child(b, i)
	}
	s.arrive(r)
}

func (s *spine) arrive(r slab.Ref) {
	if s.small() {
		s.path[0] = step{}
	} else {
		b := s.bytes(r)
		s.path[s.height].set(r, 0, b)
		s.touch(b)
	}
	s.open()
}

// downAt takes the path to the entry at a position and returns its place in the
// leaf. The position may be the number of entries: then it is the end of the
// last leaf.
func (s *spine) downAt(pos int) int {
	r := s.root
	for l := range s.height {
		b := s.bytes(r)
		c := counts(b)
		i, last := 0, len(c)/4-1
		if pos > s.n/2 && l == 0 {
			// The last half is reached from the end.
			rest := s.n - pos
			for i = last; i > 0; i-- {
				x := int(binary.LittleEndian.Uint32(c[4*i:]))
				if rest <= x {
					break
				}
				rest -= x
			}
			pos = int(binary.LittleEndian.Uint32(c[4*i:])) - rest
		} else {
			for ; i < last; i++ {
				x := int(binary.LittleEndian.Uint32(c[4*i:]))
				if pos < x {
					break
				}
				pos -= x
			}
		}
		s.path[l] = step{r, i, b}
		r = child(b, i)
	}
	s.arrive(r)
	return pos
}

// next moves the path to the next leaf.
func (s *spine) next() bool {
	l := s.height - 1
	for ; l >= 0; l-- {
		if s.path[l].i+1 < children(s.path[l].bytes) {
			break
		}
	}
	if l < 0 {
		return false
	}
	s.path[l].i++
	s.along(l, false)
	return true
}

// previous moves the path to the leaf before.
func (s *spine) previous() bool {
	l := s.height - 1
	for ; l >= 0 && s.path[l].i == 0; l-- {
	}
	if l < 0 {
		return false
	}
	s.path[l].i--
	s.along(l, true)
	return true
}

// along takes the path from level l on along the first or last children.
func (s *spine) along(l int, last bool) {
	for ; l < s.height; l++ {
		r := child(s.path[l].bytes, s.path[l].i)
		if l+1 == s.height {
			s.arrive(r)
			return
		}
		b := s.bytes(r)
		i := 0
		if last {
			i = children(b) - 1
		}
		s.path[l+1] = step{r, i, b}
	}
}

// before returns how many entries lie before the leaf of the path.
func (s *spine) before() int {
	n := 0
	for l := range s.height {
		c := counts(s.path[l].bytes)
		for i := range s.path[l].i {
			n += int(binary.LittleEndian.Uint32(c[4*i:]))
		}
	}
	return n
}

// atEnd reports whether the path above level h goes along the first or last
// children.
func (s *spine) atEnd(h int, last bool) bool {
	for l := range h {
		switch i := s.path[l].i; {
		case last && i+1 < children(s.path[l].bytes), !last && i > 0:
			return false
		}
	}
	return true
}

// own makes the nodes of the path fit to be changed: those that a capture may
// read are copied, and those in a sparse page move. The leaf is opened anew if it
// is another.
func (s *spine) own() {
	if s.small() {
		s.t.ownSmall()
		s.open()
		return
	}
	e := s.t.env
	for l := range s.height + 1 {
		if r := s.path[l].ref; e.Space.Sparse(r) || !s.sh.private && e.shared(s.path[l].bytes) {
			s.copyNode(l, len(s.path[l].bytes))
			if l == s.height {
				s.open()
			}
		}
	}
}

// copyNode puts a copy of the node at a level of the path in its place, in a
// block of at least n bytes.
func (s *spine) copyNode(l, n int) {
	r, b := s.path[l].ref, s.path[l].bytes
	to := s.t.alloc(n)
	q := s.bytes(to)
	copy(q, b[:nodeUsed(b)])
	binary.LittleEndian.PutUint32(q, s.t.env.Epoch)
	s.drop(r)
	s.hang(l, to)
	if l == s.height && s.sh.ids {
		s.t.setLeaf(leafID(q), to)
	}
}

// drop gives a node back.
func (s *spine) drop(r slab.Ref) {
	if s.sh.private {
		s.t.free(r)
	} else {
		s.t.drop(r)
	}
}

// hang puts a node in place of that at a level of the path.
func (s *spine) hang(l int, r slab.Ref) {
	s.path[l].ref, s.path[l].bytes = r, s.bytes(r)
	if l == 0 {
		s.root = r
		return
	}
	setChild(s.path[l-1].bytes, s.path[l-1].i, r)
}

// add changes the number of entries along the path, which is owned.
func (s *spine) add(d int) {
	s.n += d
	for l := range s.height {
		addUnder(s.path[l].bytes, s.path[l].i, d)
	}
}
