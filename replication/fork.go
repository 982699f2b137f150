package replication

import (
	"fmt"
	"strconv"
	"strings"
)

// Upstream is what the node that is to be followed tells of its stream (INFO
// replication).
type Upstream struct {
	History History
	End     Offset // of its stream
	// Serves: it is a primary, or a replica in step with its own primary. Another one is
	// about to change what it has.
	Serves bool
	// Unsettled: it may yet give up its office to a replica that has more of the stream
	// than it has, so nobody should give up anything for it.
	Unsettled bool
}

// ParseUpstream reads the fields of INFO replication that Redis has had since 4.0; ok is
// false if one of them is missing or is not what it should be.
func ParseUpstream(info string) (u Upstream, ok bool) {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); found {
			fields[name] = value
		}
	}
	end, err1 := strconv.ParseInt(fields["master_repl_offset"], 10, 64)
	second, err2 := strconv.ParseInt(fields["second_repl_offset"], 10, 64)
	u = Upstream{
		History:   History{ID: fields["master_replid"], ID2: fields["master_replid2"], Second: Offset(second)},
		End:       Offset(end),
		Serves:    fields["role"] == "master" || fields["master_link_status"] == "up",
		Unsettled: fields["cluster_primary_settled"] == "0" || fields["sentinel_confirmed"] == "0",
	}
	return u, err1 == nil && err2 == nil && end >= 0 && ValidID(u.History.ID) && ValidID(u.History.ID2)
}

// Fork is where the streams of two nodes part: the bytes up to At are the same in both,
// and belong to the history ID.
type Fork struct {
	ID string
	At Offset
}

// Means is what a node has to go back to an earlier offset with.
type Means struct {
	// Journal: it has one. Without a journal there is no earlier state.
	Journal bool
	// Oldest is the offset of the oldest base that is kept with all that follows it.
	Oldest Offset
	// Most is how many bytes of the stream may be given up; 0: none.
	Most int64
}

// RewindVerdict is what a node does about a stream that is not the one it follows.
type RewindVerdict uint8

const (
	// RewindNothing: it asks with PSYNC as it is. It has nothing that the other lacks, or
	// both have more of one history than the other's end, which PSYNC answers for.
	RewindNothing RewindVerdict = iota
	// RewindName: it has no bytes of its own, and asks in the shared history.
	RewindName
	// RewindCut: it goes back to the fork, and asks in the shared history.
	RewindCut
	// The others say why it cannot, so that all data are copied.

	// RewindUnrelated: the histories have nothing in common.
	RewindUnrelated
	// RewindNotYet: the other node is not settled in what it is.
	RewindNotYet
	// RewindOff: it is switched off.
	RewindOff
	// RewindTooMuch: more would have to be given up than is allowed.
	RewindTooMuch
	// RewindNoJournal: there is no journal.
	RewindNoJournal
	// RewindNoBase: all bases are younger than the fork.
	RewindNoBase
)

// ForkOf is where a stream in history mine, up to end, and that of u part. ok is false if
// they share no history that both know of, or no bytes of one.
//
// A history has all bytes of a node's stream under its id, and those below Second also
// under the id before. Two that were never promoted since they parted have one id: what
// one has beyond the other's end is then no fork but a lag, and At is mine's end.
func ForkOf(mine History, end Offset, u Upstream) (f Fork, ok bool) {
	theirs := u.History
	take := func(id string, at Offset) {
		if at > 0 && (!ok || at > f.At) {
			f, ok = Fork{ID: id, At: at}, true
		}
	}
	if same(mine.ID, theirs.ID) {
		take(mine.ID, end)
	}
	if same(mine.ID, theirs.ID2) {
		take(mine.ID, min(end, theirs.Second-1))
	}
	// Their own history goes on behind their end, where what this node has is of another.
	if same(mine.ID2, theirs.ID) && mine.Second-1 <= u.End {
		take(mine.ID2, min(end, mine.Second-1))
	}
	if same(mine.ID2, theirs.ID2) {
		take(mine.ID2, min(end, mine.Second-1, theirs.Second-1))
	}
	return f, ok
}

// same reports whether two ids are one, and that of a history.
func same(a, b string) bool { return a != NoID && strings.EqualFold(a, b) }

// DecideRewind says whether a node whose stream is in history mine up to end has to go
// back before it asks u with PSYNC, and where to. It has if the bytes behind the fork are
// not u's: Redis answers such a request with a full resync (see Decide), as the first
// byte wanted, end+1, lies beyond second_repl_offset, which is the first byte that is not
// of the old history.
func DecideRewind(mine History, end Offset, u Upstream, m Means) (Fork, RewindVerdict) {
	f, ok := ForkOf(mine, end, u)
	switch {
	case !ok:
		return Fork{}, RewindUnrelated
	case f.At == end && f.ID == mine.ID:
		return f, RewindNothing
	case !u.Serves || u.Unsettled:
		return f, RewindNotYet
	case f.At == end:
		return f, RewindName
	case m.Most == 0:
		return f, RewindOff
	case int64(end-f.At) > m.Most:
		return f, RewindTooMuch
	case !m.Journal:
		return f, RewindNoJournal
	case m.Oldest > f.At:
		return f, RewindNoBase
	}
	return f, RewindCut
}

// Explain says in words why a node whose stream ends at end cannot go back to f.
func (v RewindVerdict) Explain(f Fork, end Offset, m Means) string {
	switch v {
	case RewindUnrelated:
		return "the master knows none of the histories of this node"
	case RewindNotYet:
		return "the master is not settled in its role, or has no link to its own master"
	case RewindOff:
		return "rewind-max-bytes is 0"
	case RewindTooMuch:
		return fmt.Sprintf("%d bytes would be given up, and rewind-max-bytes is %d", end-f.At, m.Most)
	case RewindNoJournal:
		return "there is no journal (appendonly no), so there is no earlier state"
	case RewindNoBase:
		return fmt.Sprintf("the journal's oldest base is as of offset %d", m.Oldest)
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}
