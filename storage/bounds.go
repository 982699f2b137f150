package storage

import (
	"fmt"
	"slices"

	"redoubt/slots"
	"redoubt/storage/slab"
)

// Active expiry visits a slot if the slot's bound says that something in it has
// expired. If a bound were above the time of a key or field, that would never be
// deleted unless somebody came by: it would count in DBSIZE, and take memory, for
// ever. So what holds whenever the slot is not locked is
//
//  1. no key of the slot expires before Keyspace.earliest says, in any database,
//     and no field of a hash;
//  2. if a walk for expiry is under way, none of those that it has passed expires
//     before expiryWalk.earliest says, which becomes the slot's bound at its end.

// boundsChecked is how many keys of a slot checkBounds looks at when a unit ends.
const boundsChecked = 16

// checkWritten checks the bounds of the slots that the unit has written to.
func (tx *Tx) checkWritten() {
	for i, n := range tx.written {
		if !slices.Contains(tx.written[:i], n) {
			tx.ks.checkBounds(n, boundsChecked)
		}
	}
}

// checkBounds panics if a bound of slot n is above the time of a key or field. It
// looks at up to most keys of each database. The slot is locked.
func (ks *Keyspace) checkBounds(n slots.Slot, most int) {
	s := &ks.slots[n]
	var walk expiryWalk
	if r := s.rare.Load(); r != nil {
		walk = r.expiry
	}
	bound := ks.earliest[n].Load()
	for db := range ks.order {
		t := s.table(int(ks.order[db].Load()))
		if t == nil {
			continue
		}
		t.walk(ks.space, 0, most, func(ref slab.Ref) bool {
			r := ks.at(ref)
			passed := walk.earliest != 0 &&
				(db < walk.db || db == walk.db && ks.hash(r.key())>>(64-cursorBits) < walk.cursor)
			for _, at := range []int64{r.expireAt(), ks.firstDue(r)} {
				if at != 0 && (at < bound || passed && at < walk.earliest) {
					panic(fmt.Sprintf("storage: key %q of slot %d, database %d, expires at %d, its bound is %d and that of the walk %d",
						r.key(), n, db, at, bound, walk.earliest))
				}
			}
			return true
		})
	}
}

// boundExactly makes the bound of slot n the first time at which something in it
// expires. The slot is locked.
func (ks *Keyspace) boundExactly(n slots.Slot) {
	bound := int64(neverExpires)
	for phys := range ks.order {
		t := ks.slots[n].table(phys)
		if t == nil {
			continue
		}
		t.each(func(ref slab.Ref) {
			r := ks.at(ref)
			for _, at := range [...]int64{r.expireAt(), ks.firstDue(r)} {
				if at != 0 {
					bound = min(bound, at)
				}
			}
		})
	}
	ks.earliest[n].Store(bound)
}
