package driver

import (
	"time"

	"redoubt/cluster"
	"redoubt/internal/config"
)

// clusterDirectives are those whose change the Node must hear of.
var clusterDirectives = []string{
	"cluster-node-timeout", "cluster-ping-interval", "cluster-replica-validity-factor",
	"cluster-migration-barrier", "cluster-allow-replica-migration", "cluster-require-full-coverage",
	"cluster-replica-no-failover", "cluster-fast-fail", "cluster-allow-reads-when-down", "cluster-allow-pubsubshard-when-down",
	"cluster-link-sendbuf-limit", "cluster-announce-ip", "cluster-announce-port", "cluster-announce-tls-port",
	"cluster-announce-bus-port", "cluster-announce-hostname", "cluster-announce-human-nodename",
	"cluster-announce-client-ipv4", "cluster-announce-client-ipv6",
	"cluster-preferred-endpoint-type", "cluster-blacklist-ttl", "cluster-manual-failover-timeout",
	"repl-ping-replica-period", "port", "tls-port", "tls-cluster", "tls-replication",
}

// leastNodeTimeout is what a shorter cluster-node-timeout comes to. Nodes are asked each tenth
// of a second: with less than that nobody would be heard in time, and no primary could know
// that it still is one.
const leastNodeTimeout = 200 * time.Millisecond

// clusterSettings are the settings as package cluster reads them; bus is the
// port the bus listens on.
func clusterSettings(c *config.Settings, bus int) cluster.Settings {
	return cluster.Settings{
		NodeTimeout:              max(c.ClusterNodeTimeout, leastNodeTimeout),
		PingInterval:             c.ClusterPingInterval,
		ReplPingPeriod:           c.ReplPingReplicaPeriod,
		ReplicaValidityFactor:    c.ClusterReplicaValidityFactor,
		MigrationBarrier:         c.ClusterMigrationBarrier,
		AllowReplicaMigration:    c.ClusterAllowReplicaMigration,
		RequireFullCoverage:      c.ClusterRequireFullCoverage,
		ReplicaNoFailover:        c.ClusterReplicaNoFailover,
		Quorum:                   c.Durability == config.DurabilityQuorum,
		FastFail:                 c.ClusterFastFail,
		BlacklistTTL:             c.ClusterBlacklistTTL,
		ManualFailoverTimeout:    c.ClusterManualFailoverTimeout,
		TLS:                      c.TLSCluster,
		TLSReplication:           c.TLSReplication,
		TCPPort:                  announced(c.ClusterAnnouncePort, c.Port),
		TLSPort:                  announced(c.ClusterAnnounceTLSPort, c.TLSPort),
		BusPort:                  announced(c.ClusterAnnounceBusPort, bus),
		AnnounceIP:               c.ClusterAnnounceIP,
		AnnounceHostname:         c.ClusterAnnounceHostname,
		AnnounceHumanName:        c.ClusterAnnounceHumanNodename,
		AnnounceClientIPv4:       c.ClusterAnnounceClientIPv4,
		AnnounceClientIPv6:       c.ClusterAnnounceClientIPv6,
		AllowReadsWhenDown:       c.ClusterAllowReadsWhenDown,
		AllowShardPubSubWhenDown: c.ClusterAllowPubSubShardWhenDown,
		Endpoint:                 endpointType(c.ClusterPreferredEndpoint),
	}
}

func endpointType(e config.Endpoint) cluster.EndpointType {
	switch e {
	case config.EndpointHostname:
		return cluster.EndpointHostname
	case config.EndpointUnknown:
		return cluster.EndpointUnknown
	}
	return cluster.EndpointIP
}

// announced is the port to tell others: an own one if none is set.
func announced(set, own int) uint16 {
	if set != 0 {
		return uint16(set)
	}
	return uint16(own)
}

// configure follows CONFIG SET, whose reply comes when CLUSTER NODES shows the
// change. The driver waits for no client, so that is a moment.
func (d *Driver) configure(_, next *config.Settings) error {
	settings := clusterSettings(next, d.busPort)
	d.endpoint.SetSendLimit(next.ClusterLinkSendBufBytes)
	d.endpoint.SetTLS(d.linkTLS(next))
	shown := make(chan struct{})
	if d.post(func() {
		d.step(cluster.Configure{Settings: settings}, nil)
		d.publishView()
		close(shown)
	}) {
		select {
		case <-shown:
		case <-d.quit:
		}
	}
	return nil
}
