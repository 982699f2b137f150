package driver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// What the shard's own elections need of the driver (Parts.Quorum).

var errEnded = errors.New("the node ends")

// NextEpoch is an epoch beyond all that this node knows of.
func (d *Driver) NextEpoch() uint64 {
	v := d.View()
	epoch := max(v.CurrentEpoch, v.MyEpoch)
	for i := range v.Nodes {
		epoch = max(epoch, v.Nodes[i].ConfigEpoch)
	}
	return uint64(epoch) + 1
}

// Lead makes the node the primary of its shard by a claim with an epoch that the shard
// has agreed on, of what it has agreed on. When it returns the node is that, and the others
// are told.
func (d *Driver) Lead(ctx context.Context, epoch uint64, owned *cluster.Ownership) error {
	_, err := d.ask(ctx, cluster.Lead{Epoch: bus.Epoch(epoch), Ownership: owned})
	return err
}

// Found has the shard agree on what this node, its primary, has.
func (d *Driver) Found(ctx context.Context) error {
	_, err := d.ask(ctx, cluster.Found{})
	return err
}

// Own says what the shard has agreed on, in the term in which this node leads it.
func (d *Driver) Own(owned *cluster.Ownership, epoch uint64) {
	d.post(func() { d.step(cluster.Own{Ownership: *owned, Epoch: bus.Epoch(epoch)}, nil) })
}

// JoinGroup notes in nodes.conf that the node belongs to its shard's group of that name.
func (d *Driver) JoinGroup(ctx context.Context, name string) error {
	_, err := d.ask(ctx, cluster.JoinGroup{Name: name})
	return err
}

// DialNode connects to the port of the bus of a node, for what is not the bus.
func (d *Driver) DialNode(id string, timeout time.Duration) (net.Conn, error) {
	v := d.View()
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if string(n.ID) != id {
			continue
		}
		if n.IP == "" || n.BusPort == 0 {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		return d.endpoint.DialGuest(ctx, net.JoinHostPort(n.IP, strconv.Itoa(int(n.BusPort))))
	}
	return nil, fmt.Errorf("the address of node %s is not known", id)
}

// elect is CLUSTER FAILOVER in a shard that elects its primary by itself, in one of two ways.
func (d *Driver) elect(x *command.Ctx, how func(context.Context) error) {
	resume := x.Suspend()
	if resume == nil {
		x.Out.Error("ERR CLUSTER FAILOVER takes an election of the shard, which cannot be within a transaction or a script")
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), d.Config.Current().ClusterManualFailoverTimeout)
		defer cancel()
		err := how(ctx)
		resume(0, func(w *resp.Writer) {
			if err != nil {
				w.Error(resp.Error("ERR " + err.Error()))
				return
			}
			w.OK()
		})
	}()
}
