package node

import (
	"errors"
	"fmt"
	"io"

	"go.uber.org/zap"

	"redoubt/internal/command"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
)

// A primary that was replaced has often put something into its stream that its
// successor has never received, although no client has changed a key: PING goes into
// the stream for as long as replicas seem to be attached, and so do the hellos that each
// Sentinel publishes on each node it watches. Such bytes move the end of the stream
// beyond the point where the successor's history begins, and the node would have to ask
// for all data again. So before it becomes a replica it drops them: what it has is the
// same without them.

// maxQuietBytes bounds the part of the stream that is looked at, while everybody waits.
const maxQuietBytes = 16 << 20

// knownTo returns an offset up to which the node at addr has this primary's stream,
// and at which a unit ends. ok is false if nothing is known. It is asked before the
// replicas are sent away.
func (r *replicator) knownTo(addr string, old *roleState) (at replication.Offset, ok bool) {
	if old.asked == r.ids.Load() {
		// Nobody has heard of what was written since the promotion, or since the start.
		return old.settled, old.known
	}
	return r.primary.Confirmed(addr)
}

// dropQuiet drops the end of the stream as far as it lies behind both after and the last
// change of data. The unit holds the world lock, and the replicas are barred. If it
// fails nothing has happened.
func (r *replicator) dropQuiet(tx *storage.Tx, after replication.Offset) {
	n := r.n
	end := n.stream.End()
	if after < n.stream.First() || after >= end || end-after > maxQuietBytes {
		return
	}
	at, db, err := n.lastChange(after, end)
	if err != nil || at == end {
		return // an answer that is no end of a unit shows here
	}
	err = n.quorum.without(func() error {
		return n.persistence.replaced(n.persistence.baseBytes.Load(), func() error { return n.stream.Cut(at) })
	})
	if err != nil {
		r.log.Debug("The end of the stream, which changes no data, stays", zap.Error(err))
		return
	}
	n.stream.SetSelectedDB(db)
	tx.Rebase(at)
	r.log.Info(fmt.Sprintf("The last %d bytes of the replication stream changed no data (PING, PUBLISH). "+
		"They are dropped, so that the new master can go on from offset %d", end-at, at))
}

// lastChange returns where the last unit between two offsets ends that changes data,
// after if there is none, and the database that is selected there: what is dropped may
// select another one. end is the stream's.
func (n *Node) lastChange(after, end replication.Offset) (last replication.Offset, db int, err error) {
	const untold = -1
	reader := psync.NewReader(&streamPart{n.stream.ReadAt, after, end}, untold, maxQuietBytes)
	at, final := after, untold
	last, db = after, untold
	for {
		u, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, err
		}
		at, final = at+replication.Offset(len(u.Raw)), u.DB
		if !n.quiet(u.Commands) {
			last, db = at, final
		}
	}
	switch {
	case db != untold:
		return last, db, nil
	case final == untold:
		return last, n.stream.ReadersDB(), nil
	}
	// Nothing was changed since the promotion.
	return last, n.replicator.state.Load().selected, nil
}

// quiet reports whether commands of the stream change no data.
func (n *Node) quiet(commands []psync.Command) bool {
	for _, c := range commands {
		if row := n.server.Table().Lookup(c.Args[0]); row == nil || !row.Is(command.Publishes) {
			return false
		}
	}
	return true
}

// streamPart reads the stream from an offset to another.
type streamPart struct {
	read    func(p []byte, after replication.Offset) (int, error)
	at, end replication.Offset
}

func (s *streamPart) Read(p []byte) (int, error) {
	if s.at == s.end {
		return 0, io.EOF
	}
	n, err := s.read(p[:min(int64(len(p)), int64(s.end-s.at))], s.at)
	s.at += replication.Offset(n)
	if n == 0 && err == nil {
		err = io.ErrUnexpectedEOF // the stream has been cut meanwhile
	}
	return n, err
}
