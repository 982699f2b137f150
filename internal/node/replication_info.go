package node

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/admin"
	"redoubt/replication"
	"redoubt/replication/psync"
)

// LinkUp reports whether the node is in step with its primary.
func (r *replicator) LinkUp() bool {
	s, ok := r.status()
	return ok && s.Up()
}

// LinkState is how far the link is, by the words of ROLE.
func (r *replicator) LinkState() string {
	if s, ok := r.status(); ok {
		return string(s.State)
	}
	return string(psync.Connect)
}

// Replicas are the connected ones that receive the stream.
func (r *replicator) Replicas() []admin.Replica {
	var list []admin.Replica
	for _, x := range r.primary.Replicas() {
		if x.State == psync.Online {
			list = append(list, admin.Replica{IP: x.IP, Port: x.Port, Offset: x.Ack.Offset})
		}
	}
	return list
}

// Behind names the replicas that have not acknowledged an offset, of all that are
// attached. One that is only being sent a snapshot has acknowledged nothing; of a stream
// in which there is nothing yet it lacks nothing either, as in Redis (isReadyToShutdown).
func (r *replicator) Behind(at replication.Offset) (names []string, all int) {
	replicas := r.primary.Replicas()
	for _, x := range replicas {
		if x.Ack.Offset < at {
			names = append(names, fmt.Sprintf("%s (%s, at %d of %d)",
				net.JoinHostPort(x.IP, strconv.Itoa(x.Port)), x.State, x.Ack.Offset, at))
		}
	}
	return names, len(replicas)
}

// Info is the lines of INFO replication, in Redis's order.
func (r *replicator) Info() string {
	n, at := r.n, time.Now()
	cfg, state := n.config.Current(), r.state.Load()
	var b strings.Builder
	line := func(name string, v any) { fmt.Fprintf(&b, "%s:%v\r\n", name, v) }
	if state.replica {
		line("role", "slave")
		r.linkInfo(line, at)
		line("slave_priority", cfg.ReplicaPriority)
		line("slave_read_only", oneIf(cfg.ReplicaReadOnly))
		line("replica_announced", oneIf(cfg.ReplicaAnnounced))
	} else {
		line("role", "master")
	}
	replicas := r.primary.Replicas()
	line("connected_slaves", len(replicas))
	if cfg.MinReplicasToWrite > 0 && cfg.MinReplicasMaxLag > 0 {
		line("min_slaves_good_slaves", r.GoodReplicas())
	}
	if cfg.MinReplicasToAck > 0 {
		line("ack_good_slaves", r.OnlineReplicas())
		line("ack_committed_offset", n.commits.Committed())
		line("ack_uncertain_replies", n.server.Uncertain())
	}
	if n.quorum != nil {
		n.quorum.info(line)
	}
	for i, x := range replicas {
		lag := time.Duration(0)
		if x.State == psync.Online {
			lag = x.Ack.Lag(at)
		}
		fmt.Fprintf(&b, "slave%d:ip=%s,port=%d,state=%s,offset=%d,lag=%d\r\n",
			i, x.IP, x.Port, x.State, x.Ack.Offset, lag/time.Second)
	}
	end, first := n.stream.End(), n.stream.First()
	line("master_failover_state", r.FailoverState())
	if n.cluster == nil {
		line("sentinel_confirmed", oneIf(!state.unconfirmed))
	} else {
		line("cluster_primary_settled", oneIf(r.settled()))
	}
	line("master_replid", state.history.ID)
	line("master_replid2", state.history.ID2)
	line("master_repl_offset", end)
	line("second_repl_offset", state.history.Second)
	line("repl_backlog_active", 1)
	line("repl_backlog_size", cfg.ReplBacklogBytes)
	line("repl_backlog_first_byte_offset", first+1)
	line("repl_backlog_histlen", end-first)
	given := r.rewinds.Load()
	line("rewinds", given.count)
	line("rewinds_refused", given.refused)
	line("rewound_bytes", given.bytes)
	line("rewound_writes", given.writes)
	line("rewound_last_file", given.file)
	return b.String()
}

// linkInfo is what INFO tells of a replica's link.
func (r *replicator) linkInfo(line func(string, any), at time.Time) {
	host, port := r.Primary()
	line("master_host", host)
	line("master_port", port)
	s, _ := r.status() // of no link, if there is none
	since := func(t time.Time) int64 {
		if t.IsZero() {
			return -1
		}
		return int64(at.Sub(t) / time.Second)
	}
	status := "down"
	if s.Up() {
		status = "up"
	}
	line("master_link_status", status)
	line("master_last_io_seconds_ago", since(s.LastIO))
	line("master_sync_in_progress", oneIf(s.State == psync.Sync))
	applied := r.n.stream.End()
	line("slave_read_repl_offset", max(s.Read, applied))
	line("slave_repl_offset", applied)
	if s.State == psync.Sync {
		r.syncInfo(line, s, since(s.LastIO))
	}
	if !s.Up() {
		line("master_link_down_since_seconds", since(s.DownSince))
	}
}

// syncInfo is what INFO tells of a snapshot that is being received. A primary
// need not say how large it is.
func (r *replicator) syncInfo(line func(string, any), s psync.Status, lastIO int64) {
	left, percent := int64(-1), 0.0
	if s.SyncTotal > 0 {
		left = s.SyncTotal - s.SyncRead
		percent = 100 * float64(s.SyncRead) / float64(s.SyncTotal)
	}
	line("master_sync_total_bytes", s.SyncTotal)
	line("master_sync_read_bytes", s.SyncRead)
	line("master_sync_left_bytes", left)
	line("master_sync_perc", fmt.Sprintf("%.2f", percent))
	line("master_sync_last_io_seconds_ago", lastIO)
}
