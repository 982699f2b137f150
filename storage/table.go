package storage

import (
	"math"
	"sync/atomic"
	"unsafe"

	"redoubt/storage/slab"
)

const (
	cellBytes = 6
	minHomes  = 4
	// maxHomes is how large a segment grows before it splits.
	maxHomes = 1024
	// maxDepth bounds a directory. Beyond it segments grow to mostHomes, which
	// chance does not allow.
	maxDepth  = 24
	mostHomes = 1<<16 - 1024
	// cursorBits is how many of a hash's first bits make a scan cursor.
	cursorBits = 48
	prefixBits = 16
)

// fetchAhead is how many cells ahead a walk fetches records.
const fetchAhead = 8

// neverExpires is the earliest expiry where nothing expires.
const neverExpires = math.MaxInt64

// table holds the records of one slot in one database: one segment, or a
// directory of segments by the first depth bits of the hash, of which each
// splits alone. It is zero while there are no records.
type table struct {
	segment        // the only one while more is nil
	count   uint32 // of records; written under the slot's lock, read by anybody
	more    *branches
}

// branches are the segments of a table of several. A segment of lesser depth
// stands in several entries of the directory, side by side.
type branches struct {
	depth uint8
	dir   []uint32 // places in segments
	segs  []segment
}

// segment is an array of cells, each 16 bits of a hash (those that follow the
// segment's prefix) and a reference, in the order of these bits. A cell stands at
// its home, which follows from the bits, or behind it without a gap between
// (Robin Hood hashing without a wrap). So the array is dense, needs no power of
// two, grows without reading a key, and a position in the order of hashes is a
// cursor.
type segment struct {
	cells unsafe.Pointer // the block; nil if there is none
	at    slab.Ref
	homes uint16
	size  uint16 // cells, homes and what lies behind them
	used  uint16
	depth uint8
}

func (g *segment) bits(hash uint64) uint32 { return uint32(hash << g.depth >> (64 - prefixBits)) }

func (g *segment) home(x uint32) int { return int(x * uint32(g.homes) >> prefixBits) }

func (g *segment) x(i int) uint32 { return uint32(*(*uint16)(unsafe.Add(g.cells, i*cellBytes))) }

func (g *segment) ref(i int) slab.Ref { return *(*slab.Ref)(unsafe.Add(g.cells, i*cellBytes+2)) }

func (g *segment) setRef(i int, r slab.Ref) { *(*slab.Ref)(unsafe.Add(g.cells, i*cellBytes+2)) = r }

func (g *segment) set(i int, x uint32, r slab.Ref) {
	*(*uint16)(unsafe.Add(g.cells, i*cellBytes)) = uint16(x)
	g.setRef(i, r)
}

// segmentOf returns the segment of a hash; valid until the next insert.
func (t *table) segmentOf(hash uint64) *segment {
	if t.more == nil {
		return &t.segment
	}
	return &t.more.segs[t.more.dir[hash>>(64-t.more.depth)]]
}

// len is the number of records; any goroutine may ask.
func (t *table) len() int { return int(atomic.LoadUint32(&t.count)) }

func (t *table) add(n int) { atomic.StoreUint32(&t.count, uint32(int(t.count)+n)) }

// find returns the record of key and its cell; the record is zero if there is
// none.
func (ks *Keyspace) findIn(g *segment, hash uint64, key []byte) (i int, r record) {
	if g.cells == nil {
		return 0, record{}
	}
	x := g.bits(hash)
	for i = g.home(x); i < int(g.size); i++ {
		ref := g.ref(i)
		if ref == 0 || g.x(i) > x {
			break
		}
		if g.x(i) == x {
			if r = ks.at(ref); r.is(key) {
				return i, r
			}
		}
	}
	return 0, record{}
}

// insert adds a record, whose key is not in the table.
func (t *table) insert(e *Executor, hash uint64, r slab.Ref) {
	for {
		g := t.segmentOf(hash)
		if g.cells != nil && int(g.used)*16 < int(g.homes)*15 && g.put(g.bits(hash), r) {
			break
		}
		if int(g.homes) >= maxHomes && g.depth < maxDepth {
			t.split(e, hash)
			continue
		}
		g.rebuild(e, max(minHomes, int(g.homes)+max(2, int(g.homes)/8)))
	}
	t.add(1)
}

// put inserts a cell in order and reports false if there is no room for it.
func (g *segment) put(x uint32, r slab.Ref) bool {
	i, size := g.home(x), int(g.size)
	for i < size && g.ref(i) != 0 && g.x(i) <= x {
		i++
	}
	end := i
	for end < size && g.ref(end) != 0 {
		end++
	}
	if end == size {
		return false
	}
	all := unsafe.Slice((*byte)(g.cells), size*cellBytes)
	copy(all[(i+1)*cellBytes:(end+1)*cellBytes], all[i*cellBytes:end*cellBytes])
	g.set(i, x, r)
	g.used++
	return true
}

// rebuild gives the segment about so many homes; more if its cells need it.
func (g *segment) rebuild(e *Executor, homes int) {
	old := *g
	for {
		if homes > mostHomes {
			panic("storage: a segment outgrows its bounds")
		}
		g.make(e, homes)
		if g.take(&old) {
			break
		}
		e.heap.Free(g.at)
		homes += max(2, homes/16)
	}
	if old.cells != nil {
		e.heap.Free(old.at)
	}
}

// spare is how many cells lie behind the homes, instead of a wrap to the first.
func spare(homes int) int { return min(4+homes/16, 24) }

// make gives the segment an empty array with at least so many homes.
func (g *segment) make(e *Executor, homes int) {
	g.at = e.alloc(slab.Tables, (homes+spare(homes))*cellBytes)
	b := e.ks.space.Bytes(g.at)
	clear(b)
	g.cells = unsafe.Pointer(unsafe.SliceData(b))
	size := min(len(b)/cellBytes, 1<<16-1)
	g.size, g.used = uint16(size), 0
	g.homes = uint16(max(homes, size-spare(size)))
}

// take copies the cells of another array of the same depth, and reports false if
// there is no room.
func (g *segment) take(old *segment) bool {
	next := 0
	for i := range int(old.size) {
		r := old.ref(i)
		if r == 0 {
			continue
		}
		x := old.x(i)
		at := max(next, g.home(x))
		if at >= int(g.size) {
			return false
		}
		g.set(at, x, r)
		g.used++
		next = at + 1
	}
	return true
}

// removeAt empties cell i, in which the hash's record stands.
func (t *table) removeAt(e *Executor, hash uint64, i int) {
	g := t.segmentOf(hash)
	for ; i+1 < int(g.size) && g.ref(i+1) != 0 && g.home(g.x(i+1)) <= i; i++ {
		g.set(i, g.x(i+1), g.ref(i+1))
	}
	g.set(i, 0, 0)
	g.used--
	t.add(-1)
	switch used := int(g.used); {
	case t.len() == 0:
		t.free(e)
	case used == 0:
		e.heap.Free(g.at)
		*g = segment{depth: g.depth}
	case int(g.homes) > 2*minHomes && used*2 < int(g.homes):
		g.rebuild(e, max(minHomes, used+used/4))
	}
}

// free gives the table's own memory back, not that of its records.
func (t *table) free(e *Executor) {
	t.eachSegment(func(g *segment) {
		if g.cells != nil {
			e.heap.Free(g.at)
		}
	})
	t.segment, t.more = segment{}, nil
	atomic.StoreUint32(&t.count, 0)
}

// split parts the segment of a hash in two by one more bit, and doubles the
// directory if it does not tell the two apart yet. The keys are read again, for
// cells have 16 bits only.
func (t *table) split(e *Executor, hash uint64) {
	if t.more == nil {
		t.more = &branches{dir: []uint32{0}, segs: []segment{t.segment}}
		t.segment = segment{}
	}
	m := t.more
	which := m.dir[hash>>(64-m.depth)]
	old := m.segs[which]
	if old.depth == m.depth {
		dir := make([]uint32, 2*len(m.dir))
		for i, s := range m.dir {
			dir[2*i], dir[2*i+1] = s, s
		}
		m.dir = dir
		m.depth++
	}
	hashes := e.hashesOf(&old)
	ones := 0
	for _, h := range hashes {
		ones += int(h.hash << old.depth >> 63)
	}
	var half [2]segment
	for i, n := range []int{len(hashes) - ones, ones} {
		half[i].depth = old.depth + 1
		half[i].fill(e, n, hashes, uint64(i), old.depth)
	}
	e.heap.Free(old.at)
	m.segs[which] = half[0]
	m.segs = append(m.segs, half[1])
	// The entries of old are those whose first bits are its prefix; the second
	// half of them is the new segment's.
	width := 1 << (m.depth - old.depth)
	first := int(hash>>(64-m.depth)) &^ (width - 1)
	for i := width / 2; i < width; i++ {
		m.dir[first+i] = uint32(len(m.segs) - 1)
	}
}

// hashed is a record with its whole hash.
type hashed struct {
	hash uint64
	ref  slab.Ref
}

// hashesOf returns the records of a segment in the order of their hashes; valid
// until the next call.
func (e *Executor) hashesOf(g *segment) []hashed {
	all := e.hashes[:0]
	for i := range int(g.size) {
		if r := g.ref(i); r != 0 {
			all = append(all, hashed{e.ks.hash(e.ks.at(r).key()), r})
		}
	}
	// Cells are in the order of their first bits, so this moves few of them.
	for i := 1; i < len(all); i++ {
		for j := i; j > 0 && all[j-1].hash > all[j].hash; j-- {
			all[j-1], all[j] = all[j], all[j-1]
		}
	}
	e.hashes = all[:0]
	return all
}

// fill builds a segment of the n hashes whose bit at depth is bit.
func (g *segment) fill(e *Executor, n int, hashes []hashed, bit uint64, depth uint8) {
	if n == 0 {
		return
	}
	for homes := n + n/4 + 2; ; homes += max(2, homes/16) {
		g.make(e, homes)
		next, fits := 0, true
		for _, h := range hashes {
			if h.hash<<depth>>63 != bit {
				continue
			}
			x := g.bits(h.hash)
			at := max(next, g.home(x))
			if at >= int(g.size) {
				fits = false
				break
			}
			g.set(at, x, h.ref)
			g.used++
			next = at + 1
		}
		if fits {
			return
		}
		e.heap.Free(g.at)
	}
}

// eachSegment calls f for every segment.
func (t *table) eachSegment(f func(g *segment)) {
	if t.more == nil {
		f(&t.segment)
		return
	}
	for i := range t.more.segs {
		f(&t.more.segs[i])
	}
}

// each calls f for all records of the table. f must not change it.
func (t *table) each(f func(slab.Ref)) {
	t.eachSegment(func(g *segment) {
		for i := range int(g.size) {
			if r := g.ref(i); r != 0 {
				f(r)
			}
		}
	})
}

// nth returns the record that stands n-th in the table, 0 being the first.
func (t *table) nth(n int) (found slab.Ref) {
	t.eachSegment(func(g *segment) {
		switch used := int(g.used); {
		case found != 0:
			return
		case n >= used:
			n -= used
			return
		}
		for i := range int(g.size) {
			if r := g.ref(i); r != 0 {
				if n == 0 {
					found = r
					return
				}
				n--
			}
		}
	})
	return found
}

// walk calls f for the records from cursor on, in the order of their hashes,
// until about count of them were seen or f has returned false, and returns the
// cursor at which to go on, 0 at the end. It never stops between records that
// one cursor would stand for. f must not change the table. Records that are
// there from the first call to the last are seen at least once: a cursor is a
// hash, and everything before it was seen.
//
// Records lie all over memory, so those a few cells ahead are fetched meanwhile.
func (t *table) walk(space *slab.Space, cursor uint64, count int, f func(slab.Ref) bool) (next uint64) {
	const low = 64 - cursorBits
	seen, more := 0, true
	for h := cursor << low; ; {
		g := t.segmentOf(h)
		if g.cells != nil {
			last := uint32(1 << prefixBits) // bits of the record seen last
			from := g.bits(h)
			for i := g.home(from); i < int(g.size); i++ {
				r, x := g.ref(i), g.x(i)
				if i+fetchAhead < int(g.size) {
					space.PrefetchBlock(g.ref(i + fetchAhead))
				}
				if r == 0 || x < from {
					continue
				}
				if (seen >= count || !more) && x != last {
					return (h>>(64-g.depth)<<prefixBits | uint64(x)) << (cursorBits - prefixBits - int(g.depth)) & (1<<cursorBits - 1)
				}
				seen, last = seen+1, x
				more = f(r) && more
			}
		}
		// The first hash of the next segment.
		if g.depth == 0 {
			return 0
		}
		span := 64 - uint(g.depth)
		if h = (h>>span + 1) << span; h == 0 {
			return 0
		}
		if seen >= count || !more {
			return h >> low
		}
	}
}
