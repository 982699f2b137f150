package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// lab is a node under test among peers that only exist as messages. It starts
// connected to all of them, with everything persisted.
type lab struct {
	t    *testing.T
	n    *Node
	now  time.Time
	in   map[bus.NodeID]LinkID // what they dialled
	last Effects
	// persistent says that every State is reported as Persisted at once.
	persistent bool
	redoubt    string // the peers of this product, by letter
}

const testTimeout = time.Second

// id is the node id of a name of one letter.
func id(name string) bus.NodeID { return bus.NodeID(strings.Repeat(name, bus.IDLen)) }

// shard is one primary with its replicas, named by letters.
type shard struct {
	primary  string
	slots    slots.Range
	none     bool // the primary has no slots
	replicas string
	epoch    bus.Epoch
}

// threeShards are a, b and c with a third of the slots each, and replicas x of
// a, y and z of b.
func threeShards() []shard {
	return []shard{
		{primary: "a", slots: slots.Range{First: 0, Last: 5460}, replicas: "x", epoch: 1},
		{primary: "b", slots: slots.Range{First: 5461, Last: 10921}, replicas: "yz", epoch: 2},
		{primary: "c", slots: slots.Range{First: 10922, Last: 16383}, epoch: 3},
	}
}

// newLab makes the node called me of a cluster of the given shards.
func newLab(t *testing.T, me string, shards []shard) *lab {
	t.Helper()
	state := &State{}
	add := func(name string, r NodeRecord) {
		r.ID, r.IP, r.TCPPort, r.BusPort = id(name), "10.0.0."+fmt.Sprint(name[0]), 7000, 17000
		r.ShardID = string(id(name))
		if name == me {
			r.Flags |= bus.FlagMyself
		}
		state.Nodes = append(state.Nodes, r)
	}
	for _, s := range shards {
		set := new(slots.Set)
		if !s.none {
			set.AddRange(s.slots)
		}
		add(s.primary, NodeRecord{Flags: bus.FlagPrimary, ConfigEpoch: s.epoch, Slots: set})
		for _, r := range s.replicas {
			add(string(r), NodeRecord{Flags: bus.FlagReplica, Primary: id(s.primary)})
		}
		state.CurrentEpoch = max(state.CurrentEpoch, s.epoch)
	}
	l := newLabOf(t, state)
	l.connect()
	return l
}

func newLabOf(t *testing.T, state *State) *lab {
	t.Helper()
	return newLabWith(t, state, func(*Settings) {})
}

// newLabWith is newLabOf with settings that differ.
func newLabWith(t *testing.T, state *State, change func(*Settings)) *lab {
	t.Helper()
	settings := DefaultSettings()
	settings.NodeTimeout = testTimeout
	settings.TCPPort, settings.BusPort = 7000, 17000
	change(&settings)
	l := &lab{
		t: t, now: time.Unix(1_800_000_000, 0).UTC(),
		in: make(map[bus.NodeID]LinkID), persistent: true,
	}
	var err error
	l.n, err = New(l.now, Config{Settings: settings, State: state, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// connect brings up all links, and lets the peers greet.
func (l *lab) connect() {
	fx := l.step(Tick{})
	for _, d := range fx.Dial {
		l.step(LinkUp{d.Link})
	}
	for i, p := range l.n.order {
		if p == l.n.myself {
			continue
		}
		l.in[p.id] = InboundLink(uint64(i + 1))
		l.step(LinkAccepted{Link: l.in[p.id], PeerIP: p.ip, LocalIP: "10.0.0.200"})
	}
	for _, p := range l.n.order {
		if p != l.n.myself {
			l.answer(p.id)
			l.step(Received{l.in[p.id], l.message(bus.TypePing, p.id)})
		}
	}
}

// step gives the node an event.
func (l *lab) step(ev Event) Effects {
	l.t.Helper()
	l.last = l.n.Step(l.now, ev)
	fx := l.last
	if fx.Persist != nil && l.persistent {
		l.n.Step(l.now, Persisted{fx.Persist.Version})
	}
	return fx
}

// pass lets time pass in ticks, during which all peers but the silent ones
// answer.
func (l *lab) pass(d time.Duration, silent ...string) (notes []string) {
	l.t.Helper()
	for end := l.now.Add(d); l.now.Before(end); {
		l.now = l.now.Add(tickPeriod)
		fx := l.step(Tick{})
		for _, note := range fx.Notes {
			notes = append(notes, note.Text)
		}
		for _, p := range slices.Clone(l.n.order) {
			if p == l.n.myself || p.out == nil || strings.Contains(strings.Join(silent, ""), string(p.id[0])) {
				continue
			}
			l.step(LinkUp{p.out.id})
			if !p.inHandshake() {
				l.answer(p.id)
			}
		}
	}
	return notes
}

// peer is the entry of a name.
func (l *lab) peer(name string) *peer { return l.n.peers[id(name)] }

// message is what a peer would send, as the node knows that peer.
func (l *lab) message(t bus.Type, from bus.NodeID) *bus.Message {
	p := l.n.peers[from]
	head := p.head()
	m := &bus.Message{Header: bus.Header{
		Type: t, Sender: from, Flags: p.flags &^ (bus.FlagFail | bus.FlagPFail),
		Port: 7000, BusPort: 17000, MsgFlags: bus.MsgExtData,
		CurrentEpoch: l.n.currentEpoch, Offset: p.offset, Redoubt: strings.Contains(l.redoubt, string(from[0])),
	}}
	if head != nil {
		m.ConfigEpoch, m.Slots = head.configEpoch, *head.set()
	}
	if p.isReplica() && head != nil {
		m.Primary = head.id
	}
	m.Ext.ShardID = p.shardID
	return m
}

// answer is a PONG of a peer on our link to it.
func (l *lab) answer(from bus.NodeID) {
	if p := l.n.peers[from]; p.connected() {
		l.step(Received{p.out.id, l.message(bus.TypePong, from)})
	}
}

// send lets a peer send a message on the link that it dialled; change makes it
// special.
func (l *lab) send(t bus.Type, from string, change func(*bus.Message)) Effects {
	l.t.Helper()
	m := l.message(t, id(from))
	if change != nil {
		change(m)
	}
	return l.step(Received{l.in[id(from)], m})
}

// sent finds the messages of a type in the effects, by receiver.
func (l *lab) sent(envelopes []Envelope, t bus.Type) map[bus.NodeID]*bus.Message {
	found := make(map[bus.NodeID]*bus.Message)
	for _, e := range envelopes {
		if e.Msg.Type != t {
			continue
		}
		if k := l.n.links[e.Link]; k != nil && k.peer != nil {
			found[k.peer.id] = e.Msg
		}
	}
	return found
}

// noted reports whether a note of the last step contains text.
func (l *lab) noted(text string) bool {
	for _, note := range l.last.Notes {
		if strings.Contains(note.Text, text) {
			return true
		}
	}
	return false
}
