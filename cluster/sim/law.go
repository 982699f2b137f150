package sim

import (
	"errors"
	"fmt"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/cluster/sim/virtual"
	"redoubt/slots"
)

// law is what must never happen, and what of it has.
type law struct {
	votes   map[ballot]int    // candidate, by voter and epoch
	elected map[bus.Epoch]int // winner, by epoch
	writers writers
	ledger  ledger

	// on: a cluster has been created, and has to serve.
	on bool
	// whole is since when all members that are up can hear each other, and covered
	// since when all slots have living owners besides; zero if not.
	whole   time.Time
	covered time.Time
	alone   time.Duration // the longest that a primary has taken writes in a minority

	doubter int // who was not content when all were asked last
	// upset: an administrator has forced a takeover or had a node forgotten. Either
	// may make a majority of what is none, until all are of one mind again.
	upset bool
	// calm: nothing is broken, and nothing has to happen.
	calm bool
	// lost is the only primary that was lost, while all else is well; nil if none is.
	lost *Member
}

type ballot struct {
	voter int
	epoch bus.Epoch
}

func newLaw() law {
	return law{
		votes:   make(map[ballot]int),
		elected: make(map[bus.Epoch]int),
	}
}

// judgeRole looks at a member that has become a primary by election.
func (w *World) judgeRole(m *Member, r *cluster.RoleChange) {
	if r == nil || r.Replica || r.Flush || !m.data.standing.Replica() || m.data.primary() == "" {
		return
	}
	m.imposed = m.takingOver || m.forced.After(w.Now())
	m.relieves = w.relieved(m)
	w.succeed(m, w.formerly(m.data.primary()))
	if m.takingOver {
		w.law.upset = true
		return
	}
	w.judgeWinner(m)
	w.judgeRank(m)
	epoch := m.node.View().MyEpoch
	// A takeover makes a voter on one side of a partition, whose vote the other side's old
	// primary still has: two majorities of so many voters need not have one in common.
	if other, found := w.law.elected[epoch]; found && other != m.Index && !w.law.upset {
		w.Break("epoch %d has elected member %d and member %d", epoch, other, m.Index)
	}
	w.law.elected[epoch] = m.Index
}

// judgeWinner looks at the data with which a member was elected: they have to
// be those of the shard, as one of its primaries had them.
func (w *World) judgeWinner(m *Member) {
	old := w.formerly(m.data.primary())
	if old == nil || old.data.head == nil || m.forced.After(w.Now()) {
		return
	}
	mine, its := m.data.head, old.data.head
	common := fork(mine, its)
	switch {
	case m.data.standing.Loading():
		w.Break("member %d is elected in the place of %d while it loads a snapshot", m.Index, old.Index)
	case mine == nil:
		w.Break("member %d is elected in the place of %d, without any data", m.Index, old.Index)
	case common == nil:
		w.Break("member %d is elected in the place of %d, with the data of another shard", m.Index, old.Index)
	case common == its:
		return // it has more: the other has lost something
	}
	for ; mine != common; mine = mine.before {
		if mine.by == m.Index {
			w.Break("member %d is elected in the place of %d, with writes of its own that the shard does not have", m.Index, old.Index)
			return
		}
	}
}

// judgeReturn looks at a primary that serves for the first time since its start:
// no replica from which it has heard may have more, or that would be thrown away.
// It need not wait for ever.
func (w *World) judgeReturn(m *Member) {
	if m.returned {
		return
	}
	m.returned = true
	v := m.View()
	for _, r := range w.Members {
		if !r.Up() || r.data.primary() != m.id || w.Now().Sub(m.started) > 4*w.opt.NodeTimeout {
			continue
		}
		n := v.Node(r.id)
		if n == nil || n.Flags&(bus.FlagPFail|bus.FlagFail) != 0 || n.Offset == 0 {
			continue
		}
		if r.data.head != m.data.head && r.data.head.has(m.data.head) {
			w.Break("member %d serves again with less data than its replica %d, which must throw the rest away", m.Index, r.Index)
		}
	}
	w.lose(m.data.head.first(), m.data.head.chain().has, lostByReturn)
}

// formerly is the member that has or last had this node id.
func (w *World) formerly(id bus.NodeID) *Member {
	for _, m := range w.Members {
		if m.id == id {
			return m
		}
	}
	return nil
}

// judgeMessage looks at a message that leaves m.
func (w *World) judgeMessage(m *Member, end *virtual.End[*bus.Message], msg *bus.Message) {
	saved := &m.onDisk
	if msg.Type == bus.TypeAuthRequest {
		m.consented = msg.MsgFlags.Has(bus.MsgForceAck) && !m.forced.After(w.Now())
	}
	switch {
	case msg.Type == bus.TypeAuthAck:
		w.judgeVote(m, end, msg.CurrentEpoch)
		if saved.lastVote < msg.CurrentEpoch {
			w.Break("member %d votes in epoch %d, its disk says %d", m.Index, msg.CurrentEpoch, saved.lastVote)
		}
	case w.law.calm && msg.Type == bus.TypeFail:
		w.Break("member %d says that %s is FAIL, although nothing is broken", m.Index, msg.Fail)
	case w.law.calm && msg.Type == bus.TypeAuthRequest && !m.manual.After(w.Now()):
		w.Break("member %d asks for votes, although nothing is broken", m.Index)
	case msg.Type == bus.TypeAuthRequest && saved.current < msg.CurrentEpoch:
		w.Break("member %d asks for votes in epoch %d, its disk says %d", m.Index, msg.CurrentEpoch, saved.current)
	case msg.Primary == "" && msg.ConfigEpoch > saved.own:
		w.Break("member %d claims epoch %d, its disk says %d", m.Index, msg.ConfigEpoch, saved.own)
	}
}

func (w *World) judgeVote(m *Member, end *virtual.End[*bus.Message], epoch bus.Epoch) {
	if end == nil || end.Broken() {
		return
	}
	candidate := end.Peer()
	b := ballot{m.Index, epoch}
	if other, found := w.law.votes[b]; found && other != candidate.Index {
		w.Break("member %d votes for member %d and member %d in epoch %d", m.Index, other, candidate.Index, epoch)
	}
	w.law.votes[b] = candidate.Index
}

// throughCodec sends some messages through their binary form.
func (w *World) throughCodec(m *Member, msg *bus.Message) *bus.Message {
	if !w.Percent(w.opt.CodecPercent) {
		return msg
	}
	decoded, err := bus.Decode(bus.Append(nil, msg))
	if err != nil {
		w.Break("member %d sends a %v that cannot be read: %v", m.Index, msg.Type, err)
		return msg
	}
	return decoded
}

// Verdict is whether the cluster is whole and of one mind: what must be true
// some time after everything has healed. Nil means yes.
func (w *World) Verdict() error {
	if w.Err() != nil {
		return w.Err()
	}
	var up []*Member
	for _, m := range w.Members {
		if m.Up() {
			up = append(up, m)
		}
	}
	if len(up) == 0 {
		return errors.New("nobody is up")
	}
	if doubter := up[w.law.doubter%len(up)]; !doubter.node.Serving().OK {
		return fmt.Errorf("member %d: its cluster state is fail", doubter.Index)
	}
	reference := up[0].View()
	if err := judgeView(reference); err != nil {
		return fmt.Errorf("member %d: %w", up[0].Index, err)
	}
	for _, r := range reference.SlotRanges() {
		if w.member(r.Nodes[0].ID) == nil {
			return fmt.Errorf("the owner of slots %v is down", r.Range)
		}
	}
	return w.each(up, func(m *Member) error { return w.judgeOpinion(m, up) })
}

// each asks something of all members, and gives the first error. Whoever was not
// content last time is asked first: while the cluster is not whole yet, one View
// shows it, and not those of all others.
func (w *World) each(members []*Member, ask func(*Member) error) error {
	for i := range members {
		at := (w.law.doubter + i) % len(members)
		if err := ask(members[at]); err != nil {
			w.law.doubter = at
			return err
		}
	}
	return nil
}

// judgeOpinion checks that a member serves, and sees the cluster as all others do.
func (w *World) judgeOpinion(m *Member, up []*Member) error {
	if !m.node.Serving().OK {
		return fmt.Errorf("member %d: its cluster state is fail", m.Index)
	}
	v := m.View()
	if err := w.judgeMembers(v, up); err != nil {
		return fmt.Errorf("member %d: %w", m.Index, err)
	}
	reference := up[0].View()
	for s := range slots.Slot(slots.Count) {
		a, b := reference.Owner(s), v.Owner(s)
		if b == nil || a.ID != b.ID {
			return fmt.Errorf("members %d and %d disagree about slot %d", up[0].Index, m.Index, s)
		}
	}
	return nil
}

// judgeView checks one view by itself.
func judgeView(v *cluster.View) error {
	epochs := make(map[bus.Epoch]bus.NodeID)
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if !n.Flags.Has(bus.FlagPrimary) {
			continue
		}
		if other, found := epochs[n.ConfigEpoch]; found {
			return fmt.Errorf("%s and %s both have config epoch %d", other, n.ID, n.ConfigEpoch)
		}
		epochs[n.ConfigEpoch] = n.ID
	}
	for s := range slots.Slot(slots.Count) {
		if v.Owner(s) == nil {
			return fmt.Errorf("slot %d has no owner", s)
		}
	}
	return nil
}

// judgeMembers checks that a view knows everybody who is up as they are.
func (w *World) judgeMembers(v *cluster.View, up []*Member) error {
	connected := connectedBothWays(v)
	for _, m := range up {
		n := v.Node(m.ID())
		if n == nil {
			return fmt.Errorf("member %d is unknown", m.Index)
		}
		if n.Flags&(bus.FlagFail|bus.FlagPFail|bus.FlagHandshake|bus.FlagNoAddr) != 0 {
			return fmt.Errorf("member %d is %v", m.Index, n.Flags)
		}
		if !connected[n.ID] && n.ID != v.Me().ID {
			return fmt.Errorf("member %d is not connected", m.Index)
		}
		primary, epoch := m.node.Place()
		if n.Primary != primary {
			return fmt.Errorf("member %d is a replica of %q, not of %q", m.Index, primary, n.Primary)
		}
		// A replica that restarts has no epoch of its own any more, and shows 0 when it is
		// reset. The others keep what it had before it was a replica, as nodes of Redis do;
		// without slots that claims nothing.
		idle := primary == "" && n.Slots.Empty() && n.ConfigEpoch > epoch
		if n.ConfigEpoch != epoch && !idle {
			return fmt.Errorf("member %d has config epoch %d, not %d", m.Index, epoch, n.ConfigEpoch)
		}
		if p := v.Node(n.Primary); n.Primary != "" && (p == nil || !p.Flags.Has(bus.FlagPrimary)) {
			return fmt.Errorf("the shard of member %d has no primary", m.Index)
		}
	}
	return nil
}

// connectedBothWays are the nodes to and from which v has a link that is up.
func connectedBothWays(v *cluster.View) map[bus.NodeID]bool {
	out := make(map[bus.NodeID]bool, len(v.Nodes))
	both := make(map[bus.NodeID]bool, len(v.Nodes))
	for _, l := range v.Links { // those of a node follow each other, outbound first
		switch {
		case !l.Up:
		case !l.Inbound:
			out[l.Node] = true
		case out[l.Node]:
			both[l.Node] = true
		}
	}
	return both
}
