package sentinel

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestStateComesBackAsItWas(t *testing.T) {
	o := DefaultOptions()
	o.AuthPass = "secret"
	s := &State{MyID: strings.Repeat("a", 40), CurrentEpoch: 9, Masters: []*MasterState{
		{Name: "a", Addr: Addr{"10.0.0.1", 6379}, Quorum: 2, Options: o, ConfigEpoch: 3, LeaderEpoch: 9,
			Replicas:  []Addr{{"10.0.0.2", 6379}, {"::1", 6379}},
			Sentinels: []KnownSentinel{{Addr{"10.0.1.2", 26379}, strings.Repeat("b", 40)}}},
		{Name: "b", Addr: Addr{"10.0.0.8", 6379}, Quorum: 1, Options: DefaultOptions()},
	}}
	n := newNode(t, Settings{}, s)
	if got := n.Snapshot(); !reflect.DeepEqual(got, s) {
		t.Errorf("came back as %+v", got)
	}
	if v, _ := n.Replicas(epoch0, "a"); v[1].Name != "[::1]:6379" {
		t.Errorf("a replica is called %s", v[1].Name)
	}
}

func TestStatesThatAreRefused(t *testing.T) {
	good := MasterState{Name: "a", Addr: Addr{"10.0.0.1", 6379}, Quorum: 1, Options: DefaultOptions()}
	noQuorum, noOptions := good, good
	noQuorum.Quorum = 0
	noOptions.Options = Options{}
	for name, s := range map[string]*State{
		"an id that is none":    {MyID: "x"},
		"a name twice":          {Masters: []*MasterState{&good, &good}},
		"no quorum":             {Masters: []*MasterState{&noQuorum}},
		"options that are none": {Masters: []*MasterState{&noOptions}},
	} {
		if _, err := New(epoch0, Config{State: s, Rand: rand.New(rand.NewPCG(1, 1))}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// During a failover the file has the promoted replica as the master, and the old
// master among the replicas.
func TestStateDuringAFailover(t *testing.T) {
	l := labWith(t, 1, 2, 1, nil)
	m := l.members[0]
	l.nodes[2].deaf = true // so that the failover takes its time
	l.nodes[1].offset = 200
	m.ask(Failover{Name: labMaster})
	l.until("+promoted-slave", time.Minute, func() bool { return m.said("+promoted-slave") })
	l.run(time.Second)
	if m.said("+switch-master") {
		t.Fatal("it is over")
	}
	s := m.diskMaster(labMaster)
	if s.Addr != l.nodes[1].addr || s.ConfigEpoch != 1 || fmt.Sprint(s.Replicas) != "[10.0.0.1:6379 10.0.0.3:6379]" {
		t.Errorf("on disk: %+v", s)
	}
}

// What a State has given away does not change any more, and of two States the
// masters that did not change are the same.
func TestStatesShareWhatDidNotChange(t *testing.T) {
	n := newNode(t, Settings{}, nil)
	n.Step(epoch0, Monitor{Name: "a", Addr: Addr{"10.0.0.1", 6379}, Quorum: 1})
	before := n.Step(epoch0, Monitor{Name: "b", Addr: Addr{"10.0.0.2", 6379}, Quorum: 1}).Persist
	after := n.Step(epoch0, Set{Name: "b", Options: []Option{{"quorum", []string{"5"}}}}).Persist
	if before.Masters[0] != after.Masters[0] || before.Masters[1].Quorum != 1 || after.Masters[1].Quorum != 5 {
		t.Errorf("%+v %+v", before.Masters[1], after.Masters[1])
	}
	if after.Version != before.Version+1 {
		t.Errorf("version %d after %d", after.Version, before.Version)
	}
}
