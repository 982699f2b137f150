package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"redoubt/cluster"
	"redoubt/slots"
)

// kind is something that can go wrong, or that an administrator can do.
type kind struct {
	name   string
	weight int
	do     func(*World)
}

// kinds are all faults of random runs.
var kinds = []kind{
	{"crash", 3, func(w *World) { w.anyone().Crash() }},
	{"power cut", 1, (*World).powerCut},
	{"quick restart", 1, (*World).quickRestart},
	{"restart storm", 1, (*World).restartStorm},
	{"frost", 1, func(w *World) { w.anyone().Freeze(w.Between(0, 5*w.opt.NodeTimeout)) }},
	{"slow node", 1, (*World).slowNode},
	{"partition", 1, func(w *World) { w.Net.Partition(w.Some(len(w.Members), len(w.Members)/2)...) }},
	{"rejecting partition", 1, (*World).reject},
	{"isolation", 1, func(w *World) { w.Net.Partition(w.anyone().Index) }},
	{"cut", 1, func(w *World) { w.Net.Cut(w.anyone().Index, w.anyone().Index, w.Rand.IntN(2) == 0) }},
	{"link resets", 1, func(w *World) { w.Net.Reset(10 + w.Rand.IntN(90)) }},
	{"firewall", 1, (*World).firewall},
	{"flapping links", 1, (*World).flap},
	{"gray links", 1, (*World).gray},
	{"slow disk", 1, (*World).slowDisk},
	{"full disk", 1, (*World).fullDisk},
	{"clock step", 1, (*World).clockStep},
	{"manual failover", 1, (*World).manualFailover},
	{"takeover", 1, (*World).takeover},
	{"full resyncs that kill", 2, func(w *World) { w.traps++ }},
	{"replica moves", 1, (*World).moveReplicaInTrap},
	{"open slot", 1, func(w *World) { w.openSlot(w.anyone(), w.anyone()) }},
	{"slot moves", 1, (*World).moveSlot},
	{"forgotten node", 1, (*World).forgetNode},
	{"reset", 1, (*World).resetReplica},
	{"new node", 1, (*World).join},
}

// planned is a fault of a plan. Each draws from a source of its own, so that it is
// the same whatever becomes of the others.
type planned struct {
	kind   *kind
	before time.Duration // what passes first
	after  time.Duration // … and until the next
	seed   uint64
	repair bool // all is repaired before the next
	left   bool // out, to see whether the run fails without it
}

// plan draws the faults of a run. It uses some kinds only: what many faults hide
// from each other shows in the runs that do without them (swarm testing).
func plan(r *rand.Rand, faults int, pace time.Duration) []planned {
	var some []*kind
	for i := range kinds {
		if r.IntN(5) < 3 {
			for range kinds[i].weight {
				some = append(some, &kinds[i])
			}
		}
	}
	if len(some) == 0 {
		some = append(some, &kinds[0])
	}
	list := make([]planned, faults)
	between := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }
	for i := range list {
		list[i] = planned{
			kind:   some[r.IntN(len(some))],
			before: between(2 * pace),
			after:  between(4 * pace),
			seed:   r.Uint64(),
			repair: r.IntN(3) == 0,
		}
	}
	return list
}

// runPlan lets the faults happen that are not left out, and repairs all in the end.
func (w *World) runPlan(list []planned) {
	for i, p := range list {
		w.Run(p.before)
		if !p.left {
			w.Log(nil, fmt.Sprintf("fault %d: %s", i, p.kind.name))
			usual := w.Rand
			w.Rand = rand.New(rand.NewPCG(p.seed, uint64(i)))
			p.kind.do(w)
			w.Rand = usual
			w.cover("fault: " + p.kind.name)
		}
		w.Run(p.after)
		if p.repair {
			w.repair()
		}
	}
	w.repair()
}

// anyone is a random member.
func (w *World) anyone() *Member { return w.Members[w.Rand.IntN(len(w.Members))] }

// unlessRepaired does something after d, unless all has been repaired by then.
func (w *World) unlessRepaired(d time.Duration, do func()) {
	repairs := w.repairs
	w.After(d, func() {
		if w.repairs == repairs {
			do()
		}
	})
}

func (w *World) powerCut() {
	m := w.anyone()
	m.PowerCut()
	w.After(w.Between(0, w.opt.NodeTimeout), m.Restart)
}

// quickRestart is over before anybody has noticed; the address may change with it.
func (w *World) quickRestart() {
	m := w.anyone()
	m.PowerCut()
	if m.node == nil && w.Rand.IntN(2) == 0 {
		m.Move()
	}
	m.Restart()
}

// restartStorm restarts many members within a few seconds, some of them twice.
func (w *World) restartStorm() {
	for _, i := range w.Some(len(w.Members), len(w.Members)) {
		m := w.Members[i]
		for range 1 + w.Rand.IntN(2) {
			at := w.Between(0, 3*w.opt.NodeTimeout)
			w.unlessRepaired(at, m.Crash)
			w.After(at+w.Between(0, w.opt.NodeTimeout), m.Restart)
		}
	}
}

// slowNode stops a member again and again, for a part of a node timeout.
func (w *World) slowNode() {
	m, left := w.anyone(), 5+w.Rand.IntN(20)
	var again func()
	again = func() {
		if left--; left > 0 && m.Up() && !m.Frozen() {
			m.Freeze(w.Between(0, w.opt.NodeTimeout/2))
		}
		if left > 0 {
			w.unlessRepaired(w.Between(0, w.opt.NodeTimeout), again)
		}
	}
	again()
}

// firewall refuses connections to a member, of some others or of all, or from it,
// while its process lives.
func (w *World) firewall() {
	m := w.anyone()
	in, out := w.Rand.IntN(3) > 0, w.Rand.IntN(3) > 0
	for _, i := range w.Some(len(w.Members), len(w.Members)) {
		if i != m.Index && in {
			w.Net.Refuse(i, m.Index)
		}
		if i != m.Index && out {
			w.Net.Refuse(m.Index, i)
		}
	}
}

// flap cuts and mends the links between a member and some others.
func (w *World) flap() {
	m, others := w.anyone(), w.Some(len(w.Members), len(w.Members))
	var again func()
	again = func() {
		cut := w.Rand.IntN(2) == 0
		for _, i := range others {
			if cut {
				w.Net.Cut(m.Index, i, true)
			} else {
				w.Net.Mend(m.Index, i)
			}
		}
		w.unlessRepaired(w.Between(0, w.opt.NodeTimeout), again)
	}
	again()
}

// gray makes the links of a member bad, one way or both.
func (w *World) gray() {
	m, both := w.anyone(), w.Rand.IntN(2) == 0
	for _, i := range w.Some(len(w.Members), len(w.Members)) {
		delay, loss := w.Between(0, w.opt.NodeTimeout), w.Rand.IntN(50)
		w.Net.Gray(m.Index, i, delay, loss)
		if both {
			w.Net.Gray(i, m.Index, delay, loss)
		}
	}
}

func (w *World) slowDisk() {
	for _, i := range w.Some(len(w.Members), len(w.Members)/2) {
		w.Members[i].disk.Stall(w.Between(0, 5*w.opt.NodeTimeout))
	}
}

// fullDisk has a member fail at the next state that it has to save: it ends, since it
// could forget its vote.
func (w *World) fullDisk() { w.anyone().disk.Bad = true }

// clockStep sets the clock of a member while it is down: only then does it take a
// time from its disk.
func (w *World) clockStep() {
	m := w.anyone()
	m.Crash()
	step := w.Between(0, time.Hour)
	if w.Rand.IntN(2) == 0 {
		step = -step
	}
	if f := &m.data.saved; !f.Contact.IsZero() {
		f.Contact = f.Contact.Add(step)
	}
	w.After(w.Between(0, w.opt.NodeTimeout), m.Restart)
}

// aReplica is a random replica that is up; nil if there is none.
func (w *World) aReplica() *Member {
	for _, i := range w.Rand.Perm(len(w.Members)) {
		if m := w.Members[i]; m.Up() && !m.Frozen() && m.node.Serving().Replica {
			return m
		}
	}
	return nil
}

// order gives a member a command, which may refuse it.
func (w *World) order(m *Member, ev cluster.Event) {
	if m == nil || !m.Up() || m.Frozen() {
		return
	}
	if err := m.Command(ev); err != nil {
		w.Log(m.Host, err.Error())
	}
}

// takeover has a replica take the place of its primary without a vote. The primary has
// to be able to hear of it: not while somebody is forgotten.
func (w *World) takeover() {
	if len(w.forgotten) == 0 {
		w.order(w.aReplica(), cluster.Failover{Mode: cluster.FailoverTakeover})
	}
}

// moveReplicaInTrap moves a replica to another shard, whose primary may die meanwhile.
func (w *World) moveReplicaInTrap() {
	w.traps++
	if !w.opt.AckAll {
		w.moveReplica()
	}
}

// moveSlot moves a slot as redis-cli does, command by command, whatever happens
// meanwhile. The last, to the source, may be missing: it hears of the new owner.
func (w *World) moveSlot() {
	source, target := w.anyone(), w.anyone()
	if source == target || !source.Up() || !target.Up() {
		return
	}
	owned, s := source.node.Serving(), slots.Slot(0)
	if owned.Slots == nil || owned.Replica || target.node.Serving().Replica {
		return
	}
	owned.Slots.Each(func(n slots.Slot) bool { s = n; return w.Rand.IntN(8) > 0 })
	steps := []func(){
		func() { w.order(target, cluster.SetSlot{Slot: s, Action: cluster.SlotImporting, ID: source.id}) },
		func() { w.order(source, cluster.SetSlot{Slot: s, Action: cluster.SlotMigrating, ID: target.id}) },
		func() { w.order(target, cluster.SetSlot{Slot: s, Action: cluster.SlotNode, ID: target.id}) },
		func() { w.order(source, cluster.SetSlot{Slot: s, Action: cluster.SlotNode, ID: target.id}) },
	}
	at := time.Duration(0)
	for _, step := range steps[:3+w.Rand.IntN(2)] {
		w.After(at, step)
		at += w.Between(0, w.opt.NodeTimeout/4)
	}
}

// banTime is for how long a node that was forgotten is not taken back.
const banTime = 3 * time.Second

// forgetNode has a replica forgotten by one member, and so by those that hear of it.
func (w *World) forgetNode() {
	m, by := w.aReplica(), w.anyone()
	if m == nil || m == by || !by.Up() || by.Frozen() || w.opt.AckAll {
		return
	}
	w.law.upset = true
	w.forgotten = append(w.forgotten, m)
	w.order(by, cluster.Forget{ID: m.id})
}

// resetReplica makes a replica forget the cluster and its data, and perhaps who it is.
func (w *World) resetReplica() {
	m := w.aReplica()
	if m == nil || w.opt.AckAll {
		return
	}
	w.strangers = append(w.strangers, m)
	w.order(m, cluster.Reset{Hard: w.Rand.IntN(2) == 0})
}

// join adds a member that has never been in the cluster.
func (w *World) join() {
	by := w.anyone()
	m := w.AddMember(len(w.Members))
	w.strangers = append(w.strangers, m)
	w.order(m, cluster.Meet{IP: by.IP, Port: clientPort})
}

// reject is a partition by routers that refuse what they do not let through.
func (w *World) reject() {
	side := w.Some(len(w.Members), len(w.Members)/2)
	for a := range w.Members {
		for b := range w.Members {
			if slices.Contains(side, a) != slices.Contains(side, b) {
				w.Net.Refuse(a, b)
			}
		}
	}
	w.Net.Partition(side...)
}

// introduce has members that were forgotten, have forgotten the others or are new
// become members as all others are.
func (w *World) introduce() error {
	if len(w.forgotten)+len(w.strangers) == 0 {
		return nil
	}
	w.Run(banTime + w.opt.NodeTimeout)
	for _, f := range w.forgotten {
		for _, m := range w.Members {
			if m != f && m.Up() && m.View().Node(f.id) == nil {
				w.order(m, cluster.Meet{IP: f.IP, Port: clientPort})
			}
		}
	}
	if err := w.adoptStrangers(); err != nil {
		return err
	}
	w.forgotten, w.strangers = nil, nil
	return nil
}

// adoptStrangers has the strangers meet a member, and follow a primary.
func (w *World) adoptStrangers() error {
	host := w.Members[slices.IndexFunc(w.Members, func(m *Member) bool { return m.Up() && !slices.Contains(w.strangers, m) })]
	for _, s := range w.strangers {
		w.order(s, cluster.Meet{IP: host.IP, Port: clientPort})
	}
	known := func() bool {
		for _, s := range w.strangers {
			for _, m := range w.Members {
				if m.Up() && s.Up() && (m.View().Node(s.id) == nil || s.View().Node(m.id) == nil) {
					return false
				}
			}
		}
		return true
	}
	if err := w.RunUntil(20*w.opt.NodeTimeout+10*time.Second, "new members are known", known); err != nil {
		return err
	}
	for _, s := range w.strangers {
		p := w.anyone()
		if slices.Contains(w.strangers, p) {
			continue // it may be told to replicate s at the same moment
		}
		if !s.Up() || !p.Up() || w.opt.AckAll || s.node.Serving().Replica || s.node.Serving().Slots != nil {
			continue
		}
		w.order(s, cluster.Replicate{ID: p.id})
	}
	return nil
}

// cover counts that something has happened.
func (w *World) cover(what string) {
	if w.covered == nil {
		w.covered = make(map[string]int)
	}
	w.covered[what]++
}

// coverNote counts a line of a node's log, without its numbers and names.
func (w *World) coverNote(text string) {
	if i := strings.IndexAny(text, ".(:"); i >= 0 {
		text = text[:i]
	}
	words := strings.Fields(text)
	for i, word := range words {
		if strings.ContainsAny(word, "0123456789") {
			words[i] = "#"
		}
	}
	w.cover("state: " + strings.Join(words, " "))
}
