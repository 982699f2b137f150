package lua

import (
	"math"
	"math/bits"
)

// A Table is an array for the keys 1 to n and a hash for the rest. The hash is a
// chained scatter table in one block with Brent's variation, as PUC Lua's, with
// its hash functions and its rules of growth: so pairs() walks string and number
// keys in the order in which Redis's scripts see them.
type Table struct {
	array []Value
	nodes []node // a power of two, or none
	free  int    // all nodes from here on are in use
	meta  *Table
	// absent is a bit for each event of the first eight that the table, as a
	// metatable, is known not to handle.
	absent uint8
	// ReadOnly makes assignments fail.
	ReadOnly bool
	id       uint32
	mark     uint32
}

type node struct {
	key, value Value
	next       int32 // the index of the next in the chain plus one
}

const (
	maxArrayBits = 26
	valueBytes   = 16
	nodeBytes    = 40
	tableBytes   = 112
)

// stringHash is luaS_newlstr's in Redis, which looks at all bytes: PUC Lua skips
// some of long strings.
func stringHash(s string) uint32 {
	h := uint32(len(s))
	for i := len(s) - 1; i >= 0; i-- {
		h ^= h<<5 + h>>2 + uint32(s[i])
	}
	return h
}

// main is the index of the node where a key belongs.
func (h *Table) main(key Value) int {
	size := uint32(len(h.nodes))
	switch key.Kind() {
	case KindNumber:
		return h.mainNumber(key.Float())
	case KindString:
		return int(stringHash(key.Str()) & (size - 1))
	case KindBool:
		return int(uint32(key.bits&1) & (size - 1))
	}
	return int(objectID(key) % ((size - 1) | 1))
}

func (h *Table) mainNumber(f float64) int {
	if f == 0 {
		return 0
	}
	b := math.Float64bits(f)
	return int((uint32(b) + uint32(b>>32)) % (uint32(len(h.nodes)-1) | 1))
}

// objectID is a number by which an object is hashed; its address would make the
// order of pairs() differ from run to run.
func objectID(v Value) uint32 {
	switch v.Kind() {
	case KindTable:
		return v.Table().id
	case KindFunction:
		return v.Closure().id
	case KindThread:
		return v.thread().id
	}
	return 0
}

// GetStr finds the value of a string key.
func (h *Table) GetStr(key string) Value { return h.getStr(key, stringHash(key)) }

func (h *Table) getStr(key string, hash uint32) Value {
	if len(h.nodes) == 0 {
		return Nil
	}
	k := String(key)
	n := &h.nodes[hash&uint32(len(h.nodes)-1)]
	for {
		if n.key.bits == k.bits && (n.key.ref == k.ref || n.key.isString() && n.key.Str() == key) {
			return n.value
		}
		if n.next == 0 {
			return Nil
		}
		n = &h.nodes[n.next-1]
	}
}

// GetInt finds the value of an integer key.
func (h *Table) GetInt(key int) Value {
	if uint(key-1) < uint(len(h.array)) {
		return h.array[key-1]
	}
	if len(h.nodes) == 0 {
		return Nil
	}
	return h.getNumber(float64(key))
}

func (h *Table) getNumber(key float64) Value {
	n := &h.nodes[h.mainNumber(key)]
	for {
		if n.key.isNumber() && n.key.Float() == key {
			return n.value
		}
		if n.next == 0 {
			return Nil
		}
		n = &h.nodes[n.next-1]
	}
}

// Get finds the value of a key, without metamethods.
func (h *Table) Get(key Value) Value {
	if key.isNumber() {
		f := key.Float()
		if i := int(f); float64(i) == f {
			return h.GetInt(i)
		}
		if len(h.nodes) == 0 {
			return Nil
		}
		return h.getNumber(f)
	}
	if key.isString() {
		return h.GetStr(key.Str())
	}
	if n := h.findObject(key); n != nil {
		return n.value
	}
	return Nil
}

// findObject finds the node of a key that is neither a number nor a string.
func (h *Table) findObject(key Value) *node {
	if len(h.nodes) == 0 || key.IsNil() {
		return nil
	}
	n := &h.nodes[h.main(key)]
	for {
		if rawEqual(n.key, key) {
			return n
		}
		if n.next == 0 {
			return nil
		}
		n = &h.nodes[n.next-1]
	}
}

// slot finds where the value of a key is, nil if the table has no place for it.
func (h *Table) slot(key Value) *Value {
	if key.isNumber() {
		f := key.Float()
		if i := int(f); float64(i) == f && uint(i-1) < uint(len(h.array)) {
			return &h.array[i-1]
		}
	}
	if n := h.findObject(key); n != nil {
		return &n.value
	}
	return nil
}

// strSlot is slot for a string.
func (h *Table) strSlot(key string, hash uint32) *Value {
	if len(h.nodes) == 0 {
		return nil
	}
	k := String(key)
	n := &h.nodes[hash&uint32(len(h.nodes)-1)]
	for {
		if n.key.bits == k.bits && (n.key.ref == k.ref || n.key.isString() && n.key.Str() == key) {
			return &n.value
		}
		if n.next == 0 {
			return nil
		}
		n = &h.nodes[n.next-1]
	}
}

// SetStr assigns to a string key, without metamethods.
func (h *Table) SetStr(key string, value Value) { h.Set(String(key), value) }

// SetInt assigns to an integer key, without metamethods.
func (h *Table) SetInt(key int, value Value) {
	if uint(key-1) < uint(len(h.array)) {
		h.array[key-1] = value
		return
	}
	h.Set(Number(float64(key)), value)
}

// Set assigns without metamethods; key is neither nil nor NaN. It returns the
// bytes by which the table grew.
func (h *Table) Set(key, value Value) int {
	h.absent = 0
	if s := h.slot(key); s != nil {
		*s = value
		return 0
	}
	if value.IsNil() {
		return 0
	}
	return h.insert(key, value)
}

// insert adds a key that the table does not have; luaH_newkey.
func (h *Table) insert(key, value Value) int {
	if len(h.nodes) == 0 {
		return h.grow(key, value)
	}
	at := h.main(key)
	if !h.nodes[at].value.IsNil() {
		free := h.freeNode()
		if free < 0 {
			return h.grow(key, value)
		}
		mp, n := &h.nodes[at], &h.nodes[free]
		if other := h.main(mp.key); other != at {
			// What is here belongs elsewhere: it moves to the free node.
			prev := &h.nodes[other]
			for int(prev.next)-1 != at {
				prev = &h.nodes[prev.next-1]
			}
			prev.next = int32(free + 1)
			*n = *mp
			*mp = node{}
		} else {
			n.next = mp.next
			mp.next = int32(free + 1)
			at = free
		}
	}
	h.nodes[at].key, h.nodes[at].value = key, value
	return 0
}

func (h *Table) freeNode() int {
	for h.free > 0 {
		h.free--
		if h.nodes[h.free].key.IsNil() {
			return h.free
		}
	}
	return -1
}

// grow makes room for a key and adds it; luaH's rehash.
func (h *Table) grow(key, value Value) int {
	var counts [maxArrayBits + 1]int // keys in (2^(i-1), 2^i]
	inArray := h.countArray(&counts)
	total := inArray
	for i := range h.nodes {
		n := &h.nodes[i]
		if !n.value.IsNil() {
			inArray += countInt(n.key, &counts)
			total++
		}
	}
	inArray += countInt(key, &counts)
	total++
	size, used := arraySize(&counts, inArray)
	grown := h.resize(size, total-used)
	h.Set(key, value)
	return grown
}

func (h *Table) countArray(counts *[maxArrayBits + 1]int) int {
	used, i := 0, 0
	for bucket, limit := 0, 1; bucket <= maxArrayBits; bucket, limit = bucket+1, limit*2 {
		if limit > len(h.array) {
			limit = len(h.array)
			if i >= limit {
				break
			}
		}
		n := 0
		for ; i < limit; i++ {
			if !h.array[i].IsNil() {
				n++
			}
		}
		counts[bucket] += n
		used += n
	}
	return used
}

// countInt counts a key if it can be in an array.
func countInt(key Value, counts *[maxArrayBits + 1]int) int {
	if !key.isNumber() {
		return 0
	}
	i := int(key.Float())
	if float64(i) != key.Float() || i <= 0 || i > 1<<maxArrayBits {
		return 0
	}
	counts[bits.Len(uint(i-1))]++
	return 1
}

// arraySize is the largest n of which more than half of the keys 1 to n are in
// use, and how many those are.
func arraySize(counts *[maxArrayBits + 1]int, total int) (size, used int) {
	sum := 0
	for i, limit := 0, 1; limit/2 < total && i <= maxArrayBits; i, limit = i+1, limit*2 {
		if counts[i] > 0 {
			sum += counts[i]
			if sum > limit/2 {
				size, used = limit, sum
			}
		}
		if sum == total {
			break
		}
	}
	return size, used
}

// resize gives the table room for so many keys in the array and in the hash, and
// returns the bytes by which it grew.
func (h *Table) resize(array, hash int) int {
	before := h.bytes()
	oldArray, oldNodes := h.array, h.nodes
	if array > len(oldArray) {
		h.array = make([]Value, array)
		copy(h.array, oldArray)
	}
	h.nodes, h.free = nil, 0
	if hash > 0 {
		size := 1 << bits.Len(uint(hash-1))
		h.nodes, h.free = make([]node, size), size
	}
	if array < len(oldArray) {
		h.array = make([]Value, array)
		copy(h.array, oldArray)
		for i := array; i < len(oldArray); i++ {
			if !oldArray[i].IsNil() {
				h.Set(Number(float64(i+1)), oldArray[i])
			}
		}
	}
	for i := len(oldNodes) - 1; i >= 0; i-- {
		if n := &oldNodes[i]; !n.value.IsNil() {
			h.Set(n.key, n.value)
		}
	}
	return max(0, h.bytes()-before)
}

// bytes is the memory of the table itself.
func (h *Table) bytes() int {
	return tableBytes + len(h.array)*valueBytes + len(h.nodes)*nodeBytes
}

// Len is a border of the table: an n with a value whose successor has none.
func (h *Table) Len() int {
	n := len(h.array)
	if n > 0 && h.array[n-1].IsNil() {
		low := 0
		for n-low > 1 {
			if m := (low + n) / 2; h.array[m-1].IsNil() {
				n = m
			} else {
				low = m
			}
		}
		return low
	}
	if len(h.nodes) == 0 {
		return n
	}
	return h.unboundLen(n)
}

func (h *Table) unboundLen(low int) int {
	high := low + 1
	for !h.GetInt(high).IsNil() {
		low = high
		high *= 2
		if high > math.MaxInt32 {
			for i := 1; ; i++ { // a table made to defeat the search
				if h.GetInt(i).IsNil() {
					return i - 1
				}
			}
		}
	}
	for high-low > 1 {
		if m := (low + high) / 2; h.GetInt(m).IsNil() {
			high = m
		} else {
			low = m
		}
	}
	return low
}

// Next is the entry after a key in the order of pairs(); nil is before the
// first, and a nil key is returned after the last. ok is false if the table has
// no such key.
func (h *Table) Next(key Value) (k, v Value, ok bool) {
	i, ok := h.position(key)
	if !ok {
		return Nil, Nil, false
	}
	for ; i < len(h.array); i++ {
		if !h.array[i].IsNil() {
			return Number(float64(i + 1)), h.array[i], true
		}
	}
	for i -= len(h.array); i < len(h.nodes); i++ {
		if n := &h.nodes[i]; !n.value.IsNil() {
			return n.key, n.value, true
		}
	}
	return Nil, Nil, true
}

// position is the index behind a key, over the array and then the nodes.
func (h *Table) position(key Value) (int, bool) {
	if key.IsNil() {
		return 0, true
	}
	if key.isNumber() {
		f := key.Float()
		if i := int(f); float64(i) == f && uint(i-1) < uint(len(h.array)) {
			return i, true
		}
	}
	if len(h.nodes) == 0 {
		return 0, false
	}
	at := h.main(key)
	for {
		n := &h.nodes[at]
		if rawEqual(n.key, key) {
			return len(h.array) + at + 1, true
		}
		if n.next == 0 {
			return 0, false
		}
		at = int(n.next - 1)
	}
}

// HasHash reports whether the table has ever had keys outside of its array.
func (h *Table) HasHash() bool { return len(h.nodes) != 0 }

// Recycle makes the table one of n entries that are all nil, to be used anew. It
// reports false if the table has got keys of other kinds or a metatable.
func (h *Table) Recycle(n int) bool {
	if h.meta != nil || len(h.nodes) != 0 || h.ReadOnly {
		return false
	}
	clear(h.array)
	if n <= cap(h.array) {
		h.array = h.array[:n]
	} else {
		h.array = make([]Value, n)
	}
	return true
}
