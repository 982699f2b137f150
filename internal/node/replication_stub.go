package node

import (
	"context"

	"redoubt/internal/server"
	"redoubt/replication"
)

type replicator struct {
	server.Replication
	n *Node
}

func (r *replicator) OnAck(func())           {}
func (r *replicator) Primary() (string, int) { return "", 0 }
func (r *replicator) Info() string           { return "role:master\r\n" }
func (r *replicator) GoodReplicas() int      { return 0 }

func newReplicator(n *Node) *replicator                 { return &replicator{n: n} }
func (r *replicator) History() replication.History      { return replication.NewHistory(replication.NoID) }
func (r *replicator) start(ctx context.Context) error   { return r.n.stream.SaveHistory(r.History(), false) }
func (r *replicator) Close()                            {}

type clusterDriver struct{ server.Cluster }

func newClusterDriver(n *Node) (*clusterDriver, error)   { return nil, nil }
func (c *clusterDriver) start(ctx context.Context) error { return nil }
func (c *clusterDriver) Close()                          {}
