package node

import (
	"crypto/tls"

	"go.uber.org/zap"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/node/driver"
	"redoubt/slots"
)

// newDriver makes the cluster part of a node, whose server need not be
// there yet.
func newDriver(n *Node) (*driver.Driver, error) {
	var q driver.Quorum // not a nil *quorum
	guest := noGuest
	if n.quorum != nil {
		q, guest = n.quorum, n.quorum.Guest
	}
	return driver.Open(driver.Parts{
		Quorum: q,
		Guest:  guest,
		Config: n.config,
		Keys:   n.keys,
		Log:    n.log,
		Fatal:  func(err error) { n.log.Fatal("Fatal: can't update cluster config file", zap.Error(err)) },
		Facts:  n.facts,
		Hangs:  n.hangs,
		Roles:  n.replicator,
		Shell:  nodeShell{n},
		Mover:  n.mover,
		TLS:    n.tls,
	})
}

// busTLS is how other nodes are spoken to: mover.Parts.TLS. As in Redis it is a matter
// of tls-cluster, also outside of a cluster.
func (n *Node) busTLS() (*tls.Config, bool) {
	if !n.config.Current().TLSCluster {
		return nil, false
	}
	if set := n.tls.Set(); set != nil {
		return set.Client, true
	}
	return nil, true
}

// nodeShell is the node's server, which is made after those who use it.
type nodeShell struct{ n *Node }

func (s nodeShell) Publish(channel, payload []byte, sharded bool) {
	s.n.server.Publish(channel, payload, sharded)
}

func (s nodeShell) DropShardChannels(gone *slots.Set) { s.n.server.DropShardChannels(gone) }

func (s nodeShell) SlotUse(slot slots.Slot) command.SlotUse { return s.n.server.SlotUse(slot) }

func (s nodeShell) ForgetSlotUse(ss *slots.Set) { s.n.server.ForgetSlotUse(ss) }

func (s nodeShell) Pause(until int64) { s.n.server.Pause(until) }

func (s nodeShell) Resume() { s.n.server.Resume() }

var _ admin.BusDebugger = (*driver.Driver)(nil)
