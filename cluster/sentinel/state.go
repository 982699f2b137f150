package sentinel

// State is what must survive a restart: what the configuration file keeps of
// the masters and of the elections. A State that a Node has given away is not
// changed any more.
type State struct {
	// Version counts the States of one life of a Node.
	Version      uint64
	MyID         string // 40 hexadecimal digits
	CurrentEpoch uint64
	Masters      []*MasterState // by name
}

// MasterState is a master as the configuration file has it.
type MasterState struct {
	Name string
	// Addr is where the master is now: the promoted replica from the moment that
	// its promotion was seen, and then the old master is among Replicas.
	// (rewriteConfigSentinelOption)
	Addr    Addr
	Quorum  int
	Options Options
	// ConfigEpoch is that of the configuration, LeaderEpoch that of the last vote.
	ConfigEpoch uint64
	LeaderEpoch uint64
	Replicas    []Addr // by name
	Sentinels   []KnownSentinel
}

// KnownSentinel is another Sentinel of a master. ID is empty if it is not
// known yet.
type KnownSentinel struct {
	Addr Addr
	ID   string
}

// Addr is where an instance is. The host is an IP address or a name, as it was
// written; what it resolves to is an attribute.
type Addr struct {
	Host string
	Port uint16 // 0: not known
}
