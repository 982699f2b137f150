package storage

import "redoubt/slots"

// Watch is a client's mark on a key: whether the key changed since. It is
// guarded by the lock of the key's slot.
type Watch struct {
	key  watchKey
	slot slots.Slot
	// expired says that the key's time was past when the watch began: its
	// deletion then is no change, since for the client it did not exist.
	expired bool
	changed bool
}

// watchKey names a watched key. The database is the logical one, as clients
// mean it: SWAPDB changes what it holds.
type watchKey struct {
	db  int
	key string
}

// watchedKeys are the watches on keys of a slot.
type watchedKeys map[watchKey][]*Watch

// Slot is the slot of the watched key: a unit that calls Changed or Unwatch
// must hold it.
func (w *Watch) Slot() slots.Slot { return w.slot }

// DB is the database in which the key is watched.
func (w *Watch) DB() int { return w.key.db }

// Key is the name of the watched key.
func (w *Watch) Key() string { return w.key.key }

// Watch begins to watch a key of the selected database, whether it exists or
// not. It lasts until Unwatch.
func (tx *Tx) Watch(key []byte) *Watch {
	w := &Watch{key: watchKey{tx.db, string(key)}, slot: slots.Of(key)}
	tx.checkHeld(w.slot, key)
	s := &tx.ks.slots[w.slot]
	r := tx.ks.recordOf(w, tx.phys)
	w.expired = r.p != nil && tx.expired(r)
	rare := s.rarity()
	if rare.watched == nil {
		rare.watched = make(watchedKeys)
	}
	if len(rare.watched[w.key]) == 0 {
		tx.ks.watchedKeys.Add(1)
	}
	rare.watched[w.key] = append(rare.watched[w.key], w)
	tx.ks.watchers.Add(1)
	return w
}

// Changed reports whether the key was changed since the watch began, or has
// expired since (Redis's CLIENT_DIRTY_CAS and isWatchedKeyExpired).
func (tx *Tx) Changed(w *Watch) bool {
	if w.changed || w.expired {
		return w.changed
	}
	r := tx.ks.recordOf(w, int(tx.ks.order[w.key.db].Load()))
	return r.p != nil && tx.expired(r)
}

// Unwatch ends a watch. It must be called once for each, or the mark stays.
func (tx *Tx) Unwatch(w *Watch) {
	s := tx.ks.slots[w.slot].rarity()
	ws := s.watched[w.key]
	for i := range ws {
		if ws[i] == w {
			ws[i] = ws[len(ws)-1]
			ws[len(ws)-1] = nil
			s.watched[w.key] = ws[:len(ws)-1]
			tx.ks.watchers.Add(-1)
			break
		}
	}
	if ws != nil && len(s.watched[w.key]) == 0 {
		delete(s.watched, w.key)
		tx.ks.watchedKeys.Add(-1)
	}
	if len(s.watched) == 0 {
		s.watched = nil
	}
}

// Watched is how many keys somebody watches (INFO's total_watched_keys).
func (ks *Keyspace) Watched() int64 { return ks.watchedKeys.Load() }

// recordOf returns the record that the watched key has in a database; zero if it
// has none.
func (ks *Keyspace) recordOf(w *Watch, phys int) (r record) {
	if t := ks.slots[w.slot].table(phys); t != nil {
		key := []byte(w.key.key)
		hash := ks.hash(key)
		_, r = ks.findIn(t.segmentOf(hash), hash, key)
	}
	return r
}

// touchWatched marks the watches on a key that was just changed (Redis's
// touchWatchedKey).
func (tx *Tx) touchWatched(n slots.Slot, key []byte) {
	for _, w := range tx.ks.slots[n].watched()[watchKey{tx.db, string(key)}] {
		if !w.expired {
			w.changed = true
		} else if tx.ks.recordOf(w, tx.phys).p == nil {
			// It was expired when the watch began and is deleted now: no
			// change, but from here on everything is one.
			w.expired = false
		}
	}
}

// touchWatchedDB marks the watches on keys of db before all its keys go, to be
// replaced by those of database with, if that is not -1 (Redis's
// touchAllWatchedKeysInDb).
func (tx *Tx) touchWatchedDB(db, with int) {
	ks := tx.ks
	if ks.watchers.Load() == 0 {
		return
	}
	for n := range ks.slots {
		for key, ws := range ks.slots[n].watched() {
			if key.db != db {
				continue
			}
			for _, w := range ws {
				old := ks.recordOf(w, int(ks.order[db].Load()))
				var next record
				if with >= 0 {
					next = ks.recordOf(w, int(ks.order[with].Load()))
				}
				w.replaced(old.p != nil, next.p != nil, next.p != nil && tx.expired(next))
			}
		}
	}
}

// replaced tells a watch that what the key held, if anything, gives way to
// something else or to nothing. An expired value is nothing that a client could
// have seen, before or after.
func (w *Watch) replaced(existed, exists, expired bool) {
	switch {
	case !existed && !exists:
	case w.expired && !exists:
		w.expired = false
	case w.expired && expired:
	case !w.expired && !existed && expired:
		w.expired = true
	default:
		w.changed = true
	}
}
