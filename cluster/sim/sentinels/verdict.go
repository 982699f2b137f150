package sentinels

import (
	"fmt"
	"time"

	"redoubt/cluster/sentinel"
)

// Settle waits for a favourable Verdict.
func (w *World) Settle(limit time.Duration) error { return w.settle(limit, func() {}) }

// settle does meanwhile now and again.
func (w *World) settle(limit time.Duration, meanwhile func()) error {
	var verdict error
	err := w.RunUntil(limit, "all is in order", func() bool {
		meanwhile()
		verdict = w.Verdict()
		return verdict == nil
	})
	if err != nil && verdict != nil && w.Err() == nil {
		return fmt.Errorf("%w: %w", err, verdict)
	}
	return err
}

// Verdict is whether all that are up are of one mind, and right: what must be true
// some time after everything has healed. Nil means yes.
func (w *World) Verdict() error {
	if w.Err() != nil {
		return w.Err()
	}
	for _, g := range w.Groups {
		if err := w.judgeGroup(g); err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
	}
	return nil
}

func (w *World) judgeGroup(g *Group) error {
	addr, err := w.agreed(g)
	if err != nil {
		return err
	}
	for _, s := range g.Servers {
		switch {
		case !s.Up():
		case s.addr() == addr:
			if s.IsReplica() {
				return fmt.Errorf("%v is a replica", addr)
			}
		case s.primary != addr:
			return fmt.Errorf("server %d follows %v, not %v", s.Index, s.primary, addr)
		case !s.sync.up:
			return fmt.Errorf("server %d has no data from %v", s.Index, addr)
		}
	}
	for _, s := range w.Sentinels {
		if s.node == nil {
			continue
		}
		if err := w.judgeTable(s, g, addr); err != nil {
			return fmt.Errorf("Sentinel %d: %w", s.Index, err)
		}
	}
	return nil
}

// agreed is where all Sentinels that are up say that the master is, which has to
// be up.
func (w *World) agreed(g *Group) (addr sentinel.Addr, err error) {
	first := -1
	for _, s := range w.Sentinels {
		if s.node == nil {
			continue
		}
		a, found := s.node.MasterAddr(g.Name)
		switch {
		case !found:
			return addr, fmt.Errorf("Sentinel %d does not know it", s.Index)
		case first < 0:
			first, addr = s.Index, a
		case a != addr:
			return addr, fmt.Errorf("Sentinel %d says %v, Sentinel %d says %v", first, addr, s.Index, a)
		}
	}
	if master := w.server(addr); master == nil || !master.Up() {
		return addr, fmt.Errorf("%v is down", addr)
	}
	return addr, nil
}

// judgeTable looks at what a Sentinel shows of a master.
func (w *World) judgeTable(s *Sentinel, g *Group, addr sentinel.Addr) error {
	now := s.Clock()
	m, _ := s.node.Master(now, g.Name)
	if m.Flags != "master" {
		return fmt.Errorf("the master is %s", m.Flags)
	}
	replicas, _ := s.node.Replicas(now, g.Name)
	flags := make(map[sentinel.Addr]string)
	for _, r := range replicas {
		a := sentinel.Addr{Host: r.Host, Port: r.Port}
		flags[a] = r.Flags
		if w.opt.Master.ForgetAfter > 0 && w.server(a) == nil {
			return fmt.Errorf("it has not forgotten %v", a)
		}
	}
	for _, r := range g.Servers {
		if r.Up() && r.addr() != addr && flags[r.addr()] != "slave" {
			return fmt.Errorf("server %d is %q", r.Index, flags[r.addr()])
		}
	}
	peers, _ := s.node.Sentinels(now, g.Name)
	for _, other := range w.Sentinels {
		if other == s || other.node == nil {
			continue
		}
		if err := judgePeer(peers, other); err != nil {
			return err
		}
		if theirs, _ := other.node.Master(other.Clock(), g.Name); theirs.ConfigEpoch != m.ConfigEpoch {
			return fmt.Errorf("epoch %d, that of Sentinel %d is %d", m.ConfigEpoch, other.Index, theirs.ConfigEpoch)
		}
	}
	if len(peers) != len(w.Sentinels)-1 {
		return fmt.Errorf("it knows %d others", len(peers))
	}
	return nil
}

// judgePeer looks for a Sentinel among those that another one knows.
func judgePeer(peers []sentinel.InstanceView, other *Sentinel) error {
	for _, p := range peers {
		if p.RunID == other.id {
			if p.Flags != "sentinel" || p.Host != other.IP {
				return fmt.Errorf("Sentinel %d is %s at %s", other.Index, p.Flags, p.Host)
			}
			return nil
		}
	}
	return fmt.Errorf("Sentinel %d is unknown", other.Index)
}
