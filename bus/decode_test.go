package bus

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"redoubt/slots"
)

func with(b []byte, fields ...field) []byte {
	b = append([]byte{}, b...)
	for _, f := range fields {
		over := layout(len(b), f)
		n := 1
		switch v := f.data.(type) {
		case string:
			n = len(v)
		case []byte:
			n = len(v)
		case uint16:
			n = 2
		case uint32:
			n = 4
		case uint64:
			n = 8
		}
		copy(b[f.at:f.at+n], over[f.at:])
	}
	return b
}

func TestFramingErrorsAreFatal(t *testing.T) {
	ping := header(0, 0, 0, 0)
	for _, c := range []struct {
		name   string
		prefix []byte
		want   int
	}{
		{"a full header alone", ping, 2256},
		{"the largest message", with(ping, field{4, uint32(MaxLen)}), MaxLen},
		{"a light header alone", with(ping, field{4, uint32(16)}, field{12, uint16(0x8004)}), 16},
		{"another signature", with(ping, field{0, "RCmB"}), 0},
		{"shorter than a full header", with(ping, field{4, uint32(2255)}), 0},
		{"shorter than a light header", with(ping, field{4, uint32(15)}, field{12, uint16(0x8004)}), 0},
		{"of length zero", with(ping, field{4, uint32(0)}), 0},
		{"longer than the largest message", with(ping, field{4, uint32(MaxLen + 1)}), 0},
		{"of the largest length there is", with(ping, field{4, uint32(1<<32 - 1)}), 0},
		{"a Redis command", []byte("*1\r\n$4\r\nPING\r\n*1"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := FrameLen(c.prefix[:PrefixLen])
			if n != c.want || (c.want == 0) != errors.Is(err, ErrFraming) {
				t.Errorf("FrameLen = %d, %v; want %d", n, err, c.want)
			}
		})
	}
}

func TestTypeIsReadBeforeAnythingElseIsChecked(t *testing.T) {
	for typ := range Type(TypeCount + 1) {
		b := layout(PrefixLen, field{12, uint16(typ)})
		if got := TypeOf(b); got != typ {
			t.Errorf("TypeOf = %v, want %v", got, typ)
		}
		if got := TypeOf(with(b, field{12, uint16(typ | 0x8000)})); got != typ {
			t.Errorf("TypeOf of a light message = %v, want %v", got, typ)
		}
	}
}

func TestWrongMessagesAreDropped(t *testing.T) {
	ping := header(0, 0, 0, 0)
	ext := func(fields ...field) []byte { return layout(48, fields...) }
	withExt := func(data []byte) []byte { return header(0, 0, 1, 4, data) }
	publish := func(channel, message uint32, data string) []byte {
		return header(4, 0, 0, 0, layout(8, field{0, channel}, field{4, message}), []byte(data))
	}
	for _, c := range []struct {
		name string
		wire []byte
		want string // part of the error
	}{
		{"less than a prefix", ping[:15], "too short"},
		{"not a message at all", make([]byte, 4000), "signature"},
		{"fewer bytes than it says", ping[:2255], "says 2256 bytes and has 2255"},
		{"more bytes than it says", append(header(0, 0, 0, 0), 0), "says 2256 bytes and has 2257"},
		{"another version", with(ping, field{8, uint16(2)}), "version 2"},
		{"no sender", with(ping, field{40, make([]byte, 40)}), "sender"},
		{"a sender in capitals", with(ping, field{40, strings.ToUpper(idB)}), "sender"},
		{"a primary with a space", with(ping, field{2128, " "}), "primary"},
		{"an address with a line break", with(ping, field{2168, "10.0.0.1\n"}), "address"},
		{"an address with a comma", with(ping, field{2168, "10.0.0.1,x"}), "address"},
		{"a gossip entry that is not there", with(ping, field{14, uint16(1)}), "1 gossip entries do not fit in 0 bytes"},
		{"gossip that nobody counted", header(0, 0, 0, 0, layout(104)), "104 bytes too many"},
		{"an extension without the flag", header(0, 0, 1, 0, layout(16, field{0, uint32(16)})), "16 bytes too many"},
		{"an extension that is not there", header(0, 0, 1, 4), "0 bytes left for an extension"},
		{"an extension of length zero", withExt(layout(16)), "length 0"},
		{"an extension of odd length", withExt(layout(16, field{0, uint32(12)})), "length 12"},
		{"an extension longer than the message", withExt(layout(16, field{0, uint32(24)})), "length 24"},
		{"an extension of a length beyond 16 bits", withExt(layout(16, field{0, uint32(0x10010)})), "length 65552"},
		{"bytes after the last extension", withExt(layout(24, field{0, uint32(16)})), "8 bytes too many"},
		{"a host name without data", withExt(layout(8, field{0, uint32(8)})), "type 0"},
		{"a host name without NUL", withExt(layout(16, field{0, uint32(16)}, field{8, "abcdefgh"})), "type 0"},
		{"a host name with a space", withExt(layout(16, field{0, uint32(16)}, field{8, "a b"})), "type 0"},
		{"a human name with a line break", withExt(layout(16, field{0, uint32(16)}, field{4, uint16(1)}, field{8, "a\nb"})), "type 1"},
		{"a forgotten node without its time", withExt(ext(field{0, uint32(48)}, field{4, uint16(2)}, field{8, idB})), "type 2"},
		{"a forgotten node without an id", withExt(layout(56, field{0, uint32(56)}, field{4, uint16(2)})), "type 2"},
		{"a shard id that is too short", withExt(layout(40, field{0, uint32(40)}, field{4, uint16(3)}, field{8, idB[:32]})), "type 3"},
		{"a shard id in capitals", withExt(ext(field{0, uint32(48)}, field{4, uint16(3)}, field{8, strings.ToUpper(idB)})), "type 3"},
		{"a client port without data", withExt(layout(8, field{0, uint32(8)}, field{4, uint16(6)})), "type 6"},
		{"half an open slot", withExt(layout(16, field{0, uint32(16)}, field{4, uint16(0x5201)})), "type 20993"},
		{"an open slot beyond the last", withExt(layout(56, field{0, uint32(56)}, field{4, uint16(0x5201)}, field{8, uint16(16384)}, field{16, idB})), "slot 16384"},
		{"an open slot to nobody", withExt(layout(56, field{0, uint32(56)}, field{4, uint16(0x5201)})), "slot 0"},
		{"a FAIL about nobody", header(3, 0, 0, 0), "payload of 0 bytes, expected 40"},
		{"a FAIL of zeros", header(3, 0, 0, 0, make([]byte, 40)), "failed node"},
		{"an UPDATE that is too long", header(7, 0, 0, 0, make([]byte, 2097)), "payload of 2097 bytes, expected 2096"},
		{"an UPDATE about nobody", header(7, 0, 0, 0, make([]byte, 2096)), "updated node"},
		{"a vote with a payload", header(5, 0, 0, 0, []byte{0}), "payload of 1 bytes, expected 0"},
		{"a vote given with a payload", header(6, 0, 0, 0, []byte{0}), "payload of 1 bytes, expected 0"},
		{"a manual failover with a payload", header(8, 0, 0, 0, []byte{0}), "payload of 1 bytes, expected 0"},
		{"a PUBLISH without lengths", header(4, 0, 0, 0, []byte("1234567")), "payload of 7 bytes, expected 8"},
		{"a PUBLISH shorter than its channel", publish(6, 0, "news"), "payload of 12 bytes, expected 14"},
		{"a PUBLISH longer than its message", publish(4, 1, "news12"), "payload of 14 bytes, expected 13"},
		{"a PUBLISH whose lengths overflow 32 bits", publish(1<<32-1, 1, ""), "expected 4294967304"},
		{"a MODULE message without a head", header(9, 0, 0, 0, make([]byte, 12)), "payload of 12 bytes, expected 13"},
		{"a MODULE message that is too short", header(9, 0, 0, 0, layout(13, field{8, uint32(1)})), "payload of 13 bytes, expected 14"},
		{"a light PING", layout(16, field{0, "RCmb"}, field{4, uint32(16)}, field{8, uint16(1)}, field{12, uint16(0x8000)}), "light"},
		{"a light message of an unknown type", layout(16, field{0, "RCmb"}, field{4, uint32(16)}, field{8, uint16(1)}, field{12, uint16(0x800b)}), "light"},
		{"a light PUBLISH without lengths", layout(16, field{0, "RCmb"}, field{4, uint32(16)}, field{8, uint16(1)}, field{12, uint16(0x8004)}), "expected 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Decode(c.wire)
			if err == nil {
				t.Fatalf("accepted as %+v", m)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not speak of %q", err, c.want)
			}
		})
	}
}

func TestOddButAcceptedMessages(t *testing.T) {
	good := layout(104, field{0, idB}, field{48, "10.0.0.2"})
	for _, c := range []struct {
		name   string
		wire   []byte
		change func(m *Message)
	}{
		{
			"one impossible node id spoils the gossip section and nothing else",
			header(0, 2, 1, 4, good, layout(104, field{0, "not a node id"}), layout(16, field{0, uint32(16)}, field{8, "host"})),
			func(m *Message) { m.MsgFlags = MsgExtData; m.Ext.Hostname = "host" },
		},
		{
			"so does one impossible address",
			header(0, 2, 0, 0, good, layout(104, field{0, idC}, field{48, "10.0.0.3 x"})),
			func(m *Message) {},
		},
		{
			"an address that fills its field is cut by one",
			with(header(0, 0, 0, 0), field{2168, strings.Repeat("a", 46)}),
			func(m *Message) { m.IP = strings.Repeat("a", 45) },
		},
		{
			"an unknown extension is skipped",
			header(0, 0, 2, 4, layout(16, field{0, uint32(16)}, field{4, uint16(99)}), layout(16, field{0, uint32(16)}, field{8, "host"})),
			func(m *Message) { m.MsgFlags = MsgExtData; m.Ext.Hostname = "host" },
		},
		{
			"a block of type 4 without data is not the same as none",
			header(0, 0, 1, 4, layout(8, field{0, uint32(8)}, field{4, uint16(4)})),
			func(m *Message) { m.MsgFlags = MsgExtData; m.Ext.Type4 = []byte{} },
		},
		{
			"extensions that are counted but not flagged are none",
			header(0, 0, 3, 0),
			func(m *Message) {},
		},
		{
			"a ban for longer than time can tell is cut",
			header(0, 0, 1, 4, layout(56, field{0, uint32(56)}, field{4, uint16(2)}, field{8, idB}, field{48, uint64(1<<64 - 1)})),
			func(m *Message) {
				m.MsgFlags = MsgExtData
				m.Ext.Forgotten = []Forgotten{{idB, 9223372036 * time.Second}}
			},
		},
		{
			"counts mean nothing where there is no gossip",
			header(5, 7, 7, 4),
			func(m *Message) { m.Type = TypeAuthRequest; m.MsgFlags = MsgExtData },
		},
		{
			"a type nobody knows may carry anything",
			header(200, 0, 0, 0, []byte("anything")),
			func(m *Message) { m.Type = 200 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Decode(c.wire)
			if err != nil {
				t.Fatal(err)
			}
			want := Message{Header: headerOf(TypePing, 0)}
			c.change(&want)
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("got %+v\nwant %+v", *got, want)
			}
		})
	}
}

func TestAppendCutsWhatDoesNotFit(t *testing.T) {
	m := Message{Header: headerOf(TypePing, 0), Gossip: []Gossip{{ID: idB, IP: strings.Repeat("b", 60)}}}
	m.IP = strings.Repeat("a", 60)
	m.Ext.Forgotten = []Forgotten{{idB, -time.Second}, {idC, 1999 * time.Millisecond}}
	got, err := Decode(Append(nil, &m))
	if err != nil {
		t.Fatal(err)
	}
	if got.IP != strings.Repeat("a", 45) || got.Gossip[0].IP != strings.Repeat("b", 45) {
		t.Errorf("addresses %q and %q", got.IP, got.Gossip[0].IP)
	}
	if f := got.Ext.Forgotten; f[0].TTL != 0 || f[1].TTL != time.Second {
		t.Errorf("bans %v", f)
	}
	if !got.MsgFlags.Has(MsgExtData) {
		t.Error("extensions were written without their flag")
	}
}

// TestRoundTrip writes and reads random messages of all types.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		want := randomMessage(r)
		wire := Append(nil, want)
		got, err := Decode(wire)
		if err != nil {
			t.Fatalf("%v: %+v", err, want)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
		if n, err := FrameLen(wire); n != len(wire) || err != nil {
			t.Fatalf("FrameLen = %d, %v; want %d", n, err, len(wire))
		}
	}
}

func randomMessage(r *rand.Rand) *Message {
	m := &Message{}
	m.Type = Type(r.IntN(TypeCount))
	m.Light = m.Type.mayBeLight() && r.IntN(2) == 0
	if !m.Light {
		m.CurrentEpoch, m.ConfigEpoch, m.Offset = Epoch(r.Uint64()), Epoch(r.Uint64()), r.Int64()
		m.Sender = randomID(r)
		m.Slots = randomSlots(r)
		if r.IntN(2) == 0 {
			m.Primary = randomID(r)
		}
		m.IP = randomText(r, 45, "0123456789abcdef.:")
		m.Port, m.OtherPort, m.BusPort = uint16(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32())
		m.Flags, m.State = Flags(r.Uint32()), State(r.IntN(2))
		m.MsgFlags = MsgFlags(r.Uint32()) | MsgExtData
		m.Redoubt = r.IntN(2) == 0
	}
	switch m.Type {
	case TypePing, TypePong, TypeMeet:
		for range r.IntN(5) {
			m.Gossip = append(m.Gossip, Gossip{
				randomID(r), r.Uint32(), r.Uint32(), randomText(r, 45, "0123456789."),
				uint16(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32()), Flags(r.Uint32()),
			})
		}
		m.Ext = randomExtensions(r)
	case TypeFail:
		m.Fail = randomID(r)
	case TypeUpdate:
		m.Update = &Update{Epoch(r.Uint64()), randomID(r), randomSlots(r)}
	case TypePublish, TypePublishShard:
		m.Publish = &Publish{[]byte(randomText(r, 20, "ab\x00\n")), []byte(randomText(r, 3000, "\x00\xffx"))}
	case TypeModule:
		m.Module = &Module{r.Uint64(), uint8(r.Uint32()), []byte(randomText(r, 50, "\x00\xffx"))}
	}
	return m
}

func randomExtensions(r *rand.Rand) (x Extensions) {
	some := func(s string) string {
		if r.IntN(2) == 0 {
			return ""
		}
		return s
	}
	x.Hostname = some(randomText(r, 255, "abcXYZ019.-"))
	x.HumanName = some(randomText(r, 30, "a name\xc3\xa9"))
	x.ClientIPv6 = some(randomText(r, 39, "0123456789abcdef:"))
	x.Zone = some(randomText(r, 30, "zone-1"))
	x.ShardID = some(string(randomID(r)))
	for range r.IntN(3) {
		x.Forgotten = append(x.Forgotten, Forgotten{randomID(r), time.Duration(r.IntN(100)) * time.Second})
	}
	for range r.IntN(3) * r.IntN(openSlotMost) {
		x.Open = append(x.Open, OpenSlot{slots.Slot(r.IntN(slots.Count)), r.IntN(2) == 0, randomID(r)})
	}
	if r.IntN(2) == 0 {
		x.Type4 = make([]byte, 8*r.IntN(6))
		x.ClientTCPPort, x.ClientTLSPort = uint16(r.Uint32()), uint16(r.Uint32())
	}
	return x
}

func randomID(r *rand.Rand) NodeID {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz"
	b := make([]byte, IDLen)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return NodeID(b)
}

func randomText(r *rand.Rand, most int, letters string) string {
	b := make([]byte, r.IntN(most+1))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func randomSlots(r *rand.Rand) (s slots.Set) {
	for i := 0; i < len(s); i += 8 {
		binary.LittleEndian.PutUint64(s[i:], r.Uint64())
	}
	return s
}

// FuzzDecode: whatever is accepted can be written, and what was written reads
// as the same message.
func FuzzDecode(f *testing.F) {
	for _, c := range layoutCases {
		f.Add(c.wire)
	}
	for _, path := range capturedPaths(f) {
		f.Add(captured(f, path))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		wire := Append(nil, m)
		again, err := Decode(wire)
		if err != nil {
			t.Fatalf("written message is not accepted: %v", err)
		}
		if !reflect.DeepEqual(m, again) {
			t.Fatalf("got %+v\nwant %+v", again, m)
		}
	})
}
