package admin

import (
	"redoubt/internal/resp"
	"redoubt/replication"
)

// Resume goes on with a client whose command has waited: with its reply, and the
// offset of the stream on which that depends. It is called once, by any
// goroutine. A client that has left meanwhile is not missed.
type Resume = func(gate replication.Offset, reply func(*resp.Writer))

// A Suspender is a caller whose command can be answered later.
type Suspender interface {
	// Suspend has the handler return without a reply: the client goes on when
	// somebody calls resume, and nothing of it runs meanwhile. It is nil within a
	// transaction, where all replies must be there when EXEC ends.
	Suspend() (resume Resume)
}
