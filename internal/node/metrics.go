package node

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/metrics"
	"redoubt/replication/psync"
)

// monitored is a node as those who monitor it see it: server.Program. Its methods read
// what is published, and wait for nobody.
type monitored struct{ n *Node }

// stallLimit is for how long a disk may take for one operation.
const stallLimit = 10 * time.Second

// CheckHealth adds that the disk of the journal hangs. One that refuses to write ends the
// process, and a full one is no disease of the process.
func (m monitored) CheckHealth(r *metrics.Report) {
	if d := m.n.stream.Stalled(time.Now()); d > stallLimit {
		r.Fault(fmt.Sprintf("the disk of the journal has not answered for %v", d.Round(time.Second)))
	}
}

// CheckReadiness adds that the cluster does not serve. One whose configuration allows
// reads then does.
func (m monitored) CheckReadiness(r *metrics.Report) {
	n := m.n
	if n.cluster == nil || n.cluster.View().OK {
		return
	}
	if n.config.Current().ClusterAllowReadsWhenDown {
		r.Note("the cluster is down; cluster-allow-reads-when-down lets clients read")
		return
	}
	r.Fault("the cluster is down (CLUSTERDOWN): CLUSTER INFO and CLUSTER NODES tell more")
}

// Measure adds what only a node of this product has, and what CLUSTER INFO tells.
func (m monitored) Measure(p *metrics.Page, may func(command ...string) bool) {
	m.measureJournal(p)
	m.measureSnapshots(p)
	m.measureReplicas(p)
	m.measureRewinds(p)
	if m.n.quorum != nil {
		m.n.quorum.measure(p)
	}
	if m.n.cluster != nil && may("cluster", "info") {
		v := m.n.cluster.View()
		p.Info(v.InfoText(), 0, time.Time{})
		measureCluster(p, v)
	}
}

func (m monitored) measureJournal(p *metrics.Page) {
	n := m.n
	stats, bytes := n.stream.Stats(), int64(0)
	if n.stream.Enabled() {
		bytes = n.persistence.baseBytes.Load() + n.stream.SizeSinceBase()
	}
	syncs := n.syncs.Read()
	p.Family("redoubt_journal_fsync_duration_seconds", metrics.Histogram, "How long fsyncs of the journal took, with the write before them where both are one.").
		Times(&syncs, metrics.Short)
	p.Family("redoubt_journal_append_bytes_total", metrics.Counter, "Bytes that were appended to the stream.").Int(stats.Appended)
	p.Family("redoubt_journal_written_bytes_total", metrics.Counter, "Bytes that were written to disk for them.").Int(stats.Written)
	p.Family("redoubt_journal_bytes", metrics.Gauge, "Bytes of the base and of the journal after it: what a restart reads.").Int(bytes)
	p.Family("redoubt_journal_uncommitted_bytes", metrics.Gauge, "Bytes of the stream that are not as durable as appendfsync promises yet.").
		Int(int64(n.stream.End() - n.stream.Committed()))
	p.Family("redoubt_journal_stalled_seconds", metrics.Gauge, "For how long the disk operation under way has taken.").
		Set(n.stream.Stalled(time.Now()).Seconds())
	p.Family("redoubt_disk_full", metrics.Gauge, "Whether writes are refused because the disk is full.").Bool(n.stream.DiskFull())
}

func (m monitored) measureSnapshots(p *metrics.Page) {
	took := p.Family("redoubt_snapshot_seconds", metrics.Histogram,
		"How long snapshots took: dumps, bases of the journal, and those for full resyncs of replicas.", "kind")
	for purpose, kind := range [purposes]string{forSave: "dump", forBase: "base", forTransfer: "sync"} {
		times := m.n.persistence.took[purpose].Read()
		took.Times(&times, metrics.Long, kind)
	}
	held, peak := m.n.keys.Held()
	p.Family("redoubt_snapshot_held_bytes", metrics.Gauge, "Memory that snapshots under way hold.").Int(held)
	p.Family("redoubt_snapshot_held_peak_bytes", metrics.Gauge, "The most memory that those have held.").Int(peak)
}

func (m monitored) measureReplicas(p *metrics.Page) {
	lag := p.Family("redoubt_replica_acked_offset_lag_bytes", metrics.Gauge,
		"Bytes of the stream that a replica which receives it has not acknowledged.", "replica")
	unsent := p.Family("redoubt_replica_unsent_bytes", metrics.Gauge,
		"Bytes of the stream that have not been handed to the socket of a replica which receives it.", "replica")
	end, seen := m.n.stream.End(), map[string]bool{}
	for _, x := range m.n.replicator.primary.Replicas() {
		name := net.JoinHostPort(x.IP, strconv.Itoa(x.Port))
		if x.State != psync.Online || seen[name] {
			continue
		}
		seen[name] = true
		lag.Int(max(int64(end-x.Ack.Offset), 0), name)
		unsent.Int(max(int64(end-x.Sent), 0), name)
	}
	p.Family("redoubt_unacknowledged_bytes", metrics.Gauge, "Bytes of the stream for whose acknowledgement by replicas replies wait (min-replicas-to-ack).").
		Int(m.n.commits.unacknowledged())
	p.Family("redoubt_uncertain_replies_total", metrics.Counter, "Writes that were answered with UNCERTAIN: too few replicas had acknowledged them in time.").
		Int(m.n.server.Uncertain())
}

func (m monitored) measureRewinds(p *metrics.Page) {
	given := m.n.replicator.rewinds.Load()
	p.Family("redoubt_rewinds_total", metrics.Counter, "How often this node, as a replica, went back to where its stream and its primary's have parted.").Int(given.count)
	p.Family("redoubt_rewinds_refused_total", metrics.Counter, "How often it could not, and copied all data.").Int(given.refused)
	p.Family("redoubt_rewound_bytes_total", metrics.Counter, "Bytes of the stream that were given up by that.").Int(given.bytes)
	p.Family("redoubt_rewound_writes_total", metrics.Counter, "Commands that change data among them.").Int(given.writes)
}

// measureCluster adds what a node has seen of its cluster. Nodes are named as CLUSTER
// NODES names them.
func measureCluster(p *metrics.Page, v *cluster.View) {
	p.Family("redoubt_cluster_leader_changes_seen_total", metrics.Counter,
		"Primaries, of all shards, that this node has seen replaced by a replica.").Int(int64(v.Takeovers()))
	count, took := v.Failovers()
	p.Family("redoubt_cluster_failover_seconds", metrics.Summary,
		"For how long shards were without a primary until this node took over: from FAIL, or from the request of a manual failover.").
		Quantiles(nil, nil, count, took.Seconds())
	rtt := p.Family("redoubt_cluster_peer_rtt_seconds", metrics.Gauge, "Between the last PING that a node has answered and its PONG.", "peer", "address")
	up := p.Family("redoubt_cluster_peer_up", metrics.Gauge, "Whether this node holds another to work: neither FAIL nor PFAIL.", "peer", "address")
	for i := range v.Nodes {
		x := &v.Nodes[i]
		if i == v.Myself || x.Flags.Has(bus.FlagHandshake) {
			continue
		}
		id, address := string(x.ID), net.JoinHostPort(x.IP, strconv.Itoa(int(x.TCPPort)))
		if x.RTT > 0 {
			rtt.Set(x.RTT.Seconds(), id, address)
		}
		up.Bool(!x.Flags.Has(bus.FlagFail) && !x.Flags.Has(bus.FlagPFail), id, address)
	}
}
