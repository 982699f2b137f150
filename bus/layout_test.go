package bus

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"
	"time"

	"redoubt/slots"
)

// The tests of this file build messages byte by byte from the table of the
// cluster bus reference, so that the offsets are written down twice: here as
// plain figures, in layout.go as what the codec uses.

const (
	idA = "0123456789abcdef0123456789abcdef01234567"
	idB = "89abcdef0123456789abcdef0123456789abcdef"
	idC = "zyxwvutsrqponmlkjihgfedcbazyxwvutsrqponm"
)

type field struct {
	at   int
	data any // string, []byte or an unsigned integer
}

// layout returns n bytes with the given fields in place, zero elsewhere.
func layout(n int, fields ...field) []byte {
	b := make([]byte, n)
	for _, f := range fields {
		switch v := f.data.(type) {
		case string:
			copy(b[f.at:], v)
		case []byte:
			copy(b[f.at:], v)
		case uint8:
			b[f.at] = v
		case uint16:
			binary.BigEndian.PutUint16(b[f.at:], v)
		case uint32:
			binary.BigEndian.PutUint32(b[f.at:], v)
		case uint64:
			binary.BigEndian.PutUint64(b[f.at:], v)
		default:
			panic("layout: unexpected type")
		}
	}
	return b
}

// header is a full header in which every field is set, followed by payload.
func header(typ uint16, count, extensions uint16, msgFlags uint8, payload ...[]byte) []byte {
	body := []byte{}
	for _, p := range payload {
		body = append(body, p...)
	}
	bitmap := make([]byte, 2048)
	bitmap[0], bitmap[2047] = 0x05, 0x80 // slots 0, 2 and 16383
	return append(layout(2256,
		field{0, "RCmb"},
		field{4, uint32(2256 + len(body))},
		field{8, uint16(1)},
		field{10, uint16(7001)},
		field{12, typ},
		field{14, count},
		field{16, uint64(0x0102030405060708)},
		field{24, uint64(9)},
		field{32, uint64(1 << 40)},
		field{40, idA},
		field{80, bitmap},
		field{2128, idB},
		field{2168, "10.0.0.1"},
		field{2214, extensions},
		field{2246, uint16(7002)},
		field{2248, uint16(17001)},
		field{2250, uint16(0x0012)}, // myself, slave
		field{2252, uint8(1)},
		field{2253, msgFlags},
	), body...)
}

func headerOf(typ Type, msgFlags MsgFlags) Header {
	h := Header{
		Type: typ, CurrentEpoch: 0x0102030405060708, ConfigEpoch: 9, Offset: 1 << 40,
		Sender: idA, Primary: idB, IP: "10.0.0.1", Port: 7001, OtherPort: 7002, BusPort: 17001,
		Flags: FlagMyself | FlagReplica, State: StateFail, MsgFlags: msgFlags,
	}
	h.Slots.Add(0)
	h.Slots.Add(2)
	h.Slots.Add(16383)
	return h
}

var layoutCases = []struct {
	name    string
	wire    []byte
	message Message
}{
	{
		"a PING with two gossip entries and no extensions",
		header(0, 2, 0, 0,
			layout(104, field{0, idB}, field{40, uint32(11)}, field{44, uint32(12)}, field{48, "2001:db8::2"},
				field{94, uint16(7003)}, field{96, uint16(17003)}, field{98, uint16(0x0101)}, field{100, uint16(7004)}),
			layout(104, field{0, idC}, field{98, uint16(64)})),
		Message{Header: headerOf(TypePing, 0), Gossip: []Gossip{
			{ID: idB, PingSentSec: 11, PongReceivedSec: 12, IP: "2001:db8::2", Port: 7003, OtherPort: 7004, BusPort: 17003,
				Flags: FlagPrimary | FlagMigrateTo},
			{ID: idC, Flags: FlagNoAddr},
		}},
	},
	{
		"a PONG with every extension",
		header(1, 0, 10, 0x05,
			layout(32, field{0, uint32(32)}, field{4, uint16(0)}, field{8, "node-one.example"}),
			layout(16, field{0, uint32(16)}, field{4, uint16(1)}, field{8, "seven77"}),
			layout(24, field{0, uint32(24)}, field{4, uint16(4)}, field{8, "10.1.2.3\x00"}),
			layout(24, field{0, uint32(24)}, field{4, uint16(5)}, field{8, "2001:db8::1"}),
			layout(16, field{0, uint32(16)}, field{4, uint16(6)}, field{8, uint16(6379)}),
			layout(16, field{0, uint32(16)}, field{4, uint16(7)}, field{8, uint16(6380)}),
			layout(24, field{0, uint32(24)}, field{4, uint16(8)}, field{8, "eu-west1"}),
			layout(56, field{0, uint32(56)}, field{4, uint16(2)}, field{8, idB}, field{48, uint64(59)}),
			layout(56, field{0, uint32(56)}, field{4, uint16(2)}, field{8, idC}, field{48, uint64(0)}),
			layout(48, field{0, uint32(48)}, field{4, uint16(3)}, field{8, idC})),
		Message{Header: headerOf(TypePong, MsgPaused|MsgExtData), Ext: Extensions{
			Hostname: "node-one.example", HumanName: "seven77", Type4: []byte("10.1.2.3\x00\x00\x00\x00\x00\x00\x00\x00"),
			ClientIPv6: "2001:db8::1", ClientTCPPort: 6379, ClientTLSPort: 6380, Zone: "eu-west1",
			Forgotten: []Forgotten{{idB, 59 * time.Second}, {idC, 0}}, ShardID: idC,
		}},
	},
	{
		"a PING of this product, with two open slots",
		with(header(0, 0, 1, 0x04,
			layout(104, field{0, uint32(104)}, field{4, uint16(0x5201)},
				field{8, uint16(5)}, field{16, idB}, field{56, uint16(0x3fff)}, field{58, uint8(1)}, field{64, idC})), field{2255, "R"}),
		Message{Header: func() Header { h := headerOf(TypePing, MsgExtData); h.Redoubt = true; return h }(), Ext: Extensions{
			Open: []OpenSlot{{Slot: 5, Node: idB}, {Slot: 16383, Importing: true, Node: idC}},
		}},
	},
	{"a MEET without anything", header(2, 0, 0, 0), Message{Header: headerOf(TypeMeet, 0)}},
	{"a FAIL", header(3, 0, 0, 0x04, []byte(idC)), Message{Header: headerOf(TypeFail, MsgExtData), Fail: idC}},
	{
		"a PUBLISH",
		header(4, 0, 0, 0, layout(8, field{0, uint32(4)}, field{4, uint32(5)}), []byte("newshello")),
		Message{Header: headerOf(TypePublish, 0), Publish: &Publish{[]byte("news"), []byte("hello")}},
	},
	{"a vote asked for by force", header(5, 0, 0, 2), Message{Header: headerOf(TypeAuthRequest, MsgForceAck)}},
	{"a vote given", header(6, 0, 0, 0), Message{Header: headerOf(TypeAuthAck, 0)}},
	{
		"an UPDATE",
		header(7, 0, 0, 0, layout(2096, field{0, uint64(77)}, field{8, idB}, field{48, uint8(0x02)})),
		Message{Header: headerOf(TypeUpdate, 0), Update: &Update{ConfigEpoch: 77, ID: idB, Slots: slots.Set{0x02}}},
	},
	{"a manual failover", header(8, 0, 0, 0), Message{Header: headerOf(TypeMFStart, 0)}},
	{
		"a MODULE message, whose id is little-endian",
		header(9, 0, 0, 0, layout(16, field{0, []byte{8, 7, 6, 5, 4, 3, 2, 1}}, field{8, uint32(3)}, field{12, uint8(42)}, field{13, "abc"})),
		Message{Header: headerOf(TypeModule, 0), Module: &Module{ModuleID: 0x0102030405060708, Type: 42, Payload: []byte("abc")}},
	},
	{
		"a PUBLISHSHARD of nothing to nowhere",
		header(10, 0, 0, 0, layout(8)),
		Message{Header: headerOf(TypePublishShard, 0), Publish: &Publish{[]byte{}, []byte{}}},
	},
	{"a type nobody knows", header(11, 0, 0, 0), Message{Header: headerOf(11, 0)}},
	{
		"a light PUBLISH",
		layout(33, field{0, "RCmb"}, field{4, uint32(33)}, field{8, uint16(1)}, field{12, uint16(0x8004)},
			field{16, uint32(4)}, field{20, uint32(5)}, field{24, "newshello"}),
		Message{Header: Header{Type: TypePublish}, Light: true, Publish: &Publish{[]byte("news"), []byte("hello")}},
	},
}

func TestMessagesHaveTheBytesOfTheReference(t *testing.T) {
	for _, c := range layoutCases {
		t.Run(c.name, func(t *testing.T) {
			if got := Append([]byte("before"), &c.message); string(got) != "before"+string(c.wire) {
				t.Errorf("Append: %s", firstDifference(got[len("before"):], c.wire))
			}
			got, err := Decode(c.wire)
			if err != nil {
				t.Fatalf("Decode: %v", err)
			}
			if !reflect.DeepEqual(*got, c.message) {
				t.Errorf("Decode:\n got %+v\nwant %+v", *got, c.message)
			}
		})
	}
}

func firstDifference(got, want []byte) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("differs at %d: got % x, want % x", i, got[i:min(i+16, len(got))], want[i:min(i+16, len(want))])
		}
	}
	return fmt.Sprintf("%d bytes, want %d", len(got), len(want))
}

func TestDecodedMessageDoesNotShareMemory(t *testing.T) {
	for _, c := range layoutCases {
		t.Run(c.name, func(t *testing.T) {
			wire := append([]byte{}, c.wire...)
			got, err := Decode(wire)
			if err != nil {
				t.Fatal(err)
			}
			for i := range wire {
				wire[i] = 'X'
			}
			if !reflect.DeepEqual(*got, c.message) {
				t.Error("the message changed with the buffer that it was read from")
			}
		})
	}
}
