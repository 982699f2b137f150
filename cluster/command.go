package cluster

import (
	"redoubt/bus"
	"redoubt/slots"
)

// The commands of an administrator: events that give Effects.Result. What the
// server has to do for them is to parse the arguments; numbers that only it
// knows (how many keys there are) travel in the event. Commands that only
// read are answered from the View.

// Meet is CLUSTER MEET ip port [cport]. A BusPort of 0 means port + 10000.
type Meet struct {
	IP      string
	Port    int64
	BusPort int64
}

// AddSlots is CLUSTER ADDSLOTS and ADDSLOTSRANGE. All slots must be Valid.
type AddSlots struct{ Ranges []slots.Range }

// DelSlots is CLUSTER DELSLOTS and DELSLOTSRANGE. All slots must be Valid.
type DelSlots struct{ Ranges []slots.Range }

// FlushSlots is CLUSTER FLUSHSLOTS. Keys is the number of keys of the node.
type FlushSlots struct{ Keys int }

// SetSlot is CLUSTER SETSLOT. The slot must be Valid.
type SetSlot struct {
	Slot   slots.Slot
	Action SlotAction
	ID     bus.NodeID // not used by SlotStable
	Keys   int        // number of keys of the node in the slot
	Offer  bool       // it is one of Effects.GiveUp, and may be out of date
}

// SlotAction is the action of a SetSlot.
type SlotAction uint8

const (
	SlotMigrating SlotAction = iota // ID is where the slot goes
	SlotImporting                   // ID is where the slot comes from
	SlotStable
	SlotNode // ID is the owner
)

// SetConfigEpoch is CLUSTER SET-CONFIG-EPOCH.
type SetConfigEpoch struct{ Epoch int64 }

// BumpEpoch is CLUSTER BUMPEPOCH. Result has Bumped and Epoch.
type BumpEpoch struct{}

// Replicate is CLUSTER REPLICATE. Keys is the number of keys of the node.
type Replicate struct {
	ID   bus.NodeID
	Keys int
}

// Forget is CLUSTER FORGET.
type Forget struct{ ID bus.NodeID }

// Reset is CLUSTER RESET SOFT, or HARD. Keys is the number of keys of the
// node.
type Reset struct {
	Hard bool
	Keys int
}

// Failover is CLUSTER FAILOVER. A Result without error means started.
type Failover struct{ Mode FailoverMode }

// FailoverMode tells how much agreement a manual failover needs.
type FailoverMode uint8

const (
	FailoverNormal   FailoverMode = iota // the primary waits and the others vote
	FailoverForce                        // the others vote
	FailoverTakeover                     // nobody is asked
)

// HandOver has one of this primary's replicas take over, because the node is about to
// end (SHUTDOWN FAILOVER of Valkey 9). Heirs are those that receive the stream, the best
// first; the first of them that may take over is asked to. A Result without error means
// that it is asked when writes are paused, or has to be asked as Result says: one that is
// not of this product waits for CLUSTER FAILOVER from a client, and does the rest.
type HandOver struct{ Heirs []Heir }

// Heir is a replica as it has told about itself over the replication link.
type Heir struct {
	ID   bus.NodeID // empty if it has told none
	IP   string
	Port int // for clients; 0 if it has told none
}

// Lead makes the node the primary of its shard, or has it go on as that, with an epoch
// that its shard has agreed on (Settings.Quorum). Ownership is what the shard has agreed
// on last; nil: the node goes on with what it has.
type Lead struct {
	Epoch     bus.Epoch
	Ownership *Ownership
}

// Found has the shard agree on what this primary has, as it never has on anything.
type Found struct{}

// Agreed says that the shard has agreed on Effects.Agree of that number, which Own has carried
// out; or, by Err, that it has not, or may not have. Its Result is that of the command that
// has asked for it.
type Agreed struct {
	Number uint64
	Err    error // a CommandError
}

// JoinGroup notes that the node belongs to its shard's group of that name (State.Group). It
// belongs to it until it leaves the shard, see Effects.LeaveGroup; here "" says so.
type JoinGroup struct{ Name string }

// CountFailureReports is CLUSTER COUNT-FAILURE-REPORTS. Result has Count.
type CountFailureReports struct{ ID bus.NodeID }

// SaveConfig is CLUSTER SAVECONFIG.
type SaveConfig struct{}

func (Meet) isEvent()                {}
func (AddSlots) isEvent()            {}
func (DelSlots) isEvent()            {}
func (FlushSlots) isEvent()          {}
func (SetSlot) isEvent()             {}
func (SetConfigEpoch) isEvent()      {}
func (BumpEpoch) isEvent()           {}
func (Replicate) isEvent()           {}
func (Forget) isEvent()              {}
func (Reset) isEvent()               {}
func (Failover) isEvent()            {}
func (HandOver) isEvent()            {}
func (Lead) isEvent()                {}
func (Found) isEvent()               {}
func (Agreed) isEvent()              {}
func (JoinGroup) isEvent()           {}
func (CountFailureReports) isEvent() {}
func (SaveConfig) isEvent()          {}

// Result is the outcome of a command. Without Err and without another field
// the answer to the client is +OK.
type Result struct {
	Err    error // a CommandError
	Epoch  bus.Epoch
	Bumped bool
	Count  int
	// Heir is, of HandOver, who is to take over. It still has to be asked, as a client does
	// with CLUSTER FAILOVER, if AskHost is not empty: at that address.
	Heir    bus.NodeID
	AskHost string
	AskPort uint16
}

// CommandError is the error line for the client, without the leading '-'.
type CommandError string

// Error implements error.
func (e CommandError) Error() string { return string(e) }
