package chunk

import "encoding/binary"

// A Reader reads the items of a chunk from the first to the last, deleted ones too.
// It is scratch: opened on one chunk after another, it allocates next to nothing.
//
//	r.Open(b, first)
//	for r.Next() {
//		… r.ID, r.Dead, r.Pairs …
//		for range r.Pairs {
//			field, value := r.Pair()
//		}
//	}
type Reader struct {
	ID    ID   // of the item at hand
	Dead  bool // it has been deleted
	Same  bool // it has the fields of the chunk, in their order
	Pairs int  // of fields and values

	b       []byte
	fields  int // of the chunk
	names   int // where they are
	pattern int // where the values of the first item are

	head int // where the item at hand is
	at   int // what is read next
	left int // pairs of it that have not been read

	name    int // of the next pair, if Same
	likes   [][]byte
	scratch [2][]byte
}

// Open begins a chunk whose first ID is first.
func (r *Reader) Open(b []byte, first ID) {
	r.b, r.ID, r.left = b, first, 0
	n, at := number(b, headerBytes)
	r.fields, r.names = int(n), at
	for ; n > 0; n-- {
		size, next := number(b, at)
		at = next + int(size)
	}
	r.at, r.pattern = at, at+1
	r.likes = r.likes[:0]
}

// Next goes on to the next item and reports whether there is one.
func (r *Reader) Next() bool {
	for ; r.left > 0; r.left-- {
		if !r.Same {
			r.skip()
		}
		r.skip()
	}
	if r.at == len(r.b) {
		return false
	}
	r.head = r.at
	head := r.b[r.at]
	r.at++
	r.Dead, r.Same = head&headDead != 0, head&headSame != 0
	r.step(head >> headShift)
	r.Pairs, r.name = r.fields, r.names
	if !r.Same {
		n, at := number(r.b, r.at)
		r.Pairs, r.at = int(n), at
	}
	r.left = r.Pairs
	return true
}

func (r *Reader) step(s byte) {
	var x uint64
	switch s {
	case stepNone:
	case stepNext:
		r.ID.Seq++
	case stepSeq:
		x, r.at = number(r.b, r.at)
		r.ID.Seq += x + 1
	case stepMs:
		x, r.at = number(r.b, r.at)
		r.ID = ID{r.ID.Ms + x, 0}
	case stepBoth:
		x, r.at = number(r.b, r.at)
		r.ID.Ms += x
		r.ID.Seq, r.at = number(r.b, r.at)
	default:
		r.ID = ID{r.ID.Ms + uint64(s), 0}
	}
}

// skip passes over a text.
func (r *Reader) skip() {
	tag := r.b[r.at]
	r.at++
	if tag > tagSame && tag < tagLong {
		tag = r.b[r.at]
		r.at++
	}
	switch {
	case tag <= shortest:
		r.at += int(tag)
	case tag < tagPacked:
		r.at += lettersBytes(int(tag - tagLetters))
	case tag < tagSame:
		r.at += (int(tag-tagPacked) + 1) / 2
	case tag == tagLong:
		n, at := number(r.b, r.at)
		r.at = at + int(n)
	}
}

// Pair reads the next pair of the item at hand, of which there are Pairs. The bytes
// are views, valid until the next call.
func (r *Reader) Pair() (field, value []byte) {
	r.left--
	if !r.Same {
		field = r.text(0, -1)
		return field, r.text(1, -1)
	}
	n, at := number(r.b, r.name)
	r.name = at + int(n)
	return r.b[at:r.name:r.name], r.text(1, r.Pairs-r.left-1)
}

// text reads a text: the value of the i-th field of the chunk, or, if i is
// negative, one without a pattern.
func (r *Reader) text(scratch, i int) []byte {
	tag := int(r.b[r.at])
	r.at++
	switch {
	case tag <= shortest:
		r.at += tag
		return r.b[r.at-tag : r.at : r.at]
	case tag == tagSame:
		return r.like(i)
	case tag == tagLong:
		n, at := number(r.b, r.at)
		r.at = at + int(n)
		return r.b[at:r.at:r.at]
	}
	s := r.scratch[scratch][:0]
	if tag > tagSame {
		s = append(s, r.like(i)[:tag-tagSame]...)
		tag = int(r.b[r.at])
		r.at++
	}
	switch n := tag; {
	case n <= shortest:
		s = append(s, r.b[r.at:r.at+n]...)
		r.at += n
	case n < tagPacked:
		n -= tagLetters
		s = unpackLetters(s, r.b[r.at:], n)
		r.at += lettersBytes(n)
	default:
		n -= tagPacked
		s = unpack(s, r.b[r.at:], n)
		r.at += (n + 1) / 2
	}
	r.scratch[scratch] = s
	return s
}

// like is the pattern of a field.
func (r *Reader) like(i int) []byte {
	for at := r.pattern; len(r.likes) < r.fields; {
		var text []byte
		text, at = plainText(r.b, at)
		r.likes = append(r.likes, text)
	}
	return r.likes[i]
}

// A Place is where an item is, to come back to.
type Place struct {
	ID   ID
	head int
}

// Places appends the places of the items that are not deleted, and have IDs from
// low to high, to dst, in their order.
func (r *Reader) Places(dst []Place, low, high ID) []Place {
	for r.Next() {
		if high.Less(r.ID) {
			break
		}
		if !r.Dead && !r.ID.Less(low) {
			dst = append(dst, Place{r.ID, r.head})
		}
	}
	return dst
}

// Seek makes the item at a place of the chunk the one at hand.
func (r *Reader) Seek(p Place) {
	r.at, r.left = p.head, 0
	r.Next()
	r.ID = p.ID
}

// Kill marks the item at hand, which is not deleted, as deleted.
func (r *Reader) Kill() {
	r.b[r.head] |= headDead
	r.Dead = true
	binary.LittleEndian.PutUint32(r.b, uint32(Live(r.b)-1))
	binary.LittleEndian.PutUint32(r.b[4:], uint32(Dead(r.b)+1))
}
