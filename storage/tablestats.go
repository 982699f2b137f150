package storage

import "redoubt/storage/slab"

// TableStats describes the hash tables of a database.
type TableStats struct {
	Keys     int
	Volatile int // of Keys, those that expire
	Cells    int // places for keys
	Homes    int // cells that are the home of a key, from which it is looked for
	Longest  int // keys of one home
}

// TableStats looks at every cell of a database. The unit must hold the world lock.
func (tx *Tx) TableStats(db int) (s TableStats) {
	tx.needWorld("TableStats")
	ks := tx.ks
	phys := int(ks.order[db].Load())
	for n, ok := ks.nextOccupied(phys, 0); ok; n, ok = ks.nextOccupied(phys, n+1) {
		t := ks.slots[n].table(phys)
		t.eachSegment(s.add)
		t.each(func(ref slab.Ref) {
			if ks.at(ref).expireAt() != 0 {
				s.Volatile++
			}
		})
	}
	return s
}

// add counts the cells of a segment. Those of one home stand side by side.
func (s *TableStats) add(g *segment) {
	if g.cells == nil {
		return
	}
	s.Cells += int(g.size)
	last, same := -1, 0
	for i := range int(g.size) {
		if g.ref(i) == 0 {
			continue
		}
		s.Keys++
		if home := g.home(g.x(i)); home != last {
			s.Homes++
			last, same = home, 0
		}
		same++
		s.Longest = max(s.Longest, same)
	}
}
