package sentinel

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// helloWorld is a Node with a master that another Sentinel speaks of.
func helloWorld(t *testing.T, change func(*Settings)) (*Node, *master, hello) {
	t.Helper()
	s := Settings{Port: 26379}
	if change != nil {
		change(&s)
	}
	n := newNode(t, s, &State{MyID: strings.Repeat("0", 40)})
	m := n.addMaster(labMaster, Addr{"10.0.0.1", 6379}, 2, DefaultOptions())
	n.Step(epoch0, Tick{})
	return n, m, hello{
		addr:       Addr{"10.0.1.2", 26379},
		id:         strings.Repeat("a", 40),
		master:     labMaster,
		masterAddr: m.addr,
	}
}

func hear(n *Node, h hello) Effects { return n.Step(n.now, HelloReceived{Payload: h.String()}) }

func events(fx Effects) string {
	var all []string
	for _, e := range fx.Notices {
		if e.Level > LevelDebug {
			all = append(all, e.Type+" "+e.Text)
		}
	}
	return strings.Join(all, "\n")
}

func TestHelloOfANewSentinel(t *testing.T) {
	n, m, h := helloWorld(t, nil)
	fx := hear(n, h)
	want := "+sentinel sentinel " + h.id + " 10.0.1.2 26379 @ mymaster 10.0.0.1 6379"
	if got := events(fx); got != want {
		t.Errorf("events %q, want %q", got, want)
	}
	if fx.Persist == nil || len(fx.Persist.Masters[0].Sentinels) != 1 {
		t.Error("the Sentinel is not persisted")
	}
	if len(fx.Connect) != 1 || fx.Connect[0].PubSub || fx.Connect[0].Addr != h.addr {
		t.Errorf("connections: %+v", fx.Connect)
	}
	if fx := hear(n, h); events(fx) != "" || fx.Persist != nil || len(m.peers) != 1 {
		t.Errorf("the second hello is news: %+v", fx)
	}
}

func TestHellosThatAreIgnored(t *testing.T) {
	for name, change := range map[string]func(h *hello){
		"of another master":          func(h *hello) { h.master = "other" },
		"of ourselves":               func(h *hello) { h.id = strings.Repeat("0", 40) },
		"with a name as an address":  func(h *hello) { h.addr.Host = "sentinel.example" },
		"with a name for the master": func(h *hello) { h.masterAddr.Host = "master.example" },
		"with a line break":          func(h *hello) { h.addr.Host = "10.0.1.2\nsentinel monitor x 1.1.1.1 1 1" },
		"with a short id":            func(h *hello) { h.id = h.id[1:] },
		"with an id that is none":    func(h *hello) { h.id = strings.Repeat("x", 40) },
		"without a port":             func(h *hello) { h.addr.Port = 0 },
		"without a master's port":    func(h *hello) { h.masterAddr.Port = 0 },
		"with the last of epochs":    func(h *hello) { h.epoch = 1<<64 - 1 },
		"with a comma too many":      func(h *hello) { h.addr.Host = "10.0.1.2,x" },
		"with a zone in the address": func(h *hello) { h.addr.Host = "fe80::1%eth0" },
	} {
		t.Run(name, func(t *testing.T) {
			n, m, h := helloWorld(t, nil)
			h.epoch, h.configEpoch = 5, 5
			change(&h)
			if fx := hear(n, h); events(fx) != "" || fx.Persist != nil || len(m.peers) != 0 || n.currentEpoch != 0 {
				t.Errorf("it counts: %+v", fx)
			}
		})
	}
}

func TestSentinelWithAnotherAddress(t *testing.T) {
	n, m, h := helloWorld(t, nil)
	other := n.addMaster("other", Addr{"10.0.0.9", 6379}, 2, DefaultOptions())
	hear(n, h)
	o := h
	o.master, o.masterAddr = "other", other.addr
	hear(n, o)
	if m.peers[0].link != other.peers[0].link {
		t.Fatal("one Sentinel, two links")
	}
	link := m.peers[0].link.cmd.id
	h.addr.Host = "10.0.1.77"
	fx := hear(n, h)
	want := "+sentinel-address-switch master mymaster 10.0.0.1 6379 ip 10.0.1.77 port 26379 for " + h.id + "\n" +
		"+sentinel-address-update sentinel " + h.id + " 10.0.1.77 26379 @ mymaster 10.0.0.1 6379 1 additional matching instances"
	if got := events(fx); got != want {
		t.Errorf("events:\n%s\nwant:\n%s", got, want)
	}
	if len(fx.Close) != 1 || fx.Close[0] != link || len(fx.Connect) != 1 || fx.Connect[0].Addr != h.addr {
		t.Errorf("close %v, connect %+v", fx.Close, fx.Connect)
	}
	for _, ms := range fx.Persist.Masters {
		if len(ms.Sentinels) != 1 || ms.Sentinels[0].Addr != h.addr {
			t.Errorf("on disk: %+v", ms.Sentinels)
		}
	}
	if v, _ := n.Sentinels(n.now, labMaster); len(v) != 1 || v[0].LinkRefcount != 2 || v[0].Host != "10.0.1.77" {
		t.Errorf("view: %+v", v)
	}
}

func TestSentinelAtTheAddressOfAnother(t *testing.T) {
	n, m, h := helloWorld(t, nil)
	other := n.addMaster("other", Addr{"10.0.0.9", 6379}, 2, DefaultOptions())
	hear(n, h)
	o := h
	o.master, o.masterAddr = "other", other.addr
	hear(n, o)
	old := h.id
	h.id = strings.Repeat("b", 40)
	fx := hear(n, h)
	if got := events(fx); !strings.HasPrefix(got, "+sentinel-invalid-addr sentinel "+old) || !strings.Contains(got, "\n+sentinel sentinel "+h.id) {
		t.Errorf("events: %s", got)
	}
	if len(m.peers) != 1 || m.peers[0].name != h.id || len(other.peers) != 0 || len(n.sentinelLinks) != 1 {
		t.Errorf("peers: %d and %d, links %d", len(m.peers), len(other.peers), len(n.sentinelLinks))
	}
}

func TestNewerConfigurationIsAdopted(t *testing.T) {
	n, m, h := helloWorld(t, nil)
	m.options.ClientReconfigScript = "/reconf"
	n.addReplica(m, Addr{"10.0.0.2", 6379})
	n.addReplica(m, Addr{"10.0.0.3", 6379})
	hear(n, h)
	h.epoch, h.configEpoch, h.masterAddr = 3, 3, Addr{"10.0.0.2", 6379}
	fx := hear(n, h)
	want := "+new-epoch 3\n" +
		"+config-update-from sentinel " + h.id + " 10.0.1.2 26379 @ mymaster 10.0.0.1 6379\n" +
		"+switch-master mymaster 10.0.0.1 6379 10.0.0.2 6379\n" +
		"+slave slave 10.0.0.3:6379 10.0.0.3 6379 @ mymaster 10.0.0.2 6379\n" +
		"+slave slave 10.0.0.1:6379 10.0.0.1 6379 @ mymaster 10.0.0.2 6379"
	if got := events(fx); got != want {
		t.Errorf("events:\n%s\nwant:\n%s", got, want)
	}
	if s := fx.Scripts; len(s) != 1 || fmt.Sprint(s[0].Args) != "[mymaster observer start 10.0.0.1 6379 10.0.0.2 6379]" {
		t.Errorf("scripts: %+v", s)
	}
	if s := fx.Persist.Masters[0]; s.Addr != h.masterAddr || s.ConfigEpoch != 3 || len(s.Replicas) != 2 || len(s.Sentinels) != 1 {
		t.Errorf("on disk: %+v", s)
	}
	h.configEpoch, h.masterAddr = 2, Addr{"10.0.0.3", 6379}
	if fx := hear(n, h); events(fx) != "" || m.addr != (Addr{"10.0.0.2", 6379}) {
		t.Errorf("an older configuration counts: %s", events(fx))
	}
	h.configEpoch = 3
	if fx := hear(n, h); events(fx) != "" {
		t.Errorf("another configuration of the same epoch counts: %s", events(fx))
	}
}

// Two forced failovers may claim one epoch. The greater address takes a new one.
func TestTwoConfigurationsOfOneEpoch(t *testing.T) {
	l := labWith(t, 4, 2, 3, nil)
	l.run(15 * time.Second)
	a, b := l.members[0], l.members[1]
	l.split([]string{"10.0.1.1", "10.0.0.2"}, []string{"10.0.1.2", "10.0.0.1", "10.0.0.3"})
	l.split([]string{"10.0.1.1"}, []string{"10.0.1.3", "10.0.1.4"})
	l.run(5 * time.Second)
	a.ask(Failover{Name: labMaster})
	b.ask(Failover{Name: labMaster})
	l.until("both have a master of their own", time.Minute, func() bool {
		return a.masterAddr() == l.nodes[1].addr && b.masterAddr() == l.nodes[2].addr
	})
	if x, y := a.master().ConfigEpoch, b.master().ConfigEpoch; x != y {
		t.Fatalf("epochs %d and %d", x, y)
	}
	l.heal()
	l.until("all agree", time.Minute, func() bool { return l.agreed(l.nodes[0].addr) })
	if got := a.masterAddr(); got != l.nodes[2].addr {
		t.Errorf("the master is %v", got)
	}
	l.until("all nodes follow", 2*time.Minute, func() bool {
		return l.nodes[1].of != nil && *l.nodes[1].of == l.nodes[2].addr && l.nodes[2].of == nil
	})
}

// A newer configuration that keeps the master ends a failover that was on its
// way: its epoch is not new any more, and nobody would follow.
func TestNewerConfigurationEndsAnOlderFailover(t *testing.T) {
	n, m, h := helloWorld(t, nil)
	hear(n, h)
	n.startFailover(m)
	h.epoch, h.configEpoch = 4, 4
	fx := hear(n, h)
	if m.failover.running() || !strings.Contains(events(fx), "-failover-abort-not-elected") {
		t.Errorf("the failover runs on: %s", events(fx))
	}
}

func TestHellosWithNames(t *testing.T) {
	n, m, h := helloWorld(t, func(s *Settings) { s.ResolveHostnames = true })
	h.addr.Host, h.masterAddr.Host = "sentinel-2.example", "master.example"
	n.Step(n.now, Resolved{Host: "master.example", IP: "10.0.0.1"})
	h.configEpoch = 1
	if fx := hear(n, h); len(m.peers) != 1 || strings.Contains(events(fx), "+switch-master") {
		t.Errorf("events: %s", events(fx))
	}
	n.Step(n.now, Resolved{Host: "SENTINEL-2.example", IP: "10.0.1.2"})
	h.addr.Host = "10.0.1.2"
	if fx := hear(n, h); events(fx) != "" {
		t.Errorf("one address, two Sentinels: %s", events(fx))
	}
	if v, _ := n.Sentinels(n.now, labMaster); v[0].Host != "10.0.1.2" {
		t.Errorf("a name is shown without announce-hostnames: %s", v[0].Host)
	}
	h.addr.Host = "two words"
	h.id = strings.Repeat("c", 40)
	if hear(n, h); len(m.peers) != 1 {
		t.Error("a name with a blank counts")
	}
}

func TestHelloSaysWhereWeAre(t *testing.T) {
	for _, c := range []struct {
		settings Settings
		want     string
	}{
		{Settings{Port: 26379}, "10.0.1.1,26379,"},
		{Settings{Port: 26379, AnnounceIP: "192.0.2.1", AnnouncePort: 4000}, "192.0.2.1,4000,"},
		{Settings{Port: 26379, AnnouncePort: 4000}, "10.0.1.1,4000,"},
	} {
		l := newLab(t)
		d := l.addNode(nil)
		m := l.addSentinel(&State{CurrentEpoch: 7, Masters: []*MasterState{
			{Name: labMaster, Addr: d.addr, Quorum: 1, Options: DefaultOptions(), ConfigEpoch: 5}}})
		m.crash()
		m.settings = c.settings
		m.start()
		l.run(3 * time.Second)
		got := ""
		for _, r := range m.sent {
			if r.Kind == RequestHello {
				got = r.Commands[0][2]
			}
		}
		if want := c.want + m.node.MyID() + ",7,mymaster,10.0.0.1,6379,5"; got != want {
			t.Errorf("hello %q, want %q", got, want)
		}
	}
}

func TestHellosComeEveryTwoSeconds(t *testing.T) {
	l := labWith(t, 2, 1, 2, nil)
	m := l.members[0]
	m.sent = nil
	l.run(20 * time.Second)
	hellos := 0
	for _, r := range m.sent {
		if r.Kind == RequestHello {
			hellos++
		}
	}
	if hellos < 27 || hellos > 33 { // to the master, the replica and the other Sentinel
		t.Errorf("%d hellos in 20 s to three instances", hellos)
	}
}

func FuzzHello(f *testing.F) {
	f.Add("10.0.1.2,26379," + strings.Repeat("a", 40) + ",3,mymaster,10.0.0.2,6379,3")
	f.Add("::1,26379," + strings.Repeat("F", 40) + ",0,mymaster,::2,6379,1")
	f.Add(",,,,,,,")
	f.Fuzz(func(t *testing.T, text string) {
		if h, ok := parseHello(text); ok {
			again, ok := parseHello(h.String())
			if !ok || again != h {
				t.Fatalf("%q is read as %+v, which is read as %+v", text, h, again)
			}
		}
		n, _, _ := helloWorld(t, func(s *Settings) { s.ResolveHostnames = len(text)%2 == 0 })
		fx := n.Step(n.now, HelloReceived{Payload: text})
		if fx.Persist == nil {
			return
		}
		for _, m := range fx.Persist.Masters { // what goes into the file must be words
			hosts := []string{m.Addr.Host}
			for _, s := range m.Sentinels {
				hosts = append(hosts, s.Addr.Host, s.ID)
			}
			for _, h := range hosts {
				if h == "" || strings.ContainsAny(h, " \t\r\n\x00\"'") {
					t.Fatalf("%q would be written", h)
				}
			}
		}
	})
}
