package tree

import "redoubt/storage/slab"

// put puts a new entry at place i of the leaf of the path, which is owned; its
// number is counted already. It reports whether the path still ends at the leaf, which
// has to be opened anew then.
func (s *spine) put(i int, key uint64, a, b item) (stays bool) {
	l := &s.leaf
	var raw uint64
	ok := l.n < maxEntries || s.limit() > maxLeaf
	if l.sh.keys {
		var fits bool
		raw, fits = l.fits(key)
		ok = ok && fits
	} else if key != 0 {
		ok = false // a field of a hash is due for which the leaf has no place
	}
	var ta, tb [maxInline]byte
	var ea, eb stored
	if ok {
		ea, ok = l.a.encode(a, &ta)
	}
	if ok && s.sh.pairs {
		v := l.values()
		eb, ok = v.encode(b, &tb)
	}
	if !ok {
		s.again(i, key, a, b)
		return false
	}
	need := l.used + l.growth(ea, eb)
	if need > s.room() {
		if need <= smallLeaf {
			// A small leaf is written anew when it grows, or it would never find
			// what its items have in common.
			s.again(i, key, a, b)
			return false
		}
		if !s.grow(i, need) {
			s.overflow(i, key, a, b)
			return false
		}
	}
	s.made = s.leafID()
	l.insert(i, raw, ea, eb)
	s.store()
	return true
}

// smallLeaf is how many bytes a leaf has that is written anew when it grows.
const smallLeaf = 256

// room is how many bytes the open leaf may have without growing. That of a
// small collection grows in the steps that a block would.
func (s *spine) room() int {
	if s.small() {
		return (s.leaf.used + leafStep - 1) &^ (leafStep - 1)
	}
	return len(s.leaf.b)
}

// grow gives the open leaf room for n bytes, if that is not too many. An entry
// is about to be put at place i.
func (s *spine) grow(i, n int) bool {
	if s.small() {
		return n <= maxLeaf
	}
	if n += nodeHeader; n > s.limit() {
		return false
	}
	size := (n + leafStep - 1) &^ (leafStep - 1)
	if s.sh.order == byPosition && (i == s.leaf.n && s.atEnd(s.height, true) || i == 0 && s.atEnd(s.height, false)) {
		size = maxLeaf // the ends of a list get their full size at once
	}
	s.copyNode(s.height, size)
	s.open()
	return true
}

// limit is how many bytes a leaf may have.
func (s *spine) limit() int {
	if s.sh.ids && s.t.noIDs() {
		return 64 * maxLeaf
	}
	return maxLeaf
}

func (s *spine) leafID() uint32 {
	if s.small() || !s.sh.ids {
		return 0
	}
	return leafID(s.path[s.height].bytes)
}

// overflow puts an entry that the open leaf could hold but for its size. A full
// leaf at an end, of the tree or of a table of a map, stays as it is; another begins
// beside it.
func (s *spine) overflow(i int, key uint64, a, b item) {
	last := i == s.leaf.n && (s.atEnd(s.height, true) || s.endsTable(key) && s.leaf.key(i-1) == key)
	first := i == 0 && s.sh.order == byPosition && s.atEnd(s.height, false)
	if s.small() || s.sh.order == byHash || !last && !first || last && s.sh.order == byRow && s.leaf.key(i-1) == key {
		s.again(i, key, a, b)
		return
	}
	w := s.work
	w.pack.reset()
	w.pack.insert(0, key, a, b)
	begun := s.newLeaf(w.pack.entries, 0, 0)
	w.parts[0] = part{ref: s.path[s.height].ref, n: s.leaf.n}
	q := &w.parts[1]
	*q = part{ref: begun, n: 1, key: key}
	if first {
		w.parts[0], w.parts[1] = w.parts[1], w.parts[0]
	} else if s.sh.order == byScore {
		q.key = normal(key)
		if normal(s.leaf.key(i-1)) == q.key {
			sp := s.t.env.Space
			q.setText(s.leaf.a.text(sp, i-1, &s.t.views[0]), w.pack.textOf(sp, w.pack.entries[0].a))
		}
	}
	s.replace(s.height, 1, w.parts[:2])
}

// endsTable reports whether a row behind all others of the open leaf is the last one
// of its table in a map: what comes behind the leaf has another number.
func (s *spine) endsTable(key uint64) bool {
	if s.sh.order != byScore || !s.sh.pairs {
		return false
	}
	for l := s.height - 1; l >= 0; l-- {
		if up := s.path[l]; up.i+1 < children(up.bytes) {
			return bound(up.bytes, up.i+1) != key
		}
	}
	return true
}

// newLeaf writes entries as a leaf, with a new id if id is 0.
func (s *spine) newLeaf(es []entry, keep uint64, id uint32) slab.Ref {
	p := &s.work.pack
	sh := s.shapeOf(es)
	lay := p.layout(sh, es, keep)
	size := (nodeHeader + lay.size + leafStep - 1) &^ (leafStep - 1)
	if s.sh.order == byPosition && len(es) == 1 {
		size = max(size, maxLeaf)
	}
	r := s.t.alloc(size)
	b := s.bytes(r)
	setNode(b, s.t.env.Epoch, nodeHeader+lay.size, 0)
	if s.sh.ids {
		if id == 0 {
			id = s.t.newID()
		}
		s.t.setLeaf(id, r)
		for i := range es {
			if es[i].from == 0 {
				s.made = id
			}
		}
	}
	setLeafID(b, id)
	p.write(b[nodeHeader:], sh, es, &lay)
	return r
}

// take puts the entries of the open leaf into the pack.
func (s *spine) take() { s.work.pack.take(&s.leaf, s.leafID()) }

// again takes the open leaf apart and writes it with a new entry: as one leaf if
// it fits, or as two.
func (s *spine) again(i int, key uint64, a, b item) {
	p := &s.work.pack
	p.reset()
	s.take()
	p.insert(i, key, a, b)
	s.repack(i)
}

// rekey takes the open leaf, which is owned, apart and writes it with another key
// for entry i.
func (s *spine) rekey(i int, key uint64) {
	p := &s.work.pack
	p.reset()
	s.take()
	p.entries[i].key = key
	s.repack(i)
}

// repack writes the entries of the pack, of which that at i is new, in place of
// the open leaf.
func (s *spine) repack(i int) {
	p := &s.work.pack
	n := len(p.entries)
	sh := s.shapeOf(p.entries)
	// The frame stays as wide as it was, or a small leaf that changes often would
	// be written anew each time.
	keep := uint64(0)
	if s.leaf.sh.keys {
		keep = s.leaf.mask << s.leaf.drop
	}
	lay := p.layout(sh, p.entries, keep)
	limit := s.limit()
	if !s.small() {
		limit -= nodeHeader
	}
	cut := n
	if lay.size > limit || n > maxEntries && limit <= maxLeaf {
		cut, keep = s.cutFor(i), 0
	}
	if cut == n && s.small() && lay.size <= limit {
		s.t.small = s.t.room()[:lay.size]
		p.write(s.t.small, sh, p.entries, &lay)
		return
	}
	s.rewrite(1, cut, keep)
}

// cutFor is where the entries of the pack are best cut in two, the one at i being
// new; their number if they cannot be.
func (s *spine) cutFor(i int) int {
	p := &s.work.pack
	n := len(p.entries)
	switch s.sh.order {
	case byHash:
		p.sortByHash(s.t.env)
		fallthrough
	case byRow:
		if c := p.cutByKey(s.sh, 1, 2); c > 0 {
			return c
		}
		return n
	}
	switch {
	case i == n-1 && s.atEnd(s.height, true), i > 0 && i >= n/2 && s.appends(i):
		return i
	case i == 0 && s.sh.order == byPosition && s.atEnd(s.height, false):
		return 1
	}
	return p.cut(1, 2)
}

// appends reports whether the entry of the pack at i, which is not the first, comes
// behind all others of its table, as it does where rows of a map are appended.
func (s *spine) appends(i int) bool {
	es := s.work.pack.entries
	key := es[i].key
	switch {
	case !s.sh.pairs || es[i-1].key != key:
		return false
	case i == len(es)-1:
		return s.endsTable(key)
	}
	return es[i+1].key != key
}

// rewrite puts the entries of the pack in place of old leaves from that of the
// path on: as one leaf, or as two if cut is less than their number.
func (s *spine) rewrite(old, cut int, keep uint64) {
	p := &s.work.pack
	var ids [2]uint32
	for j := range old {
		if s.small() {
			break
		}
		r := s.root
		if s.height > 0 {
			up := s.path[s.height-1]
			r = child(up.bytes, up.i+j)
		}
		if s.sh.ids {
			ids[j] = leafID(s.bytes(r))
		}
		s.drop(r)
	}
	parts := s.work.parts[:0]
	for from, to := 0, cut; from < len(p.entries); from, to = to, len(p.entries) {
		es := p.entries[from:to]
		r := s.newLeaf(es, keep, ids[len(parts)])
		parts = append(parts, part{ref: r, n: len(es)})
		q := &parts[len(parts)-1]
		q.key = es[0].place(s.sh)
		if s.sh.order == byScore && from > 0 && normal(p.entries[from-1].key) == q.key {
			sp := s.t.env.Space
			q.setText(p.textOf(sp, p.entries[from-1].a), p.textOf(sp, es[0].a))
		}
	}
	if s.sh.ids {
		s.settle(parts, ids, old)
	}
	s.replace(s.height, old, parts)
}

// settle tells the index which entries of the pack are in another leaf now, and
// frees the ids of leaves that are gone.
func (s *spine) settle(parts []part, ids [2]uint32, old int) {
	p := &s.work.pack
	x := 0
	for _, q := range parts {
		id := leafID(s.bytes(q.ref))
		for range q.n {
			if e := &p.entries[x]; e.from != 0 && e.from != id {
				s.t.repoint(p.textOf(s.t.env.Space, e.a), e.from, id)
			}
			x++
		}
	}
	for j := len(parts); j < old; j++ {
		s.t.freeID(ids[j])
	}
}

// replace puts parts in place of old children, from that on which the path has at
// level l; there may be none. Above the root a new one grows.
func (s *spine) replace(l, old int, parts []part) {
	w := s.work
	in := &w.inner[0]
	if l == 0 {
		if len(parts) == 1 {
			s.root = parts[0].ref
			return
		}
		in.reset()
		in.splice(s.sh, 0, 0, parts)
		s.height++
		s.root = s.newInner(in, 0, len(parts), s.height)
		return
	}
	up := s.path[l-1]
	b := up.bytes
	if old == 1 && len(parts) == 1 {
		setChild(b, up.i, parts[0].ref)
		addUnder(b, up.i, parts[0].n-entriesUnder(b, up.i))
		return
	}
	in.load(s.sh, b)
	in.splice(s.sh, up.i, old, parts)
	level := nodeLevel(b)
	n := len(in.child)
	switch {
	case n > fanout:
		s.splitInner(l, level, up.i+len(parts))
	case l == 1 && n == 1:
		s.drop(up.ref)
		s.root = slab.Ref(in.child[0])
		s.height--
	case l > 1 && n == 0:
		s.drop(up.ref)
		s.replace(l-1, 1, nil)
	case l > 1 && n < fanout/4 && s.joinInner(l, level):
	default:
		s.writeInner(l, level)
	}
}

func (s *spine) newInner(in *inner, i, j, level int) slab.Ref {
	r := s.t.alloc((in.size(s.sh, i, j) + innerStep - 1) &^ (innerStep - 1))
	in.write(s.sh, s.bytes(r), i, j, level, s.t.env.Epoch)
	return r
}

// writeInner writes the node taken apart in place of that above level l of the
// path, in the same block if it has the right size.
func (s *spine) writeInner(l, level int) {
	in := &s.work.inner[0]
	r, b := s.path[l-1].ref, s.path[l-1].bytes
	n := len(in.child)
	if size := in.size(s.sh, 0, n); size <= len(b) && size+2*innerStep > len(b) {
		in.write(s.sh, b, 0, n, level, s.t.env.Epoch)
		return
	}
	s.drop(r)
	s.hang(l-1, s.newInner(in, 0, n, level))
}

// splitInner writes the node taken apart as two. changed is where it changed.
func (s *spine) splitInner(l, level, changed int) {
	w := s.work
	in := &w.inner[0]
	n := len(in.child)
	c := n / 2
	if changed >= n && s.atEnd(l-1, true) {
		c = n - 2
	} else if changed <= 2 && s.sh.order == byPosition && s.atEnd(l-1, false) {
		c = 2
	}
	s.drop(s.path[l-1].ref)
	left := part{ref: s.newInner(in, 0, c, level), n: in.sum(0, c)}
	right := part{ref: s.newInner(in, c, n, level), n: in.sum(c, n)}
	var text []byte
	if s.sh.order != byPosition {
		right.key = in.key[c]
	}
	if s.sh.order == byScore {
		right.long, text = in.long[c], in.text[c]
	}
	// text may be that of one of the parts, and is copied onto itself then.
	w.parts[2].text = append(w.parts[2].bytes[:0], text...)
	w.parts[0] = left
	right.bytes = w.parts[2].bytes
	w.parts[1] = right
	w.parts[1].text = w.parts[1].bytes[:len(text)]
	s.replace(l-1, 1, w.parts[:2])
}

// joinInner writes the node taken apart together with a sibling as one, if both
// fit.
func (s *spine) joinInner(l, level int) bool {
	w := s.work
	up := s.path[l-2]
	b := up.bytes
	sibling := up.i + 1
	if sibling == children(b) {
		sibling = up.i - 1
	}
	if sibling < 0 {
		return false
	}
	r := child(b, sibling)
	if children(s.bytes(r))+len(w.inner[0].child) > fanout*3/4 {
		return false
	}
	left, right := &w.inner[0], &w.inner[1]
	right.load(s.sh, s.bytes(r))
	if sibling < up.i {
		left, right = right, left
	}
	// The first bound of the right one is what the node above says of it.
	if i := max(sibling, up.i); s.sh.order != byPosition {
		right.key[0] = bound(b, i)
		if s.sh.order == byScore {
			right.text[0], right.long[0] = boundText(b, i)
		}
	}
	left.append(right)
	s.drop(s.path[l-1].ref)
	s.drop(r)
	n := len(left.child)
	w.parts[0] = part{ref: s.newInner(left, 0, n, level), n: left.sum(0, n)}
	s.path[l-2].i = min(sibling, up.i)
	s.replace(l-1, 2, w.parts[:1])
	return true
}

func (in *inner) append(o *inner) {
	in.child, in.count = append(in.child, o.child...), append(in.count, o.count...)
	in.key, in.text, in.long = append(in.key, o.key...), append(in.text, o.text...), append(in.long, o.long...)
}

// set replaces the last text of entry i of the open leaf, which is owned, and its
// key; a is the first text. The place of the entry depends on neither.
func (s *spine) set(i int, key uint64, a, b item) {
	l := &s.leaf
	c, it := l.a, a
	if s.sh.pairs {
		c, it = l.values(), b
	}
	var tmp [maxInline]byte
	if e, ok := c.encode(it, &tmp); ok && e.length != byRef && !c.isRef(i) {
		if at, n := c.item(i); n == len(e.bytes) && l.setKey(i, key) {
			copy(l.b[at:], e.bytes)
			return
		}
	}
	s.t.dropItems(&c, i, i+1)
	if s.sh.pairs && l.a.isRef(i) {
		at, _ := l.a.item(i)
		a = item{ref: getRef(l.b[at:])} // the block of the first text stays
	}
	l.remove(i, i+1)
	s.store()
	s.open()
	s.put(i, key, a, b)
}
