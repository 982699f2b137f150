package raftgroup

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/hashicorp/raft"

	"redoubt/replication"
)

// Entries of the log, all integers big-endian:
//
//	mark   1 (1), replication id (20), offset (8)
//	claim  2 (1), epoch (8), node id (40)
//	owned  3 (1), under (8), epoch (8), what the shard has: the rest
const (
	kindMark  = 1
	kindClaim = 2
	kindOwned = 3

	idBytes   = 20
	markBytes = 1 + idBytes + 8
	claimHead = 1 + 8
	ownedHead = 1 + 8 + 8
	ownedMost = 2 << 20 // bytes of an Owned; an Ownership of package cluster has at most 1.4 million
)

// Mark is a place in a stream: up to offset At, under the replication id Line.
type Mark struct {
	Line string // 40 hexadecimal digits
	At   replication.Offset
}

// Claim says that a node takes the shard's slots, with that config epoch.
type Claim struct {
	Node  string
	Epoch uint64
}

// Owned says which slots the shard has, in an encoding of the node's, and under which epoch it
// claims them from now on; 0: as before. It is void unless the last claim is that of the epoch
// Under: who has thought of it led the shard then, and somebody else may have changed what it has
// since.
type Owned struct {
	Under uint64
	Epoch uint64
	What  []byte
}

func (o Owned) encode() []byte {
	b := make([]byte, ownedHead, ownedHead+len(o.What))
	b[0] = kindOwned
	binary.BigEndian.PutUint64(b[1:], o.Under)
	binary.BigEndian.PutUint64(b[9:], o.Epoch)
	return append(b, o.What...)
}

func (m Mark) encode() []byte {
	b := make([]byte, markBytes)
	b[0] = kindMark
	_, _ = hex.Decode(b[1:1+idBytes], []byte(m.Line)) // an id of replication.NewID is one
	binary.BigEndian.PutUint64(b[1+idBytes:], uint64(m.At))
	return b
}

func (c Claim) encode() []byte {
	b := make([]byte, claimHead, claimHead+len(c.Node))
	b[0] = kindClaim
	binary.BigEndian.PutUint64(b[1:], c.Epoch)
	return append(b, c.Node...)
}

// decodeEntry reads a Mark, a Claim or an Owned. What a later version has added is nil.
func decodeEntry(b []byte) (any, error) {
	switch {
	case len(b) == 0:
		return nil, fmt.Errorf("raftgroup: an entry is empty")
	case b[0] == kindMark && len(b) == markBytes:
		return Mark{Line: hex.EncodeToString(b[1 : 1+idBytes]), At: replication.Offset(binary.BigEndian.Uint64(b[1+idBytes:]))}, nil
	case b[0] == kindClaim && len(b) >= claimHead:
		return Claim{Epoch: binary.BigEndian.Uint64(b[1:]), Node: string(b[claimHead:])}, nil
	case b[0] == kindOwned && len(b) >= ownedHead:
		return Owned{Under: binary.BigEndian.Uint64(b[1:]), Epoch: binary.BigEndian.Uint64(b[9:]), What: bytes.Clone(b[ownedHead:])}, nil
	case b[0] == kindMark || b[0] == kindClaim || b[0] == kindOwned:
		return nil, fmt.Errorf("raftgroup: an entry of kind %d has %d bytes", b[0], len(b))
	}
	return nil, nil
}

// lastMark is the last of the marks among entries, and the term in which it was set.
func lastMark(logs []*raft.Log) (m Mark, term uint64, ok bool) {
	for i := len(logs) - 1; i >= 0; i-- {
		if m, ok := markOf(logs[i]); ok {
			return m, logs[i].Term, true
		}
	}
	return Mark{}, 0, false
}

func markOf(l *raft.Log) (Mark, bool) {
	if l.Type != raft.LogCommand {
		return Mark{}, false
	}
	e, _ := decodeEntry(l.Data)
	m, ok := e.(Mark)
	return m, ok
}

// Holds reports whether a stream is known to hold what a mark names: history is the
// stream's, and synced is how far it is on disk. That a history is not known means nothing:
// it may be one that has come before, or that of a primary that is not followed yet.
func Holds(h replication.History, synced replication.Offset, m Mark) bool {
	return m.At <= synced && (m.Line == h.ID || m.Line == h.ID2 && m.At < h.Second)
}
