package bus

import (
	"fmt"
	"strings"
)

// Flags are the flags of a node: its own in a header, the sender's opinion of
// it in gossip.
type Flags uint16

const (
	FlagPrimary    Flags = 1 << iota // "master" in text
	FlagReplica                      // "slave" in text
	FlagPFail                        // "fail?": this observer cannot reach it
	FlagFail                         // "fail": a majority agreed
	FlagMyself                       // the sender itself; never in gossip
	FlagHandshake                    // its name is not known yet
	FlagNoAddr                       // its address is not known
	FlagMeet                         // the next message to it is a MEET
	FlagMigrateTo                    // a primary that replicas may migrate to
	FlagNoFailover                   // a replica that does not stand for election
	// FlagExtensions: the node understands extensions. Only Valkey sets it
	// for itself in the header; Redis 8 remembers it about others.
	FlagExtensions
	FlagLightPublish  // takes PUBLISH with the short header: Valkey 8.0 and later
	FlagLightModule   // takes MODULE with it: Valkey 8.1 and later
	FlagMyPrimaryFail // a replica that sees its primary as FAIL: Valkey 9.1
)

// flagTexts is in the order of CLUSTER NODES. The other flags are not shown.
var flagTexts = []struct {
	flag Flags
	text string
}{
	{FlagMyself, "myself"},
	{FlagPrimary, "master"},
	{FlagReplica, "slave"},
	{FlagPFail, "fail?"},
	{FlagFail, "fail"},
	{FlagHandshake, "handshake"},
	{FlagNoAddr, "noaddr"},
	{FlagNoFailover, "nofailover"},
}

// Has reports whether all of the given flags are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

// String writes the flags as CLUSTER NODES and nodes.conf do, for example
// "myself,master" or "slave,fail?"; "noflags" if there are none to show.
func (f Flags) String() string {
	var texts []string
	for _, t := range flagTexts {
		if f.Has(t.flag) {
			texts = append(texts, t.text)
		}
	}
	if texts == nil {
		return "noflags"
	}
	return strings.Join(texts, ",")
}

// ParseFlags reads what String writes. Like Valkey, it also takes "primary"
// and "replica".
func ParseFlags(text string) (Flags, error) {
	var f Flags
	if text == "noflags" {
		return f, nil
	}
next:
	for word := range strings.SplitSeq(text, ",") {
		switch word {
		case "primary":
			word = "master"
		case "replica":
			word = "slave"
		}
		for _, t := range flagTexts {
			if t.text == word {
				f |= t.flag
				continue next
			}
		}
		return 0, fmt.Errorf("bus: unknown node flag %q", word)
	}
	return f, nil
}

// MsgFlags are the flags of a message.
type MsgFlags uint8

const (
	// MsgPaused: the sender is a primary whose clients are paused for a
	// manual failover.
	MsgPaused MsgFlags = 1 << iota
	// MsgForceAck: vote for the sender although its primary is not FAIL.
	MsgForceAck
	// MsgExtData: the sender knows extensions. Redis 7.2 and later and Valkey
	// set it on every full message; Redis 7.0 only where blocks follow.
	MsgExtData
	// MsgTakingOver: the sender is a replica that may still win a manual failover, or
	// has won it and has not begun its role. Only nodes of this product set it, and
	// only they are sent it.
	MsgTakingOver MsgFlags = 1 << 7
)

// Has reports whether all of the given flags are set.
func (f MsgFlags) Has(flags MsgFlags) bool { return f&flags == flags }
