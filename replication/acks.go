package replication

import (
	"slices"
	"time"
)

// ReplicaID tells attached replicas apart; the node numbers its connections.
type ReplicaID uint64

// Ack is what is known of one attached replica.
type Ack struct {
	Online bool      // it receives the stream; before that nothing counts
	Offset Offset    // applied, by its last acknowledgement
	Synced Offset    // on its disk (FACK); 0 if it never said so
	At     time.Time // of its last acknowledgement, or of coming online
}

// Acks counts what replicas have acknowledged: for WAIT and WAITAOF, for
// min-replicas-to-write, and for INFO. Acknowledgements only move upwards. The
// owner guards it; time comes as an argument.
type Acks struct {
	replicas map[ReplicaID]*Ack
}

// NewAcks returns an Acks without replicas.
func NewAcks() *Acks { return &Acks{replicas: map[ReplicaID]*Ack{}} }

// Attach begins to count a replica, which is not online yet.
func (a *Acks) Attach(id ReplicaID) { a.replicas[id] = &Ack{} }

// Detach forgets a replica.
func (a *Acks) Detach(id ReplicaID) { delete(a.replicas, id) }

// Online says that the replica receives the stream from now on.
func (a *Acks) Online(id ReplicaID, now time.Time) {
	if r := a.replicas[id]; r != nil {
		r.Online = true
		r.At = now
	}
}

// Record stores an acknowledgement. synced is 0 if the replica told none.
func (a *Acks) Record(id ReplicaID, applied, synced Offset, now time.Time) {
	if r := a.replicas[id]; r != nil {
		r.Offset = max(r.Offset, applied)
		r.Synced = max(r.Synced, synced)
		r.At = now
	}
}

// Get returns what is known of a replica.
func (a *Acks) Get(id ReplicaID) (Ack, bool) {
	if r := a.replicas[id]; r != nil {
		return *r, true
	}
	return Ack{}, false
}

// Applied returns how many replicas have applied the stream up to at: what
// WAIT counts (replicationCountAcksByOffset).
func (a *Acks) Applied(at Offset) int {
	return a.count(func(r *Ack) bool { return r.Offset >= at })
}

// Synced returns how many replicas have the stream up to at on their disks:
// what WAITAOF counts (replicationCountAOFAcksByOffset).
func (a *Acks) Synced(at Offset) int {
	return a.count(func(r *Ack) bool { return r.Synced >= at })
}

// Enough returns the greatest offset that at least n replicas have applied, 0 if there
// are fewer than n: up to there min-replicas-to-ack has what it asks for.
func (a *Acks) Enough(n int) Offset {
	if n <= 0 {
		return 0
	}
	var have []Offset
	for _, r := range a.replicas {
		if r.Online {
			have = append(have, r.Offset)
		}
	}
	if len(have) < n {
		return 0
	}
	slices.Sort(have)
	return have[len(have)-n]
}

// Good returns how many replicas acknowledged something within maxLag: what
// min-replicas-to-write asks for (refreshGoodSlavesCount). Like Redis it
// counts whole seconds.
func (a *Acks) Good(now time.Time, maxLag time.Duration) int {
	return a.count(func(r *Ack) bool { return r.Lag(now) <= maxLag })
}

func (a *Acks) count(counts func(*Ack) bool) int {
	n := 0
	for _, r := range a.replicas {
		if r.Online && counts(r) {
			n++
		}
	}
	return n
}

// Lag returns how long ago the last acknowledgement came, in whole seconds as
// INFO shows it.
func (r Ack) Lag(now time.Time) time.Duration {
	return now.Sub(r.At).Truncate(time.Second)
}
