// Package bus is the language of the cluster bus: the messages that the nodes
// of a Redis Cluster send each other, and their binary form.
//
// A Message is a Header, which tells who the sender is and what it owns, and
// one payload that depends on the Type: gossip entries and extensions (PING,
// PONG, MEET), the id of a failed node (FAIL), the slots of somebody else
// (UPDATE), a published message (PUBLISH, PUBLISHSHARD) or a module's bytes
// (MODULE); the failover types carry none. Append writes a message and Decode
// reads one. The layout is the one of Redis 7.0 to 8 and Valkey 8 to 9, so
// that either can be the peer; where they differ the comments say so.
//
//	┌─────────────────────────────┬──────────────────────────────────┐
//	│ header, 2256 bytes          │ payload                          │
//	│ RCmb length … slots … flags │ gossip entries of 104 bytes, then│
//	│                             │ extension blocks of 8·n bytes    │
//	└─────────────────────────────┴──────────────────────────────────┘
//
// Decode accepts what a Redis node accepts, and refuses one thing more: node
// ids that are none, addresses and host names with characters that no address
// has, and control characters in names. So one line of CLUSTER NODES stays one
// line, whoever sent what is in it.
//
// The package decides nothing: which messages to send, whom to believe and
// what an extension of type 4 means is the business of package cluster.
// Package bus/link moves the bytes. It is pure: no socket, clock or goroutine.
package bus

import (
	"time"

	"redoubt/slots"
)

// Epoch is a cluster epoch: the current epoch, which orders elections, or the
// config epoch of a primary, which decides between two claims on a slot.
type Epoch uint64

// State is the state of the cluster as the sender of a message sees it.
type State uint8

const (
	StateOK   State = 0
	StateFail State = 1
)

// Header is what every full message tells about its sender. The length, the
// version, the count of gossip entries and the count of extensions are not
// here: Append derives them.
type Header struct {
	Type         Type
	CurrentEpoch Epoch
	// ConfigEpoch is the sender's own, or its primary's if it is a replica.
	ConfigEpoch Epoch
	// Offset is the sender's replication offset; a replica's is how far it
	// has processed its primary's stream.
	Offset int64
	Sender NodeID
	// Slots are the sender's, or its primary's if it is a replica.
	Slots slots.Set
	// Primary is empty unless the sender is a replica.
	Primary NodeID
	// IP is the announced address of the sender, at most 45 characters. Empty
	// means: take the address that the link comes from. The newest versions
	// of Redis may put a host name here.
	IP string
	// Port is the client port of the flavour that the cluster uses, plain TCP
	// or TLS; OtherPort is that of the other flavour, 0 if there is none.
	Port      uint16
	OtherPort uint16
	BusPort   uint16
	Flags     Flags
	State     State
	MsgFlags  MsgFlags
	// Redoubt: the sender is a node of this product, so it knows all the
	// extensions below, and type 4 as a client's address. Other products neither
	// set this nor look at it.
	Redoubt bool
}

// Gossip is what the sender of a PING, PONG or MEET says about another node.
type Gossip struct {
	ID NodeID
	// PingSentSec and PongReceivedSec are Unix times in seconds. The first is
	// 0 when no PING is waiting for its PONG.
	PingSentSec     uint32
	PongReceivedSec uint32
	IP              string // at most 45 characters; empty for a node with NOADDR
	Port            uint16 // as in Header
	OtherPort       uint16
	BusPort         uint16
	Flags           Flags
}

// Extensions are the optional facts at the end of a PING, PONG or MEET. A fact
// that is missing in the message has its zero value here, and that is also
// its meaning: a value lives only as long as every PING repeats it (the shard
// id excepted, see below). MsgExtData in the header tells whether the sender
// knows extensions at all.
type Extensions struct {
	Hostname string // type 0, all versions
	// HumanName may hold spaces, commas and quotes: type 1, Redis 7.2 and
	// Valkey.
	HumanName string
	// Forgotten are nodes that the sender was told to forget: type 2, Redis
	// 7.2 and Valkey, one block a node.
	Forgotten []Forgotten
	// ShardID is 40 digits or lower-case letters: type 3, Redis 7.2 and
	// Valkey. Empty means that the sender has the shard id of its primary.
	ShardID string
	// Type4 is the raw data of a block of type 4, padding included; nil if
	// there was none. Redis 8 sends a secret of 40 characters there, Valkey
	// a NUL-terminated IPv4 address, and each may drop the whole message
	// that has the other's meaning. So it is for the caller, who knows the
	// peer, to interpret it, and to send it to nobody else.
	Type4 []byte
	// The rest is Valkey's, not to be sent to Redis.
	ClientIPv6    string // type 5
	ClientTCPPort uint16 // type 6
	ClientTLSPort uint16 // type 7
	Zone          string // type 8, the availability zone
	// Open are the slots that the sender is moving, for its replicas of this
	// product.
	Open []OpenSlot
}

// OpenSlot is a slot under way between the sender's shard and that of Node.
type OpenSlot struct {
	Slot      slots.Slot
	Importing bool // from Node; else it is migrating to it
	Node      NodeID
}

// Forgotten is a node under the ban of CLUSTER FORGET.
type Forgotten struct {
	ID NodeID
	// TTL is what remains of the ban, in whole seconds on the wire.
	TTL time.Duration
}

// Update is the payload of UPDATE: the slots of a primary that the receiver
// has out-of-date ideas about.
type Update struct {
	ConfigEpoch Epoch
	ID          NodeID
	Slots       slots.Set
}

// Publish is the payload of PUBLISH and PUBLISHSHARD.
type Publish struct {
	Channel []byte
	Payload []byte
}

// Module is the payload of MODULE. Nodes without modules ignore it.
type Module struct {
	ModuleID uint64
	Type     uint8
	Payload  []byte
}

// Message is one message of the bus. A message that has been handed on is
// shared and must not be changed.
//
// Invariants of a message that Decode returned:
//
//  1. Gossip and Ext are empty unless Type is PING, PONG or MEET.
//  2. Update, Publish and Module are not nil exactly if Type asks for them.
//  3. Every NodeID is valid. Only Header.Primary may be empty, and in a light
//     message Header.Sender is.
type Message struct {
	Header
	// Light says that the message came, or is to be sent, with the short
	// header of Valkey 8: of Header only Type is meaningful, and the sender
	// is whoever the link belongs to. Only PUBLISH, PUBLISHSHARD and MODULE
	// can be light, towards peers that announced FlagLightPublish or
	// FlagLightModule.
	Light bool

	Gossip  []Gossip
	Ext     Extensions
	Fail    NodeID
	Update  *Update
	Publish *Publish
	Module  *Module
}
