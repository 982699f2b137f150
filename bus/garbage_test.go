package bus

import (
	"bytes"
	"fmt"
	"testing"
)

// largePong is a PONG as nodes of a cluster of a thousand send it.
func largePong() *Message {
	m := &Message{Header: Header{Type: TypePong, Sender: NodeID(fmt.Sprintf("%040x", 1)), IP: "10.0.0.1", MsgFlags: MsgExtData, Redoubt: true}}
	m.Ext.ShardID = fmt.Sprintf("%040x", 2)
	for i := range 100 {
		m.Gossip = append(m.Gossip, Gossip{ID: NodeID(fmt.Sprintf("%040x", 1000+i)), IP: fmt.Sprintf("10.0.1.%d", i), Port: 6379, BusPort: 16379})
	}
	return m
}

// A message is encoded into one piece of memory of its size, and decoded into as few.
func TestLargeMessagesMakeLittleGarbage(t *testing.T) {
	m := largePong()
	b := Append(nil, m)
	if most := len(b) + len(b)/8; cap(b) > most {
		t.Errorf("a message of %d bytes takes %d, want %d at most", len(b), cap(b), most)
	}
	if n := testing.AllocsPerRun(100, func() { Append(nil, m) }); n > 2 {
		t.Errorf("encoding allocates %v times, want 2 at most", n)
	}
	var names Names
	d := Decoder{Intern: names.Of}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(b); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("decoding allocates %v times, want 2 at most", n)
	}
	again, err := d.Decode(b)
	if err != nil || !bytes.Equal(Append(nil, again), b) {
		t.Errorf("it is not what it was, error %v", err)
	}
}

// Nobody can make the table grow without end.
func TestNamesAreBounded(t *testing.T) {
	var names Names
	for i := range 10 * maxNames {
		text := fmt.Sprint("node ", i)
		if got := names.Of([]byte(text)); got != text {
			t.Fatalf("%q is %q", text, got)
		}
		if len(names.known) > maxNames {
			t.Fatalf("%d names are known", len(names.known))
		}
	}
}

func BenchmarkEncodeLargePong(b *testing.B) {
	m := largePong()
	b.ReportAllocs()
	for b.Loop() {
		Append(nil, m)
	}
}

func BenchmarkDecodeLargePong(b *testing.B) {
	text := Append(nil, largePong())
	var names Names
	d := Decoder{Intern: names.Of}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}
