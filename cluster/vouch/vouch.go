// Package vouch is how Sentinels tell a node whether it is the primary: what they
// say, and what the node makes of it.
//
// A primary that was replaced while it was away comes back in the belief that it is
// still one, and what clients write to it then is lost. So a Sentinel that connects to
// a node of ours says a Word to it: which configuration it knows, and whether the node
// is the primary in that. A node that remembers such Sentinels takes no writes after
// a restart until most of them have said that it is the primary (Watch).
//
// Why most of them: a failover needs the votes of most Sentinels, so at least one of
// those that answer has voted in each failover that happened meanwhile. It knows the
// outcome, or it says for whom it voted, and then that one is waited for.
//
// The package is pure: it has no clock, and reads or writes no file. Package
// cluster/sentinel makes the words, internal/node hears them.
package vouch

import (
	"strconv"
	"strings"
)

// A Word is what one Sentinel says to one node.
type Word struct {
	// Sentinel is who says it, by its id, and Master the name that it has for the
	// primary that the node belongs to.
	Sentinel string
	Master   string
	// Voters counts the Sentinels that it knows to watch that primary, itself
	// included.
	Voters int
	// Epoch is the current epoch, ConfigEpoch that of the configuration. Primary says
	// that the node is the primary there.
	Epoch       uint64
	ConfigEpoch uint64
	Primary     bool
	// Busy says that the Sentinel sees the primary down, or replaces it at the
	// moment.
	Busy bool
	// VoteEpoch is that of a vote of which a failover may still come, 0 if there is
	// none. Vote is for whom it was, empty if that is not known any more.
	VoteEpoch uint64
	Vote      string
}

// tag begins the text of a word. It stands where a hello has an address, and there are
// more fields than a hello has: so another Sentinel that hears it knows it for none.
const tag = "vouch/1"

// fields is how many a word has.
const fields = 10

// String is the word as it is sent.
func (w Word) String() string {
	role, state, vote := "replica", "calm", "-"
	if w.Primary {
		role = "primary"
	}
	if w.Busy {
		state = "busy"
	}
	if w.Vote != "" {
		vote = w.Vote
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return strings.Join([]string{tag, w.Sentinel, w.Master, strconv.Itoa(w.Voters), number(w.Epoch), number(w.ConfigEpoch),
		role, state, number(w.VoteEpoch), vote}, ",")
}

// maxVoters bounds what is believed.
const maxVoters = 1 << 10

// Parse reads the text of a word. ok is false if it is none.
func Parse(text string) (w Word, ok bool) {
	f := strings.Split(text, ",")
	if len(f) != fields || f[0] != tag {
		return Word{}, false
	}
	voters, err1 := strconv.Atoi(f[3])
	epoch, err2 := strconv.ParseUint(f[4], 10, 64)
	config, err3 := strconv.ParseUint(f[5], 10, 64)
	voteEpoch, err4 := strconv.ParseUint(f[8], 10, 64)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return Word{}, false
		}
	}
	w = Word{
		Sentinel: f[1], Master: f[2], Voters: voters, Epoch: epoch, ConfigEpoch: config,
		Primary: f[6] == "primary", Busy: f[7] == "busy", VoteEpoch: voteEpoch, Vote: f[9],
	}
	if w.Vote == "-" {
		w.Vote = ""
	}
	// What is read is written again in one way only: anything else was not said by a
	// Sentinel. The names stand in a file of the node, a line each.
	valid := isWord(w.Sentinel) && isWord(w.Master) && voters > 0 && voters <= maxVoters && w.String() == text
	return w, valid
}

// isWord reports whether s may stand in a word, and in a line of a file.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// maxName bounds the length of a name.
const maxName = 256
