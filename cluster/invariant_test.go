package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// broken looks for a violation of the invariants of peers and tables.
func (n *Node) broken() error {
	if len(n.peers) != len(n.order) || n.peers[n.myself.id] != n.myself || !n.myself.has(bus.FlagMyself) {
		return fmt.Errorf("%d peers, %d in order", len(n.peers), len(n.order))
	}
	owned := 0
	for i, p := range n.order {
		switch {
		case n.peers[p.id] != p:
			return fmt.Errorf("%s is not in the table", p.id)
		case i > 0 && n.order[i-1].id >= p.id:
			return fmt.Errorf("%s is out of order", p.id)
		case p.set().Len() != p.slotCount:
			return fmt.Errorf("%s has %d slots, counted %d", p.id, p.set().Len(), p.slotCount)
		case p.isPrimary() && p.primary != nil:
			return fmt.Errorf("the primary %s has a primary", p.id)
		case !p.inHandshake() && p.isPrimary() == p.isReplica():
			return fmt.Errorf("%s is %v", p.id, p.flags)
		case p == n.myself && p.isReplica() && p.slotCount > 0:
			return fmt.Errorf("I am a replica with slots")
		case p.primary == p:
			return fmt.Errorf("%s is its own primary", p.id)
		}
		owned += p.slotCount
		for _, r := range p.replicas {
			if r.primary != p || n.peers[r.id] != r {
				return fmt.Errorf("%s is no replica of %s", r.id, p.id)
			}
		}
		for _, l := range [...]*link{p.in, p.out} {
			if l != nil && (n.links[l.id] != l || l.peer != p) {
				return fmt.Errorf("%s has a link that is not its own", p.id)
			}
		}
		for _, r := range p.reports {
			if n.peers[r.by.id] != r.by {
				return fmt.Errorf("%s is reported by %s, who is gone", p.id, r.by.id)
			}
		}
	}
	for s, p := range n.table.owner {
		if p == nil {
			continue
		}
		owned--
		if n.peers[p.id] != p || !p.set().Has(slots.Slot(s)) {
			return fmt.Errorf("slot %d belongs to %s, who has it not", s, p.id)
		}
	}
	if owned != 0 {
		return fmt.Errorf("%d slots are somebody's, but not in the table", owned)
	}
	return nil
}

// chatter makes events that a hostile or confused cluster might send.
type chatter struct {
	*rand.Rand
	lab *lab
}

func (c chatter) id() bus.NodeID {
	const names = "abcxyzabcxyzqr" // two strangers
	return id(string(names[c.IntN(len(names))]))
}

func (c chatter) slots() (s slots.Set) {
	if c.IntN(4) > 0 {
		first := c.IntN(slots.Count)
		s.AddRange(slots.Range{First: slots.Slot(first), Last: slots.Slot(first + c.IntN(slots.Count-first))})
	}
	return s
}

func (c chatter) epoch() bus.Epoch { return bus.Epoch(c.IntN(12)) }

func (c chatter) message() *bus.Message {
	m := &bus.Message{Header: bus.Header{
		Type: bus.Type(c.IntN(bus.TypeCount + 1)), Sender: c.id(), CurrentEpoch: c.epoch(), ConfigEpoch: c.epoch(),
		Offset: c.Int64N(100), Slots: c.slots(), Port: 7000, BusPort: 17000, IP: fmt.Sprintf("10.0.0.%d", c.IntN(4)),
		Flags: bus.Flags(c.Uint32()), MsgFlags: bus.MsgFlags(c.Uint32()),
	}}
	if c.IntN(2) == 0 {
		m.Primary = c.id()
	}
	if m.Type.Gossips() {
		for range c.IntN(3) {
			m.Gossip = append(m.Gossip, bus.Gossip{
				ID: c.id(), IP: "10.0.0.9", Port: 7000, BusPort: 17000, Flags: bus.Flags(c.Uint32()), PongReceivedSec: c.Uint32(),
			})
		}
		if c.IntN(8) == 0 {
			m.Ext.Forgotten = []bus.Forgotten{{ID: c.id(), TTL: time.Duration(c.IntN(5)) * time.Second}}
		}
		if c.IntN(2) == 0 {
			m.Ext.ShardID = string(c.id())
		}
	}
	m.Fail = c.id()
	m.Update = &bus.Update{ConfigEpoch: c.epoch(), ID: c.id(), Slots: c.slots()}
	m.Publish = &bus.Publish{}
	return m
}

// link is one of the links there are, mostly.
func (c chatter) link() LinkID {
	ids := sortedKeys(c.lab.n.links)
	if len(ids) == 0 || c.IntN(20) == 0 {
		return LinkID(c.IntN(30))
	}
	return ids[c.IntN(len(ids))]
}

func (c chatter) event() Event {
	slot := slots.Slot(c.IntN(slots.Count))
	ranges := []slots.Range{{First: slot, Last: slot}}
	switch c.IntN(30) {
	case 0:
		return Meet{IP: "10.0.0.9", Port: 7000}
	case 1:
		return AddSlots{ranges}
	case 2:
		return DelSlots{ranges}
	case 3:
		return SetSlot{Slot: slot, Action: SlotAction(c.IntN(4)), ID: c.id()}
	case 4:
		return Replicate{ID: c.id()}
	case 5:
		return Forget{ID: c.id()}
	case 6:
		return Failover{Mode: FailoverMode(c.IntN(3))}
	case 7:
		return Facts{Replica: c.IntN(2) == 0, Primary: c.id(), Offset: c.Int64N(100), PrimaryContact: c.lab.now}
	case 8:
		return LinkDown{Link: c.link()}
	case 9:
		return LinkUp{Link: c.link()}
	case 10:
		return LinkAccepted{Link: InboundLink(1000 + c.Uint64N(1<<30)), PeerIP: "10.0.0.9"}
	case 11:
		return Holdings{Slots: c.slots()}
	case 12:
		return Paused{Offset: c.Int64N(100)}
	case 13:
		if c.IntN(20) == 0 {
			return Reset{Hard: c.IntN(2) == 0}
		}
	case 14, 15, 16, 17:
		return Tick{}
	}
	return Received{Link: c.link(), Msg: c.message()}
}

// Whatever comes, the tables stay consistent and nothing panics.
func TestInvariantsHoldUnderNonsense(t *testing.T) {
	for seed := range uint64(12) {
		l := newLab(t, string("abx"[seed%3]), threeShards())
		c := chatter{rand.New(rand.NewPCG(seed, 7)), l}
		for i := range 1000 {
			l.now = l.now.Add(time.Duration(c.IntN(100)) * time.Millisecond)
			ev := c.event()
			l.step(ev)
			if i%5 > 0 {
				continue // a look at all slots is dear
			}
			if err := l.n.broken(); err != nil {
				t.Fatalf("seed %d, event %d, %T%+v: %v", seed, i, ev, ev, err)
			}
			if i%50 == 0 {
				text := l.n.state().Append(nil)
				if _, err := ParseState(text, false); err != nil {
					t.Fatalf("seed %d, event %d: what is saved cannot be read: %v\n%s", seed, i, err, text)
				}
				l.n.View().NodesText(Client{})
			}
		}
	}
}

func FuzzReceive(f *testing.F) {
	c := chatter{rand.New(rand.NewPCG(1, 1)), nil}
	for range 30 {
		m := c.message()
		if m.Type == bus.TypeModule {
			m.Module = &bus.Module{}
		}
		if m.Type < bus.TypeCount {
			f.Add(bus.Append(nil, m), true)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, inbound bool) {
		m, err := bus.Decode(frame)
		if err != nil {
			return
		}
		l := newLab(t, "a", []shard{
			{primary: "a", slots: slots.Range{First: 0, Last: 9}, replicas: "x", epoch: 1},
			{primary: "b", slots: slots.Range{First: 10, Last: 19}, replicas: "y", epoch: 2},
		})
		link := l.peer("b").out.id
		if inbound {
			link = InboundLink(99)
			l.step(LinkAccepted{Link: link, PeerIP: "10.0.0.9"})
		}
		for range 2 {
			l.step(Received{link, m})
			l.now = l.now.Add(tickPeriod)
			l.step(Tick{})
		}
		if err := l.n.broken(); err != nil {
			t.Fatal(err)
		}
	})
}
