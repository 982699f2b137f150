package cluster

import (
	"fmt"
	"maps"
	"slices"

	"redoubt/bus"
	"redoubt/slots"
)

// refuse is the answer ERR with the given text.
func refuse(format string, args ...any) error {
	return CommandError("ERR " + fmt.Sprintf(format, args...))
}

func errUnknownNode(id bus.NodeID) error { return refuse("Unknown node %s", id) }

// command executes a command. One that changed something is answered when
// that is on disk, if it is binding.
func (n *Node) command(ev Event) Result {
	switch cmd := ev.(type) {
	case BumpEpoch:
		bumped := n.bumpEpoch()
		return Result{Bumped: bumped, Epoch: n.myself.configEpoch}
	case CountFailureReports:
		p := n.peers[cmd.ID]
		if p == nil {
			return Result{Err: errUnknownNode(cmd.ID)}
		}
		return Result{Count: n.reports(p)}
	case HandOver:
		return n.handOver(cmd.Heirs)
	case Agreed:
		return n.agreed(cmd)
	}
	binding := n.binding(ev)
	if err := n.change(ev); err != nil {
		return Result{Err: err}
	}
	if n.fx.Agree != nil {
		return Result{} // what changes does so when that is agreed on
	}
	if _, ok := ev.(SetSlot); ok {
		n.tellReplicas()
	}
	if binding {
		n.saveNow()
	} else {
		n.save()
	}
	n.todo.state = true
	return Result{}
}

func (n *Node) change(ev Event) error {
	switch ev.(type) {
	case AddSlots, DelSlots, FlushSlots, SetSlot:
		if err := n.mayChangeSlots(); err != nil {
			return err
		}
	}
	switch cmd := ev.(type) {
	case Meet:
		return n.startHandshake(cmd)
	case AddSlots:
		return n.addSlots(cmd.Ranges)
	case DelSlots:
		return n.delSlots(cmd.Ranges)
	case FlushSlots:
		if cmd.Keys > 0 {
			return refuse("DB must be empty to perform CLUSTER FLUSHSLOTS.")
		}
		if n.leadsShard() {
			return n.agreeOn(func(o *Ownership) { o.Slots = slots.Set{} })
		}
		n.unbindAll(n.myself)
		return nil
	case SetSlot:
		return n.setSlot(cmd)
	case SetConfigEpoch:
		return n.setConfigEpoch(cmd.Epoch)
	case Replicate:
		return n.replicate(cmd)
	case Forget:
		return n.forget(cmd.ID)
	case Reset:
		return n.reset(cmd)
	case Failover:
		return n.failover(cmd.Mode)
	case Lead:
		return n.lead(cmd)
	case Found:
		return n.found()
	case JoinGroup:
		return n.joinGroup(cmd.Name)
	case SaveConfig:
		n.disk.whole = true
		return nil
	}
	panic(fmt.Sprintf("cluster: unknown event %T", ev))
}

// addSlots gives this node slots that nobody has. Redis lets a replica have
// slots, too, and fails an assertion when its role changes next.
func (n *Node) addSlots(ranges []slots.Range) error {
	if n.myself.isReplica() {
		return refuse("Please use ADDSLOTS only with masters.")
	}
	wanted, err := n.checkSlots(ranges, func(s slots.Slot) error {
		if n.table.owner[s] != nil {
			return refuse("Slot %d is already busy", s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n.leadsShard() {
		return n.agreeOn(func(o *Ownership) {
			o.Slots.AddSet(&wanted)
			o.Importing = slices.DeleteFunc(o.Importing, func(open OpenSlot) bool { return wanted.Has(open.Slot) })
		})
	}
	wanted.Each(func(s slots.Slot) bool {
		delete(n.table.importing, s)
		n.bind(s, n.myself)
		return true
	})
	return nil
}

// delSlots unbinds slots in this node's view, whoever owns them.
func (n *Node) delSlots(ranges []slots.Range) error {
	wanted, err := n.checkSlots(ranges, func(s slots.Slot) error {
		if n.table.owner[s] == nil {
			return refuse("Slot %d is already unassigned", s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if o := n.ownership(); n.leadsShard() && wanted.Intersects(&o.Slots) {
		others := wanted.Without(&o.Slots)
		o.Slots = o.Slots.Without(&wanted)
		if err := n.agree(Agreement{Ownership: o}, nil); err != nil {
			return err
		}
		wanted = others // are hearsay
		n.save()
		n.todo.state = true
	}
	wanted.Each(func(s slots.Slot) bool {
		delete(n.table.importing, s)
		n.unbind(s)
		return true
	})
	return nil
}

// checkSlots checks the arguments of a command one by one, so that the error
// is about the first that is wrong.
func (n *Node) checkSlots(ranges []slots.Range, check func(slots.Slot) error) (slots.Set, error) {
	var set slots.Set
	for _, r := range ranges {
		if r.First > r.Last {
			return set, refuse("start slot number %d is greater than end slot number %d", r.First, r.Last)
		}
		for s := int(r.First); s <= int(r.Last); s++ {
			s := slots.Slot(s)
			if err := check(s); err != nil {
				return set, err
			}
			if set.Has(s) {
				return set, refuse("Slot %d specified multiple times", s)
			}
			set.Add(s)
		}
	}
	return set, nil
}

// setConfigEpoch gives a fresh node its first epoch, so that the nodes of a
// new cluster need not sort theirs out by collisions.
func (n *Node) setConfigEpoch(epoch int64) error {
	switch {
	case epoch < 0:
		return refuse("Invalid config epoch specified: %d", epoch)
	case len(n.order) > 1:
		return refuse("The user can assign a config epoch only when the node does not know any other node.")
	case n.myself.configEpoch != 0:
		return refuse("Node config epoch is already non-zero")
	}
	n.beginClaim()
	n.myself.configEpoch = bus.Epoch(epoch)
	n.currentEpoch = max(n.currentEpoch, n.myself.configEpoch)
	n.note("configEpoch set to %d via CLUSTER SET-CONFIG-EPOCH", epoch)
	return nil
}

func (n *Node) replicate(cmd Replicate) error {
	p := n.peers[cmd.ID]
	switch {
	case p == nil:
		return errUnknownNode(cmd.ID)
	case p == n.myself:
		return refuse("Can't replicate myself")
	case p.isReplica():
		return refuse("I can only replicate a master, not a replica.")
	case n.myself.isPrimary() && (n.myself.slotCount > 0 || cmd.Keys > 0):
		return refuse("To set a master the node must be empty and without assigned slots.")
	}
	n.becomeReplicaOf(p)
	// As Valkey 8. Voters that do not know this replica yet would not vote for it, and in a
	// fresh cluster gossip takes seconds to tell them.
	n.broadcastPong()
	return nil
}

func (n *Node) forget(id bus.NodeID) error {
	p := n.peers[id]
	switch {
	case p == nil && n.isBanned(id):
		return nil // another node has spread the ban already
	case p == nil:
		return errUnknownNode(id)
	case p == n.myself:
		return refuse("I tried hard but I can't forget myself...")
	case p == n.myself.primary:
		return refuse("Can't forget my master!")
	}
	n.ban(id, n.cfg.BlacklistTTL)
	n.deletePeer(p)
	return nil
}

// reset makes this node a primary without slots that knows nobody; a hard
// reset also makes it another node, with epochs from 0 (clusterReset).
func (n *Node) reset(cmd Reset) error {
	me := n.myself
	if me.isPrimary() && cmd.Keys > 0 {
		return refuse("CLUSTER RESET can't be called with master nodes containing keys")
	}
	if me.isReplica() {
		n.beginClaim() // it shows an epoch of its own again
		n.makePrimary(me)
		n.resetFlush = true
	}
	n.closeAllSlots()
	n.resetManualFailover()
	n.election = election{}
	for _, p := range slices.Clone(n.order) {
		if p != me {
			n.deletePeer(p)
		}
	}
	for _, id := range sortedKeys(n.links) {
		n.closeLink(n.links[id])
	}
	n.unbindAll(me)
	if n.cfg.Quorum {
		me.shardID = n.randomID() // its former shard is not to take it for one of its own
	}
	clear(n.banned)
	n.leaveGroup()
	if cmd.Hard {
		n.currentEpoch, n.lastVoteEpoch, me.configEpoch = 0, 0, 0
		n.rename(me, bus.NodeID(n.randomID()))
		me.shardID = n.randomID()
		n.fx.LeaveGroup = n.fx.LeaveGroup || n.cfg.Quorum // a member has the name of its node
		n.note("Node hard reset, now I'm %s", me.id)
	}
	return nil
}

// verifyHoldings squares the slots with the keys found at start.
func (n *Node) verifyHoldings(ev Holdings) {
	if n.myself.isReplica() || n.group != "" {
		return // its keys are its primary's business, or its slots those of its shard
	}
	claimed, foreign := 0, 0
	ev.Slots.Each(func(s slots.Slot) bool {
		switch owner := n.table.owner[s]; {
		case owner == n.myself || n.table.importing[s] != nil:
		case owner == nil:
			n.bind(s, n.myself)
			claimed++
		default:
			n.table.importing[s] = owner
			n.table.changes++
			foreign++
		}
		return true
	})
	if claimed > 0 {
		n.note("I have keys for %d unassigned slots. Taking responsibility for them.", claimed)
	}
	if foreign > 0 {
		n.note("I have keys for %d slots that are assigned to other nodes. Setting them to importing state.", foreign)
	}
	if claimed+foreign > 0 {
		n.saveNow()
		n.todo.state = true
	}
}

// sortedKeys are the keys of m in ascending order.
func sortedKeys[K bus.NodeID | LinkID, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
