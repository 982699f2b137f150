package bus

// Type says what a message is for.
type Type uint16

const (
	TypePing         Type = 0
	TypePong         Type = 1
	TypeMeet         Type = 2
	TypeFail         Type = 3
	TypePublish      Type = 4
	TypeAuthRequest  Type = 5 // FAILOVER_AUTH_REQUEST: give me your vote
	TypeAuthAck      Type = 6 // FAILOVER_AUTH_ACK: you have it
	TypeUpdate       Type = 7
	TypeMFStart      Type = 8 // a replica asks its primary for a manual failover
	TypeModule       Type = 9
	TypePublishShard Type = 10

	// TypeCount is the number of known types; a message of a higher one is
	// well-formed and ignored.
	TypeCount = 11
)

// lightBit in the type field of a message announces the short header.
const lightBit Type = 0x8000

var typeNames = [TypeCount]string{
	"ping", "pong", "meet", "fail", "publish", "auth-req", "auth-ack",
	"update", "mfstart", "module", "publishshard",
}

// String is the name of t in cluster_stats_messages_<name>_sent of CLUSTER
// INFO.
func (t Type) String() string {
	if t >= TypeCount {
		return "unknown"
	}
	return typeNames[t]
}

// Gossips reports whether messages of this type carry gossip and extensions.
func (t Type) Gossips() bool { return t <= TypeMeet }

// mayBeLight reports whether the short header is allowed for t.
func (t Type) mayBeLight() bool {
	return t == TypePublish || t == TypePublishShard || t == TypeModule
}

// NodeID is the name of a node: 40 digits or lower-case letters. Redis makes
// them of hexadecimal digits, but takes any letter. Empty means no node.
type NodeID string

// IDLen is the length of a node id and of a shard id.
const IDLen = 40

// Valid reports whether id is a possible name of a node, as Redis's
// verifyClusterNodeId does.
func (id NodeID) Valid() bool { return validID(string(id)) }

func validID(s string) bool {
	if len(s) != IDLen {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
