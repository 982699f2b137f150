package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
)

// dialled is the only link that the last step asked for.
func (l *lab) dialled() Dial {
	l.t.Helper()
	if len(l.last.Dial) != 1 {
		l.t.Fatalf("dialled %v, want one", l.last.Dial)
	}
	return l.last.Dial[0]
}

// stranger is a message of a node that is not in the table.
func stranger(t bus.Type, name string) *bus.Message {
	return &bus.Message{Header: bus.Header{
		Type: t, Sender: id(name), Flags: bus.FlagPrimary | bus.FlagMyself, Port: 7000, BusPort: 17000,
	}}
}

func TestMeet(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.step(Meet{IP: "10.0.1.1", Port: 7000})
	l.step(Meet{IP: "10.0.1.1", Port: 7000}) // the same handshake
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	d := l.dialled()
	if d.IP != "10.0.1.1" || d.Port != 17000 {
		t.Fatalf("dialled %v", d)
	}
	fx := l.step(LinkUp{d.Link})
	if len(fx.Send) != 1 || fx.Send[0].Msg.Type != bus.TypeMeet {
		t.Fatalf("sent %v, want a MEET", fx.Send)
	}
	l.step(Received{d.Link, stranger(bus.TypePong, "n")})
	n := l.peer("n")
	if n == nil || n.inHandshake() || !n.isPrimary() || n.has(bus.FlagMeet) {
		t.Fatalf("the new node is %+v", n)
	}
}

func TestMeetOfABadAddress(t *testing.T) {
	for _, c := range []struct {
		name string
		cmd  Meet
		want string
	}{
		{"a host name", Meet{IP: "localhost", Port: 1}, "ERR Invalid node address specified: localhost:1"},
		{"no port", Meet{IP: "10.0.0.1", Port: 0}, "ERR Invalid node address specified: 10.0.0.1:0"},
		{"a port without room for the bus port", Meet{IP: "10.0.0.1", Port: 60000}, "ERR Invalid node address specified: 10.0.0.1:60000"},
		{"a bus port that is none", Meet{IP: "10.0.0.1", Port: 1, BusPort: 65536}, "ERR Invalid node address specified: 10.0.0.1:1"},
		{"IPv6 is fine", Meet{IP: "::1", Port: 1}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			err := l.step(c.cmd).Result.Err
			if got := errorText(err); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestHandshakeThatTakesTooLongIsDropped(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.step(Meet{IP: "10.0.1.1", Port: 7000})
	l.pass(testTimeout)
	if len(l.n.order) != 7 {
		t.Fatal("dropped too early")
	}
	// Whoever sent the command learns it from the log only.
	var notes []string
	for range 2 {
		l.now = l.now.Add(tickPeriod)
		for _, note := range l.step(Tick{}).Notes {
			notes = append(notes, note.Text)
		}
	}
	if len(l.n.order) != 6 {
		t.Error("still there")
	}
	want := "No node at 10.0.1.1, port 7000, bus port 17000, answered CLUSTER MEET within 1s. It is forgotten; repeat the command if a node is there."
	if len(notes) != 1 || notes[0] != want {
		t.Errorf("noted %q, want %q", notes, want)
	}
}

func TestMeetFromAStranger(t *testing.T) {
	l := newLab(t, "a", threeShards())
	link := InboundLink(99)
	l.step(LinkAccepted{Link: link, PeerIP: "10.0.1.1", LocalIP: "10.0.0.77"})
	fx := l.step(Received{link, stranger(bus.TypeMeet, "n")})
	if len(fx.Send) != 1 || fx.Send[0].Msg.Type != bus.TypePong || fx.Send[0].Link != link {
		t.Fatalf("sent %v, want a PONG on the same link", fx.Send)
	}
	if got := l.n.myself.ip; got != "10.0.0.77" {
		t.Errorf("own address %q, want where the MEET came in", got)
	}
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	d := l.dialled()
	if d.IP != "10.0.1.1" {
		t.Errorf("dialled %v", d)
	}
	fx = l.step(LinkUp{d.Link})
	if len(fx.Send) != 1 || fx.Send[0].Msg.Type != bus.TypePing {
		t.Errorf("sent %v, want a PING", fx.Send)
	}
	l.step(Received{d.Link, stranger(bus.TypePong, "n")})
	if l.peer("n") == nil || l.peer("n").inHandshake() {
		t.Error("the handshake is not complete")
	}
}

func TestPingOfAStrangerIsAnsweredAndForgotten(t *testing.T) {
	l := newLab(t, "a", threeShards())
	link := InboundLink(99)
	l.step(LinkAccepted{Link: link, PeerIP: "10.0.1.1"})
	ping := stranger(bus.TypePing, "n")
	ping.Gossip = []bus.Gossip{{ID: id("o"), IP: "10.0.1.2", Port: 7000, BusPort: 17000, Flags: bus.FlagPrimary}}
	fx := l.step(Received{link, ping})
	if len(fx.Send) != 1 || fx.Send[0].Msg.Type != bus.TypePong {
		t.Errorf("sent %v, want a PONG", fx.Send)
	}
	if len(l.n.order) != 6 {
		t.Error("a stranger has changed the table")
	}
}

func TestHandshakeWithAKnownNodeUpdatesItsAddress(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.step(Meet{IP: "10.0.1.1", Port: 7000})
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	d := l.dialled()
	l.step(LinkUp{d.Link})
	m := l.message(bus.TypePong, id("b"))
	m.IP = "10.0.1.1"
	l.step(Received{d.Link, m})
	if b := l.peer("b"); b.ip != "10.0.1.1" || len(l.n.order) != 6 {
		t.Errorf("b is at %s, %d nodes", b.ip, len(l.n.order))
	}
}

func TestWrongNodeAtAnAddress(t *testing.T) {
	l := newLab(t, "a", threeShards())
	b := l.peer("b")
	link := b.out.id
	fx := l.step(Received{link, stranger(bus.TypePong, "n")})
	if !b.has(bus.FlagNoAddr) || b.ip != "" || b.busPort != 0 {
		t.Errorf("b is %v at %q", b.flags, b.ip)
	}
	if len(fx.Close) != 1 || fx.Close[0] != link {
		t.Errorf("closed %v", fx.Close)
	}
	l.now = l.now.Add(tickPeriod)
	if l.step(Tick{}); len(l.last.Dial) != 0 {
		t.Error("it is dialled again")
	}
	l.send(bus.TypePing, "b", func(m *bus.Message) { m.IP = "10.0.1.9" })
	if b.has(bus.FlagNoAddr) || b.ip != "10.0.1.9" {
		t.Errorf("after its own PING b is %v at %q", b.flags, b.ip)
	}
}

func TestPrimaryThatMovesIsFollowed(t *testing.T) {
	l := newLab(t, "x", threeShards())
	fx := l.send(bus.TypePing, "a", func(m *bus.Message) { m.IP, m.Port = "10.0.1.9", 7777 })
	want := RoleChange{Replica: true, Primary: id("a"), Shard: string(id("a")), Host: "10.0.1.9", Port: 7777}
	if fx.Role == nil || *fx.Role != want {
		t.Errorf("Role %+v, want %+v", fx.Role, want)
	}
}

func TestReplicaKeepsItsSourceWhenThePrimarysAddressIsLost(t *testing.T) {
	l := newLab(t, "x", threeShards())
	if fx := l.step(Received{l.peer("a").out.id, stranger(bus.TypePong, "n")}); fx.Role != nil {
		t.Errorf("Role %+v", fx.Role)
	}
}

func TestMyselfAtAnAddressIsNoPeer(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.step(Meet{IP: "10.0.1.1", Port: 7000})
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	d := l.dialled()
	l.step(LinkUp{d.Link})
	l.step(Received{d.Link, stranger(bus.TypePong, "a")})
	if len(l.n.order) != 6 || !l.n.myself.has(bus.FlagMyself) {
		t.Errorf("%d nodes", len(l.n.order))
	}
}

// A MEET to the new address of a node that we know has the table follow it.
func TestAKnownNodeIsMetAtAnotherAddress(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.step(Meet{IP: "10.0.1.1", Port: 7000})
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	d := l.dialled()
	l.step(LinkUp{d.Link})
	l.step(Received{d.Link, l.message(bus.TypePong, id("b"))})
	if got := l.peer("b").ip; got != "10.0.1.1" {
		t.Errorf("it is looked for at %s", got)
	}
	if len(l.n.order) != 6 {
		t.Errorf("%d nodes", len(l.n.order))
	}
}

func TestSecondInboundLinkReplacesTheFirst(t *testing.T) {
	l := newLab(t, "a", threeShards())
	old, link := l.in[id("b")], InboundLink(99)
	l.step(LinkAccepted{Link: link, PeerIP: l.peer("b").ip})
	fx := l.step(Received{link, l.message(bus.TypePing, id("b"))})
	if l.peer("b").in.id != link || len(fx.Close) != 1 || fx.Close[0] != old {
		t.Errorf("closed %v, want %d", fx.Close, old)
	}
}

// A node that has known us and does not dial any more was perhaps told to forget
// us; a MEET would undo that.
func TestNodeThatNeverDialledIsMetAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		to   string
		want int // in 2.5 node timeouts
	}{
		{"known from gossip only", "n", 2},
		{"it hung up", "b", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			l.send(bus.TypePing, "c", func(m *bus.Message) {
				m.Gossip = []bus.Gossip{{ID: id("n"), IP: "10.0.0.98", Port: 7000, BusPort: 17000, Flags: bus.FlagPrimary}}
			})
			l.step(LinkDown{Link: l.in[id("b")]})
			meets := 0
			for range 26 {
				l.now = l.now.Add(tickPeriod)
				fx := l.step(Tick{})
				if l.sent(fx.Send, bus.TypeMeet)[id(c.to)] != nil {
					meets++
				}
				for _, d := range fx.Dial {
					l.step(LinkUp{d.Link})
				}
				for _, name := range "bcxyzn" {
					l.answer(id(string(name)))
				}
			}
			if meets != c.want {
				t.Errorf("%d MEETs in 2.5 node timeouts, want %d", meets, c.want)
			}
		})
	}
}

func TestForget(t *testing.T) {
	l := newLab(t, "a", threeShards())
	gossip := func() {
		l.send(bus.TypePing, "c", func(m *bus.Message) {
			m.Gossip = []bus.Gossip{{ID: id("b"), IP: "10.0.0.98", Port: 7000, BusPort: 17000, Flags: bus.FlagPrimary}}
		})
	}
	l.step(Forget{id("b")})
	if l.peer("b") != nil || l.n.table.owner[6000] != nil || l.peer("y").primary != nil {
		t.Fatal("something of b is left")
	}
	if err := l.step(Forget{id("b")}).Result.Err; err != nil {
		t.Errorf("again: %v", err)
	}
	gossip()
	if l.peer("b") != nil {
		t.Error("gossip has brought it back")
	}
	fx := l.send(bus.TypePing, "c", nil)
	if f := fx.Send[0].Msg.Ext.Forgotten; len(f) != 1 || f[0].ID != id("b") || f[0].TTL != time.Minute {
		t.Errorf("the ban is told as %v", f)
	}
	l.now = l.now.Add(time.Minute)
	gossip()
	if l.peer("b") == nil {
		t.Error("the ban does not end")
	}
}

func TestForgottenElsewhere(t *testing.T) {
	for _, c := range []struct {
		name, me, about string
		want            bool // it is still known
	}{
		{"another node", "a", "b", false},
		{"myself", "a", "a", true},
		{"my primary", "x", "a", true},
		{"the sender itself", "a", "c", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			l.send(bus.TypePing, "c", func(m *bus.Message) {
				m.Ext.Forgotten = []bus.Forgotten{{ID: id(c.about), TTL: time.Minute}}
			})
			if got := l.peer(c.about) != nil; got != c.want {
				t.Errorf("known: %v", got)
			}
		})
	}
}
