package sentinel

// Error is the text of an error reply, with its code and without the leading
// minus.
type Error string

func (e Error) Error() string { return string(e) }

const (
	ErrNoSuchMaster    Error = "ERR No such master with that name"
	ErrDuplicateMaster Error = "ERR Duplicate master name."
	ErrInvalidAddr     Error = "ERR Invalid IP address or hostname specified"
	ErrInvalidPort     Error = "ERR Invalid port"
	ErrInvalidQuorum   Error = "ERR Quorum must be 1 or greater."
	ErrInvalidName     Error = "ERR Invalid master name"
	ErrInProgress      Error = "INPROG Failover already in progress"
	ErrNoGoodReplica   Error = "NOGOODSLAVE No suitable replica to promote"
	ErrNoGoodPrimary   Error = "NOGOODPRIMARY Primary does not support FAILOVER command"
	ErrPrimaryAway     Error = "NOGOODPRIMARY Primary cannot be reached, so it cannot hand over. Without COORDINATED a replica is promoted"
)

// Result answers a command. It may reach the client only when the State of its
// Step is on disk.
type Result struct {
	// Err is the error reply, nil if the command was carried out.
	Err error
	// Count is how many masters a Reset has reset.
	Count int
	// Down, Leader and LeaderEpoch answer IsMasterDown. Leader is "*" if there is
	// no vote.
	Down        bool
	Leader      string
	LeaderEpoch uint64
}

// IsMasterDown is SENTINEL IS-MASTER-DOWN-BY-ADDR: another Sentinel asks
// whether we see a master down and, unless Candidate is "*", for our vote.
type IsMasterDown struct {
	Addr      Addr
	Epoch     uint64
	Candidate string
}

// Monitor is SENTINEL MONITOR. The driver has resolved a host name before, and
// has refused one that does not resolve.
type Monitor struct {
	Name   string
	Addr   Addr
	Quorum int
}

// Remove is SENTINEL REMOVE.
type Remove struct{ Name string }

// Set is SENTINEL SET: all of the options or none. They are parsed by
// ParseOptions; the driver has checked that scripts may be set and run.
type Set struct {
	Name    string
	Options []Option
}

// Reset is SENTINEL RESET. Match is the pattern (the driver has the glob).
type Reset struct{ Match func(name string) bool }

// Failover is SENTINEL FAILOVER: a failover that needs no election.
type Failover struct {
	Name string
	// Coordinated asks the master to hand over with FAILOVER TO, which loses no
	// write, as Valkey 9 does.
	Coordinated bool
}

// FlushConfig is SENTINEL FLUSHCONFIG: the state is persisted again.
type FlushConfig struct{}

// SimulateFailure is SENTINEL SIMULATE-FAILURE; it replaces what was simulated
// before.
type SimulateFailure struct{ Flags SimFailure }

// SimFailure says at which points the Sentinel is to exit.
type SimFailure uint8

// The values are those that INFO shows as sentinel_simulate_failure_flags.
const (
	CrashAfterElection  SimFailure = 1 << 0
	CrashAfterPromotion SimFailure = 1 << 1
)

func (IsMasterDown) isEvent()    {}
func (Monitor) isEvent()         {}
func (Remove) isEvent()          {}
func (Set) isEvent()             {}
func (Reset) isEvent()           {}
func (Failover) isEvent()        {}
func (FlushConfig) isEvent()     {}
func (SimulateFailure) isEvent() {}
