package replication

import (
	"fmt"
	"strings"
)

// Request is what a replica asks for with PSYNC: to go on in the history ID
// with the byte From. A replica that has nothing sends "?" and -1.
type Request struct {
	ID   string
	From Offset
}

// Window is what a stream can still deliver: the bytes First+1 to End.
type Window struct {
	First Offset
	End   Offset
}

// Verdict is the answer to a Request.
type Verdict uint8

const (
	// Partial: the stream is sent from the requested byte on.
	Partial Verdict = iota
	// FullAsked: the replica has nothing to go on from.
	FullAsked
	// FullHistory: the requested id is neither of the node's histories.
	FullHistory
	// FullDiverged: the id is the previous history, which ended before.
	FullDiverged
	// FullTrimmed: the requested byte is no longer there.
	FullTrimmed
	// FullAhead: the requested byte lies beyond the next one to be produced.
	FullAhead
)

// Decide says whether a replica can go on from where it was (Redis's
// masterTryPartialResynchronization): its id must be the node's current one, or
// the previous one up to where that ended, and all bytes from the requested
// one must be there. Asking for exactly the next byte to be produced is in
// order.
func Decide(h History, w Window, r Request) Verdict {
	if r.ID == "?" {
		return FullAsked
	}
	if !strings.EqualFold(r.ID, h.ID) {
		if h.ID2 == NoID || !strings.EqualFold(r.ID, h.ID2) {
			return FullHistory
		}
		if r.From > h.Second {
			return FullDiverged
		}
	}
	if r.From <= w.First {
		return FullTrimmed
	}
	if r.From > w.End+1 {
		return FullAhead
	}
	return Partial
}

// Explain says in words why r was so answered, for the log.
func (v Verdict) Explain(h History, w Window, r Request) string {
	switch v {
	case Partial:
		return fmt.Sprintf("partial resync from offset %d", r.From)
	case FullAsked:
		return "full resync requested"
	case FullHistory:
		return fmt.Sprintf("Replication ID mismatch (Replica asked for '%s', my replication IDs are '%s' and '%s')", r.ID, h.ID, h.ID2)
	case FullDiverged:
		return fmt.Sprintf("Requested offset for second ID was %d, but I can reply up to %d", r.From, h.Second)
	case FullTrimmed:
		return fmt.Sprintf("lack of backlog (Replica request was: %d, the backlog begins at %d)", r.From, w.First+1)
	case FullAhead:
		return fmt.Sprintf("it asks for an offset that is greater than the master replication offset (%d, not %d)", r.From, w.End)
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}
