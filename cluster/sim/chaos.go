package sim

import (
	"fmt"
	"slices"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/slots"
)

// Chaos is a random run. A cluster is created, faults happen to it for a
// while, everything is healed, and it has to become whole again; then some
// primaries are lost for good, and it has to become whole without them.
type Chaos struct {
	World *World
	// Primaries of the cluster that was created.
	Primaries int
	// plan are the faults.
	plan []planned
}

// chaosNodes are the least and the most members of a random cluster. Small
// ones are more frequent: they are quicker, and have more to fear.
const (
	chaosNodesMin = 6
	chaosNodesMax = 30
)

// NewChaos makes the random run of a seed; nothing has happened yet.
func NewChaos(seed uint64) *Chaos {
	w := New(seed, 0, DefaultOptions())
	r := w.Rand
	opt := DefaultOptions()
	opt.NodeTimeout = w.Between(time.Second, 2*time.Second)
	if r.IntN(4) == 0 { // longer than an election takes
		opt.NodeTimeout = w.Between(2*time.Second, 6*time.Second)
	}
	opt.LatencyMax = w.Between(time.Millisecond, 50*time.Millisecond)
	opt.LossPercent = r.IntN(4)
	opt.FsyncMax = w.Between(time.Millisecond, 200*time.Millisecond)
	coverage, migration := r.IntN(2) == 0, r.IntN(4) > 0
	opt.Settings = func(s *cluster.Settings) {
		s.RequireFullCoverage = coverage
		s.BlacklistTTL = banTime
		s.AllowReplicaMigration = migration && !w.opt.AckAll
	}
	opt.AckAll = r.IntN(4) == 0
	switch r.IntN(6) {
	case 0:
		opt.RedisPercent = 10 + r.IntN(60)
		w.cover("run: with nodes of Redis 7.0")
	case 1:
		opt.MixedTimeouts = true
		w.cover("run: with mixed node timeouts")
	}
	w.configure(opt)
	size := r.Float64()
	members := chaosNodesMin + int(size*size*(chaosNodesMax-chaosNodesMin+1))
	for i := range members {
		w.AddMember(i)
	}
	c := &Chaos{World: w, Primaries: max(3, members/2-r.IntN(members/4))}
	c.plan = plan(r, 4+r.IntN(8), opt.NodeTimeout)
	return c
}

// Plan are the faults by name, in order.
func (c *Chaos) Plan() (names []string) {
	for i := range c.plan {
		names = append(names, c.plan[i].kind.name)
	}
	return names
}

// LeaveOut has some faults not happen, by their index in Plan.
func (c *Chaos) LeaveOut(out []int) {
	for _, i := range out {
		c.plan[i].left = true
	}
}

// Tally is for how long the world has run, and how often what has happened.
func (c *Chaos) Tally() (time.Duration, map[string]int) {
	return c.World.Elapsed(), c.World.covered
}

// String says how large it is.
func (c *Chaos) String() string {
	return fmt.Sprintf("%d members, %d faults", len(c.World.Members), len(c.plan))
}

// Trace tells the last things that happened.
func (c *Chaos) Trace() string { return c.World.Trace() }

// Run lets it happen. The error, if any, is a broken rule or the reason why
// the cluster did not recover.
func (c *Chaos) Run() error {
	w := c.World
	if err := w.Create(c.Primaries); err != nil {
		return fmt.Errorf("creation: %w", err)
	}
	w.RunCalm(2 * w.opt.NodeTimeout)
	w.runPlan(c.plan)
	if err := c.settle(1); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	w.RunCalm(5 * w.opt.NodeTimeout) // replication catches up, too
	silently := w.Rand.IntN(2) == 0
	lost := w.losePrimaries(silently, w.Rand.IntN(2) == 0)
	if err := w.awaitHeirs(len(lost), silently); err != nil {
		return err
	}
	if err := c.settle(len(lost)); err != nil {
		return fmt.Errorf("recovery from the loss of %d primaries: %w", len(lost), err)
	}
	w.judgeLedger()
	return w.Err()
}

// settle waits until the cluster is whole, with time for so many elections,
// since those of different shards disturb each other.
func (c *Chaos) settle(elections int) error {
	// The longest wait is for a second election: an attempt that failed may
	// be repeated after four node timeouts (at least 4 s), and a vote for
	// another replica keeps the voters away for two.
	retry := 4 * max(2*c.World.opt.NodeTimeout, 2*time.Second)
	if err := c.World.RunUntil(6*c.World.opt.NodeTimeout, "nobody is frozen", func() bool { return !c.World.anyFrozen() }); err != nil {
		return err
	}
	if err := c.World.introduce(); err != nil {
		return err
	}
	return c.World.Settle(10*c.World.opt.NodeTimeout + 20*time.Second + time.Duration(elections)*retry)
}

// losePrimaries crashes, for good, as many primaries at once as the others can
// replace: a minority of the voters, each with a replica. Silently means that their
// machines go with them: nobody is left there to close a connection, or, unless a router
// answers for them, to refuse one.
func (w *World) losePrimaries(silently, refused bool) (lost []*Member) {
	voters := w.Members[0].View().Size
	for _, i := range w.Rand.Perm(len(w.Members)) {
		m := w.Members[i]
		me := m.View().Me()
		if len(lost) == voters-voters/2-1 || len(lost) > 0 && w.Rand.IntN(3) == 0 {
			break
		}
		if me.Flags.Has(bus.FlagPrimary) && w.hasReplicaInStep(m) {
			lost = append(lost, m)
		}
	}
	for _, m := range lost {
		if silently {
			w.Net.Partition(m.Index)
			w.cover("loss: of a machine")
		}
		if silently && refused {
			for i := range w.Members {
				w.Net.Refuse(i, m.Index)
			}
			w.cover("loss: of a machine for which a router refuses")
		}
		m.Crash()
	}
	if len(lost) == 1 {
		w.law.lost = lost[0]
	}
	return lost
}

// hasReplicaInStep reports whether somebody could take the place of a primary.
func (w *World) hasReplicaInStep(p *Member) bool {
	return slices.ContainsFunc(w.Members, func(m *Member) bool {
		return m.Up() && m.data.primary() == p.ID() && m.data.link.inStep
	})
}

// repair heals the network and starts everybody.
func (w *World) repair() {
	w.traps = 0
	w.repairs++
	w.Net.Heal()
	for _, m := range w.Members {
		m.disk.Bad = false
		m.Restart()
	}
}

// spring crashes a primary that has begun a full resync, if there is a trap: the
// shard is then left with a replica whose data are not to be had.
func (w *World) spring(p *Member) {
	if w.traps == 0 {
		return
	}
	w.traps--
	repairs := w.repairs
	w.After(w.Between(0, 4*w.opt.NodeTimeout), func() {
		if w.repairs == repairs {
			p.Crash()
		}
	})
}

// openSlot begins to move a slot, which nobody ends: both ends and their
// successors have to serve all the same.
func (w *World) openSlot(source, target *Member) {
	if !source.Up() || !target.Up() || source.View().Me().Slots.Empty() {
		return
	}
	var first slots.Slot
	source.View().Me().Slots.Each(func(s slots.Slot) bool { first = s; return false })
	for _, err := range []error{
		target.Command(cluster.SetSlot{Slot: first, Action: cluster.SlotImporting, ID: source.ID()}),
		source.Command(cluster.SetSlot{Slot: first, Action: cluster.SlotMigrating, ID: target.ID()}),
	} {
		if err != nil {
			w.Log(source.Host, err.Error())
		}
	}
}

// moveReplica makes a replica one of another primary, as an administrator does.
func (w *World) moveReplica() {
	for _, i := range w.Rand.Perm(len(w.Members)) {
		m := w.Members[i]
		if !m.Up() || m.Frozen() || !m.View().IsReplica() {
			continue
		}
		to := w.Members[w.Rand.IntN(len(w.Members))]
		if err := m.Command(cluster.Replicate{ID: to.id}); err != nil {
			w.Log(m.Host, err.Error())
		}
		return
	}
}

// manualFailover asks a random replica to take over. That it may be refused is
// part of the game.
func (w *World) manualFailover() {
	for _, i := range w.Rand.Perm(len(w.Members)) {
		m := w.Members[i]
		if !m.Up() || m.View().Me().Flags.Has(bus.FlagPrimary) {
			continue
		}
		mode := cluster.FailoverNormal
		if w.Rand.IntN(3) == 0 {
			mode = cluster.FailoverForce
		}
		if err := m.Command(cluster.Failover{Mode: mode}); err != nil {
			w.Log(m.Host, err.Error())
		}
		return
	}
}
