package node

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"redoubt/replication"
	"redoubt/storage/journal"
)

// commits is the node's stream as those see it whose replies wait for it
// (server.Stream): what is committed is what all sources have confirmed. There are three,
// the journal by appendfsync, the acknowledgements of replicas by min-replicas-to-ack, and
// in their place the marks of the shard's group (durability quorum).
//
// The second is in force on a primary. What was in the stream when it came into force is
// taken for acknowledged. A term is the time for which the node has one role: what a
// primary has appended in a term that is over is not known to be acknowledged, even if
// the offset is.
type commits struct {
	*journal.Stream
	replicas interface {
		Enough(n int) replication.Offset
	}

	mu      sync.Mutex // serialises changes of what follows
	primary bool       // guarded by mu

	// quorum is the node's part of its shard's group; nil without durability quorum. Then
	// acked is up to where the group has committed the node's stream, nobody waits for
	// replicas, and replies that only show data wait as those to writes do.
	quorum *quorum
	leads  atomic.Bool // this node is the primary that its group has elected; written under mu

	need  atomic.Int32  // min-replicas-to-ack
	term  atomic.Uint32 // from 1 on
	acked atomic.Int64  // enough replicas have the stream up to here; everything: need not
	given atomic.Int64  // they were waited for in vain up to here
	moved atomic.Pointer[func(replication.Offset)]

	waiting atomic.Pointer[chan struct{}] // closed when something has moved; nil: nobody waits
}

const everything = math.MaxInt64

func newCommits(s *journal.Stream, need int) *commits {
	c := &commits{Stream: s}
	c.need.Store(int32(need))
	c.term.Store(1)
	c.acked.Store(everything)
	return c
}

// Committed is up to where all sources have confirmed the stream.
func (c *commits) Committed() replication.Offset {
	return min(c.Stream.Committed(), replication.Offset(c.acked.Load()))
}

// Shown is up to where replies may leave that only show data: Committed, or beyond that
// what replicas were waited for in vain.
func (c *commits) Shown() replication.Offset {
	if c.quorum != nil {
		return c.Committed()
	}
	return min(c.Stream.Committed(), replication.Offset(max(c.acked.Load(), c.given.Load())))
}

// Term is the number of the present term.
func (c *commits) Term() uint32 { return c.term.Load() }

// AwaitsReplicas reports whether replies to writes wait for replicas.
func (c *commits) AwaitsReplicas() bool { return c.need.Load() > 0 || c.quorum != nil }

// Strict reports whether what shows data is held to the same as what acknowledges it: in
// a quorum shard it must not leave in another term either.
func (c *commits) Strict() bool { return c.quorum != nil }

// Confirm asks whether this node still leads its shard, by a round of questions that
// begins after the call. Confirmed is the number of the last that was answered; what
// shows data may leave when that is Confirm's.
func (c *commits) Confirm() uint64 {
	if c.quorum == nil {
		return 0
	}
	return c.quorum.confirm()
}

// Confirmed is the number of the last round of Confirm that has told that this node leads.
func (c *commits) Confirmed() uint64 {
	if c.quorum == nil {
		return 0
	}
	return c.quorum.confirmed.Load()
}

// GiveUp says that replicas were waited for in vain up to an offset.
func (c *commits) GiveUp(at replication.Offset) {
	if c.quorum != nil {
		return // nothing is shown that may still be lost
	}
	c.mu.Lock()
	given := int64(at) > c.given.Load()
	if given {
		c.given.Store(int64(at))
	}
	c.mu.Unlock()
	if given {
		c.tell()
	}
}

// OnCommit is journal.Stream's, for all sources.
func (c *commits) OnCommit(f func(replication.Offset)) {
	c.moved.Store(&f)
	c.Stream.OnCommit(func(replication.Offset) { c.tell() })
}

func (c *commits) tell() {
	if c.waiting.Load() != nil {
		if w := c.waiting.Swap(nil); w != nil {
			close(*w)
		}
	}
	if f := c.moved.Load(); f != nil {
		(*f)(c.Committed())
	}
}

// acknowledged takes in what replicas have acknowledged by now.
func (c *commits) acknowledged() {
	if c.need.Load() == 0 || c.quorum != nil {
		return
	}
	c.mu.Lock()
	moved := false
	if need := int(c.need.Load()); c.primary && need > 0 {
		at := min(c.replicas.Enough(need), c.End()) // a replica may claim what there is not
		if moved = int64(at) > c.acked.Load(); moved {
			c.acked.Store(int64(at))
		}
	}
	c.mu.Unlock()
	if moved {
		c.tell()
	}
}

// unacknowledged is how many bytes of the stream wait for replicas.
func (c *commits) unacknowledged() int64 {
	end := int64(c.End())
	return max(end-max(c.acked.Load(), c.given.Load()), 0)
}

// setNeed is CONFIG SET min-replicas-to-ack. Replies that wait when nobody is waited for
// any more leave as they are. All loops are stopped.
func (c *commits) setNeed(n int) {
	c.mu.Lock()
	switch old := c.need.Swap(int32(n)); {
	case n == 0 && c.primary:
		c.acked.Store(everything)
	case old == 0:
		c.begin()
	}
	c.mu.Unlock()
	c.acknowledged() // fewer may be enough
	c.tell()
}

// setPrimary says what the node is from now on. The unit holds the world lock. Replies
// to writes that wait when a primary becomes a replica never become those of success:
// their term is over.
func (c *commits) setPrimary(primary bool) {
	c.mu.Lock()
	if c.primary != primary {
		c.primary = primary
		c.term.Add(1)
		c.given.Store(everything) // a replica shows what it has
		c.begin()
		c.leads.Store(false)
	}
	c.mu.Unlock()
	c.tell()
}

// begin has writes wait from now on, if they are to. mu is held.
func (c *commits) begin() {
	switch {
	case c.quorum != nil:
		c.acked.Store(0) // until the group says more
		c.given.Store(0)
	case !c.primary, c.need.Load() == 0: // a writable replica waits for nobody
		c.acked.Store(everything)
	default:
		at := int64(c.End())
		c.acked.Store(at)
		c.given.Store(at)
	}
}

// What follows is what the group tells of the stream, with durability quorum.

// lead says that this node leads the group, or does not any more. What waits then never
// becomes what it was: nobody knows whether it will be committed.
func (c *commits) lead(on bool) {
	c.mu.Lock()
	if c.leads.Load() != on {
		c.leads.Store(on && c.primary)
		c.term.Add(1)
		c.begin()
	}
	c.mu.Unlock()
	c.tell()
}

// agreed says that the stream is committed up to an offset; of a leader for itself
// (leading), or for a replica whose stream is its.
func (c *commits) agreed(leading bool, at replication.Offset) {
	c.mu.Lock()
	moved := c.leads.Load() == leading && int64(at) > c.acked.Load()
	if moved {
		c.acked.Store(int64(at))
	}
	c.mu.Unlock()
	if moved {
		c.tell()
	}
}

// parted says that the stream of a replica was replaced, or cut: what was shown of it and
// has not left must not.
func (c *commits) parted() {
	c.mu.Lock()
	if c.quorum != nil {
		c.term.Add(1)
		c.begin()
	}
	c.mu.Unlock()
	c.tell()
}

// wait returns when something is so, which it is asked when commits have moved, or with
// the context's error.
func (c *commits) wait(ctx context.Context, so func() bool) error {
	for {
		moved := make(chan struct{})
		w := c.waiting.Load()
		if w == nil {
			w = &moved
			if !c.waiting.CompareAndSwap(nil, w) {
				continue
			}
		}
		if so() {
			return nil
		}
		select {
		case <-*w:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
