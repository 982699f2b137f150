package node

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/internal/tlsconf"
	"redoubt/replication/psync"
)

// This file is the end of a primary of a cluster that hands over first: SHUTDOWN FAILOVER,
// and shutdown-on-sigterm failover, of Valkey 9. The server has paused writes. The heir is
// the online replica that has acknowledged most; package cluster does the rest, which is a
// manual failover that the primary begins. The heir waits by itself until it has all of the
// stream, so the primary need not.
//
// One of this product is asked over the bus. Any other takes such a request from a client
// only. So the node is one, as a person would be who hands over before a restart, and says
// CLUSTER FAILOVER. Valkey 9 says CLUSTER FAILOVER FORCE REPLICAID in the stream instead,
// and ends without waiting; a replica of this product takes that, too (sideOf).

const (
	// handoverPeriod is how often a handover looks how it is.
	handoverPeriod = 10 * time.Millisecond
	// heirGone is how long no replica may be attached until nobody is waited for any more:
	// an heir that has won lets go of its old primary a moment before it says so.
	heirGone = time.Second
	// askHeirAgain is how often a replica is asked as by a client.
	askHeirAgain = 5 * time.Second
	// askHeirTimeout bounds one such question.
	askHeirTimeout = 2 * time.Second
)

// HandOver implements server.Replication.
func (r *replicator) HandOver(ctx context.Context, done func(over bool)) {
	r.running.Go(func() {
		over := r.handOver(ctx)
		if ctx.Err() == nil && r.ctx.Err() == nil {
			done(over)
		}
	})
}

// handOver asks replicas to take over until one has, and reports whether one has.
func (r *replicator) handOver(ctx context.Context) bool {
	tick := time.NewTicker(handoverPeriod)
	defer tick.Stop()
	a := heirAsker{r: r, asked: map[bus.NodeID]time.Time{}}
	begun, seen := false, time.Now()
	for ; !r.state.Load().replica; seen = a.latest(seen) {
		result, err := r.n.cluster.HandOver(ctx, heirsAmong(r.primary.Replicas()))
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil && !begun:
			r.log.Warn("Unable to find a replica to take over: " + strings.TrimPrefix(err.Error(), "ERR "))
			return false
		case time.Since(seen) > heirGone:
			r.log.Warn("The replica that was to take over is gone")
			return false
		case err == nil:
			begun = true
			a.ask(ctx, result)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		case <-r.ctx.Done():
			return false
		}
	}
	return true
}

// heirsAmong are the replicas that receive the stream, those first that have most of it.
func heirsAmong(replicas []psync.Replica) (heirs []cluster.Heir) {
	online := slices.DeleteFunc(replicas, func(x psync.Replica) bool { return x.State != psync.Online })
	slices.SortStableFunc(online, func(x, y psync.Replica) int {
		return cmp.Or(cmp.Compare(y.Ack.Offset, x.Ack.Offset), cmp.Compare(y.Sent, x.Sent))
	})
	for _, x := range online {
		heirs = append(heirs, cluster.Heir{ID: bus.NodeID(x.Node), IP: x.IP, Port: x.Port})
	}
	return heirs
}

// heirAsker asks replicas that are not of this product.
type heirAsker struct {
	r     *replicator
	asked map[bus.NodeID]time.Time
}

// latest is the last time at which a replica was attached, now or before.
func (a *heirAsker) latest(before time.Time) time.Time {
	if len(a.r.primary.Replicas()) > 0 {
		return time.Now()
	}
	return before
}

// ask asks the heir, unless the Node has, or it was asked a short time ago.
func (a *heirAsker) ask(ctx context.Context, result cluster.Result) {
	if result.AskHost == "" || time.Since(a.asked[result.Heir]) < askHeirAgain {
		return
	}
	a.asked[result.Heir] = time.Now()
	a.r.log.Info(fmt.Sprintf("Replica %s is asked for a manual failover, as this node is about to end.", result.Heir))
	addr := net.JoinHostPort(result.AskHost, strconv.Itoa(int(result.AskPort)))
	a.r.running.Go(func() {
		if err := a.r.askFailover(ctx, addr); err != nil && ctx.Err() == nil {
			a.r.log.Warn(fmt.Sprintf("The replica at %s does not take over: %v", addr, err))
		}
	})
}

// askFailover says CLUSTER FAILOVER to the node at addr, which is a client's command: with
// the credentials by which this node would replicate from it.
func (r *replicator) askFailover(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, askHeirTimeout)
	defer cancel()
	nc, err := r.dial(ctx, addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	in := bufio.NewReader(nc)
	say := func(words ...string) error {
		w := resp.NewWriter(nil, resp.Proto2)
		w.Array(len(words))
		for _, word := range words {
			w.Bulk([]byte(word))
		}
		if _, err := nc.Write(w.Bytes()); err != nil {
			return err
		}
		line, err := in.ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "+") {
			err = fmt.Errorf("%s is answered %q", words[0], strings.TrimSpace(line))
		}
		return err
	}
	if c := r.n.config.Current(); c.PrimaryAuth != "" {
		words := []string{"AUTH", c.PrimaryAuth}
		if c.PrimaryUser != "" {
			words = []string{"AUTH", c.PrimaryUser, c.PrimaryAuth}
		}
		if err := say(words...); err != nil {
			return err
		}
	}
	return say("CLUSTER", "FAILOVER")
}

// dial connects to a node as replication does: by TLS if tls-replication is set.
func (r *replicator) dial(ctx context.Context, addr string) (net.Conn, error) {
	c := r.n.config.Current()
	d := net.Dialer{}
	if c.BindSourceAddr != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(c.BindSourceAddr, "0"))
		if err != nil {
			return nil, err
		}
		d.LocalAddr = local
	}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil || !c.TLSReplication {
		return nc, err
	}
	var cfg *tls.Config // nil, without certificates, is an error
	if set := r.n.tls.Set(); set != nil {
		cfg = set.Client
	}
	return tlsconf.Secure(ctx, nc, cfg)
}

// memberID is the node's id in its cluster, empty if it is in none.
func (n *Node) memberID() string {
	if n.cluster == nil {
		return ""
	}
	return string(n.cluster.View().Me().ID)
}

// sideOf deals with a command of a primary's stream that is not about data. A primary of
// Valkey 9 that ends says CLUSTER FAILOVER FORCE REPLICAID id there, to all of its replicas,
// of which one is meant.
func (n *Node) sideOf(row *command.Row, args [][]byte) {
	if n.cluster == nil || row.FullName() != "cluster|failover" {
		n.server.Side(row, args)
		return
	}
	if id, ok := heirOf(args); !ok || id != n.memberID() {
		return
	}
	n.log.Info("The master ends and asks this replica to take over")
	n.replicator.running.Go(func() {
		if err := n.cluster.Failover(n.replicator.ctx, cluster.FailoverForce); err != nil {
			n.log.Warn("This replica cannot take over: " + strings.TrimPrefix(err.Error(), "ERR "))
		}
	})
}

// heirOf is which replica the primary means that says CLUSTER FAILOVER FORCE REPLICAID.
func heirOf(args [][]byte) (id string, ok bool) {
	if len(args) != 5 || !resp.EqualFold(args[2], "force") || !resp.EqualFold(args[3], "replicaid") {
		return "", false
	}
	return string(args[4]), true
}
