package driver

import (
	"sync/atomic"
	"time"

	"redoubt/bus"
	"redoubt/bus/link"
	"redoubt/cluster"
)

// disturbance is what DEBUG does to the bus: admin.BusDebugger.
type disturbance struct {
	drop  atomic.Int64 // the type of messages that are dropped, plus 1; 0: none is
	close atomic.Bool  // … and their links closed
}

// DropMessages implements admin.BusDebugger.
func (d *Driver) DropMessages(kind int64) { d.disturbance.drop.Store(max(kind, -1) + 1) }

// CloseOnDrop implements admin.BusDebugger.
func (d *Driver) CloseOnDrop(on bool) { d.disturbance.close.Store(on) }

// drops reports whether a message that has come is to be ignored. It counts as received,
// as in clusterProcessPacket.
func (d *Driver) drops(l *link.Link, t bus.Type) bool {
	if d.disturbance.drop.Load() != int64(t)+1 {
		return false
	}
	d.Log.Warn("Dropping packet that matches debug drop filter")
	d.post(func() { d.step(cluster.Dropped{Type: t}, nil) })
	if d.disturbance.close.Load() {
		l.Close()
	}
	return true
}

// Sleep implements admin.BusDebugger. What comes over links meanwhile waits there.
func (d *Driver) Sleep(long time.Duration) {
	d.post(func() {
		select {
		case <-time.After(long):
		case <-d.quit:
		}
	})
}

// KillLinks implements admin.BusDebugger. It waits for run, which never waits for an
// event loop.
func (d *Driver) KillLinks(node string, to, from bool) bool {
	answer := make(chan bool, 1)
	asked := d.post(func() {
		v, known := d.node.View(), false
		for i := range v.Nodes {
			known = known || string(v.Nodes[i].ID) == node
		}
		for _, l := range v.Links {
			if string(l.Node) == node && (l.Inbound && from || !l.Inbound && to) && d.links[l.Link] != nil {
				d.links[l.Link].Close()
			}
		}
		answer <- known
	})
	if !asked {
		return false
	}
	select {
	case known := <-answer:
		return known
	case <-d.quit:
		return false
	}
}
