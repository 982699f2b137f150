package replication

import (
	"encoding/hex"
	"io"
)

// NoID is the replication id of "no history", as INFO shows it.
const NoID = "0000000000000000000000000000000000000000"

// idBytes is the random part of a replication id; it is written in hexadecimal.
const idBytes = 20

// History names the histories a node's stream belongs to (Redis's replid
// and replid2). ID is
// the current one. The bytes up to Second-1 also belong to ID2, the history
// before the last promotion or restart; ID2 is NoID and Second -1 if there was
// none.
type History struct {
	ID     string // 40 lower-case hexadecimal digits
	ID2    string
	Second Offset // first offset that is not part of ID2
}

// NewID makes a replication id out of 20 bytes of random.
func NewID(random io.Reader) (string, error) {
	var b [idBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

// ValidID reports whether id has the form of a replication id.
func ValidID(id string) bool {
	if len(id) != 2*idBytes {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// NewHistory returns a history without a past: that of an empty node, and of a
// replica after a full resync, whose id is then the primary's.
func NewHistory(id string) History { return History{ID: id, ID2: NoID, Second: -1} }

// Branch returns the history of a node whose stream ends at end and goes on
// under the new id, while the old id stays known for what was before (Redis's
// shiftReplicationId). It is what follows a promotion, and also the restart of
// a primary: a replica may hold bytes that the crash took, so the old id must
// not go on. The restart of a replica leaves its history as it is, since only
// its primary adds to it.
func (h History) Branch(id string, end Offset) History {
	return History{ID: id, ID2: h.ID, Second: end + 1}
}

// Continue returns the history of a replica, at end, whose primary has granted
// a partial resync under id. It differs from the own one if the primary was
// itself promoted in between.
func (h History) Continue(id string, end Offset) History {
	if id == h.ID {
		return h
	}
	return h.Branch(id, end)
}

// Rejoin returns the history in which a primary at end had better ask to go on
// once it is a replica, if nobody has heard of its own. If nothing of what was added
// since the last branch is left, what it has is still a part of the history before, and
// that is the one others know: so a primary that restarts and finds itself
// replaced, or one that was promoted by mistake, needs no full resync.
func (h History) Rejoin(end Offset) History {
	if h.ID2 == NoID || h.Second <= end {
		return h
	}
	return NewHistory(h.ID2)
}
