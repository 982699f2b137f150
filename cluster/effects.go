package cluster

import (
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// Effects are what a Step asks of the driver. The order is:
//
//  1. Close, Dial and Send, Agree and GiveUp, and Pause, at once; but a Pause that ends in a Step
//     with a Role ends after the role has changed, and those it held back find
//     the View of that Step or a later one. A message for a link that is
//     closed by then is dropped.
//  2. Persist: written and fsynced. This may take its time while further
//     Steps are made; if several States are waiting, only the newest needs to
//     be written.
//  3. When the State of this Step or a newer one is on disk, and in the order
//     of the Steps: LeaveGroup, Role, DropKeys, DropShardSubs and Moved take place,
//     SendAfterPersist leaves, Result goes to the client. Then Persisted is
//     stepped. Without Persist, 3 follows 1 at once, but not before what
//     earlier Steps still have waiting.
//
// The View may be published right after the Step: a node that has just won an
// election answers clients as a replica until its Role has changed, and its
// peers do not send it any before they have heard of the claim.
type Effects struct {
	Close []LinkID
	Dial  []Dial
	// Send may leave at once: it promises nothing that is not on disk.
	Send  []Envelope
	Pause *Pause

	// Reclaim asks for a Lead with a greater epoch than all that are known: that of this
	// primary is another's as well, or has to win a slot.
	Reclaim bool

	// Agree asks the shard to agree on something: then Own follows, and Agreed in any case. If the
	// event was a command its Result is not that of this Step, but of Agreed.
	Agree *Agreement
	// GiveUp are slots that this shard has opened for another, which claims them. Each is to be
	// stepped with the number of its keys.
	GiveUp []SetSlot

	Persist *State
	// LeaveGroup says that the node is of its shard's group no more, as nodes.conf has it
	// now: what it keeps for that has to be put away before its Role changes, since its data
	// may change with that.
	LeaveGroup       bool
	Role             *RoleChange
	DropKeys         *slots.Set // delete the keys in these slots, if there are any
	DropShardSubs    *slots.Set // end the shard channel subscriptions in these slots
	Moved            *slots.Set // these slots have left the node's shard, or have come to it
	SendAfterPersist []Envelope
	Result           *Result // of a command; nil for other events

	// Deliver are messages for local subscribers.
	Deliver []Delivery
	// Notes are for the log. They carry no decision.
	Notes []Note
}

// Waits reports whether there is anything to do, after what is done at once. A
// driver adds whether somebody waits for Result.
func (fx *Effects) Waits() bool {
	return fx.Persist != nil || fx.LeaveGroup || fx.Role != nil || fx.DropKeys != nil || fx.DropShardSubs != nil || fx.Moved != nil ||
		len(fx.SendAfterPersist) > 0
}

// EndsPauseWithRole: a primary that was replaced on request stops being one in this
// Step. Its clients stay held back until it has: a write that went on before would
// be acknowledged beyond the offset at which the new primary began.
func (fx *Effects) EndsPauseWithRole() bool {
	return fx.Pause != nil && fx.Pause.Until.IsZero() && fx.Role != nil
}

// Envelope is a message and the link it goes to. A message may be in several
// envelopes and must not be changed.
type Envelope struct {
	Link LinkID
	Msg  *bus.Message
}

// Dial asks for a connection to a peer's bus port. The driver answers with
// LinkUp or LinkDown, and gives up by itself after a time of the order of the
// node timeout.
type Dial struct {
	Link LinkID
	IP   string
	Port uint16
}

// Pause asks to pause client writes, expiry and eviction until the given time
// for a manual failover, and to step Paused when they stand still. A zero time
// ends the pause.
type Pause struct{ Until time.Time }

// RoleChange says what the node is from now on. The first Step of a Node
// gives the role that was loaded.
type RoleChange struct {
	Replica bool // false: a primary
	// Primary is whom to replicate; empty if it has been forgotten.
	Primary bus.NodeID
	// Shard is the shard of the primary to replicate. Data of another shard are
	// worth nothing in it.
	Shard string
	// Host and Port are the client address of the primary to replicate from,
	// its TLS port if replication is by TLS. Host is empty while it is not
	// known: then another RoleChange follows.
	Host string
	Port uint16
	// Flush says that the keys must go (CLUSTER RESET of a replica).
	Flush bool
}

// Delivery is a message published on another node.
type Delivery struct {
	Channel []byte
	Payload []byte
	Shard   bool
}

// Note is a line for the log.
type Note struct {
	Warning bool
	Verbose bool // for those who ask for more: of one failure there are many
	Text    string
}
