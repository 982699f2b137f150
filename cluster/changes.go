package cluster

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"redoubt/bus"
	"redoubt/slots"
)

// A change is the difference between two States as text. Moving slots saves a
// State for each of them; a change takes about a hundred bytes in the place of
// the whole of nodes.conf, whose size grows with the number of nodes. Its lines
// are
//
//	node <a line of nodes.conf without its slots>   a node that is new or differs
//	slots <id> +0-99 -7                             slots that it gained and lost
//	gone <id>                                       a node that is no longer known
//	vars currentEpoch 6 lastVoteEpoch 2             always there, always last
//
// A node line keeps the slots that the node has. What only tells the time, or
// is found out anew after a start, is no difference: see sameSaved.

// AppendChanges writes the change that makes s of old.
func (s *State) AppendChanges(dst []byte, old *State) []byte {
	before := make(map[bus.NodeID]*NodeRecord, len(old.Nodes))
	for i := range old.Nodes {
		before[old.Nodes[i].ID] = &old.Nodes[i]
	}
	for i := range s.Nodes {
		r := &s.Nodes[i]
		was := before[r.ID]
		delete(before, r.ID)
		if was == nil {
			was = &NodeRecord{}
		}
		if !r.sameSaved(was) {
			bare := *r
			bare.Slots = nil
			dst = bare.appendSaved(append(dst, "node "...))
		}
		dst = appendSlotChanges(dst, r.ID, was.Slots, r.Slots)
	}
	for i := range old.Nodes {
		if id := old.Nodes[i].ID; before[id] != nil {
			dst = fmt.Appendf(dst, "gone %s\n", id)
		}
	}
	return s.appendVars(dst)
}

// sameSaved reports whether two records of a node have the same line in
// nodes.conf, but for slots, times, and the state of the link. Of a time it
// matters only whether there is one: a restart puts its own in its place.
func (r *NodeRecord) sameSaved(o *NodeRecord) bool {
	return r.ID == o.ID && r.IP == o.IP && r.TCPPort == o.TCPPort && r.TLSPort == o.TLSPort && r.BusPort == o.BusPort &&
		r.Hostname == o.Hostname && r.HumanName == o.HumanName && r.ShardID == o.ShardID &&
		(r.Flags == o.Flags || r.Flags.String() == o.Flags.String()) &&
		r.Primary == o.Primary && r.ConfigEpoch == o.ConfigEpoch &&
		r.PingSent.IsZero() == o.PingSent.IsZero() && r.PongReceived.IsZero() == o.PongReceived.IsZero() &&
		slices.Equal(r.Migrating, o.Migrating) && slices.Equal(r.Importing, o.Importing)
}

// appendSlotChanges writes the line slots, or nothing if the sets are equal.
// Either may be nil for no slots.
func appendSlotChanges(dst []byte, id bus.NodeID, old, now *slots.Set) []byte {
	if old == now {
		return dst // the usual case: Node gives out the same set until it changes
	}
	old, now = cmp.Or(old, &noSlots), cmp.Or(now, &noSlots)
	if *old == *now {
		return dst
	}
	dst = fmt.Appendf(dst, "slots %s", id)
	dst = appendRanges(dst, " +", now.Without(old))
	dst = appendRanges(dst, " -", old.Without(now))
	return append(dst, '\n')
}

// appendRanges writes the ranges of a set, each after a mark.
func appendRanges(dst []byte, mark string, set slots.Set) []byte {
	for _, r := range set.Ranges() {
		dst = append(append(dst, mark...), r.String()...)
	}
	return dst
}

// Change makes of s the State that AppendChanges described. It overwrites the
// slots of s, which therefore must be nobody else's: a State that was parsed.
// After an error s is of no use.
func (s *State) Change(text []byte) error {
	for line := range bytes.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimRight(string(line), "\n"), " ")
		if err := s.changeLine(kind, strings.Fields(rest)); err != nil {
			return fmt.Errorf("%w: change %q: %w", errCorrupt, abbreviate(line), err)
		}
	}
	slices.SortFunc(s.Nodes, func(a, b NodeRecord) int { return cmp.Compare(a.ID, b.ID) })
	return s.check()
}

func (s *State) changeLine(kind string, fields []string) error {
	if kind == "vars" {
		return s.parseVars(fields)
	}
	if len(fields) == 0 {
		return errors.New("a node id is missing")
	}
	at := slices.IndexFunc(s.Nodes, func(r NodeRecord) bool { return string(r.ID) == fields[0] })
	switch {
	case kind == "node":
		r, err := parseNode(fields, false)
		if err != nil {
			return err
		}
		if at < 0 {
			s.Nodes = append(s.Nodes, r)
			return nil
		}
		r.Slots = s.Nodes[at].Slots
		s.Nodes[at] = r
		return nil
	case kind != "slots" && kind != "gone":
		return errors.New("unknown kind")
	case at < 0:
		return errors.New("there is no such node")
	case kind == "gone":
		s.Nodes = slices.Delete(s.Nodes, at, at+1)
		return nil
	}
	return s.Nodes[at].changeSlots(fields[1:])
}

// changeSlots takes +0-99 and -7.
func (r *NodeRecord) changeSlots(items []string) error {
	for _, item := range items {
		span, err := parseRange(item[1:])
		if err != nil {
			return err
		}
		switch item[0] {
		case '+':
			r.Slots.AddRange(span)
		case '-':
			for s := int(span.First); s <= int(span.Last); s++ {
				r.Slots.Remove(slots.Slot(s))
			}
		default:
			return fmt.Errorf("neither + nor - before %q", item)
		}
	}
	return nil
}
