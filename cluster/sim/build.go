package sim

import (
	"fmt"
	"time"

	"redoubt/cluster"
	"redoubt/slots"
)

// Create makes a cluster of all members as redis-cli does: the first primaries
// members share the slots, the others become their replicas in turn.
func (w *World) Create(primaries int) error {
	for i, m := range w.Members {
		if i < primaries {
			if err := m.Command(cluster.AddSlots{Ranges: []slots.Range{share(i, primaries)}}); err != nil {
				return err
			}
		}
		if err := m.Command(cluster.SetConfigEpoch{Epoch: int64(i + 1)}); err != nil {
			return err
		}
	}
	first := w.Members[0]
	for _, m := range w.Members[1:] {
		if err := m.Command(cluster.Meet{IP: first.IP, Port: clientPort}); err != nil {
			return err
		}
	}
	limit := 30*w.opt.NodeTimeout + time.Duration(len(w.Members))*100*time.Millisecond
	if err := w.RunUntil(limit, "all members know each other", w.allKnown); err != nil {
		return err
	}
	for i, m := range w.Members[primaries:] {
		if err := m.Command(cluster.Replicate{ID: w.Members[i%primaries].ID()}); err != nil {
			return err
		}
	}
	if err := w.Settle(limit); err != nil {
		return err
	}
	if err := w.RunUntil(limit, "all replicas are in step", w.allInStep); err != nil {
		return err
	}
	for i, m := range w.Members {
		for j := i % primaries; j < len(w.Members); j += primaries {
			m.shard = append(m.shard, w.Members[j])
		}
	}
	w.law.on = true
	return nil
}

// allInStep reports whether every replica that is up has its primary's data.
func (w *World) allInStep() bool {
	for _, m := range w.Members {
		if m.Up() && m.node.Serving().Replica && !m.data.link.inStep {
			return false
		}
	}
	return true
}

// share is the i-th of n parts of the slots.
func share(i, n int) slots.Range {
	return slots.Range{
		First: slots.Slot(i * slots.Count / n),
		Last:  slots.Slot((i+1)*slots.Count/n - 1),
	}
}

func (w *World) allKnown() bool {
	return w.each(w.Members, func(m *Member) error {
		v := m.View()
		if len(v.Nodes) != len(w.Members) {
			return fmt.Errorf("member %d knows %d nodes", m.Index, len(v.Nodes))
		}
		for _, other := range w.Members {
			if n := v.Node(other.ID()); n == nil {
				return fmt.Errorf("member %d does not know member %d", m.Index, other.Index)
			}
		}
		return nil
	}) == nil
}

// Settle waits for a favourable Verdict.
func (w *World) Settle(limit time.Duration) error {
	var verdict error
	err := w.RunUntil(limit, "the cluster is whole", func() bool {
		verdict = w.Verdict()
		return verdict == nil
	})
	if err == nil {
		w.law.upset = false
	}
	if err != nil && verdict != nil {
		return fmt.Errorf("%w: %w", err, verdict)
	}
	return err
}
