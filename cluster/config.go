package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Config is what a Node starts with.
type Config struct {
	Settings Settings
	// State is what was loaded from nodes.conf; nil for a new node, which
	// then invents its id.
	State *State
	// LocalIPs are the addresses of the machine; empty: they are not known. A State
	// that has another one for this node is of a machine that has moved since.
	LocalIPs []string
	// Rand is the only source of randomness. It must not be shared.
	Rand *rand.Rand
}

// Settings are the directives that matter here. Configure changes them while
// the node runs.
type Settings struct {
	// NodeTimeout is cluster-node-timeout. It must be positive.
	NodeTimeout time.Duration
	// PingInterval is cluster-ping-interval; 0 means half of NodeTimeout.
	PingInterval time.Duration
	// ReplPingPeriod is repl-ping-replica-period; it enters the limit of how
	// old a candidate's data may be.
	ReplPingPeriod time.Duration
	// ReplicaValidityFactor is cluster-replica-validity-factor; 0 means that
	// data are never too old.
	ReplicaValidityFactor int
	// MigrationBarrier is cluster-migration-barrier.
	MigrationBarrier int
	// AllowReplicaMigration is cluster-allow-replica-migration.
	AllowReplicaMigration bool
	// RequireFullCoverage is cluster-require-full-coverage.
	RequireFullCoverage bool
	// ReplicaNoFailover is cluster-replica-no-failover.
	ReplicaNoFailover bool
	// Quorum: the node's shard elects its primary by itself, outside of the bus, and tells
	// with Lead. Then there are no elections of its replicas here, and its config epoch is
	// only ever one of those claims: Effects.Reclaim asks for another.
	Quorum bool
	// FastFail is cluster-fast-fail: a failover takes as little time as it safely
	// can. Without it nodes keep Redis's delays, and silence alone is suspicious.
	FastFail bool
	// BlacklistTTL is how long a forgotten node is banned; 0 means 60 s.
	BlacklistTTL time.Duration
	// ManualFailoverTimeout limits a manual failover; 0 means 5 s.
	ManualFailoverTimeout time.Duration

	// TLS is tls-cluster: the bus, and so the port that counts, is TLS.
	TLS bool
	// TLSReplication is tls-replication: a replica links to the TLS port of its
	// primary, whatever the bus is.
	TLSReplication bool
	// TCPPort, TLSPort and BusPort are what to announce: announce-port and
	// its like if set, else the ports we listen on. 0 means none.
	TCPPort uint16
	TLSPort uint16
	BusPort uint16
	// AnnounceIP is cluster-announce-ip. Empty means that peers take the
	// address they see, and that we learn it from our links.
	AnnounceIP        string
	AnnounceHostname  string
	AnnounceHumanName string
	// AnnounceClientIPv4 and AnnounceClientIPv6 are told to clients of that
	// family in the place of the address; empty: none.
	AnnounceClientIPv4 string
	AnnounceClientIPv6 string

	// The rest only concerns what clients see.

	// AllowReadsWhenDown is cluster-allow-reads-when-down.
	AllowReadsWhenDown bool
	// AllowShardPubSubWhenDown is cluster-allow-pubsubshard-when-down.
	AllowShardPubSubWhenDown bool
	// Endpoint is cluster-preferred-endpoint-type.
	Endpoint EndpointType
}

// EndpointType is how clients are told about a node.
type EndpointType uint8

const (
	EndpointIP EndpointType = iota
	EndpointHostname
	EndpointUnknown // clients are to use the address they already have
)

// DefaultSettings are Redis's defaults, with no port and nothing announced.
func DefaultSettings() Settings {
	return Settings{
		NodeTimeout:              15 * time.Second,
		ReplPingPeriod:           10 * time.Second,
		ReplicaValidityFactor:    10,
		MigrationBarrier:         1,
		AllowReplicaMigration:    true,
		RequireFullCoverage:      true,
		FastFail:                 true,
		BlacklistTTL:             60 * time.Second,
		ManualFailoverTimeout:    5 * time.Second,
		AllowShardPubSubWhenDown: true,
	}
}

func (s *Settings) validate() error {
	if s.NodeTimeout <= 0 {
		return fmt.Errorf("cluster: node timeout %v is not positive", s.NodeTimeout)
	}
	if s.BusPort == 0 {
		return errors.New("cluster: no bus port")
	}
	if s.BlacklistTTL == 0 {
		s.BlacklistTTL = 60 * time.Second
	}
	if s.ManualFailoverTimeout == 0 {
		s.ManualFailoverTimeout = 5 * time.Second
	}
	return nil
}

// pingInterval is the age of a PONG at which the next PING is due.
func (s *Settings) pingInterval() time.Duration {
	if s.PingInterval > 0 {
		return s.PingInterval
	}
	return s.NodeTimeout / 2
}

// handshakeTimeout is how long a handshake may take.
func (s *Settings) handshakeTimeout() time.Duration {
	return max(s.NodeTimeout, time.Second)
}
