package sentinels

import (
	"slices"
	"strconv"
	"strings"

	"redoubt/cluster/sentinel"
	"redoubt/cluster/sim/virtual"
)

// law remembers what was said, for what must not be said beside it.
type law struct {
	votes   map[ballot]string      // whom a Sentinel votes for
	leaders map[term]int           // the Sentinel that was elected
	configs map[term]sentinel.Addr // the master of a configuration
	forced  map[term]bool          // nobody needs to be elected in it
	// collided are the masters of which two configurations had one epoch.
	collided map[string]bool
}

// ballot is what a Sentinel has one vote for.
type ballot struct {
	voter int
	term
}

// term is an epoch of a master.
type term struct {
	master string
	epoch  uint64
}

func newLaw() law {
	return law{
		votes:    make(map[ballot]string),
		leaders:  make(map[term]int),
		configs:  make(map[term]sentinel.Addr),
		forced:   make(map[term]bool),
		collided: make(map[string]bool),
	}
}

// judgeStep looks at what a step decides, before any of it is done.
func (w *World) judgeStep(s *Sentinel, fx *sentinel.Effects) {
	for _, n := range fx.Notices {
		name := masterOf(n)
		switch n.Type {
		case "+new-epoch":
			s.epoch = w.epoch(s, n.Text)
		case "+try-failover":
			s.tries[name] = s.epoch
			w.judgeTilt(s, name, n)
		case "+sdown", "+odown":
			w.judgeTilt(s, name, n)
		case "+elected-leader":
			w.judgeLeader(s, term{name, s.epoch})
		case "+selected-slave":
			w.judgeChoice(s, n)
		}
		if endsFailover(n) {
			delete(s.forced, name)
			delete(s.leads, name)
		}
	}
	for _, l := range fx.Log {
		w.judgeYield(fx.Persist, l)
	}
	if fx.Persist != nil {
		w.judgeGrowth(s, fx.Persist)
	}
}

// judgeTilt looks at a notice that there must not be in TILT mode, unless an
// administrator wants it.
func (w *World) judgeTilt(s *Sentinel, name string, n sentinel.Notice) {
	if !s.forced[name] && s.node.Summary(s.Clock()).Tilt {
		w.Break("Sentinel %d judges in TILT mode: %s %s", s.Index, n.Type, n.Text)
	}
}

// endsFailover reports whether a failover of the Sentinel is over with a notice.
// Another Sentinel may have been quicker, or an administrator has given it up.
func endsFailover(n sentinel.Notice) bool {
	switch n.Type {
	case "+failover-end", "+switch-master", "-monitor":
		return true
	}
	return strings.HasPrefix(n.Type, "-failover-abort")
}

// masterOf is the name of the master that a notice is about, if it says so:
//
//	master <name> <ip> <port> …
//	slave <name> <ip> <port> @ <master name> <ip> <port> …
//	<name> <old ip> <old port> <ip> <port>, of +switch-master
func masterOf(n sentinel.Notice) string {
	words := strings.Fields(n.Text)
	switch {
	case n.Type == "+switch-master":
		return words[0]
	case len(words) >= 4 && words[0] == "master":
		return words[1]
	case len(words) >= 8 && words[4] == "@":
		return words[5]
	}
	return ""
}

func (w *World) epoch(s *Sentinel, text string) uint64 {
	epoch, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		w.Break("Sentinel %d says epoch %q", s.Index, text)
	}
	return epoch
}

// judgeLeader looks at a Sentinel that was elected to replace a master: in an
// epoch there is one, and most have voted for it. An administrator needs no votes.
func (w *World) judgeLeader(s *Sentinel, t term) {
	if s.forced[t.master] {
		t.epoch = s.tries[t.master] // it does not stand again in a newer one
		w.law.forced[t] = true
	} else {
		t.epoch = w.electedIn(s, t)
	}
	s.leads[t.master] = t.epoch
	if w.law.forced[t] {
		return
	}
	peers, _ := s.node.Sentinels(s.Clock(), t.master)
	if len(peers) < len(w.Sentinels)-1 && (w.opt.Master.ForgetAfter > 0 || s.anew == t.master) {
		// An administrator lets it count with fewer Sentinels than there are. In
		// which epoch it found its votes enough is not to be seen.
		for t := t; t.epoch > 0 && t.epoch >= s.tries[t.master]; t.epoch-- {
			w.law.forced[t] = true
		}
		return
	}
	if other, found := w.law.leaders[t]; found && other != s.Index {
		w.Break("epoch %d has elected Sentinels %d and %d for %s", t.epoch, other, s.Index, t.master)
	}
	w.law.leaders[t] = s.Index
	if votes := w.votesFor(s, t); votes <= len(w.Sentinels)/2 {
		w.Break("Sentinel %d is elected for %s in epoch %d with %d of %d votes", s.Index, t.master, t.epoch, votes, len(w.Sentinels))
	}
}

// electedIn is the epoch of an election that is over by now: the newest since it
// began in which most have voted for the Sentinel. If there is none it is that of
// now. Another master's failover may have made a newer one in the meantime.
func (w *World) electedIn(s *Sentinel, now term) uint64 {
	for t := now; t.epoch >= s.tries[now.master] && t.epoch > 0; t.epoch-- {
		if w.votesFor(s, t) > len(w.Sentinels)/2 {
			return t.epoch
		}
	}
	return now.epoch
}

// votesFor is how many have voted for a Sentinel. Its own vote is not sent, so it is
// taken for granted.
func (w *World) votesFor(s *Sentinel, t term) int {
	votes := 1
	for _, voter := range w.Sentinels {
		if voter != s && w.law.votes[ballot{voter.Index, t}] == s.id {
			votes++
		}
	}
	return votes
}

// judgeChoice looks at the replica that is to be promoted.
func (w *World) judgeChoice(s *Sentinel, n sentinel.Notice) {
	words := strings.Fields(n.Text)
	r := w.owners[address(words[2], words[3])]
	if r == nil || r.group.Name != masterOf(n) {
		w.Break("Sentinel %d promotes somebody else's replica: %s", s.Index, n.Text)
	} else if r.Priority == 0 && r.IsReplica() { // a primary does not say what it would have
		w.Break("Sentinel %d promotes server %d, which has priority 0", s.Index, r.Index)
	}
}

// judgeGrowth compares a state with the one that was given away before it, or with
// the one that this life began with.
func (w *World) judgeGrowth(s *Sentinel, after *sentinel.State) {
	older := s.file
	if s.newest != nil {
		older = s.newest
	}
	if older.MyID != "" && older.MyID != after.MyID {
		w.Break("Sentinel %d has lost its id", s.Index)
	}
	if older.CurrentEpoch > after.CurrentEpoch {
		w.Break("Sentinel %d goes back from epoch %d to %d", s.Index, older.CurrentEpoch, after.CurrentEpoch)
	}
	for _, a := range older.Masters {
		b := masterIn(after, a.Name)
		if b.Name == "" && a.Name == s.anew {
			continue
		}
		if a.ConfigEpoch > b.ConfigEpoch || a.LeaderEpoch > b.LeaderEpoch {
			w.Break("Sentinel %d goes back from the epochs %d and %d of %s to %d and %d",
				s.Index, a.ConfigEpoch, a.LeaderEpoch, a.Name, b.ConfigEpoch, b.LeaderEpoch)
		}
	}
}

// masterIn is what a state says of a master.
func masterIn(state *sentinel.State, name string) *sentinel.MasterState {
	i := slices.IndexFunc(state.Masters, func(m *sentinel.MasterState) bool { return m.Name == name })
	if i < 0 {
		return &sentinel.MasterState{}
	}
	return state.Masters[i]
}

// judgeVote looks at an answer that leaves.
func (w *World) judgeVote(s *Sentinel, about sentinel.Addr, r *sentinel.Result) {
	owner := w.owners[about]
	if r.Leader == "*" || owner == nil {
		return
	}
	name := owner.group.Name
	b := ballot{s.Index, term{name, r.LeaderEpoch}}
	if other, found := w.law.votes[b]; found && other != r.Leader {
		w.Break("Sentinel %d votes in epoch %d for %s and %s to replace %s", s.Index, r.LeaderEpoch, other, r.Leader, name)
	}
	w.law.votes[b] = r.Leader
	if m := masterIn(s.file, name); m.LeaderEpoch < r.LeaderEpoch || s.file.CurrentEpoch < r.LeaderEpoch {
		w.Break("Sentinel %d votes in epoch %d, its disk says %d of %d", s.Index, r.LeaderEpoch, m.LeaderEpoch, s.file.CurrentEpoch)
	}
}

// judgeRequest looks at a request that leaves.
func (w *World) judgeRequest(s *Sentinel, to *virtual.Host, r sentinel.Request) {
	argv := r.Commands[0]
	switch r.Kind {
	case sentinel.RequestHello:
		w.judgeHello(s, argv[2])
	case sentinel.RequestDownOpinion:
		if epoch := w.epoch(s, argv[4]); argv[5] != "*" && s.file.CurrentEpoch < epoch {
			w.Break("Sentinel %d asks for votes in epoch %d, its disk says %d", s.Index, epoch, s.file.CurrentEpoch)
		}
	case sentinel.RequestReplicaOf:
		if slaveOf := r.Commands[1]; slaveOf[1] == "NO" {
			w.judgePromotion(s, to)
		}
	}
}

// judgePromotion looks at a command by which a replica becomes a primary.
func (w *World) judgePromotion(s *Sentinel, to *virtual.Host) {
	name := w.owners[sentinel.Addr{Host: to.IP, Port: serverPort}].group.Name
	switch epoch := s.leads[name]; {
	case epoch == 0:
		w.Break("Sentinel %d promotes %s without being elected", s.Index, to.IP)
	case s.file.CurrentEpoch < epoch:
		w.Break("Sentinel %d promotes %s in epoch %d, its disk says %d", s.Index, to.IP, epoch, s.file.CurrentEpoch)
	}
}

// judgeHello looks at what a Sentinel says of a master:
//
//	<ip>,<port>,<id>,<epoch>,<master>,<master ip>,<master port>,<config epoch>
func (w *World) judgeHello(s *Sentinel, text string) {
	f := strings.Split(text, ",")
	if len(f) != 8 || f[2] != s.id {
		w.Break("Sentinel %d says hello with %q", s.Index, text)
		return
	}
	t := term{f[4], w.epoch(s, f[7])}
	addr := address(f[5], f[6])
	m := masterIn(s.file, t.master)
	if m.ConfigEpoch < t.epoch || m.ConfigEpoch == t.epoch && m.Addr != addr {
		w.Break("Sentinel %d says that %s is at %v in epoch %d, its disk says %v in %d", s.Index, t.master, addr, t.epoch, m.Addr, m.ConfigEpoch)
	}
	if epoch := w.epoch(s, f[3]); s.file.CurrentEpoch < epoch {
		w.Break("Sentinel %d says epoch %d, its disk says %d", s.Index, epoch, s.file.CurrentEpoch)
	}
	w.judgeConfig(s, t, addr)
}

// judgeConfig looks at a configuration. That of an epoch with an election is the
// only one. One that an administrator has had made needs no election, and then there
// may be two.
func (w *World) judgeConfig(s *Sentinel, t term, addr sentinel.Addr) {
	_, elected := w.law.leaders[t]
	other, found := w.law.configs[t]
	switch {
	case t.epoch == 0:
	case w.law.forced[t]:
		if found && other != addr {
			w.law.collided[t.master] = true
		}
	case found && other != addr:
		w.Break("epoch %d of %s stands for %v and for %v", t.epoch, t.master, other, addr)
	case !elected:
		w.Break("Sentinel %d claims epoch %d of %s, in which nobody was elected", s.Index, t.epoch, t.master)
	}
	w.law.configs[t] = addr
}

// judgeYield notes that a Sentinel takes a new epoch for one of two configurations
// that have the same. Nobody has voted for it.
func (w *World) judgeYield(state *sentinel.State, l sentinel.LogLine) {
	name, found := strings.CutPrefix(l.Text, "Two configurations of ")
	if !found {
		return
	}
	name, _, _ = strings.Cut(name, " ")
	w.law.forced[term{name, masterIn(state, name).ConfigEpoch}] = true
}

// judgeNotice looks at what a Sentinel publishes after it has given away a state,
// nil if it has not.
func (w *World) judgeNotice(s *Sentinel, state *sentinel.State, n sentinel.Notice) {
	if n.Type != "+switch-master" {
		return
	}
	f := strings.Fields(n.Text)
	switch name, addr := f[0], address(f[3], f[4]); {
	case state == nil || s.file.Version < state.Version:
		w.Break("Sentinel %d publishes a switch of %s that is not on its disk", s.Index, name)
	case masterIn(state, name).Addr != addr:
		w.Break("Sentinel %d publishes that %s is at %v now, its disk says %v", s.Index, name, addr, masterIn(state, name).Addr)
	}
}
