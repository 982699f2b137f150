package server

import (
	"math"
	"strings"
	"sync/atomic"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// usedMemory is what maxmemory limits and INFO calls used_memory: the blocks of
// keys and values, exactly, what clients occupy, and what the process had in use
// before there were any.
func (s *Server) usedMemory() int64 {
	m := s.keyspace.Memory()
	return s.startMemory + m.Data + m.Tables + s.clientMemory()
}

// eviction is the policy of the settings.
func eviction(m *config.MaxMemory) storage.Eviction {
	scope, by, _ := strings.Cut(m.Policy, "-")
	e := storage.Eviction{Volatile: scope == "volatile", Samples: m.Samples}
	switch by {
	case "lru":
		e.By = storage.EvictLRU
	case "lfu":
		e.By = storage.EvictLFU
	case "random":
		e.By = storage.EvictRandom
	case "ttl":
		e.By = storage.EvictTTL
	}
	return e
}

// evictionTime is how long evictions may take at once (evictionTimeLimitUs).
func evictionTime(tenacity int) time.Duration {
	switch {
	case tenacity <= 10:
		return time.Duration(50*tenacity) * time.Microsecond
	case tenacity < 100:
		// Grows by 15 % for each step, up to two minutes.
		return time.Duration(500 * math.Pow(1.15, float64(tenacity-10)) * float64(time.Microsecond))
	}
	return math.MaxInt64
}

// exceeded is for how long more memory than maxmemory has been in use
// (total_eviction_exceeded_time and current_eviction_exceeded_time).
type exceeded struct {
	since atomic.Int64 // a time since the server's start; 0: it is not so now
	total atomic.Int64 // of the times that are over
}

func (x *exceeded) begin(now time.Duration) {
	if x.since.Load() == 0 {
		x.since.CompareAndSwap(0, int64(max(now, 1)))
	}
}

func (x *exceeded) end(now time.Duration) {
	if x.since.Load() == 0 {
		return
	}
	if since := x.since.Swap(0); since != 0 {
		x.total.Add(max(int64(now)-since, 0))
	}
}

// times returns how long it was so in all, and how long it has been so now.
func (x *exceeded) times(now time.Duration) (total, current time.Duration) {
	if since := x.since.Load(); since != 0 {
		current = max(now-time.Duration(since), 0)
	}
	return time.Duration(x.total.Load()) + current, current
}

// reset is CONFIG RESETSTAT.
func (x *exceeded) reset(now time.Duration) {
	x.total.Store(0)
	if x.since.Load() != 0 {
		x.since.Store(int64(max(now, 1)))
	}
}

// gateMemory evicts keys when the data take more than maxmemory, before any
// command, and refuses those that would take more while that does not help.
func gateMemory(l *loop, q *request) verdict {
	l.outOfMemory = !l.makeRoom()
	if !l.outOfMemory || q.flags&command.DenyOOM == 0 || l.srv.is(condBusy) {
		return pass
	}
	return q.deny(resp.ErrOOM)
}

// makeRoom evicts keys until the data take no more than maxmemory, and reports
// false if that cannot be reached. Evictions that take too long are continued in
// the next turns, and count as reached, as in Redis. Each eviction is a unit of its
// own, so within another unit there is none.
func (l *loop) makeRoom() bool {
	s, m := l.srv, &l.cfg.MaxMemory
	l.evicting = false
	if m.Bytes == 0 || s.is(condReplica|condUnconfirmed) || s.usedMemory() <= m.Bytes {
		s.exceeded.end(l.mono)
		return true
	}
	s.exceeded.begin(l.mono)
	if l.runner.Ctx.Tx != nil {
		return false
	}
	if s.is(condKept) {
		return true // what is evicted would go to the snapshots first; writes wait
	}
	policy := eviction(m)
	began, limit := time.Now(), evictionTime(m.Tenacity)
	for n := 1; s.usedMemory() > m.Bytes; n++ {
		// What is deleted already but not free yet comes before further keys.
		if !l.exec.Reclaim(reclaimBudget) && s.usedMemory() > m.Bytes &&
			(policy.By == storage.EvictNothing || !l.exec.Evict(l.unix, policy)) {
			return false
		}
		if n%16 == 0 && time.Since(began) > limit {
			l.evicting = true
			break
		}
	}
	if !l.evicting {
		s.exceeded.end(l.readClock())
	}
	s.NoteLatency("eviction-cycle", time.Since(began))
	return true
}
