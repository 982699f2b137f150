package storage

import (
	"bytes"
	"math"
	"math/bits"
	"sync/atomic"
)

const (
	minCells = 8
	maxCells = 1024
	// recordsPerEntry bounds a directory: with fewer records than this for each
	// of its entries it does not double. Hashes then collide more than chance
	// allows, and the segment grows beyond maxCells instead.
	recordsPerEntry = 64
	// cursorBits is how many of a hash's first bits make a scan cursor.
	cursorBits = 48
)

// neverExpires is the earliest expiry where nothing expires.
const neverExpires = math.MaxInt64

// table holds the records of one slot in one database: a directory of segments
// by the first depth bits of the hash. A segment of lesser depth stands in
// several entries of the directory, side by side.
//
// What a look-up in a table of one segment needs is the first 64 bytes, and
// those are one line of cache: 128 bytes is a size that the allocator aligns.
type table struct {
	initial segment      // the only one while depth is 0
	count   atomic.Int64 // written under the slot's lock, read by anybody
	depth   uint8
	dir     []*segment
	only    [1]*segment // the directory while there is one segment

	_ [32]byte
}

// segment is an open-addressing table of records whose hashes share their
// first depth bits. The next bits are a record's home cell; a record stands
// there or, when that is taken, in one of the next cells without a gap between
// (linear probing, cyclic). Thus the order of homes is the order of hashes.
type segment struct {
	cells []cell // a power of two
	used  int
	depth uint8
	shift uint8 // 64 less the bits of len(cells)
	// earliest is a lower bound of the records' expiries.
	earliest int64
}

// cell holds the hash beside the record, so that a look-up that fails need not
// visit records.
type cell struct {
	hash uint64
	rec  *record
}

func newTable() *table {
	t := new(table)
	t.initial.init(minCells, 0)
	t.only[0] = &t.initial
	t.dir = t.only[:]
	return t
}

func (g *segment) init(cells int, depth uint8) {
	g.cells = make([]cell, cells)
	g.used = 0
	g.depth = depth
	g.shift = uint8(64 - bits.TrailingZeros(uint(cells)))
	g.earliest = neverExpires
}

// segment returns the segment of a hash.
func (t *table) segment(hash uint64) *segment {
	if t.depth == 0 {
		return &t.initial
	}
	return t.dir[hash>>(64-t.depth)]
}

// find returns the record of key, nil if there is none.
func (t *table) find(hash uint64, key []byte) *record {
	g := t.segment(hash)
	return lookUp(g.cells, g.home(hash), hash, key)
}

// lookUp returns the record of key, nil if there is none, in the cells of a
// segment where its home is cell i.
func lookUp(cells []cell, i int, hash uint64, key []byte) *record {
	mask := len(cells) - 1
	for ; cells[i].rec != nil; i = (i + 1) & mask {
		if cells[i].hash == hash && bytes.Equal(cells[i].rec.key, key) {
			return cells[i].rec
		}
	}
	return nil
}

// insert adds a record, whose key is not in the table.
func (t *table) insert(hash uint64, r *record) {
	g := t.segment(hash)
	for (g.used+1)*4 > len(g.cells)*3 {
		if len(g.cells) < maxCells || g.depth == t.depth && int(t.count.Load()) < recordsPerEntry*len(t.dir) {
			g.resize(len(g.cells) * 2)
			break
		}
		t.split(hash, g)
		g = t.segment(hash)
	}
	g.place(hash, r)
	t.count.Add(1)
}

// remove takes the record of key out and returns it, nil if there was none.
func (t *table) remove(hash uint64, key []byte) *record {
	g := t.segment(hash)
	mask := len(g.cells) - 1
	i := g.home(hash)
	for ; g.cells[i].rec != nil; i = (i + 1) & mask {
		if g.cells[i].hash == hash && bytes.Equal(g.cells[i].rec.key, key) {
			break
		}
	}
	r := g.cells[i].rec
	if r == nil {
		return nil
	}
	g.vacate(i)
	t.count.Add(-1)
	if len(g.cells) > minCells && g.used*8 < len(g.cells) {
		g.resize(len(g.cells) / 2)
	}
	return r
}

// split puts the records of a full segment into two of one more bit of depth,
// and doubles the directory if it does not tell the two apart yet.
func (t *table) split(hash uint64, g *segment) {
	if g.depth == t.depth {
		dir := make([]*segment, 2*len(t.dir))
		for i, s := range t.dir {
			dir[2*i], dir[2*i+1] = s, s
		}
		t.dir = dir
		t.depth++
	}
	var used [2]int
	for _, c := range g.cells {
		if c.rec != nil {
			used[c.hash<<g.depth>>63]++
		}
	}
	var half [2]*segment
	for i := range half {
		half[i] = new(segment)
		half[i].init(cellsFor(used[i]), g.depth+1)
	}
	for _, c := range g.cells {
		if c.rec != nil {
			half[c.hash<<g.depth>>63].place(c.hash, c.rec)
		}
	}
	// The entries of g are those whose first g.depth bits are its prefix.
	width := t.span(g)
	first := int(hash>>(64-t.depth)) &^ (width - 1)
	for i := range width {
		t.dir[first+i] = half[2*i/width]
	}
}

// cellsFor is the number of cells for a segment of n records that may grow.
func cellsFor(n int) int {
	cells := minCells
	for cells < 2*n {
		cells *= 2
	}
	return cells
}

func (g *segment) home(hash uint64) int { return int(hash << g.depth >> g.shift) }

// place puts a record into the first free cell from its home on.
func (g *segment) place(hash uint64, r *record) {
	mask := len(g.cells) - 1
	i := g.home(hash)
	for g.cells[i].rec != nil {
		i = (i + 1) & mask
	}
	g.cells[i] = cell{hash, r}
	g.used++
	if r.expireAt != 0 {
		g.earliest = min(g.earliest, r.expireAt)
	}
}

// vacate empties cell i and moves back what stood behind it because of it, so
// that no gap separates a record from its home.
func (g *segment) vacate(i int) {
	mask := len(g.cells) - 1
	for j := (i + 1) & mask; g.cells[j].rec != nil; j = (j + 1) & mask {
		// The record in j may move to i if its home is not between the two.
		if home := g.home(g.cells[j].hash); (j-home)&mask >= (j-i)&mask {
			g.cells[i] = g.cells[j]
			i = j
		}
	}
	g.cells[i] = cell{}
	g.used--
}

func (g *segment) resize(cells int) {
	old := g.cells
	g.init(cells, g.depth)
	for _, c := range old {
		if c.rec != nil {
			g.place(c.hash, c.rec)
		}
	}
}

// walk calls f for the records from cursor on, in the order of their hashes,
// home cell by home cell, until about count of them were seen or f has returned
// false, and returns the cursor at which to go on, 0 at the end. It never stops
// inside a home cell, where a cursor cannot point. f must not change the table. Records that are there from the first call to the last are
// seen at least once: a cursor is a hash, and everything before it was seen.
func (t *table) walk(cursor uint64, count int, f func(hash uint64, r *record) bool) (next uint64) {
	const low = 64 - cursorBits
	h := cursor << low
	more := true
	for seen, homes := 0, 0; ; homes++ {
		if !more || seen >= count || homes > 10*count {
			return h >> low
		}
		g := t.segment(h)
		home, mask := g.home(h), len(g.cells)-1
		for i := home; g.cells[i].rec != nil; i = (i + 1) & mask {
			if c := g.cells[i]; c.hash >= h && g.home(c.hash) == home {
				seen++
				more = f(c.hash, c.rec) && more
			}
		}
		// The first hash of the next home, in this segment or the next.
		span := uint(g.shift) - uint(g.depth)
		if h = (h>>span + 1) << span; h == 0 {
			return 0
		}
	}
}

// each calls f for all records of the table.
func (t *table) each(f func(cell)) {
	for i := 0; i < len(t.dir); i += t.span(t.dir[i]) {
		for _, c := range t.dir[i].cells {
			if c.rec != nil {
				f(c)
			}
		}
	}
}

// nth returns the record that stands n-th in the table, 0 being the first.
func (t *table) nth(n int) cell {
	for i := 0; i < len(t.dir); i += t.span(t.dir[i]) {
		g := t.dir[i]
		if n >= g.used {
			n -= g.used
			continue
		}
		for _, c := range g.cells {
			if c.rec == nil {
				continue
			}
			if n == 0 {
				return c
			}
			n--
		}
	}
	return cell{}
}

// span is the number of entries of the directory in which g stands.
func (t *table) span(g *segment) int { return 1 << (t.depth - g.depth) }
