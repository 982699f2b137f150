package cluster

import (
	"math/rand/v2"
	"slices"
	"strings"
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

// A node that is started on a machine with another address learns that one from the first
// link of a node that it knows, without a MEET.
func TestOwnAddressOfAMachineThatHasMoved(t *testing.T) {
	const was = "10.0.0.97"
	for _, c := range []struct {
		name     string
		local    []string
		announce string
		want     string
	}{
		{"it has another one", []string{"127.0.0.1", "10.0.0.200"}, "", "10.0.0.200"},
		{"it has the same", []string{was, "10.0.0.200"}, "", was},
		{"nobody knows what it has", nil, "", was},
		{"one is announced", []string{"10.0.0.200"}, "192.0.2.1", "192.0.2.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			if got := l.n.myself.ip; got != was {
				t.Fatal(got)
			}
			state := l.n.state()
			settings := l.n.cfg
			settings.AnnounceIP = c.announce
			var err error
			l.n, err = New(l.now, Config{Settings: settings, State: state, LocalIPs: c.local, Rand: rand.New(rand.NewPCG(1, 2))})
			if err != nil {
				t.Fatal(err)
			}
			link := InboundLink(99)
			l.step(LinkAccepted{Link: link, PeerIP: "10.0.0.98", LocalIP: "10.0.0.200"})
			l.step(Received{link, l.message(bus.TypePing, id("b"))})
			if got := l.n.myself.ip; got != c.want {
				t.Errorf("own address %q, want %q", got, c.want)
			}
		})
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

// A link that one side refuses in the TLS handshake is dialled with every tick. The log is
// told once, with the node and the reason, until the node has answered or the reason is
// another.
func TestARefusedLinkIsToldOnce(t *testing.T) {
	l := newLab(t, "a", threeShards())
	b := l.peer("b")
	fail := func(why string, up bool) []Note {
		if b.out != nil {
			l.step(LinkDown{Link: b.out.id})
		}
		l.now = l.now.Add(tickPeriod)
		l.step(Tick{})
		d := l.dialled()
		if up { // with TLS 1.3 the refusal may come after that
			l.step(LinkUp{d.Link})
		}
		return l.step(LinkDown{Link: d.Link, Refusal: why}).Notes
	}
	for i, c := range []struct {
		why  string
		up   bool
		told bool
	}{
		{"it shows no certificate", false, true},
		{"it shows no certificate", false, false},
		{"it shows no certificate", true, false},
		{"its certificate has expired", true, true},
		{"its certificate has expired", true, false},
	} {
		notes := fail(c.why, c.up)
		if told := len(notes) == 1; told != c.told {
			t.Errorf("%d: notes %v", i, notes)
		} else if told {
			if n := notes[0]; !n.Warning || !strings.Contains(n.Text, string(id("b"))+" at 10.0.0.98:17000: "+c.why) {
				t.Errorf("%d: note %v", i, n)
			}
		}
	}
	l.now = l.now.Add(tickPeriod)
	l.step(Tick{})
	l.step(LinkUp{l.dialled().Link})
	l.answer(id("b"))
	if notes := fail("its certificate has expired", false); len(notes) != 1 {
		t.Errorf("after an answer: notes %v", notes)
	}
}

// Which port of its primary a replica links to is a matter of tls-replication, not of
// the flavour of the bus. Without such a port it links to none, and says so once.
func TestThePortOfReplication(t *testing.T) {
	for _, c := range []struct {
		name             string
		bus, replication bool
		tcpPort, tlsPort uint16
		want             uint16
	}{
		{"all plain", false, false, 7000, 7443, 7000},
		{"all by TLS", true, true, 7000, 7443, 7443},
		{"a bus by TLS alone", true, false, 7000, 7443, 7000},
		{"replication by TLS alone", false, true, 7000, 7443, 7443},
		{"no TLS port", false, true, 7000, 0, 0},
		{"nothing but a TLS port", true, false, 0, 7443, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "x", threeShards())
			state := l.n.state()
			for i := range state.Nodes {
				state.Nodes[i].TCPPort, state.Nodes[i].TLSPort = c.tcpPort, c.tlsPort
			}
			again := newLabWith(t, state, func(s *Settings) { s.TLS, s.TLSReplication = c.bus, c.replication })
			fx := again.step(Tick{})
			want := RoleChange{Replica: true, Primary: id("a"), Shard: string(id("a")), Port: c.want}
			if c.want != 0 {
				want.Host = "10.0.0.97"
			}
			if fx.Role == nil || *fx.Role != want {
				t.Errorf("Role %+v, want %+v", fx.Role, want)
			}
			said := slices.ContainsFunc(fx.Notes, func(n Note) bool { return strings.Contains(n.Text, "No replication from node") })
			if said != (c.want == 0) {
				t.Errorf("notes %v", fx.Notes)
			}
			again.now = again.now.Add(tickPeriod)
			if fx := again.step(Tick{}); fx.Role != nil || len(fx.Notes) > 0 {
				t.Errorf("then Role %+v, notes %v", fx.Role, fx.Notes)
			}
		})
	}
}
