package raftgroup

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"redoubt/internal/durable"
	"redoubt/replication"
)

// A member of a group is a log and a journal that belong together. What counts for Raft is
// not the node: a node that has lost its log has forgotten whom it voted for, and one whose
// journal was replaced has not what its log says. Either must not count any more where it
// has counted (Raft's state has to be persistent), and no majority can be sure of it in any
// other way than by taking it out of the group. So such a node becomes another member: the
// leader finds that the member it knows is no more, removes it, and adds the new one, which
// gets a vote when it has the data.
//
// A member's name is the node's id and 16 random hexadecimal digits, drawn with its log. The
// same digits are in a file beside the journal, by which the two know each other.

// suffixLen is how much longer the name of a member is than the id of its node.
const suffixLen = 16

// NodeOf is the id of the node of a member.
func NodeOf(member string) string { return member[:max(len(member)-suffixLen, 0)] }

// ErrForgotten answers Bootstrap at a node that belonged to a group and has its log no more:
// the group may go on without it, so it must not found another.
var ErrForgotten = errors.New("raftgroup: the node belongs to a group whose log it does not have")

var (
	memberKey   = []byte("member")   // the digits of the member's name
	foundingKey = []byte("founding") // the name of the group that the node is founding
)

// Self is the name of the node's member.
func (g *Group) Self() string { return g.self }

// openMember opens the log of the node's member. What is there of another is put away.
func (g *Group) openMember() (err error) {
	if g.store, err = g.openLog(); err != nil {
		return err
	}
	why, err := g.disowned()
	if err != nil {
		return errors.Join(err, g.store.Close())
	}
	if why != "" {
		g.log.Warn("This node takes part in its shard's group as a new member, without a vote until it has the data: " + why +
			". What it had is put away as " + oldName(g.cfg.Dir))
		if err := errors.Join(g.store.Close(), PutAway(g.cfg.Dir)); err != nil {
			return err
		}
		if g.store, err = g.openLog(); err != nil {
			return err
		}
	}
	if err := g.nameMember(); err != nil {
		return errors.Join(err, g.store.Close())
	}
	return nil
}

func (g *Group) openLog() (*store, error) {
	return openStore(filepath.Join(g.cfg.Dir, "log"), g.disk, g.hold, g.beside, g.cfg.Fatal)
}

// disowned is why the log must not be gone on with, "" if it may.
func (g *Group) disowned() (string, error) {
	digits, err := g.store.Get(memberKey)
	if errors.Is(err, errNoKey) {
		if left, _ := filepath.Glob(filepath.Join(g.cfg.Dir, "snapshots", "*")); len(left) > 0 || g.store.last.Load() > 0 {
			return "a part of its directory is missing", nil
		}
		return "", nil
	}
	if err != nil {
		return "", err
	}
	beside, err := os.ReadFile(g.cfg.JournalMark)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("raftgroup: %w", err)
	case strings.TrimSpace(string(beside)) != string(digits):
		return "its log and its journal do not belong together", nil
	case g.Name() != "" && g.Name() != g.cfg.Group:
		return "it has left the shard whose log it has", nil
	}
	lacks, err := g.store.dropUnheld(g.cfg.Recovered, g.cfg.RecoveredEnd)
	if lacks {
		return "its journal is older than its log", err
	}
	return "", err
}

// nameMember gives a new member its name, and the journal the mark of it.
func (g *Group) nameMember() error {
	digits, err := g.store.Get(memberKey)
	if errors.Is(err, errNoKey) {
		if g.cfg.Group != "" {
			g.log.Warn("This node belonged to its shard's group and has no log of it. It waits to be added as a new member")
		}
		raw := make([]byte, suffixLen/2)
		_, _ = rand.Read(raw) // never fails
		digits = hex.AppendEncode(nil, raw)
		err = durable.ReplaceFile(g.cfg.JournalMark, string(digits)+"\n")
		if err == nil {
			err = g.store.Set(memberKey, digits)
		}
	}
	g.self = g.cfg.ID + string(digits)
	return err
}

// Bootstrap makes a group of this node alone, if it belongs to none.
func (g *Group) Bootstrap() error {
	g.joining.Lock()
	defer g.joining.Unlock()
	if known, err := g.stored(); err != nil || known {
		return err
	}
	founding, err := g.store.Get(foundingKey)
	if err != nil && !errors.Is(err, errNoKey) {
		return err
	}
	if on := g.onRecord(); on != "" && on != string(founding) {
		return ErrForgotten
	}
	name, err := replication.NewID(rand.Reader)
	if err != nil {
		return err
	}
	// In this order: a crash in between leaves what can be done again, and a node that is on
	// record for a group that it has not founded never founds one.
	if err := g.store.Set(foundingKey, []byte(name)); err != nil {
		return err
	}
	if err := g.record(name); err != nil {
		return err
	}
	if err := g.store.join(name); err != nil {
		return err
	}
	return g.foundAlone()
}

// onRecord is the group that the node is known to belong to outside of this package.
func (g *Group) onRecord() string {
	if on := g.recorded.Load(); on != nil {
		return *on
	}
	return g.cfg.Group
}

// record has the node's membership recorded, before it means anything.
func (g *Group) record(name string) error {
	if g.onRecord() == name {
		return nil
	}
	if err := g.cfg.Record(g.ctx, name); err != nil {
		return err
	}
	g.recorded.Store(&name)
	return nil
}

// oldName is where a member's directory is put away: one is kept.
func oldName(dir string) string { return dir + ".old" }

// PutAway ends the member whose directory that is, for good. The member must be closed.
func PutAway(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	err := os.RemoveAll(oldName(dir))
	if err == nil {
		err = os.Rename(dir, oldName(dir))
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(dir))
	}
	if err != nil {
		return fmt.Errorf("raftgroup: put the group's log away: %w", err)
	}
	return nil
}
