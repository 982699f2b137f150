package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
)

func TestGossipSection(t *testing.T) {
	for _, c := range []struct {
		name    string
		shards  []shard
		prepare func(*lab)
		want    int
	}{
		{"two nodes have nobody to tell about", []shard{{primary: "a"}, {primary: "b", none: true}}, nil, 0},
		{"at least three of the others", threeShards(), nil, 3},
		{"a tenth of many", threeShards(), func(l *lab) {
			for len(l.n.order) < 50 {
				l.n.dial(l.n.addPeer("", bus.FlagPrimary))
			}
		}, 5},
		{"a few of many, to a node of this product", threeShards(), func(l *lab) {
			l.peer("b").redoubt = true
			for len(l.n.order) < 80 {
				l.n.dial(l.n.addPeer("", bus.FlagPrimary))
			}
			l.n.now = l.n.now.Add(testTimeout)
		}, 3},
		{"and all of which there is news", threeShards(), func(l *lab) {
			l.peer("b").redoubt = true
			for len(l.n.order) < 80 {
				l.n.dial(l.n.addPeer("", bus.FlagPrimary))
			}
			l.n.now = l.n.now.Add(testTimeout)
			for _, p := range l.n.order[:3] {
				l.n.isNews(p)
			}
			l.peer("x").flags |= bus.FlagPFail
			l.n.markFailed(l.peer("x"))
			l.n.clearFail(l.peer("x"))
		}, 7},
		{"nodes that are neither connected nor have slots are left out", []shard{{primary: "a"}, {primary: "b", none: true}}, func(l *lab) {
			for len(l.n.order) < 50 {
				l.n.addPeer("", bus.FlagPrimary)
			}
		}, 0},
		{"suspects come on top", threeShards(), func(l *lab) {
			l.peer("c").flags |= bus.FlagPFail
			l.n.pfailCount = 1
		}, 4},
		{"nodes without address are left out", threeShards(), func(l *lab) {
			for _, name := range "cxyz" {
				l.peer(string(name)).flags |= bus.FlagNoAddr
			}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", c.shards)
			if c.prepare != nil {
				c.prepare(l)
			}
			for range 20 { // the choice is random
				m := l.n.gossipMessage(bus.TypePing, l.peer("b"))
				if len(m.Gossip) > c.want {
					t.Fatalf("%d entries, want %d", len(m.Gossip), c.want)
				}
				seen := make(map[bus.NodeID]bool)
				for _, g := range m.Gossip {
					if g.ID == id("a") || g.ID == id("b") || seen[g.ID] {
						t.Errorf("an entry about %s", g.ID)
					}
					seen[g.ID] = true
				}
				if len(m.Gossip) == c.want {
					return
				}
			}
			t.Errorf("never %d entries", c.want)
		})
	}
}

func TestGossipAboutAStranger(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags bus.Flags
		want  bool
	}{
		{"is believed", bus.FlagPrimary, true},
		{"of a replica is believed", bus.FlagReplica, true},
		{"without address is not", bus.FlagPrimary | bus.FlagNoAddr, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			l.send(bus.TypePing, "b", func(m *bus.Message) {
				m.Gossip = []bus.Gossip{{ID: id("n"), IP: "10.0.1.1", Port: 7000, BusPort: 17000, Flags: c.flags | bus.FlagMyself}}
			})
			n := l.peer("n")
			if (n != nil) != c.want {
				t.Fatalf("known: %v", n != nil)
			}
			if c.want && (n.isPrimary() == n.isReplica() || n.has(bus.FlagMyself) || n.busPort != 17000) {
				t.Errorf("it is %v", n.flags)
			}
		})
	}
}

func TestGossipedPongSavesAPing(t *testing.T) {
	for _, c := range []struct {
		name  string
		ahead time.Duration // of our clock
		want  bool
	}{
		{"of just now", 0, true},
		{"of a clock that is a little fast", clockTolerance, true},
		{"of the future is not believed", 2 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			l.now = l.now.Add(10 * time.Second)
			p := l.peer("c")
			p.pingSent = time.Time{}
			before := p.pongReceived
			l.send(bus.TypePing, "b", func(m *bus.Message) {
				g := l.n.gossipAbout(p)
				g.PongReceivedSec = uint32(l.now.Add(c.ahead).Unix())
				m.Gossip = []bus.Gossip{g}
			})
			if got := p.pongReceived.After(before); got != c.want {
				t.Errorf("adopted: %v", got)
			}
		})
	}
}

func TestGossipKnowsABetterAddress(t *testing.T) {
	for _, c := range []struct {
		name  string
		mine  bus.Flags // what I think of the node
		flags bus.Flags // what the sender does
		want  string
	}{
		{"of a node that I cannot reach", bus.FlagPFail, 0, "10.0.9.9"},
		{"not of one that I can", 0, 0, "10.0.0.99"},
		{"not from a sender that cannot reach it either", bus.FlagPFail, bus.FlagPFail, "10.0.0.99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "x", threeShards())
			l.peer("c").flags |= c.mine
			l.send(bus.TypePing, "b", func(m *bus.Message) {
				m.Gossip = []bus.Gossip{{ID: id("c"), IP: "10.0.9.9", Port: 7000, BusPort: 17000, Flags: bus.FlagPrimary | c.flags}}
			})
			if got := l.peer("c").ip; got != c.want {
				t.Errorf("address %s, want %s", got, c.want)
			}
		})
	}
}

func TestExtensions(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags bus.MsgFlags
		ext   bus.Extensions // what the peer sends
		host  bool           // what it gets
		shard bool
	}{
		{"redis 7.0, which shows nothing, gets a host name", 0, bus.Extensions{}, true, false},
		{"a node that announces them gets all", bus.MsgExtData, bus.Extensions{}, true, true},
		{"a node that sends a shard id gets all", bus.MsgExtData, bus.Extensions{Hostname: "b.example", ShardID: string(id("b"))}, true, true},
		{"redis 7.0 with a host name gets a host name", bus.MsgExtData, bus.Extensions{Hostname: "b.example"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			b := l.peer("b")
			b.shards = false
			l.n.myself.hostname = "a.example"
			ping := func(m *bus.Message) { m.MsgFlags, m.Ext = c.flags, c.ext }
			l.send(bus.TypePing, "b", ping)
			m := l.send(bus.TypePing, "b", ping).Send[0].Msg
			if !m.MsgFlags.Has(bus.MsgExtData) {
				t.Error("EXT_DATA is not set")
			}
			if got := m.Ext.Hostname != ""; got != c.host {
				t.Errorf("host name: %v", got)
			}
			if got := m.Ext.ShardID != ""; got != c.shard {
				t.Errorf("shard id: %v", got)
			}
			if b.hostname != c.ext.Hostname {
				t.Errorf("b's host name is %q, want %q", b.hostname, c.ext.Hostname)
			}
		})
	}
}

func TestShardIDs(t *testing.T) {
	other := strings.Repeat("s", bus.IDLen)
	for _, c := range []struct {
		name   string
		sender string
		told   string
		want   map[string]string // shard id by node
	}{
		{"a primary's is its own", "b", other, map[string]string{"b": other, "y": other, "z": other}},
		{"a replica's is its primary's", "y", other, map[string]string{"b": string(id("b")), "y": string(id("b"))}},
		{"a primary that tells none keeps it", "b", "", map[string]string{"b": string(id("b"))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			l.send(bus.TypePing, c.sender, func(m *bus.Message) { m.Ext.ShardID = c.told })
			for name, want := range c.want {
				if got := l.peer(name).shardID; got != want {
					t.Errorf("%s is in shard %s, want %s", name, got, want)
				}
			}
		})
	}
}

func TestPublish(t *testing.T) {
	for _, c := range []struct {
		name  string
		shard bool
		want  string
	}{
		{"to all", false, "acxyz"},
		{"to the shard", true, "yz"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "b", threeShards())
			typ := bus.TypePublish
			if c.shard {
				typ = bus.TypePublishShard
			}
			fx := l.step(Publish{Channel: []byte("news"), Payload: []byte("hello"), Shard: c.shard})
			to := ""
			for _, name := range "abcxyz" {
				if l.sent(fx.Send, typ)[id(string(name))] != nil {
					to += string(name)
				}
			}
			if to != c.want {
				t.Errorf("sent to %q, want %q", to, c.want)
			}
			got := l.send(typ, "c", func(m *bus.Message) { m.Publish = fx.Send[0].Msg.Publish }).Deliver
			if len(got) != 1 || string(got[0].Channel) != "news" || string(got[0].Payload) != "hello" || got[0].Shard != c.shard {
				t.Errorf("delivered %v", got)
			}
		})
	}
}

func TestLightMessageNeedsAKnownLink(t *testing.T) {
	l := newLab(t, "a", threeShards())
	light := &bus.Message{Header: bus.Header{Type: bus.TypePublish}, Light: true, Publish: &bus.Publish{Channel: []byte("c")}}
	if fx := l.step(Received{l.in[id("b")], light}); len(fx.Deliver) != 1 {
		t.Error("not delivered")
	}
	link := InboundLink(99)
	l.step(LinkAccepted{Link: link})
	if fx := l.step(Received{link, light}); len(fx.Close) != 1 || len(fx.Deliver) != 0 {
		t.Error("a light message of a stranger does not close the link")
	}
}

func TestMessagesOfStrangersAreIgnored(t *testing.T) {
	for _, typ := range []bus.Type{bus.TypeFail, bus.TypePublish, bus.TypeAuthRequest, bus.TypeAuthAck, bus.TypeUpdate, bus.TypeMFStart, bus.TypeModule, bus.TypeCount} {
		t.Run(fmt.Sprint(uint16(typ)), func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			link := InboundLink(99)
			l.step(LinkAccepted{Link: link})
			m := stranger(typ, "n")
			m.CurrentEpoch, m.Fail = 99, id("b")
			m.Publish, m.Update = &bus.Publish{}, &bus.Update{ID: id("b"), ConfigEpoch: 99}
			fx := l.step(Received{link, m})
			if len(fx.Send)+len(fx.SendAfterPersist)+len(fx.Deliver) > 0 || fx.Persist != nil || l.peer("b").failed() || l.n.currentEpoch == 99 {
				t.Errorf("effects %+v", fx)
			}
		})
	}
}

func TestUnwellNodeIsSilent(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.step(Facts{Unwell: true})
	fx := l.send(bus.TypePing, "b", nil)
	l.now = l.now.Add(time.Minute)
	if fx2 := l.step(Tick{}); len(fx.Send)+len(fx2.Send) > 0 {
		t.Errorf("it sends %v, %v", fx.Send, fx2.Send)
	}
}
