package sentinel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestInfoIsRead(t *testing.T) {
	id := strings.Repeat("5", 40)
	in := parseInfo("# Server\r\nrun_id:" + id + "\r\n# Replication\r\nrole:master\r\n" +
		"slave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0\r\nslave1:10.0.0.3,6380,online\r\n" +
		"slave2:ip=10.0.0.4,port=65536\r\nslave_read_repl_offset:5\r\nslave_priority:5\r\nmaster_failover_state:no-failover\r\n")
	if in.runID != id || !in.hasRole || in.role != RoleMaster || !in.canFailover {
		t.Errorf("%+v", in)
	}
	if want := []Addr{{"10.0.0.2", 6379}, {"10.0.0.3", 6380}}; !slices.Equal(in.replicas, want) {
		t.Errorf("replicas %v, want %v", in.replicas, want)
	}
	if in.priority != -1 {
		t.Error("a master has a priority")
	}
	in = parseInfo("role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\n" +
		"master_link_down_since_seconds:12\r\nslave_priority:7\r\nslave_repl_offset:99\r\nreplica_announced:0\r\n")
	got := fmt.Sprintln(in.role, in.masterHost, in.masterPort, in.masterLink, in.linkDownSec, in.priority, in.offset, in.announced)
	if want := "slave 10.0.0.1 6379 down 12 7 99 0\n"; got != want {
		t.Errorf("replica: %swant %s", got, want)
	}
}

// What a node says of its replicas must not get into the file if it is not an
// address.
func TestReplicasWithStrangeAddresses(t *testing.T) {
	n := newNode(t, Settings{}, nil)
	m := n.addMaster(labMaster, Addr{"10.0.0.1", 6379}, 1, DefaultOptions())
	n.infoReply(m, Reply{Kind: ReplyBulk, Text: "role:master\r\n" +
		"slave0:ip=10.0.0.2\nsentinel auth-pass x y,port=6379\r\n" +
		"slave1:ip=host.example,port=6379\r\nslave2:ip=,port=6379\r\n" +
		"slave3:ip=10.0.0.1,port=6379\r\nslave4:ip=10.0.0.5,port=6379,state=online\r\n"})
	if len(m.replicas) != 1 || m.replicas[0].name != "10.0.0.5:6379" {
		for _, r := range m.replicas {
			t.Errorf("replica %q", r.name)
		}
	}
}

// The run id tells that a replica with another address is the same process.
func TestReplicaThatMovesIsOne(t *testing.T) {
	l := labWith(t, 1, 2, 1, nil)
	m, d := l.members[0], l.nodes[1]
	l.run(15 * time.Second)
	l.dropConnsTo(d.addr)
	d.addr = Addr{"10.0.0.77", 6379}
	l.until("the new address is known", 30*time.Second, func() bool { return m.said("-slave slave 10.0.0.2:6379") })
	if v := m.replicas(); len(v) != 2 || v[0].Name != "10.0.0.3:6379" || v[1].Name != "10.0.0.77:6379" {
		t.Errorf("%+v", v)
	}
}

func TestReplicaOfAnotherMasterIsPutRight(t *testing.T) {
	l := labWith(t, 1, 1, 1, nil)
	m := l.members[0]
	l.run(25 * time.Second)
	l.nodes[1].of = &Addr{"10.0.0.88", 6379}
	l.run(15 * time.Second)
	if m.said("+fix-slave-config") {
		t.Error("put right before the failover timeout")
	}
	l.until("+fix-slave-config", time.Minute, func() bool { return m.said("+fix-slave-config") })
	l.run(time.Second)
	if *l.nodes[1].of != l.nodes[0].addr {
		t.Errorf("it follows %v", l.nodes[1].of)
	}
}

func TestInfoPeriods(t *testing.T) {
	l := labWith(t, 1, 1, 1, func(s *MasterState) { s.Quorum = 2 }) // nobody fails over
	m := l.members[0]
	infos := func(d time.Duration) int {
		m.sent = nil
		l.run(d)
		count := 0
		for _, r := range m.sent {
			if r.Kind == RequestInfo {
				count++
			}
		}
		return count
	}
	if got := infos(20 * time.Second); got < 3 || got > 5 {
		t.Errorf("%d INFO in 20 s to two instances", got)
	}
	l.kill(l.nodes[0])
	l.run(15 * time.Second) // the replica says that its master is gone
	if got := infos(20 * time.Second); got < 18 || got > 21 {
		t.Errorf("%d INFO in 20 s to a replica without its master", got)
	}
}

func FuzzInfo(f *testing.F) {
	f.Add("role:master\r\nrun_id:" + strings.Repeat("1", 40) + "\r\nslave0:ip=1.2.3.4,port=1\r\n")
	f.Add("role:slave\r\nmaster_host:x\r\nmaster_port:y\r\nmaster_link_down_since_seconds:99999999999999\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		n := newNode(t, Settings{}, nil)
		m := n.addMaster(labMaster, Addr{"10.0.0.1", 6379}, 1, DefaultOptions())
		r, _ := n.addReplica(m, Addr{"10.0.0.2", 6379})
		for _, w := range []watched{m, r} {
			n.infoReply(w, Reply{Kind: ReplyBulk, Text: text})
		}
		if r.masterLinkDown < 0 {
			t.Fatalf("down for %v", r.masterLinkDown)
		}
		for _, r := range n.Snapshot().Masters[0].Replicas {
			if r.Host == "" || strings.ContainsAny(r.Host, " \t\r\n\x00\"'") {
				t.Fatalf("%q would be written", r.Host)
			}
		}
	})
}

// The wall clock of a replica is set by hours, either way, while its master is dead. It
// has been without it for as long as before.
func TestReplicaWhoseClockIsSet(t *testing.T) {
	n := newNode(t, Settings{}, nil)
	m := n.addMaster(labMaster, Addr{"10.0.0.1", 6379}, 1, DefaultOptions())
	r := goodReplica(n, m, Addr{"10.0.0.2", 6379}, strings.Repeat("1", 40))
	says := func(link string, offset int, rest string) time.Duration {
		n.infoReply(r, Reply{Kind: ReplyBulk, Text: fmt.Sprintf("role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n"+
			"master_link_status:%s\r\n%sslave_repl_offset:%d\r\n", link, rest, offset)})
		return r.masterLinkDown
	}
	since := func(seconds int) string { return fmt.Sprintf("master_link_down_since_seconds:%d\r\n", seconds) }
	after := func(d time.Duration) { n.now = n.now.Add(d) }
	const hour = 3600

	if d := says("down", 100, since(30)); d != 30*time.Second {
		t.Errorf("found down: for %v, want what it says", d)
	}
	says("up", 100, "")
	after(10 * time.Second)
	if d := says("down", 100, since(5*hour)); d != 10*time.Second {
		t.Errorf("set forward: down for %v, but it was up ten seconds ago", d)
	}
	after(20 * time.Second)
	if d := says("down", 100, since(-5*hour)); d != 30*time.Second {
		t.Errorf("set back: down for %v, want half a minute", d)
	}
	if d := says("down", 150, since(2)); d != 2*time.Second {
		t.Errorf("it has had data, and is down for %v again", d)
	}
	if d := says("down", 150, since(-1)); d != 0 {
		t.Errorf("it never was up, and is down for %v", d)
	}
}
