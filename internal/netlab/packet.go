package netlab

import (
	"encoding/binary"
	"net/netip"
)

// Offsets and numbers of RFC 791, 792 and 9293.
const (
	ipHeader   = 20
	tcpHeader  = 20
	icmpHeader = 8

	protocolICMP = 1
	protocolTCP  = 6

	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// packet is an IPv4 packet whose header is whole.
type packet []byte

// parsePacket returns b as a packet; false if it is none of IPv4.
func parsePacket(b []byte) (packet, bool) {
	if len(b) < ipHeader || b[0]>>4 != 4 {
		return nil, false
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipHeader || total < header || total > len(b) {
		return nil, false
	}
	return packet(b[:total]), true
}

func (p packet) source() netip.Addr      { return netip.AddrFrom4([4]byte(p[12:16])) }
func (p packet) destination() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }
func (p packet) protocol() byte          { return p[9] }

// payload is what follows the header of IP.
func (p packet) payload() []byte { return p[int(p[0]&15)*4:] }

// isFirst reports whether it is a whole packet or the first of its fragments.
func (p packet) isFirst() bool { return binary.BigEndian.Uint16(p[6:])&0x1fff == 0 }

// refusal is the answer to a packet that is rejected, nil if there is none: to a reset,
// to ICMP and to what has been cut off (RFC 1122, 3.2.2).
func (p packet) refusal() packet {
	if !p.isFirst() {
		return nil
	}
	switch p.protocol() {
	case protocolTCP:
		return p.reset()
	case protocolICMP:
		return nil
	}
	return p.unreachable()
}

// reset is the segment that refuses p, as RFC 9293, 3.10.7.1, has it of a connection that
// does not exist.
func (p packet) reset() packet {
	tcp := p.payload()
	if len(tcp) < tcpHeader || tcp[13]&flagRST != 0 {
		return nil
	}
	seq, ack, flags := uint32(0), uint32(0), byte(flagRST)
	if tcp[13]&flagACK != 0 {
		seq = binary.BigEndian.Uint32(tcp[8:])
	} else {
		length := max(0, len(tcp)-int(tcp[12]>>4)*4)
		if tcp[13]&flagSYN != 0 {
			length++
		}
		if tcp[13]&flagFIN != 0 {
			length++
		}
		ack, flags = binary.BigEndian.Uint32(tcp[4:])+uint32(length), flagRST|flagACK
	}
	r := p.answer(protocolTCP, tcpHeader)
	t := r[ipHeader:]
	copy(t[0:2], tcp[2:4])
	copy(t[2:4], tcp[0:2])
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	t[12], t[13] = tcpHeader/4<<4, flags
	pseudo := sum(0, r[12:20]) + protocolTCP + tcpHeader
	binary.BigEndian.PutUint16(t[16:], fold(sum(pseudo, t)))
	return r
}

// unreachable is ICMP's "port unreachable".
func (p packet) unreachable() packet {
	quoted := p[:min(len(p), len(p)-len(p.payload())+8)]
	r := p.answer(protocolICMP, icmpHeader+len(quoted))
	m := r[ipHeader:]
	m[0], m[1] = 3, 3
	copy(m[icmpHeader:], quoted)
	binary.BigEndian.PutUint16(m[2:], fold(sum(0, m)))
	return r
}

// answer is an empty packet with a header from the receiver of p to its sender.
func (p packet) answer(protocol byte, size int) packet {
	r := make(packet, ipHeader+size)
	r[0] = 4<<4 | ipHeader/4
	binary.BigEndian.PutUint16(r[2:], uint16(len(r)))
	r[8], r[9] = 64, protocol
	copy(r[12:16], p[16:20])
	copy(r[16:20], p[12:16])
	binary.BigEndian.PutUint16(r[10:], fold(sum(0, r[:ipHeader])))
	return r
}

// sum adds the 16-bit words of b to a checksum (RFC 1071).
func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

// fold is the checksum of a sum.
func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
