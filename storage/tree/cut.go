package tree

import "redoubt/storage/slab"

// cut takes entries [i, j) out of the leaf of the path, which is owned; they are
// not counted any more. A leaf that has become small joins a sibling. It reports
// whether the path still ends at the leaf, which has to be opened anew then.
func (s *spine) cut(i, j int) (stays bool) {
	l := &s.leaf
	s.dropEntries(i, j)
	if i == 0 && j == l.n && s.height > 0 {
		s.cutLeaves(1)
		return false
	}
	l.remove(i, j)
	s.store()
	return s.small() || l.n == 0 || s.shrink()
}

// dropEntries gives the blocks of long items of the open leaf back.
func (s *spine) dropEntries(i, j int) {
	s.t.dropItems(&s.leaf.a, i, j)
	if s.sh.pairs {
		v := s.leaf.values()
		s.t.dropItems(&v, i, j)
	}
}

// cutLeaves takes n leaves out, from that of the path on, all of one parent; what
// they held is gone. The tree keeps at least one.
func (s *spine) cutLeaves(n int) {
	up := s.path[s.height-1]
	for j := range n {
		r := child(up.bytes, up.i+j)
		if s.sh.ids {
			s.t.freeID(leafID(s.bytes(r)))
		}
		s.drop(r)
	}
	s.replace(s.height, n, nil)
}

// shrink follows a removal from the leaf of the path: it joins a sibling or gets
// a smaller block. It reports whether it has not joined.
func (s *spine) shrink() bool {
	used := nodeHeader + s.leaf.used
	if s.height > 0 && used < maxLeaf/3 && s.join(used) {
		return false
	}
	room := nodeHeader + len(s.leaf.b)
	size := (used + leafStep - 1) &^ (leafStep - 1)
	if s.sh.order == byPosition && room <= maxLeaf && (s.atEnd(s.height, false) || s.atEnd(s.height, true)) {
		return true // an end of a list stays as it is
	}
	if size+leafStep <= room && used+leafStep+shrinkSlack <= room {
		s.copyNode(s.height, size)
	}
	return true
}

// join joins the leaf of the path with the leaf beside it, if both fit. It reports
// whether it did.
func (s *spine) join(used int) bool {
	up := s.path[s.height-1]
	b := up.bytes
	sibling := up.i + 1
	if sibling == children(b) {
		sibling = up.i - 1
	}
	if sibling < 0 {
		return false
	}
	q := s.bytes(child(b, sibling))
	if nodeUsed(q)+used > maxLeaf*85/100 {
		return false
	}
	n := entriesUnder(b, up.i) + entriesUnder(b, sibling)
	if n > maxEntries*85/100 {
		return false
	}
	s.path[s.height-1].i = min(sibling, up.i)
	if s.concat() {
		return true
	}
	p := &s.work.pack
	p.reset()
	for i := range 2 {
		s.arrive(child(b, s.path[s.height-1].i+i))
		s.take()
	}
	lay := p.layout(s.shapeOf(p.entries), p.entries, 0)
	if nodeHeader+lay.size > maxLeaf {
		s.path[s.height-1] = up
		s.arrive(child(b, up.i))
		return false
	}
	s.rewrite(2, len(p.entries), 0)
	return true
}

// concat joins the leaf that the path leads to above its end with the next one, if
// both store their entries in the same form: then nothing has to be taken apart.
// Entries of leaves with ids would have to be told of the change.
func (s *spine) concat() bool {
	if s.sh.ids {
		return false
	}
	up := s.path[s.height-1]
	refs := [2]slab.Ref{child(up.bytes, up.i), child(up.bytes, up.i+1)}
	var pair [2]leaf
	for i, r := range refs {
		pair[i].openNode(s.sh, s.bytes(r))
	}
	x, y := &pair[0], &pair[1]
	pl, ok := x.alike(y)
	if !ok {
		return false
	}
	used := nodeHeader + x.usedWith(y, pl)
	if used > maxLeaf {
		return false
	}
	joined := s.t.alloc((used + leafStep - 1) &^ (leafStep - 1))
	b := s.bytes(joined)
	setNode(b, s.t.env.Epoch, used, 0)
	setLeafID(b, 0)
	concatenate(b[nodeHeader:used], x, y, pl)
	for _, r := range refs {
		s.drop(r)
	}
	s.work.parts[0] = part{ref: joined, n: x.n + y.n}
	s.replace(s.height, 2, s.work.parts[:1])
	return true
}
