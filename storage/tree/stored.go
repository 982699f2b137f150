package tree

import (
	"encoding/binary"

	"redoubt/storage/slab"
)

// Stored says that the bytes of Value now lie in value, a view of the record that
// holds them. What was opened before may be gone.
func (t *Tree) Stored(value []byte) {
	t.value, t.changed = value, false
	if t.main.small() && !t.owned {
		t.small = value
	}
}

// Outside returns how many bytes of memory a value has besides its own, 0 for
// most small ones.
func Outside(sp *slab.Space, k Kind, value []byte) int {
	switch {
	case len(value) == 0:
		return 0
	case IsLarge(value):
		return int(binary.LittleEndian.Uint64(value[16:]))
	case value[0]&(flagRefsA|flagRefsB) == 0:
		return 0
	}
	var t Tree
	t.Open(&Env{Space: sp}, k, value)
	return t.bytes
}

// Packed returns roughly how many bytes the elements take: the packed leaf of a
// small collection, or all blocks.
func (t *Tree) Packed() int { return len(t.small) + t.bytes }
