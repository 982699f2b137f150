package driver

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/redistest"
	"redoubt/internal/server"
	"redoubt/slots"
)

const replicaFlag = bus.FlagReplica

var (
	idMe    = strings.Repeat("1", 40)
	idOther = strings.Repeat("2", 40)
)

// routed is a driver whose View says: 0-99 are mine, of which 10 is on its way
// out; 100-199 are another node's, of which 110 is on its way in; nobody has
// the rest.
func routed(t *testing.T, settings func(*cluster.Settings)) *Driver {
	t.Helper()
	state, err := cluster.ParseState([]byte(
		idMe+" 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-99 [10->-"+idOther+"] [110-<-"+idOther+"]\n"+
			idOther+" 127.0.0.1:7001@17001 master - 0 0 2 connected 100-199\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	s := cluster.DefaultSettings()
	s.NodeTimeout = time.Hour
	s.TCPPort, s.BusPort = 7000, 17000
	s.RequireFullCoverage = false
	if settings != nil {
		settings(&s)
	}
	now := time.Now()
	n, err := cluster.New(now, cluster.Config{Settings: s, State: state, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	for _, dial := range n.Step(now, cluster.Tick{}).Dial {
		n.Step(now, cluster.LinkUp{Link: dial.Link})
		pong := &bus.Message{Header: bus.Header{Type: bus.TypePong, Sender: bus.NodeID(idOther), Flags: bus.FlagPrimary, ConfigEpoch: 2}}
		pong.Slots.AddRange(slots.Range{First: 100, Last: 199})
		n.Step(now, cluster.Received{Link: dial.Link, Msg: pong})
	}
	n.Step(now.Add(10*time.Second), cluster.Tick{})
	d := &Driver{Parts: Parts{Mover: busySlot(slots.Count)}}
	d.view.Store(n.View())
	return d
}

func TestRoute(t *testing.T) {
	d := routed(t, nil)
	missing := func(n int) func() int { return func() int { return n } }
	for _, c := range []struct {
		name  string
		route server.Route
		want  string
	}{
		{"my own slot", server.Route{Slot: 5, Keys: 1, Write: true}, ""},
		{"another's slot", server.Route{Slot: 150, Keys: 1}, "MOVED 150 127.0.0.1:7001"},
		{"nobody's slot", server.Route{Slot: 5000, Keys: 1}, "CLUSTERDOWN Hash slot not served"},
		{"keys of two slots", server.Route{Slot: 5, Keys: 2, Many: true, Mixed: true}, "CROSSSLOT Keys in request don't hash to the same slot"},
		{"before the locks, an open slot runs", server.Route{Slot: 10, Keys: 1}, ""},
		{"migrating, the key is here", server.Route{Slot: 10, Keys: 1, Missing: missing(0)}, ""},
		{"migrating, the key has gone", server.Route{Slot: 10, Keys: 1, Missing: missing(1)}, "ASK 10 127.0.0.1:7001"},
		{"migrating, some keys have gone", server.Route{Slot: 10, Keys: 2, Many: true, Missing: missing(1)}, "TRYAGAIN Multiple keys request during rehashing of slot"},
		{"migrating, and the command is MIGRATE", server.Route{Slot: 10, Keys: 2, Many: true, Migrate: true, Write: true, Missing: missing(1)}, ""},
		{"importing, not asking", server.Route{Slot: 110, Keys: 1, Missing: missing(0)}, "MOVED 110 127.0.0.1:7001"},
		{"importing, asking", server.Route{Slot: 110, Keys: 1, Asking: true, Missing: missing(1)}, ""},
		{"importing, asking, some keys are not here yet", server.Route{Slot: 110, Keys: 2, Many: true, Asking: true, Missing: missing(1)}, "TRYAGAIN Multiple keys request during rehashing of slot"},
		{"importing, and the command is MIGRATE", server.Route{Slot: 110, Keys: 1, Migrate: true, Write: true, Missing: missing(0)}, ""},
		{"a shard channel of another's slot", server.Route{Slot: 150, Keys: 1, Shard: true}, "MOVED 150 127.0.0.1:7001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := d.Route(c.route); string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// busySlot is a mover with keys of one slot under way.
type busySlot slots.Slot

func (b busySlot) Busy(s slots.Slot) bool { return s == slots.Slot(b) }

func TestWritesWaitForKeysUnderWay(t *testing.T) {
	d := routed(t, nil)
	d.Mover = busySlot(5) // which is mine in the View
	none := func() int { return 0 }
	for _, c := range []struct {
		name  string
		route server.Route
		want  string
	}{
		{"a write under the lock", server.Route{Slot: 5, Keys: 1, Write: true, Missing: none}, "TRYAGAIN Multiple keys request during rehashing of slot"},
		{"a script that may write", server.Route{Slot: 5, Keys: 1, Script: true, Missing: none}, "TRYAGAIN Multiple keys request during rehashing of slot"},
		{"a read under the lock", server.Route{Slot: 5, Keys: 1, Missing: none}, ""},
		{"a write before the lock", server.Route{Slot: 5, Keys: 1, Write: true}, ""},
		{"a write to the next slot", server.Route{Slot: 6, Keys: 1, Write: true, Missing: none}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := d.Route(c.route); string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRouteDoesNotAllocate(t *testing.T) {
	d := routed(t, nil)
	r := server.Route{Slot: 5, Keys: 1, Write: true, Missing: func() int { return 0 }}
	if n := testing.AllocsPerRun(1000, func() { d.Route(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A loop that runs before the driver does, after a stop of the process, waits
// until the driver has noticed the stop.
func TestAStopIsNoticedByWhoeverRunsFirst(t *testing.T) {
	t.Parallel()
	m := startMember(t)
	if n := m.Freezes(time.Now()); n != 0 {
		t.Errorf("a node that runs counts %d freezes", n)
	}
	for _, c := range []struct {
		name string
		last time.Time
	}{
		{"the process was stopped", time.Now().Add(-5 * time.Second)},
		{"the machine was suspended", time.Now().Add(-5 * time.Second).Round(0)},
	} {
		looked := make(chan struct{})
		m.post(func() {
			before := m.freezes.Load()
			m.beat.Store(&c.last)
			go func() {
				if n := m.Freezes(time.Now()); n != before+1 {
					t.Errorf("%s: %d freezes, %d before", c.name, n, before)
				}
				close(looked)
			}()
		})
		<-looked
	}
}

// A primary that nobody can replace, since it alone votes, has nothing to doubt.
func TestAStopOfTheOnlyVoterCutsNobodyOff(t *testing.T) {
	t.Parallel()
	m := startMember(t)
	m.WantOK("cluster", "addslotsrange", 0, slots.Count-1)
	redistest.Until(t, 10*time.Second, "the cluster is ok", func() error {
		if !m.View().OK {
			return errors.New(m.View().InfoText())
		}
		return nil
	})
	looked := make(chan struct{})
	m.post(func() {
		last := time.Now().Add(-5 * time.Second)
		m.beat.Store(&last)
		m.checkClock(time.Now())
		close(looked)
	})
	<-looked
	if n := m.freezes.Load(); n != 0 || !m.View().OK {
		t.Errorf("%d freezes, ok is %v", n, m.View().OK)
	}
}

// A node timeout that is shorter than the ticks does not make every tick a stop.
func TestAShortNodeTimeoutIsNoStop(t *testing.T) {
	t.Parallel()
	m := startMember(t, "--cluster-node-timeout", "50")
	looked := make(chan struct{})
	m.post(func() {
		last := time.Now().Add(-200 * time.Millisecond)
		m.beat.Store(&last)
		m.checkClock(time.Now())
		close(looked)
	})
	<-looked
	if n := m.freezes.Load(); n != 0 {
		t.Errorf("%d freezes", n)
	}
}

// A freeze that is shorter than the node timeout can be longer than what was left of
// the lease: whoever runs before the driver has noticed must wait for it.
func TestAShortStopThatOutlastsTheLeaseIsNoticed(t *testing.T) {
	t.Parallel()
	m := startMember(t, "--cluster-node-timeout", "60000")
	looked := make(chan struct{})
	m.post(func() {
		before := m.freezes.Load()
		last := time.Now().Add(-time.Second)
		m.beat.Store(&last)
		go func() {
			if n := m.Freezes(time.Now()); n != before+1 { // it has no slots, so the cluster is not ok
				t.Errorf("%d freezes, %d before", n, before)
			}
			close(looked)
		}()
	})
	<-looked
}
