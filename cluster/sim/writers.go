package sim

import (
	"fmt"
	"slices"
	"time"

	"redoubt/slots"
)

// writers are who takes writes of which slots. Two members that both take
// writes of one slot are a split: what clients write to one of them gets lost.
type writers struct {
	sets    []*slots.Set // by member; nil: it takes none
	splits  []split
	longest time.Duration // of the splits that have ended and that nobody forced
}

// split are two members, the smaller index first, that began at the same time to
// take writes of one slot.
type split struct {
	a, b  *Member
	since time.Time
	// moved: they are of different shards, and an administrator moves a slot from
	// one to the other.
	moved bool
}

func (s *split) String() string { return fmt.Sprintf("members %d and %d", s.a.Index, s.b.Index) }

// writable are the slots that the member takes writes of now; nil if none. A
// replica that has won an election takes none before its server has the role.
func (m *Member) writable() *slots.Set {
	if m.node == nil || m.Frozen() || m.data.standing.Replica() || m.data.paused.After(m.world.Now()) {
		return nil
	}
	if s := m.node.Serving(); s.OK && !s.Replica {
		return s.Slots
	}
	return nil
}

// watch looks whether m takes writes of other slots than before.
func (w *World) watch(m *Member) {
	t := &w.law.writers
	for len(t.sets) <= m.Index {
		t.sets = append(t.sets, nil)
	}
	now := m.writable()
	if now == t.sets[m.Index] {
		return
	}
	t.sets[m.Index] = now
	for i, other := range t.sets {
		if i != m.Index {
			w.watchPair(m, w.Members[i], now != nil && other != nil && now.Intersects(other))
		}
	}
}

// watchPair notes that a split begins or ends.
func (w *World) watchPair(a, b *Member, both bool) {
	if a.Index > b.Index {
		a, b = b, a
	}
	t := &w.law.writers
	i := slices.IndexFunc(t.splits, func(s split) bool { return s.a == a && s.b == b })
	switch {
	case both && i < 0:
		s := split{a: a, b: b, since: w.Now(), moved: a.View().ShardID != b.View().ShardID}
		t.splits = append(t.splits, s)
		a.rival, b.rival = b, a
		w.Log(nil, s.String()+" both take writes of a slot")
	case !both && i >= 0:
		s := t.splits[i]
		t.splits = slices.Delete(t.splits, i, i+1)
		w.Log(nil, fmt.Sprintf("%v have both taken writes for %v", &s, w.Now().Sub(s.since)))
		w.judgeSplit(&s)
		if !s.forced() {
			t.longest = max(t.longest, w.Now().Sub(s.since))
		}
	}
}

// forced reports whether an administrator has made an owner of one of the two, or
// has upset the majorities; or if the lease does not hold in this cluster.
func (s *split) forced() bool {
	w := s.a.world
	return s.moved || s.a.imposed || s.b.imposed || w.law.upset || !w.leaseHolds()
}

// leaseHolds reports whether all vouch for a primary for as long as it counts on, and
// say so when they do not any more.
func (w *World) leaseHolds() bool { return w.opt.RedisPercent == 0 && !w.opt.MixedTimeouts }

// judgeSplit breaks the rule if a split has lasted too long. If an administrator
// forced it, time counts only while all can hear of that.
func (w *World) judgeSplit(s *split) {
	since, limit := s.since, time.Duration(0)
	if s.forced() {
		if w.law.whole.IsZero() {
			return
		}
		since = slices.MaxFunc([]time.Time{since, w.law.whole}, time.Time.Compare)
		limit = w.twoWritersForced()
	}
	if w.Now().Sub(since) > limit {
		w.Break("%v both take writes of a slot, for %v", s, w.Now().Sub(s.since))
	}
}

// judgeMinority looks at a primary that takes writes. When it and a majority of
// those who own slots, itself included, cannot hear each other, it must soon stop.
func (w *World) judgeMinority(m *Member) {
	if w.law.writers.sets[m.Index] == nil || w.meets(m) >= m.node.Serving().Size/2+1 {
		m.alone = time.Time{}
		return
	}
	if m.alone.IsZero() {
		m.alone = w.Now()
	}
	if alone := w.Now().Sub(m.alone); alone > w.minority() {
		w.Break("member %d takes writes, although it has met no majority for %v", m.Index, alone)
	} else {
		w.law.alone = max(w.law.alone, alone)
	}
}

// meets is how many voters, m included, get messages of m and m theirs.
func (w *World) meets(m *Member) int {
	met := 1
	for _, o := range w.Members {
		if o == m || o.node == nil || o.Frozen() || !w.Net.Open(o.Host, m.Host) || !w.Net.Open(m.Host, o.Host) {
			continue
		}
		if s := o.node.Serving(); s.Slots != nil && !s.Replica {
			met++
		}
	}
	return met
}

// patrol looks, with every tick, at what must not last.
func (w *World) patrol() {
	w.After(tick, w.patrol)
	if !w.law.on {
		return
	}
	w.noteWhole()
	for i := range w.law.writers.splits {
		w.judgeSplit(&w.law.writers.splits[i])
	}
	for _, m := range w.Members {
		if m.node == nil || m.Frozen() {
			continue
		}
		w.watch(m) // a pause, or the end of a frost, is nothing that it does
		w.judgeMinority(m)
		w.judgeIdle(m)
		w.judgeCalm(m)
		w.judgePause(m)
	}
}

// noteWhole finds out since when nothing keeps members from hearing each other,
// and since when all slots besides have a living owner.
func (w *World) noteWhole() {
	since := func(t *time.Time, holds bool) {
		if !holds {
			*t = time.Time{}
		} else if t.IsZero() {
			*t = w.Now()
		}
	}
	since(&w.law.whole, w.Net.Whole() && !w.anyFrozen())
	since(&w.law.covered, !w.law.whole.IsZero() && len(w.forgotten)+len(w.strangers) == 0 && w.allOwned())
}

func (w *World) anyFrozen() bool {
	return slices.ContainsFunc(w.Members, func(m *Member) bool { return m.Up() && m.Frozen() })
}

// allOwned reports whether each slot has an owner that is up and is a primary, by
// its own word.
func (w *World) allOwned() bool {
	var owned slots.Set
	for _, m := range w.Members {
		if m.node == nil || m.data.standing.Replica() {
			continue
		}
		if s := m.node.Serving(); s.Slots != nil && !s.Replica {
			owned.AddSet(s.Slots)
		}
	}
	return owned.Len() == slots.Count
}

// judgeIdle looks at a member that refuses requests although the owners of all
// slots are up and all can hear each other.
func (w *World) judgeIdle(m *Member) {
	if s := m.node.Serving(); w.law.covered.IsZero() || s.OK || s.Size == 0 {
		return // it serves, or it has been told to forget the cluster
	}
	since := m.started
	if w.law.covered.After(since) {
		since = w.law.covered
	}
	limit := w.recovery()
	if !m.View().Settled {
		limit += w.giveWay()
	}
	if idle := w.Now().Sub(since); idle > limit {
		w.Break("member %d refuses requests for %v although all slots have owners that are up", m.Index, idle)
	}
}

// judgePause looks at a primary whose writes are paused.
func (w *World) judgePause(m *Member) {
	if !m.data.paused.After(w.Now()) {
		return
	}
	if lasts := w.Now().Sub(m.pausedAt); lasts > w.pause() {
		w.Break("member %d has its writes paused for %v", m.Index, lasts)
	}
}
