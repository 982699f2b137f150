// Package fault has the server break one of its promises, so that a test can show that it
// would notice. Only a binary with the build tag faulty can: it has the fault that
// $REDOUBT_FAULT names. In every other one Is is a constant, and the compiler leaves out
// what depends on it.
//
// The faults are those that a durability quorum must not have, and each is such that kill -9
// and SIGSTOP show it: what a power cut takes is kept in the memory of the process here.
package fault

import "time"

// Name is a fault.
type Name string

const (
	// VoteUnsynced: the term and the vote of a member are acknowledged, and never reach its
	// disk. Who is killed forgets them, and counts terms from the beginning again.
	VoteUnsynced Name = "vote-unsynced"
	// ReadsUnverified: what a read shows leaves without a round of questions whether the
	// node still leads. As only time is left to tell, time runs against it: a process that
	// was stopped mostly finds out that it leads no more before it reads a request, and here
	// it does so a moment later. With the rounds that would be of no consequence.
	ReadsUnverified Name = "reads-unverified"
	// KeepTail: a primary that was deposed goes back to where its stream and that of its
	// successor have parted with the stream, and not with the data.
	KeepTail Name = "keep-tail"
	// MarkUnsynced: the journal tells that it has on the disk what it has in memory, so that
	// marks are stored without their bytes. The journal's file in memory is not used at a
	// start, and bytes lie there for a second before they go to Pebble.
	MarkUnsynced Name = "mark-unsynced"
)

// Moment is how late ReadsUnverified hears of a loss of the lead.
const Moment = 50 * time.Millisecond

// All are the faults.
var All = []Name{VoteUnsynced, ReadsUnverified, KeepTail, MarkUnsynced}

// Or is right, and wrong in a binary that has the fault.
func Or[T any](n Name, right, wrong T) T {
	if Is(n) {
		return wrong
	}
	return right
}
