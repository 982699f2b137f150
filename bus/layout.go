package bus

import "redoubt/slots"

// Offsets of the fields in a full header. All integers are big-endian. Bytes
// 2216 to 2245 and the second of the message flags are reserved and zero.
const (
	offSignature    = 0
	offLength       = 4
	offVersion      = 8
	offPort         = 10
	offType         = 12
	offCount        = 14
	offCurrentEpoch = 16
	offConfigEpoch  = 24
	offOffset       = 32
	offSender       = 40
	offSlots        = 80
	offPrimary      = offSlots + slots.Bytes
	offIP           = 2168
	offExtensions   = 2214
	offOtherPort    = 2246
	offBusPort      = 2248
	offFlags        = 2250
	offState        = 2252
	offMsgFlags     = 2253
	offProduct      = 2255 // the third of the message flags, which no other product uses
	headerLen       = 2256
)

// Offsets in a gossip entry.
const (
	gossipPingSent     = 40
	gossipPongReceived = 44
	gossipIP           = 48
	gossipPort         = 94
	gossipBusPort      = 96
	gossipFlags        = 98
	gossipOtherPort    = 100
	gossipLen          = 104
)

// Sizes and offsets of the other payloads.
const (
	updateID     = 8
	updateSlots  = updateID + IDLen
	updateLen    = updateSlots + slots.Bytes
	publishFixed = 8  // two lengths, then channel and message
	moduleFixed  = 13 // module id, length, type, then the bytes
	extHeaderLen = 8  // length of the block, type, two zero bytes
	forgottenLen = IDLen + 8
	openSlotLen  = 8 + IDLen // slot, direction, five zero bytes, node
	openSlotMost = 1000      // in a block: Redis reads its length as 16 bits
)

// Types of extension blocks.
const (
	extHostname      = 0
	extHumanName     = 1
	extForgotten     = 2
	extShardID       = 3
	extType4         = 4
	extClientIPv6    = 5
	extClientTCPPort = 6
	extClientTLSPort = 7
	extZone          = 8
	extOpenSlots     = 0x5201
)

const (
	signature      = "RCmb"
	version        = 1
	product        = 'R'
	lightHeaderLen = 16
	ipLen          = 46 // with the terminating NUL
)
