package sentinel

import (
	"math/rand/v2"
	"time"
)

// Node is the state of one Sentinel. Step is not safe for concurrent use: one
// goroutine owns a Node.
type Node struct {
	cfg  Settings
	rand *rand.Rand
	now  time.Time // of the current Step
	fx   Effects   // of the current Step

	myID         string
	currentEpoch uint64
}

// New makes a Node.
func New(now time.Time, cfg Config) (*Node, error) {
	n := &Node{cfg: cfg.Settings, rand: cfg.Rand, now: now}
	n.cfg.Timing = n.cfg.Timing.orDefaults()
	return n, nil
}

// Deadline is when the next Tick is needed; for a new Node that is at once.
func (n *Node) Deadline() time.Time { return n.now }

// Step takes one event in and gives its effects. Now must not go back: the
// driver passes a monotonic time.
func (n *Node) Step(now time.Time, ev Event) Effects {
	n.now = now
	fx := n.fx
	n.fx = Effects{}
	return fx
}
