package clustertool

import (
	"fmt"
	"slices"

	"github.com/tidwall/resp"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// slotState is a slot as all primaries that answer see it.
type slotState struct {
	slot  slots.Slot
	nodes []slotNode
}

// slotNode is what a primary says of a slot and itself.
type slotNode struct {
	id        string
	owns      bool
	keys      int    // of the slot, on this node
	migrating string // to the node with this id, or ""
	importing string // from the node with this id, or ""
}

func (n *slotNode) marked() bool { return n.migrating != "" || n.importing != "" }

func (s *slotState) byID(id string) *slotNode {
	for i := range s.nodes {
		if s.nodes[i].id == id {
			return &s.nodes[i]
		}
	}
	return nil
}

// owner is the only node that claims the slot, or nil.
func (s *slotState) owner() (owner *slotNode) {
	for i := range s.nodes {
		if s.nodes[i].owns {
			if owner != nil {
				return nil
			}
			owner = &s.nodes[i]
		}
	}
	return owner
}

// halfMoved reports whether the slot is as an interrupted move leaves it, and from
// where to where it is on its way. Such a move can go on as if nothing had been. The
// owner is not marked if the move was interrupted after its first command.
func (s *slotState) halfMoved() (from, to string, ok bool) {
	owner := s.owner()
	if owner == nil || owner.importing != "" {
		return "", "", false
	}
	var target *slotNode
	for i := range s.nodes {
		n := &s.nodes[i]
		if n.importing == owner.id && (owner.migrating == "" || owner.migrating == n.id) {
			if target != nil {
				return "", "", false
			}
			target = n
		}
	}
	if target == nil {
		return "", "", false
	}
	for i := range s.nodes {
		if n := &s.nodes[i]; n != owner && n != target && n.keys > 0 {
			return "", "", false
		}
	}
	return owner.id, target.id, true
}

// repairKind is what is done to a slot.
type repairKind int

const (
	closes  repairKind = iota // the node's mark is taken away
	yields                    // the node gives its claim up for the peer, and keeps its keys
	takes                     // the node becomes the owner, with a new epoch
	moves                     // a half moved slot goes on to the peer
	gathers                   // the node's keys go to the peer, which is the owner
	tells                     // all other primaries are told that the node is the owner
)

// repair is one step of a slot's way to health.
type repair struct {
	kind repairKind
	node string // id
	peer string // id, of yields, moves and gathers
}

// describe says what the step does.
func (r repair) describe(name func(id string) string) string {
	node, peer := name(r.node), name(r.peer)
	switch r.kind {
	case closes:
		return "close on " + node
	case yields:
		return fmt.Sprintf("%s gives up its claim for %s", node, peer)
	case takes:
		return node + " becomes the owner"
	case moves:
		return fmt.Sprintf("finish the move from %s to %s", node, peer)
	case gathers:
		return fmt.Sprintf("move keys from %s to the owner, %s", node, peer)
	}
	return "tell all primaries that the owner is " + node
}

// sound reports whether nothing is wrong with the slot.
func (s *slotState) sound() bool {
	owner := s.owner()
	if owner == nil {
		return false
	}
	for i := range s.nodes {
		if n := &s.nodes[i]; n.marked() || n != owner && n.keys > 0 {
			return false
		}
	}
	return true
}

// repairs is what mends the slot, in order; spare is the node that gets a slot which
// nobody has and of which nobody has keys. The cases of redis-cli
// (clusterManagerFixOpenSlot, …SlotsCoverage, …MultipleSlotOwners) come down to two:
//
// A move that was interrupted goes on. Otherwise there must be one owner, all keys go
// there, and all marks go away. The owner is the only node that claims the slot. If
// none does, or several do, it is among them the one with most keys, and it takes a new
// epoch so that everybody believes it.
//
// A node with keys that is to lose its claim gives it up, and marks the slot as
// importing, before another one takes it: a node that hears that another owns its slot
// deletes the keys, unless it has that mark.
//
// The steps that move no keys may be taken first, of all slots: as long as one slot has
// no owner, no node of a cluster that requires full coverage takes a key.
func (s *slotState) repairs(spare string) (steps []repair) {
	if s.sound() {
		return nil
	}
	if from, to, ok := s.halfMoved(); ok {
		steps = append(steps, repair{moves, from, to})
		for _, n := range s.nodes {
			if n.id != from && n.id != to && n.marked() {
				steps = append(steps, repair{closes, n.id, ""})
			}
		}
		return steps
	}
	owner := s.owner()
	taken := owner == nil
	if taken {
		owner = s.byID(s.heir(spare))
	}
	for _, n := range s.nodes {
		if n.id != owner.id && n.owns {
			steps = append(steps, repair{yields, n.id, owner.id})
		}
	}
	if taken {
		steps = append(steps, repair{takes, owner.id, ""})
	} else if owner.marked() {
		steps = append(steps, repair{closes, owner.id, ""})
	}
	steps = append(steps, repair{tells, owner.id, ""})
	for _, n := range s.nodes {
		if n.id == owner.id {
			continue
		}
		if n.keys > 0 {
			steps = append(steps, repair{gathers, n.id, owner.id})
		} else if n.marked() || n.owns {
			steps = append(steps, repair{closes, n.id, ""})
		}
	}
	return steps
}

// movesKeys reports whether the step needs a cluster that serves. The others are what
// makes it serve.
func (r repair) movesKeys() bool { return r.kind == moves || r.kind == gathers }

// heir is who is to own a slot that nobody owns, or several: of these the one with most
// keys, else of all the one with most keys, else the spare one.
func (s *slotState) heir(spare string) string {
	best, id := -1, spare
	claimed := false
	for _, n := range s.nodes {
		claimed = claimed || n.owns
	}
	for _, n := range s.nodes {
		if (!claimed || n.owns) && n.keys > best && (claimed || n.keys > 0) {
			best, id = n.keys, n.id
		}
	}
	return id
}

// orders is the step as commands, all but the keys of moves and gathers. Of these it is
// what comes before the keys (after is false) and behind them.
func (r repair) orders(slot slots.Slot, primaries []string, after bool) []order {
	number := fmt.Sprint(int(slot))
	set := func(a ...string) []string { return append([]string{"CLUSTER", "SETSLOT", number}, a...) }
	to := func(id string, cmds ...[]string) []order { return []order{{to: id, cmds: cmds}} }
	switch r.kind {
	case closes:
		return to(r.node, set("STABLE"))
	case yields:
		return to(r.node, []string{"CLUSTER", "DELSLOTS", number}, set("NODE", r.peer), set("IMPORTING", r.peer))
	case takes:
		return to(r.node, set("STABLE"), []string{"MULTI"}, []string{"CLUSTER", "DELSLOTS", number}, []string{"CLUSTER", "ADDSLOTS", number},
			[]string{"CLUSTER", "BUMPEPOCH"}, []string{"EXEC"})
	case gathers:
		if after {
			return to(r.node, set("STABLE"))
		}
		return to(r.node, set("NODE", r.peer), set("IMPORTING", r.peer))
	case tells:
		var all []order
		for _, id := range primaries {
			if id != r.node {
				all = append(all, to(id, set("NODE", r.node))...)
			}
		}
		return all
	}
	return nil
}

// carryOut drives the step: do sends orders, move drives a slotMove.
func (r repair) carryOut(slot slots.Slot, primaries []string, do func(order) ([]resp.Value, error), move func(*slotMove) error, at func(id string) spot, how moveOptions) error {
	send := func(after bool) error {
		for _, o := range r.orders(slot, primaries, after) {
			vs, err := do(o)
			if err == nil {
				err = refusal(o, vs)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := send(false); err != nil {
		return err
	}
	var m *slotMove
	switch r.kind {
	case gathers:
		m = gather(slot, at(r.node), at(r.peer), how)
	case moves:
		others := slices.DeleteFunc(slices.Clone(primaries), func(id string) bool { return id == r.node || id == r.peer })
		m = newSlotMove(slot, at(r.node), at(r.peer), others, how)
		m.resumed = true
	default:
		return nil
	}
	if err := move(m); err != nil {
		return err
	}
	return send(true)
}

// refusal is the first error among the replies that matters. DELSLOTS of a slot that a
// node knows no owner of is what was wanted.
func refusal(o order, vs []resp.Value) error {
	for i, v := range vs {
		if v.Type() == resp.Array && o.cmds[i][0] == "EXEC" {
			// Of DELSLOTS, ADDSLOTS and BUMPEPOCH the second decides, as in redis-cli.
			if in := v.Array(); len(in) > 1 && in[1].Type() == resp.Error {
				return &client.ReplyError{Text: in[1].String()}
			}
		}
		if v.Type() == resp.Error && !(len(o.cmds[i]) > 1 && o.cmds[i][1] == "DELSLOTS") {
			return &client.ReplyError{Text: v.String()}
		}
	}
	return nil
}
