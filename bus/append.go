package bus

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// Append writes m behind dst and returns the extended slice. Lengths, version
// and counts come from m itself, and MsgExtData is set where extensions
// follow; everything reserved is zero. The payload that the type asks for must
// not be nil.
//
// Node ids must be valid or empty, the number of gossip entries below 65536
// and each text of an extension below 64 KiB, which older versions of Redis
// cannot pass; an address longer than 45 characters is cut.
func Append(dst []byte, m *Message) []byte {
	start := len(dst)
	dst = slices.Grow(dst, sizeOf(m))
	if m.Light {
		dst = appendZeros(dst, lightHeaderLen)
		binary.BigEndian.PutUint16(dst[start+offType:], uint16(m.Type|lightBit))
	} else {
		dst = appendZeros(dst, headerLen)
		putHeader(dst[start:], m)
	}
	copy(dst[start:], signature)
	binary.BigEndian.PutUint16(dst[start+offVersion:], version)

	switch m.Type {
	case TypePing, TypePong, TypeMeet:
		for i := range m.Gossip {
			dst = appendGossip(dst, &m.Gossip[i])
		}
		var n int
		dst, n = appendExtensions(dst, &m.Ext)
		binary.BigEndian.PutUint16(dst[start+offExtensions:], uint16(n))
		if n > 0 {
			dst[start+offMsgFlags] |= byte(MsgExtData)
		}
	case TypeFail:
		dst = appendID(dst, m.Fail)
	case TypeUpdate:
		dst = binary.BigEndian.AppendUint64(dst, uint64(m.Update.ConfigEpoch))
		dst = appendID(dst, m.Update.ID)
		dst = append(dst, m.Update.Slots[:]...)
	case TypePublish, TypePublishShard:
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(m.Publish.Channel)))
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(m.Publish.Payload)))
		dst = append(dst, m.Publish.Channel...)
		dst = append(dst, m.Publish.Payload...)
	case TypeModule:
		// The module id is the one little-endian integer of the protocol.
		dst = binary.LittleEndian.AppendUint64(dst, m.Module.ModuleID)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(m.Module.Payload)))
		dst = append(dst, m.Module.Type)
		dst = append(dst, m.Module.Payload...)
	}
	binary.BigEndian.PutUint32(dst[start+offLength:], uint32(len(dst)-start))
	return dst
}

// sizeOf is about how long m is when it is encoded: exactly, but for rare extensions.
func sizeOf(m *Message) int {
	size := headerLen
	if m.Light {
		size = lightHeaderLen
	}
	switch {
	case m.Type.Gossips():
		size += len(m.Gossip)*gossipLen + sizeOfExtensions(&m.Ext)
	case m.Update != nil:
		size += updateLen
	case m.Publish != nil:
		size += publishFixed + len(m.Publish.Channel) + len(m.Publish.Payload)
	case m.Module != nil:
		size += moduleFixed + len(m.Module.Payload)
	case m.Type == TypeFail:
		size += IDLen
	}
	return size
}

// sizeOfExtensions bounds the blocks of x from above.
func sizeOfExtensions(x *Extensions) int {
	const padding = 8 // and a NUL
	size := len(x.Forgotten)*(extHeaderLen+forgottenLen) + len(x.Open)*openSlotLen + (len(x.Open)/openSlotMost+1)*extHeaderLen
	for _, n := range []int{len(x.Hostname), len(x.HumanName), len(x.Type4), len(x.ClientIPv6), len(x.Zone), len(x.ShardID), 2, 2} {
		size += extHeaderLen + n + padding
	}
	return size
}

func putHeader(b []byte, m *Message) {
	binary.BigEndian.PutUint16(b[offPort:], m.Port)
	binary.BigEndian.PutUint16(b[offType:], uint16(m.Type))
	if m.Type.Gossips() {
		binary.BigEndian.PutUint16(b[offCount:], uint16(len(m.Gossip)))
	}
	binary.BigEndian.PutUint64(b[offCurrentEpoch:], uint64(m.CurrentEpoch))
	binary.BigEndian.PutUint64(b[offConfigEpoch:], uint64(m.ConfigEpoch))
	binary.BigEndian.PutUint64(b[offOffset:], uint64(m.Offset))
	copy(b[offSender:offSlots], m.Sender)
	copy(b[offSlots:], m.Slots[:])
	copy(b[offPrimary:offIP], m.Primary)
	copy(b[offIP:offIP+ipLen-1], m.IP)
	binary.BigEndian.PutUint16(b[offOtherPort:], m.OtherPort)
	binary.BigEndian.PutUint16(b[offBusPort:], m.BusPort)
	binary.BigEndian.PutUint16(b[offFlags:], uint16(m.Flags))
	b[offState] = byte(m.State)
	b[offMsgFlags] = byte(m.MsgFlags)
	if m.Redoubt {
		b[offProduct] = product
	}
}

// appendZeros makes dst longer by n bytes that are zero.
func appendZeros(dst []byte, n int) []byte {
	dst = slices.Grow(dst, n)
	dst = dst[:len(dst)+n]
	clear(dst[len(dst)-n:])
	return dst
}

func appendID(dst []byte, id NodeID) []byte {
	n := len(dst)
	dst = appendZeros(dst, IDLen)
	copy(dst[n:], id)
	return dst
}

func appendGossip(dst []byte, g *Gossip) []byte {
	n := len(dst)
	dst = appendZeros(dst, gossipLen)
	b := dst[n:]
	copy(b[:IDLen], g.ID)
	binary.BigEndian.PutUint32(b[gossipPingSent:], g.PingSentSec)
	binary.BigEndian.PutUint32(b[gossipPongReceived:], g.PongReceivedSec)
	copy(b[gossipIP:gossipIP+ipLen-1], g.IP)
	binary.BigEndian.PutUint16(b[gossipPort:], g.Port)
	binary.BigEndian.PutUint16(b[gossipBusPort:], g.BusPort)
	binary.BigEndian.PutUint16(b[gossipFlags:], uint16(g.Flags))
	binary.BigEndian.PutUint16(b[gossipOtherPort:], g.OtherPort)
	return dst
}

// appendExtensions writes a block for everything in x that is not zero, in the
// order of Valkey, which for what Redis knows is also that of Redis. It
// returns the number of blocks.
func appendExtensions(dst []byte, x *Extensions) ([]byte, int) {
	n := 0
	block := func(typ uint16, data string, ending int) {
		length := extHeaderLen + (len(data)+ending+7)/8*8
		dst = binary.BigEndian.AppendUint32(dst, uint32(length))
		dst = binary.BigEndian.AppendUint16(dst, typ)
		dst = append(dst, 0, 0)
		dst = append(dst, data...)
		dst = appendZeros(dst, length-extHeaderLen-len(data))
		n++
	}
	text := func(typ uint16, s string) {
		if s != "" {
			block(typ, s, 1)
		}
	}
	port := func(typ uint16, p uint16) {
		if p != 0 {
			block(typ, string([]byte{byte(p >> 8), byte(p)}), 0)
		}
	}
	text(extHostname, x.Hostname)
	text(extHumanName, x.HumanName)
	if x.Type4 != nil {
		block(extType4, string(x.Type4), 0)
	}
	text(extClientIPv6, x.ClientIPv6)
	port(extClientTCPPort, x.ClientTCPPort)
	port(extClientTLSPort, x.ClientTLSPort)
	text(extZone, x.Zone)
	for _, f := range x.Forgotten {
		data := appendID(make([]byte, 0, forgottenLen), f.ID)
		seconds := max(f.TTL, 0) / time.Second
		block(extForgotten, string(binary.BigEndian.AppendUint64(data, uint64(seconds))), 0)
	}
	if x.ShardID != "" {
		block(extShardID, x.ShardID, 0)
	}
	for open := range slices.Chunk(x.Open, openSlotMost) {
		data := make([]byte, 0, len(open)*openSlotLen)
		for _, o := range open {
			data = binary.BigEndian.AppendUint16(data, uint16(o.Slot))
			importing := byte(0)
			if o.Importing {
				importing = 1
			}
			data = appendID(append(data, importing, 0, 0, 0, 0, 0), o.Node)
		}
		block(extOpenSlots, string(data), 0)
	}
	return dst, n
}

// ttl is the duration of a remaining ban on the wire, cut to what a Duration
// can hold in whole seconds.
func ttl(seconds uint64) time.Duration {
	const most = math.MaxInt64 / int64(time.Second)
	return time.Duration(min(seconds, uint64(most))) * time.Second
}
