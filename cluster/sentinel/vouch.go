package sentinel

import (
	"time"

	"redoubt/cluster/vouch"
)

// Nodes of ours take no writes after a restart until most of their Sentinels have said
// that they still are the primary (package vouch). This file says it. It goes as a
// message on the channel of the hellos, for which the Sentinel's user has permission in
// any case; the node keeps it to itself. Whether a node is one of ours, its INFO tells.

// vouchPeriod is how often a node is told what it knows already: it forgets.
const vouchPeriod = 10 * time.Second

// vouched is what a node was told.
type vouched struct {
	word vouch.Word
	at   time.Time
	conn LinkID // the connection on which; another one may be to another process
}

// vouchFor tells a node whether it is the primary, if it does not know yet. It is called
// after an INFO has come: so the instance has answered PING, too, and is not SDOWN on
// account of what was before.
func (n *Node) vouchFor(w watched) {
	i := w.inst()
	if !i.info.hears || !i.link.connected() || n.tilt || paused(w) {
		return
	}
	word := n.wordFor(w)
	told, repeat := &i.vouched, vouchPeriod
	if i.info.unconfirmed {
		repeat = time.Second
	}
	if told.word == word && told.conn == i.link.cmd.id && n.since(told.at) < repeat {
		return
	}
	news := told.word != word || told.conn != i.link.cmd.id
	*told = vouched{word, n.now, i.link.cmd.id}
	// What it says of votes and configurations is on disk when it leaves.
	n.send(w, true, RequestVouch, n.words(w, "PUBLISH", HelloChannel, word.String()))
	if i.info.unconfirmed && news {
		is := "is not the primary"
		if word.Primary {
			is = "is the primary"
		}
		n.log(LevelNotice, "%s waits for its Sentinels, was told that it %s in configuration %d", n.describe(w), is, word.ConfigEpoch)
	}
}

// wordFor is what there is to say to a node.
func (n *Node) wordFor(w watched) vouch.Word {
	m := w.of()
	word := vouch.Word{
		Sentinel:    n.myID,
		Master:      m.name,
		Voters:      len(m.peers) + 1,
		Epoch:       n.currentEpoch,
		ConfigEpoch: m.configEpoch,
		Primary:     n.same(w.inst().addr, m.current()),
		Busy:        m.sdown || m.failover.running(),
	}
	if m.leaderEpoch > m.configEpoch && !m.votedAt.IsZero() && n.since(m.votedAt) < n.mayTake(m) {
		word.VoteEpoch, word.Vote = m.leaderEpoch, m.leader
	}
	return word
}

// mayTake is for how long a failover may still come of a vote: its election and its
// promotion are both bounded.
func (n *Node) mayTake(m *master) time.Duration {
	return n.cfg.Timing.ElectionTimeout + 2*m.options.FailoverTimeout
}
