package cluster

import (
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// LinkID names a link between driver and Node. A Node numbers the links that
// it wants dialled; the driver numbers the accepted ones with InboundLink.
type LinkID uint64

// InboundLink is the id of the driver's i-th accepted link. Numbers must not
// be used twice in the life of a Node.
func InboundLink(i uint64) LinkID { return LinkID(i<<1 | 1) }

// outboundLink is the id of the i-th link that the node had dialled.
func outboundLink(i uint64) LinkID { return LinkID(i << 1) }

// Event is something that happened to the node: time has passed, a link came
// or went, a message was received, an administrator gave a command. The
// commands are in command.go.
type Event interface{ isEvent() }

// Tick says that time has passed. The driver steps one when Deadline has been
// reached; earlier ones do no harm.
type Tick struct{}

// Facts are what the node must know about the server round it. The driver
// steps one before each Tick and Received, so that headers carry the
// current replication offset; it is cheap.
type Facts struct {
	// Replica and Primary are the role by the last RoleChange that the server has
	// carried out; a server that has begun none is a replica. While it is another
	// than the Node's, a change of role is under way, and neither of the next two
	// counts: they are about the data of another shard, perhaps.
	Replica bool
	Primary bus.NodeID
	// Offset is the node's replication offset: a primary's own, a replica's
	// how far it has processed the stream of Primary; 0 if it is not in step
	// with it.
	Offset int64
	// PrimaryContact is when a replica last heard from a primary of its shard
	// over the replication link; zero if its data are not those of the shard,
	// in which case it does not stand for election.
	PrimaryContact time.Time
	// Outrun is how far a replica has this node's own stream that has asked to go
	// on with it beyond its end, since the node started; 0 if none has.
	Outrun int64
	// Replicated says that a replica has begun to receive this node's stream since it
	// started. The Node may not know that replica yet.
	Replicated bool
	// Elected is the node that leads the group of this node's shard (Settings.Quorum), as far as
	// the group tells; empty if it does not.
	Elected bus.NodeID
	// Unwell says that the server does not get anything done, for example
	// because its disk hangs. An unwell node falls silent, so that the others
	// fail it over.
	Unwell bool
}

// LinkAccepted says that a peer has connected to us. The addresses are the
// two ends of the connection, without ports.
type LinkAccepted struct {
	Link    LinkID
	PeerIP  string
	LocalIP string
}

// LinkUp says that a link asked for by Effects.Dial is connected.
type LinkUp struct{ Link LinkID }

// LinkDown says that a link is gone: the dial failed, the peer hung up or
// sent junk, or the send queue passed its limit (Overflow). It is not needed
// for links that the node closed itself.
type LinkDown struct {
	Link     LinkID
	Overflow bool
	// Ended says that the peer has ended a link that was open (FIN): its process has
	// closed it, or is no more. It is not set if the link was reset.
	Ended bool
	// Refused says that nobody listens at the address that was dialled.
	Refused bool
	// Refusal says, for the log, why one side did not accept the other in a TLS
	// handshake; empty if that was not it.
	Refusal string
}

// Received is a message that arrived on a link. The node keeps parts of the
// message; the driver must not change it afterwards.
type Received struct {
	Link LinkID
	Msg  *bus.Message
}

// Dropped says that a message arrived that was not well-formed.
type Dropped struct{ Type bus.Type }

// Resumed says that the node did not run for longer than the node timeout: its
// process was stopped, or its machine was. What it knows is that old, and
// others may have replaced it. The driver steps it before anything else.
type Resumed struct{}

// Persisted says that the State of that Version, or a later one, is on disk
// for good.
type Persisted struct{ Version uint64 }

// Paused says that client writes are paused as Effects.Pause demanded, and at
// which replication offset the stream stopped.
type Paused struct{ Offset int64 }

// Configure replaces the settings (CONFIG SET).
type Configure struct{ Settings Settings }

// Publish asks to spread a published message over the bus: to all nodes, or,
// if Shard is set, to those of this node's shard.
type Publish struct {
	Channel []byte
	Payload []byte
	Shard   bool
}

// Own says that the shard has agreed on what it has, and on a greater epoch, unless that is 0,
// in the term in which this node leads it. Any other node ignores it.
type Own struct {
	Ownership Ownership
	Epoch     bus.Epoch
}

// Holdings tells, once at start, in which slots a primary has keys. Slots that
// nobody owns are claimed; those of others are marked as importing, so that
// redis-cli --cluster fix sees them (Redis's verifyClusterConfigWithData).
type Holdings struct{ Slots slots.Set }

func (Tick) isEvent()         {}
func (Facts) isEvent()        {}
func (LinkAccepted) isEvent() {}
func (LinkUp) isEvent()       {}
func (LinkDown) isEvent()     {}
func (Received) isEvent()     {}
func (Dropped) isEvent()      {}
func (Resumed) isEvent()      {}
func (Persisted) isEvent()    {}
func (Paused) isEvent()       {}
func (Configure) isEvent()    {}
func (Publish) isEvent()      {}
func (Holdings) isEvent()     {}
func (Own) isEvent()          {}
