package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"redoubt/slots"
)

// Decoder reads messages. The zero Decoder is good for use.
type Decoder struct {
	// Intern makes the text of an id or an address, of which most messages repeat those
	// of the same few nodes: the same string for the same bytes, without garbage. Nil:
	// each text is a new string.
	Intern func(b []byte) string
}

// Decode reads a message with the zero Decoder.
func Decode(b []byte) (*Message, error) { return new(Decoder).Decode(b) }

// Decode reads the message b, which has the length that FrameLen found. The
// message shares no memory with b.
//
// An error means that this message is to be dropped, as Redis's
// clusterProcessPacket does; the link is good for the next one. A gossip
// section with an impossible entry is left out as a whole, the rest of the
// message is used.
func (d *Decoder) Decode(b []byte) (*Message, error) {
	if len(b) < PrefixLen {
		return nil, fmt.Errorf("bus: message of %d bytes is too short", len(b))
	}
	m := &Message{Light: isLight(b)}
	m.Type = TypeOf(b)
	n, err := FrameLen(b)
	if err != nil {
		return nil, err
	}
	if n != len(b) {
		return nil, fmt.Errorf("bus: %s message says %d bytes and has %d", m.Type, n, len(b))
	}
	if v := binary.BigEndian.Uint16(b[offVersion:]); v != version {
		return nil, fmt.Errorf("bus: %s message of version %d", m.Type, v)
	}
	payload := b[lightHeaderLen:]
	switch {
	case !m.Light:
		payload = b[headerLen:]
		err = d.readHeader(&m.Header, b)
	case !m.Type.mayBeLight():
		err = errors.New("must not have a light header")
	}
	if err == nil {
		err = d.readPayload(m, b, payload)
	}
	if err != nil {
		return nil, fmt.Errorf("bus: %s message: %w", m.Type, err)
	}
	return m, nil
}

func (d *Decoder) readHeader(h *Header, b []byte) error {
	h.Port = binary.BigEndian.Uint16(b[offPort:])
	h.CurrentEpoch = Epoch(binary.BigEndian.Uint64(b[offCurrentEpoch:]))
	h.ConfigEpoch = Epoch(binary.BigEndian.Uint64(b[offConfigEpoch:]))
	h.Offset = int64(binary.BigEndian.Uint64(b[offOffset:]))
	copy(h.Slots[:], b[offSlots:])
	h.OtherPort = binary.BigEndian.Uint16(b[offOtherPort:])
	h.BusPort = binary.BigEndian.Uint16(b[offBusPort:])
	h.Flags = Flags(binary.BigEndian.Uint16(b[offFlags:]))
	h.State = State(b[offState])
	h.MsgFlags = MsgFlags(b[offMsgFlags])
	h.Redoubt = b[offProduct] == product

	var ok bool
	if h.Sender, ok = d.readID(b[offSender:]); !ok {
		return fmt.Errorf("sender %q is not a node id", h.Sender)
	}
	if h.Primary, ok = d.readID(b[offPrimary:]); !ok && h.Primary != "" {
		return fmt.Errorf("primary %q is not a node id", h.Primary)
	}
	if h.IP, ok = d.readIP(b[offIP:]); !ok {
		return fmt.Errorf("address %q", h.IP)
	}
	return nil
}

// readPayload reads what follows the header. The length of the message must
// be what its contents need, to the byte.
func (d *Decoder) readPayload(m *Message, b, payload []byte) error {
	wantLen := func(n uint64) error {
		if uint64(len(payload)) != n {
			return fmt.Errorf("payload of %d bytes, expected %d", len(payload), n)
		}
		return nil
	}
	switch m.Type {
	case TypePing, TypePong, TypeMeet:
		return d.readGossips(m, b, payload)
	case TypeFail:
		if err := wantLen(IDLen); err != nil {
			return err
		}
		var ok bool
		if m.Fail, ok = d.readID(payload); !ok {
			return fmt.Errorf("failed node %q is not a node id", m.Fail)
		}
	case TypeUpdate:
		if err := wantLen(updateLen); err != nil {
			return err
		}
		u := &Update{ConfigEpoch: Epoch(binary.BigEndian.Uint64(payload))}
		var ok bool
		if u.ID, ok = d.readID(payload[updateID:]); !ok {
			return fmt.Errorf("updated node %q is not a node id", u.ID)
		}
		copy(u.Slots[:], payload[updateSlots:])
		m.Update = u
	case TypePublish, TypePublishShard:
		if len(payload) < publishFixed {
			return wantLen(publishFixed)
		}
		channel := uint64(binary.BigEndian.Uint32(payload))
		message := uint64(binary.BigEndian.Uint32(payload[4:]))
		if err := wantLen(publishFixed + channel + message); err != nil {
			return err
		}
		both := append([]byte{}, payload[publishFixed:]...)
		m.Publish = &Publish{Channel: both[:channel:channel], Payload: both[channel:]}
	case TypeModule:
		if len(payload) < moduleFixed {
			return wantLen(moduleFixed)
		}
		if err := wantLen(moduleFixed + uint64(binary.BigEndian.Uint32(payload[8:]))); err != nil {
			return err
		}
		m.Module = &Module{
			ModuleID: binary.LittleEndian.Uint64(payload),
			Type:     payload[12],
			Payload:  append([]byte{}, payload[moduleFixed:]...),
		}
	case TypeAuthRequest, TypeAuthAck, TypeMFStart:
		return wantLen(0)
	}
	return nil
}

func (d *Decoder) readGossips(m *Message, b, payload []byte) error {
	count := int(binary.BigEndian.Uint16(b[offCount:]))
	if len(payload) < count*gossipLen {
		return fmt.Errorf("%d gossip entries do not fit in %d bytes", count, len(payload))
	}
	entries, rest := payload[:count*gossipLen], payload[count*gossipLen:]
	m.Gossip = d.readGossip(entries)

	blocks := 0
	if m.MsgFlags.Has(MsgExtData) {
		blocks = int(binary.BigEndian.Uint16(b[offExtensions:]))
	}
	for range blocks {
		if len(rest) < extHeaderLen {
			return fmt.Errorf("%d bytes left for an extension", len(rest))
		}
		n := binary.BigEndian.Uint32(rest)
		if n < extHeaderLen || n%8 != 0 || uint64(n) > uint64(len(rest)) {
			return fmt.Errorf("extension of length %d with %d bytes left", n, len(rest))
		}
		typ := binary.BigEndian.Uint16(rest[4:])
		if err := d.readExtension(&m.Ext, typ, rest[extHeaderLen:n]); err != nil {
			return fmt.Errorf("extension of type %d: %w", typ, err)
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes too many", len(rest))
	}
	return nil
}

// readGossip reads a section, all or nothing: an entry that cannot be true
// says that none of them can be trusted.
func (d *Decoder) readGossip(b []byte) []Gossip {
	if len(b) == 0 {
		return nil
	}
	gs := make([]Gossip, 0, len(b)/gossipLen)
	for ; len(b) > 0; b = b[gossipLen:] {
		id, okID := d.readID(b)
		ip, okIP := d.readIP(b[gossipIP:])
		if !okID || !okIP {
			return nil
		}
		gs = append(gs, Gossip{
			ID:              id,
			PingSentSec:     binary.BigEndian.Uint32(b[gossipPingSent:]),
			PongReceivedSec: binary.BigEndian.Uint32(b[gossipPongReceived:]),
			IP:              ip,
			Port:            binary.BigEndian.Uint16(b[gossipPort:]),
			OtherPort:       binary.BigEndian.Uint16(b[gossipOtherPort:]),
			BusPort:         binary.BigEndian.Uint16(b[gossipBusPort:]),
			Flags:           Flags(binary.BigEndian.Uint16(b[gossipFlags:])),
		})
	}
	return gs
}

var (
	errNoText  = errors.New("not a NUL-terminated text that can be printed")
	errTooFew  = errors.New("too few bytes")
	errShardID = errors.New("not a shard id")
)

// readExtension reads the data of one block. Unknown types are skipped, as
// every version does. A second block of a type replaces the first.
func (d *Decoder) readExtension(x *Extensions, typ uint16, data []byte) error {
	switch typ {
	case extHostname:
		return d.readText(&x.Hostname, data, isHostByte)
	case extHumanName:
		return d.readText(&x.HumanName, data, isNameByte)
	case extClientIPv6:
		return d.readText(&x.ClientIPv6, data, isHostByte)
	case extZone:
		return d.readText(&x.Zone, data, isNameByte)
	case extClientTCPPort:
		return readPort(&x.ClientTCPPort, data)
	case extClientTLSPort:
		return readPort(&x.ClientTLSPort, data)
	case extType4:
		x.Type4 = append([]byte{}, data...)
	case extForgotten:
		if len(data) < forgottenLen {
			return errTooFew
		}
		id, ok := d.readID(data)
		if !ok {
			return fmt.Errorf("%q is not a node id", id)
		}
		x.Forgotten = append(x.Forgotten, Forgotten{id, ttl(binary.BigEndian.Uint64(data[IDLen:]))})
	case extShardID:
		if len(data) < IDLen {
			return errTooFew
		}
		id := d.string(data[:IDLen])
		if !validID(id) {
			return errShardID
		}
		x.ShardID = id
	case extOpenSlots:
		return d.readOpenSlots(x, data)
	}
	return nil
}

func (d *Decoder) readOpenSlots(x *Extensions, data []byte) error {
	if len(data)%openSlotLen != 0 {
		return errTooFew
	}
	for ; len(data) > 0; data = data[openSlotLen:] {
		id, ok := d.readID(data[openSlotLen-IDLen:])
		slot := slots.Slot(binary.BigEndian.Uint16(data))
		if !ok || slot >= slots.Count {
			return fmt.Errorf("slot %d on its way from or to %q", slot, id)
		}
		x.Open = append(x.Open, OpenSlot{Slot: slot, Importing: data[2] == 1, Node: id})
	}
	return nil
}

func (d *Decoder) readText(to *string, data []byte, allowed func(byte) bool) error {
	if len(data) == 0 || data[len(data)-1] != 0 {
		return errNoText
	}
	s, ok := d.text(data, allowed)
	if !ok {
		return errNoText
	}
	*to = s
	return nil
}

func readPort(to *uint16, data []byte) error {
	if len(data) < 2 {
		return errTooFew
	}
	*to = binary.BigEndian.Uint16(data)
	return nil
}

// readID reads the 40 bytes of a node id. All zero is the empty id; ok reports
// a valid one.
func (d *Decoder) readID(b []byte) (id NodeID, ok bool) {
	b = b[:IDLen]
	if string(b) == zeroID {
		return "", false
	}
	id = NodeID(d.string(b))
	return id, id.Valid()
}

var zeroID = string(make([]byte, IDLen))

// readIP reads the 46 bytes of an address, the last of which cannot belong to
// it.
func (d *Decoder) readIP(b []byte) (string, bool) { return d.text(b[:ipLen-1], isHostByte) }

// text reads up to the first NUL. ok reports that all bytes are allowed.
func (d *Decoder) text(b []byte, allowed func(byte) bool) (s string, ok bool) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	for _, c := range b {
		if !allowed(c) {
			return string(b), false
		}
	}
	return d.string(b), true
}

func (d *Decoder) string(b []byte) string {
	if d.Intern == nil {
		return string(b)
	}
	return d.Intern(b)
}

// isHostByte reports whether c may be part of an address or a host name. It
// keeps out what would break a line of nodes.conf or CLUSTER NODES: Redis
// checks its own host name against a narrower set, but not that of others.
func isHostByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
		c == '.' || c == '-' || c == ':' || c == '_' || c == '%'
}

// isNameByte reports whether c may be part of a name for people, in any
// encoding.
func isNameByte(c byte) bool { return c >= ' ' && c != 0x7f }
