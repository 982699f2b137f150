package tree

import (
	"encoding/binary"

	"redoubt/storage/slab"
)

// An item above maxInline has a block of its own, as has a shorter one that is about
// to grow (MapTree.SetWithRoom):
//
//	0 epoch u32 | 4 length u32 | text
const longHeader = 8

func getRef(b []byte) slab.Ref    { return slab.Ref(binary.LittleEndian.Uint32(b)) }
func putRef(b []byte, r slab.Ref) { binary.LittleEndian.PutUint32(b, uint32(r)) }

// longText is the text that a block holds.
func longText(sp *slab.Space, r slab.Ref) []byte {
	b := sp.Bytes(r)
	n := longHeader + int(binary.LittleEndian.Uint32(b[4:]))
	return b[longHeader:n:n]
}

// newItem prepares a text for a column of a leaf: a short one is copied, since it
// may be a view of what changes, and a long one gets its block.
func (t *Tree) newItem(text []byte, column int) item {
	if len(text) <= maxInline {
		return item{text: t.args[column][:copy(t.args[column][:], text)]}
	}
	return t.blockItem(text, longHeader+len(text))
}

// blockItem puts a text into a block of its own of at least size bytes.
func (t *Tree) blockItem(text []byte, size int) item {
	r := t.alloc(size)
	b := t.env.Space.Bytes(r)
	binary.LittleEndian.PutUint32(b, t.env.Epoch)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(text)))
	copy(b[longHeader:], text)
	return item{ref: r}
}

// dropItems gives the blocks of items [i, j) of a column back.
func (t *Tree) dropItems(c *column, i, j int) {
	if !c.refs {
		return
	}
	at, _ := c.item(i)
	for _, n := range c.b[c.lengths()+i : c.lengths()+j] {
		if n == byRef {
			t.drop(getRef(c.b[at:]))
		}
		at += storedLength(n)
	}
}
