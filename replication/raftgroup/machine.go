package raftgroup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"
)

// machine is the state machine of the log: there is little to it, as the data are not
// in the log. What an entry returns is its term, 0 if it is void.
type machine struct{ g *Group }

// Apply implements raft.FSM.
func (m machine) Apply(l *raft.Log) any {
	e, err := decodeEntry(l.Data)
	if err != nil {
		m.g.log.Error("An entry of the group's log is damaged", zap.Uint64("index", l.Index), zap.Error(err))
	}
	switch e := e.(type) {
	case Mark:
		if m.g.term.Load() == l.Term {
			m.g.deaf.Store(0)
			m.g.cfg.Node.Committed(l.Term, e.At)
		} else {
			m.g.cfg.Node.Learned(e)
		}
		m.g.store.applied.Store(&e)
	case Claim:
		m.g.epoch.Store(max(m.g.epoch.Load(), e.Epoch))
	case Owned:
		if e.Under != m.g.epoch.Load() {
			return uint64(0)
		}
		m.g.epoch.Store(max(m.g.epoch.Load(), e.Epoch))
		m.g.owned.Store(&e.What)
		if m.g.office.Load() == l.Term {
			m.g.cfg.Node.Owns(e)
		}
	}
	return l.Term
}

// Snapshot implements raft.FSM. A snapshot is the last claim, the last mark, and what the shard
// has.
func (m machine) Snapshot() (raft.FSMSnapshot, error) {
	s := state{Claim{Epoch: m.g.epoch.Load()}.encode()}
	if mark := m.g.store.applied.Load(); mark != nil {
		s.entries = append(s.entries, mark.encode()...)
	}
	if owned := m.g.owned.Load(); owned != nil {
		s.entries = append(s.entries, Owned{What: *owned}.encode()...)
	}
	return s, nil
}

// Restore implements raft.FSM.
func (m machine) Restore(r io.ReadCloser) error {
	defer r.Close()
	s, err := readState(r)
	if err != nil {
		return err
	}
	m.g.epoch.Store(max(m.g.epoch.Load(), s.claim.Epoch))
	if s.owned != nil {
		m.g.owned.Store(&s.owned.What)
	}
	if s.mark != nil {
		m.g.store.applied.Store(s.mark)
		m.g.cfg.Node.Learned(*s.mark)
	}
	return nil
}

// state is the machine's as of a moment, as entries one behind the other.
type state struct{ entries []byte }

// Persist implements raft.FSMSnapshot.
func (s state) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s.entries); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (state) Release() {}

// contents are what a snapshot says: a claim, without its node, and, nil if there is none, a mark
// and what the shard has.
type contents struct {
	claim Claim
	mark  *Mark
	owned *Owned
}

func readState(r io.Reader) (c contents, err error) {
	const most = claimHead + markBytes + ownedHead + ownedMost
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return c, err
	}
	wrong := fmt.Errorf("raftgroup: a snapshot has %d bytes", len(b))
	if len(b) == 0 {
		return c, wrong
	}
	for len(b) > 0 {
		size := len(b)
		switch b[0] {
		case kindClaim:
			size = claimHead
		case kindMark:
			size = markBytes
		}
		if len(b) < size {
			return c, wrong
		}
		e, err := decodeEntry(b[:size])
		if err != nil {
			return c, err
		}
		switch e := e.(type) {
		case Claim:
			c.claim = e
		case Mark:
			c.mark = &e
		case Owned:
			c.owned = &e
		default:
			return c, wrong
		}
		b = b[size:]
	}
	return c, nil
}

// snapshotStore keeps Raft's snapshots. Without the data that its mark names one is stored
// with a debt, like an entry: what is in a snapshot is committed, and nobody
// counts who has it.
type snapshotStore struct {
	raft.SnapshotStore
	g *Group
}

// Create implements raft.SnapshotStore.
func (s snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration, at uint64, t raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, c, at, t)
	if err != nil {
		return nil, err
	}
	return &heldSink{SnapshotSink: sink, g: s.g, index: index, term: term}, nil
}

type heldSink struct {
	raft.SnapshotSink
	g           *Group
	index, term uint64 // of the last entry in it
	seen        bytes.Buffer
	closed      bool
}

// Write implements io.Writer.
func (s *heldSink) Write(p []byte) (int, error) {
	s.seen.Write(p)
	return s.SnapshotSink.Write(p)
}

// Close implements io.Closer. The library closes what Persist has closed.
func (s *heldSink) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	has, err := readState(&s.seen)
	m := has.mark
	if err == nil {
		s.g.store.snap.Store(&summary{s.index, m}) // before the debt, which nothing older pays
	}
	if err == nil && m != nil {
		ctx, cancel := context.WithTimeout(s.g.ctx, snapshotHold)
		defer cancel()
		if s.g.accept(ctx, *m, s.term == s.g.raft.CurrentTerm()) != nil || !s.g.cfg.Node.Holds(*m) {
			err = s.g.store.owe(true)
		}
	}
	if err != nil {
		return errors.Join(err, s.Cancel())
	}
	return s.SnapshotSink.Close()
}

// snapshotHold is how long a snapshot of Raft waits for the data that it names.
const snapshotHold = wireTimeout / 2

// emptyStore is a store without snapshots.
type emptyStore struct{ raft.SnapshotStore }

// List implements raft.SnapshotStore.
func (emptyStore) List() ([]*raft.SnapshotMeta, error) { return nil, nil }
