package cluster

import (
	"encoding/binary"
	"errors"
	"slices"

	"redoubt/bus"
	"redoubt/slots"
)

// A shard that elects its primary by itself (Settings.Quorum) also agrees on which slots
// it has. Its primary gives and takes none before that: a command about its slots asks for
// an agreement (Effects.Agree), Own carries it out, and Agreed answers who has given the
// command. So a new primary knows what the shard has, down to the marks of open slots, and
// takes exactly that (Lead), whatever it has heard on the bus.

// Ownership is which slots a shard has, and which of them are open: all of it each time.
type Ownership struct {
	Slots     slots.Set
	Migrating []OpenSlot // ascending
	Importing []OpenSlot // ascending
}

// Agreement is what a shard has to agree on before its primary acts on it.
type Agreement struct {
	Number    uint64 // for Agreed
	Ownership Ownership
	Under     bus.Epoch // of the claim as of which this was thought of: void after any other
	// Epoch asks for a greater epoch as well, with which the claim wins a slot from its
	// former owner.
	Epoch bool
}

// agreement is the last that was asked for.
type agreement struct {
	number  uint64 // counts them
	pending bool
	heir    *peer     // who gets the slots that go; nil: nobody
	leaving slots.Set // the slots that go
	back    slots.Set // withheld slots that this node claims again
}

// What is answered to who wants to change the slots of a shard that agrees on them.
const (
	errAgreeing CommandError = "TRYAGAIN The shard is agreeing on another change of its slots"
	ErrNotLed   CommandError = "CLUSTERDOWN This node is not the primary that its shard has elected, and gives or takes no slots"
)

// mayChangeSlots refuses commands about slots where the shard has elected somebody else, or
// nobody.
func (n *Node) mayChangeSlots() error {
	if n.cfg.Quorum && n.group != "" && n.myself.isPrimary() && !n.leadsShard() {
		return ErrNotLed
	}
	return nil
}

// ownership is what the shard has agreed on.
func (n *Node) ownership() Ownership {
	owned := *n.myself.set()
	owned.AddSet(&n.withheld)
	return Ownership{
		Slots:     owned,
		Migrating: openSlots(n.table.migrating),
		Importing: openSlots(n.table.importing),
	}
}

// agree asks the shard to agree on a change of what it has. Slots that go are the heir's
// then, if there is one.
func (n *Node) agree(a Agreement, heir *peer) error {
	if n.agreement.pending {
		return errAgreeing
	}
	n.agreement = agreement{
		number:  n.agreement.number + 1,
		pending: true,
		heir:    heir,
		leaving: n.myself.set().Without(&a.Ownership.Slots),
	}
	n.table.changes++ // the View shows what is leaving
	a.Number, a.Under = n.agreement.number, n.led
	n.fx.Agree = &a
	return nil
}

// agreeOn is agree about what the node has but for a change.
func (n *Node) agreeOn(change func(*Ownership)) error {
	o := n.ownership()
	change(&o)
	return n.agree(Agreement{Ownership: o}, nil)
}

// agreed takes Agreed.
func (n *Node) agreed(ev Agreed) Result {
	if n.agreement.number == ev.Number {
		n.endAgreement()
	}
	return Result{Err: ev.Err}
}

func (n *Node) endAgreement() {
	n.agreement = agreement{number: n.agreement.number}
	n.table.changes++
	n.view.news = true
}

// own takes Own, if this node still is the primary.
func (n *Node) own(ev Own) {
	if !n.leadsShard() {
		return
	}
	if ev.Epoch > n.myself.configEpoch {
		n.beginClaim()
		n.leadWith(ev.Epoch)
	}
	n.withheld = n.withheld.Without(&n.agreement.back)
	n.takeOwnership(&ev.Ownership, n.agreement.heir)
	n.endAgreement()
	n.saveNow()
	n.todo.state = true
	n.broadcastPong()
}

// takeOwnership makes the slots of this primary what its shard has agreed on, but for those
// that it withholds.
func (n *Node) takeOwnership(o *Ownership, heir *peer) {
	me := n.myself
	migrating, importing := n.otherEnds(o.Migrating), n.otherEnds(o.Importing)
	n.keepWithheld(o, migrating)
	lost, gained := me.set().Without(&o.Slots), o.Slots.Without(me.set())
	gained = gained.Without(&n.withheld)
	if !gained.Empty() {
		n.beginClaim() // they are shown only when that is on disk
	}
	if heir != nil && n.peers[heir.id] != heir {
		heir = nil // it was forgotten meanwhile
	}
	lost.Each(func(s slots.Slot) bool {
		n.unbind(s)
		if heir != nil {
			n.bind(s, heir)
		}
		return true
	})
	n.rebindEach(gained, me)
	n.table.migrating, n.table.importing = migrating, importing
	n.table.changes++
	if !lost.Empty() && heir != nil {
		n.noteIfEmptied(heir)
	}
}

// otherEnds finds the primaries at the other ends of open slots. They may have been replaced
// since that was agreed on.
func (n *Node) otherEnds(open []OpenSlot) map[slots.Slot]*peer {
	ends := make(map[slots.Slot]*peer, len(open))
	for _, o := range open {
		p := n.peers[o.Node]
		if p != nil && p.isReplica() {
			p = p.primary
		}
		if p == nil {
			n.note("Slot %d is open for node %s, which is not known here: it is open no more", o.Slot, o.Node)
			continue
		}
		ends[o.Slot] = p
	}
	return ends
}

// keepWithheld finds what of its slots this primary does not claim: what it has withheld, and what
// is open for another shard and claimed by it already, also if that other end is not known any
// more.
func (n *Node) keepWithheld(o *Ownership, migrating map[slots.Slot]*peer) {
	foreign := o.Slots.Without(n.myself.set())
	claimed := foreign.Without(&n.withheld)
	n.withheld = foreign.Without(&claimed)
	for _, open := range o.Migrating {
		s := open.Slot
		owner, end := n.table.owner[s], migrating[s]
		if n.withheld.Has(s) || !foreign.Has(s) || n.table.free(s) || n.sameShard(owner, n.myself) {
			continue
		}
		if end == nil || n.sameShard(owner, end) {
			n.withhold(s, owner)
		}
	}
}

// withhold notes that this primary does not claim a slot that its shard has, as it is open for
// the shard of p, which claims it. It goes there as by SETSLOT NODE when it has no keys here any
// more, which is for the driver to see. If it has some they stay, and so do those that p has: a
// claim of ours with a greater epoch would have p delete them, if its shard does not agree on
// its slots.
func (n *Node) withhold(s slots.Slot, p *peer) {
	n.withheld.Add(s)
	n.offer(s, p)
}

func (n *Node) offer(s slots.Slot, p *peer) {
	n.fx.GiveUp = append(n.fx.GiveUp, SetSlot{Slot: s, Action: SlotNode, ID: p.id, Offer: true})
	n.offered = n.now
}

// offerWithheld asks for that again, of some slots after the others. A slot that is not claimed
// any more waits for somebody who says whose it is.
func (n *Node) offerWithheld() {
	if n.withheld.Empty() || !n.leadsShard() || n.now.Sub(n.offered) < reclaimPause {
		return
	}
	var all []slots.Slot
	n.withheld.Each(func(s slots.Slot) bool {
		if !n.table.free(s) {
			all = append(all, s)
		}
		return true
	})
	for i := range min(len(all), offerMost) {
		s := all[(n.offers+i)%len(all)]
		n.offer(s, n.table.owner[s])
	}
	n.offers += offerMost
}

// offerMost is how many slots offerWithheld asks for at once.
const offerMost = 64

// whoHas refuses what would claim a slot that another shard has taken.
func (n *Node) whoHas(s slots.Slot) error {
	if !n.withheld.Has(s) || n.table.free(s) {
		return nil
	}
	return refuse("Slot %d was open for the shard of node %s, which has taken it", s, peerName(n.table.owner[s]))
}

// openIn makes s open for an end in one of the lists of an Ownership, or closes it if end is "".
func openIn(list []OpenSlot, s slots.Slot, end bus.NodeID) []OpenSlot {
	list = slices.DeleteFunc(list, func(o OpenSlot) bool { return o.Slot == s })
	if end == "" {
		return list
	}
	at := 0
	for at < len(list) && list[at].Slot < s {
		at++
	}
	return slices.Insert(list, at, OpenSlot{Slot: s, Node: end})
}

// Append encodes the Ownership, all integers big-endian: the slots (2048, as on the bus), and
// then, of those that migrate and of those that are imported, how many there are (2), and of
// each the slot (2) and the id of the other end (40).
func (o *Ownership) Append(b []byte) []byte {
	b = append(b, o.Slots[:]...)
	for _, list := range [][]OpenSlot{o.Migrating, o.Importing} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(list)))
		for _, open := range list {
			b = binary.BigEndian.AppendUint16(b, uint16(open.Slot))
			b = append(b, open.Node...)
		}
	}
	return b
}

var errOwnership = errors.New("cluster: this is not what a shard owns")

// ParseOwnership is the reverse of Append.
func ParseOwnership(b []byte) (*Ownership, error) {
	o := &Ownership{}
	if len(b) < slots.Bytes {
		return nil, errOwnership
	}
	b = b[copy(o.Slots[:], b):]
	for _, list := range []*[]OpenSlot{&o.Migrating, &o.Importing} {
		const each = 2 + bus.IDLen
		if len(b) < 2 {
			return nil, errOwnership
		}
		count := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; len(b) < count*each {
			return nil, errOwnership
		}
		for ; count > 0; count-- {
			open := OpenSlot{slots.Slot(binary.BigEndian.Uint16(b)), bus.NodeID(b[2:each])}
			if !open.Slot.Valid() {
				return nil, errOwnership
			}
			*list = append(*list, open)
			b = b[each:]
		}
	}
	if len(b) > 0 {
		return nil, errOwnership
	}
	return o, nil
}
