package storage

import (
	"math"

	"redoubt/storage/chunk"
)

// ReadUpTo notes that the group was given an item, the next one after its last: its
// last ID, and how many items it has read, if that can be known.
func (g *Group) ReadUpTo(id chunk.ID) {
	s := &g.l.logState
	if g.Read != UnknownRead && !s.gaps(id, chunk.MaxID) {
		g.Read++
	} else if s.added > 0 {
		g.Read = s.distance(id)
	}
	g.Last = id
}

// Lag is how many items the group has not read yet; ok is false if that is not
// known (streamReplyWithCGLag).
func (g *Group) Lag() (lag int64, ok bool) {
	s := &g.l.logState
	if s.added == 0 {
		return 0, true
	}
	if g.Read != UnknownRead && !s.gaps(g.Last, chunk.MaxID) {
		return int64(s.added) - g.Read, true
	}
	if read := s.distance(g.Last); read != UnknownRead {
		return int64(s.added) - read, true
	}
	return 0, false
}

// gaps reports whether items may have been deleted by themselves between two IDs
// (streamRangeHasTombstones).
func (s *logState) gaps(low, high chunk.ID) bool {
	if s.items == 0 || s.maxDeleted.IsZero() || s.maxDeleted.Less(s.first) {
		return false
	}
	return !s.maxDeleted.Less(low) && !high.Less(s.maxDeleted)
}

// distance is how many items were ever added up to an ID, UnknownRead if that is not
// known (streamEstimateDistanceFromFirstEverEntry).
func (s *logState) distance(id chunk.ID) int64 {
	added := int64(min(s.added, math.MaxInt64))
	switch c := id.Compare(s.last); {
	case s.added == 0:
		return 0
	case s.items == 0 && c <= 0, c == 0:
		return added
	case c > 0:
		return UnknownRead
	}
	if s.maxDeleted.IsZero() || s.maxDeleted.Less(s.first) {
		switch c := id.Compare(s.first); {
		case c < 0:
			return added - int64(s.items)
		case c == 0:
			return added - int64(s.items) + 1
		}
	}
	return UnknownRead
}
