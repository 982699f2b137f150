package cluster

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

func TestNodesText(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.n.table.migrating[5] = l.peer("b")
	l.n.unbind(100)
	l.n.myself.hostname = "a.example"
	l.n.markFailed(l.peer("c"))
	l.n.closeLink(l.peer("c").out)
	y := l.peer("y")
	y.flags |= bus.FlagPFail
	y.tlsPort = 7443
	y.pingSent, y.pongReceived = l.now, l.now.Add(time.Millisecond)
	l.n.view.stale = true
	text := l.n.View().NodesText(Client{TLS: true})
	for _, want := range []string{
		string(id("a")) + " 10.0.0.97:7000@17000,a.example myself,master - 0 0 1 connected 0-99 101-5460 [5->-" + string(id("b")) + "]\n",
		string(id("b")) + " 10.0.0.98:7000@17000 master - 0 1800000000000 2 connected 5461-10921\n",
		string(id("c")) + " 10.0.0.99:7000@17000 master,fail - 0 1800000000000 3 disconnected 10922-16383\n",
		string(id("y")) + " 10.0.0.121:7443@17000 slave,fail? " + string(id("b")) + " 1800000000000 1800000000001 2 connected\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
	if got := strings.Count(text, "\n"); got != 6 {
		t.Errorf("%d lines, want 6", got)
	}
}

func TestReplicaLines(t *testing.T) {
	l := newLab(t, "a", threeShards())
	v := l.n.View()
	lines, err := v.ReplicaLines(id("b"), Client{})
	if err != nil || len(lines) != 2 || !strings.HasPrefix(lines[0], string(id("y"))) || strings.HasSuffix(lines[0], "\n") {
		t.Errorf("lines %q, error %v", lines, err)
	}
	if _, err = v.ReplicaLines(id("y"), Client{}); errorText(err) != "ERR The specified node is not a master" {
		t.Errorf("of a replica: %v", err)
	}
	if _, err = v.ReplicaLines("q", Client{}); errorText(err) != "ERR Unknown node q" {
		t.Errorf("of a stranger: %v", err)
	}
}

// names turns nodes into their letters.
func names(nodes []*NodeView) (s string) {
	for _, n := range nodes {
		s += string(n.ID[:1])
	}
	return s
}

func TestSlotRanges(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.n.unbind(100)
	l.peer("x").offset = 1
	l.peer("y").offset, l.peer("z").offset = 1, 1
	l.n.markFailed(l.peer("z"))
	l.n.view.stale = true
	var got []string
	for _, r := range l.n.View().SlotRanges() {
		got = append(got, r.Range.String()+" "+names(r.Nodes))
	}
	want := []string{"0-99 ax", "101-5460 ax", "5461-10921 by", "10922-16383 c"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ranges %q, want %q", got, want)
	}
	l.peer("x").offset = 0 // it has no data
	l.n.view.stale = true
	if got := names(l.n.View().SlotRanges()[0].Nodes); got != "a" {
		t.Errorf("nodes %q, want only the owner", got)
	}
}

func TestShards(t *testing.T) {
	l := newLab(t, "x", threeShards())
	l.peer("y").offset = 1
	l.n.markFailed(l.peer("c"))
	l.step(Facts{Offset: 0})
	v := l.n.View()
	var got []string
	for _, s := range v.Shards() {
		line := names(s.Nodes)
		for _, r := range s.Slots {
			line += " " + r.String()
		}
		for _, n := range s.Nodes {
			line += " " + n.Health()
		}
		got = append(got, line)
	}
	want := []string{"ax 0-5460 online loading", "byz 5461-10921 online online loading", "c 10922-16383 fail"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("shards %q, want %q", got, want)
	}
}

func TestInfoText(t *testing.T) {
	l := newLab(t, "x", threeShards())
	l.n.stats = stats{overflows: 2}
	l.n.stats.sent[bus.TypePing], l.n.stats.sent[bus.TypeAuthRequest] = 3, 4
	l.n.stats.received[bus.TypePong] = 5
	l.n.unbind(0)
	l.n.markFailed(l.peer("b"))
	l.peer("c").flags |= bus.FlagPFail
	l.n.evaluate()
	l.n.view.stale = true
	want := strings.Join([]string{
		"cluster_state:fail", "cluster_slots_assigned:16383", "cluster_slots_ok:5460", "cluster_slots_pfail:5462", "cluster_slots_fail:5461",
		"cluster_known_nodes:6", "cluster_size:3", "cluster_current_epoch:3", "cluster_my_epoch:1",
		"cluster_stats_messages_ping_sent:3", "cluster_stats_messages_auth-req_sent:4", "cluster_stats_messages_sent:7",
		"cluster_stats_messages_pong_received:5", "cluster_stats_messages_received:5",
		"total_cluster_links_buffer_limit_exceeded:2", "",
	}, "\r\n")
	if got := l.n.View().InfoText(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestLinksOfAView(t *testing.T) {
	l := newLab(t, "a", threeShards())
	v := l.n.View()
	if len(v.Links) != 10 {
		t.Errorf("%d links, want two for each of the 5 others", len(v.Links))
	}
	if !v.Links[1].Inbound || v.Links[0].Inbound || v.Links[0].Node != v.Links[1].Node || v.Links[0].CreatedMs != l.now.UnixMilli() {
		t.Errorf("the first two are %+v", v.Links[:2])
	}
}

func TestViewIsKeptWhileNothingHappens(t *testing.T) {
	l := newLab(t, "a", threeShards())
	v := l.n.View()
	if l.n.View() != v {
		t.Error("it is made again without need")
	}
	l.step(Tick{})
	next := l.n.View()
	if next == v || next.routes != v.routes {
		t.Error("after a tick there must be a new view with the old routes")
	}
	l.step(DelSlots{[]slots.Range{{First: 0, Last: 0}}})
	if last := l.n.View(); last.Owner(0) != nil || next.Owner(0) == nil {
		t.Error("the routes do not follow the slots")
	}
}

// A View shares most of its table of owners with the one before, which must
// neither see what has changed nor keep it from the new one.
func TestOwnersOfAViewAreThoseOfTheTable(t *testing.T) {
	l := newLab(t, "a", threeShards())
	rnd := rand.New(rand.NewPCG(1, 1))
	owners := func(of func(slots.Slot) bus.NodeID) (ids [slots.Count]bus.NodeID) {
		for s := range ids {
			ids[s] = of(slots.Slot(s))
		}
		return ids
	}
	shown := func(v *View) [slots.Count]bus.NodeID {
		return owners(func(s slots.Slot) bus.NodeID {
			if p := v.Owner(s); p != nil {
				return p.ID
			}
			return ""
		})
	}
	known := func() [slots.Count]bus.NodeID {
		return owners(func(s slots.Slot) bus.NodeID {
			if p := l.n.table.owner[s]; p != nil {
				return p.id
			}
			return ""
		})
	}
	last, was := l.n.View(), known()
	for i := range 200 {
		s := slots.Slot(rnd.IntN(slots.Count))
		switch rnd.IntN(4) {
		case 0:
			l.step(DelSlots{[]slots.Range{{First: s, Last: min(s+slots.Slot(rnd.IntN(600)), slots.Count-1)}}})
		case 1:
			l.step(AddSlots{[]slots.Range{{First: s, Last: s}}})
		default:
			l.step(SetSlot{Slot: s, Action: SlotNode, ID: id([]string{"a", "b", "c"}[rnd.IntN(3)])})
		}
		if i == 100 {
			l.step(Meet{IP: "127.0.0.1", Port: 7099}) // another member: all indices may differ
		}
		if rnd.IntN(2) == 0 {
			continue // a View need not be made after every Step
		}
		if shown(last) != was {
			t.Fatalf("step %d has changed a View that was given out", i)
		}
		last, was = l.n.View(), known()
		if shown(last) != was {
			t.Fatalf("after step %d the View has other owners than the table", i)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Settings)
		check  func(*lab) bool
	}{
		{"an announced address is told", func(s *Settings) { s.AnnounceIP = "192.0.2.1" }, func(l *lab) bool {
			return l.n.View().Me().IP == "192.0.2.1" && shown(l).IP == "192.0.2.1"
		}},
		{"announced ports are told", func(s *Settings) { s.TCPPort, s.BusPort = 1, 2 }, func(l *lab) bool {
			m := shown(l)
			return m.Port == 1 && m.BusPort == 2
		}},
		{"in a TLS cluster the TLS port comes first", func(s *Settings) { s.TLS, s.TLSPort = true, 7443 }, func(l *lab) bool {
			m := shown(l)
			return m.Port == 7443 && m.OtherPort == 7000
		}},
		{"nofailover is told", func(s *Settings) { s.ReplicaNoFailover = true }, func(l *lab) bool {
			return shown(l).Flags.Has(bus.FlagNoFailover)
		}},
		{"bad settings are refused", func(s *Settings) { s.NodeTimeout = 0 }, func(l *lab) bool {
			return l.n.cfg.NodeTimeout == testTimeout
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "a", threeShards())
			settings := l.n.cfg
			c.change(&settings)
			l.step(Configure{settings})
			if !c.check(l) {
				t.Errorf("not so: %+v", l.n.View().Me())
			}
		})
	}
}

func TestFirstStepTellsTheRole(t *testing.T) {
	for _, c := range []struct {
		me   string
		want RoleChange
	}{
		{"a", RoleChange{}},
		{"x", RoleChange{Replica: true, Primary: id("a"), Shard: string(id("a")), Host: "10.0.0.97", Port: 7000}},
	} {
		t.Run(c.me, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			again := newLabOf(t, l.n.state())
			fx := again.step(Tick{})
			if fx.Role == nil || *fx.Role != c.want {
				t.Errorf("Role %+v, want %+v", fx.Role, c.want)
			}
			if fx = again.step(Tick{}); fx.Role != nil {
				t.Errorf("then again %+v", fx.Role)
			}
		})
	}
	orphan := newLab(t, "x", threeShards())
	orphan.n.leavePrimary(orphan.n.myself)
	again := newLabOf(t, orphan.n.state())
	if fx := again.step(Tick{}); fx.Role == nil || *fx.Role != (RoleChange{Replica: true, Shard: string(id("a"))}) {
		t.Errorf("of a replica without a known primary: %+v", fx.Role)
	}
}

func TestNewNodeSavesItsName(t *testing.T) {
	l := newLabOf(t, nil)
	fx := l.step(Tick{})
	if fx.Persist == nil || len(fx.Persist.Nodes) != 1 || fx.Persist.Nodes[0].ID != l.n.ID() || !l.n.ID().Valid() {
		t.Fatalf("saved %+v", fx.Persist)
	}
	if got := l.n.View().NodesText(Client{}); got != string(l.n.ID())+" :7000@17000 myself,master - 0 0 0 connected\n" {
		t.Errorf("CLUSTER NODES is %q", got)
	}
}

func TestMessagesAreCountedBeforeTheyAreLookedAt(t *testing.T) {
	l := newLab(t, "a", threeShards())
	before := l.n.stats.received
	l.step(Dropped{bus.TypeUpdate})
	l.step(Dropped{bus.TypeCount}) // of a type that nobody knows
	if got := l.n.stats.received[bus.TypeUpdate] - before[bus.TypeUpdate]; got != 1 {
		t.Errorf("%d messages are counted, want 1", got)
	}
}

func TestClientsAreToldTheAddressOfTheirFamily(t *testing.T) {
	l := newLab(t, "a", threeShards())
	tell := func(name string, change func(m *bus.Message)) {
		l.send(bus.TypePing, name, func(m *bus.Message) {
			m.Ext.Type4, m.Ext.ClientIPv6 = append([]byte("192.0.2.7"), 0, 0, 0, 0, 0, 0, 0), "2001:db8::7"
			change(m)
		})
	}
	tell("b", func(m *bus.Message) { m.Redoubt = true })
	tell("y", func(m *bus.Message) { m.Flags |= bus.FlagLightPublish }) // Valkey's
	tell("c", func(m *bus.Message) {})                                  // Redis's, where type 4 is a secret
	tell("z", func(m *bus.Message) {
		m.Redoubt, m.Ext.Type4, m.Ext.ClientIPv6 = true, []byte("no address here\x00"), "192.0.2.7"
	})
	v := l.n.View()
	for name, want := range map[string][2]string{
		"b": {"192.0.2.7", "2001:db8::7"},
		"y": {"192.0.2.7", "2001:db8::7"},
		"c": {l.peer("c").ip, l.peer("c").ip},
		"z": {l.peer("z").ip, l.peer("z").ip},
	} {
		n := v.Node(id(name))
		if got := [2]string{n.ClientIP(Client{}), n.ClientIP(Client{IPv6: true})}; got != want {
			t.Errorf("%s is at %q, want %q", name, got, want)
		}
	}
	if got := v.RedirectText(Moved, 6000, Client{IPv6: true}); got != "MOVED 6000 2001:db8::7:7000" {
		t.Errorf("redirected by %q", got)
	}
	if got := v.NodesText(Client{}); !strings.Contains(got, " 192.0.2.7:7000@17000 ") {
		t.Errorf("CLUSTER NODES is\n%s", got)
	}
	tell("b", func(m *bus.Message) { m.Redoubt, m.Ext = true, bus.Extensions{} })
	if got := l.n.View().Node(id("b")).ClientIP(Client{}); got != l.peer("b").ip {
		t.Errorf("b tells no address any more, and is at %q", got)
	}
}

func TestClientAddressesAreToldToThoseWhoUnderstand(t *testing.T) {
	l := newLab(t, "a", threeShards())
	settings := l.n.cfg
	settings.AnnounceClientIPv4, settings.AnnounceClientIPv6 = "192.0.2.1", "2001:db8::1"
	l.step(Configure{settings})
	for name, family := range map[string]func(m *bus.Message){
		"b": func(m *bus.Message) { m.Redoubt = true },
		"y": func(m *bus.Message) { m.Flags |= bus.FlagLightPublish },
		"c": func(m *bus.Message) {},
	} {
		ext := l.send(bus.TypePing, name, family).Send[0].Msg.Ext
		if told := string(ext.Type4) == "192.0.2.1\x00" && ext.ClientIPv6 == "2001:db8::1"; told != (name != "c") {
			t.Errorf("%s is told %q and %q", name, ext.Type4, ext.ClientIPv6)
		}
	}
	if n := l.n.View().Me(); n.ClientIP(Client{}) != "192.0.2.1" || n.ClientIP(Client{IPv6: true}) != "2001:db8::1" {
		t.Error("the node does not show its own")
	}
}
