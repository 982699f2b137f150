package cluster

import (
	"fmt"

	"redoubt/slots"
)

// Query is what a command tells the router.
type Query struct {
	// Slot is the slot of the command's first key. (A command without keys
	// has nothing to ask.)
	Slot slots.Slot
	// CrossSlot: another key lies in another slot.
	CrossSlot bool
	// ManyKeys: there is more than one distinct key.
	ManyKeys bool
	// Write: the command, or one of those that EXEC runs, writes. MayWrite: that, or it
	// is a script that may.
	Write    bool
	MayWrite bool
	// ShardPubSub: SSUBSCRIBE, SUNSUBSCRIBE or SPUBLISH.
	ShardPubSub bool
	// Migrate: the command is MIGRATE.
	Migrate bool
	// Asking: the client said ASKING, or the command implies it.
	Asking bool
	// ReadOnly: the client said READONLY.
	ReadOnly bool
}

// Verdict is what is to be done with a command.
type Verdict uint8

const (
	Run Verdict = iota // here
	// RunIfPresent: the slot is on its way out. Count the keys that are here:
	// Missing says what follows.
	RunIfPresent
	// RunUnlessMissing: the slot is on its way in and the command has several
	// keys. Missing says what follows.
	RunUnlessMissing
	Moved
	Ask
	TryAgain
	CrossSlot
	Unassigned   // nobody owns the slot
	Down         // the cluster is down
	DownReadOnly // the cluster is down and only reads are allowed
)

// Route decides about a command with keys, in the order of Redis's
// getNodeByQuery. A replica knows which slots its primary has open, and does as
// that does for clients that said READONLY, as in Valkey 8: a key that has left
// must not look as if it did not exist.
func (v *View) Route(q Query) Verdict {
	owner := v.routes.owners.of(q.Slot)
	if owner == 0 {
		return Unassigned
	}
	if q.CrossSlot {
		return CrossSlot
	}
	if !v.OK {
		if verdict := v.routeWhenDown(q); verdict != Run {
			return verdict
		}
	}
	mine := owner == v.Myself+1
	_, migrating := v.routes.migrating[q.Slot]
	_, importing := v.routes.importing[q.Slot]
	switch {
	case (migrating || importing) && q.Migrate && !v.IsReplica():
		return Run
	case mine, v.readableHere(q, owner-1):
		if migrating && !q.ShardPubSub {
			return RunIfPresent
		}
		if q.MayWrite && v.routes.leaving.Has(q.Slot) {
			return TryAgain // there were no keys when the slot was given away
		}
		return Run
	case v.IsReplica() && (!q.ReadOnly || q.Write):
		return Moved
	case importing && q.Asking && q.ManyKeys && !q.ShardPubSub:
		return RunUnlessMissing
	case importing && q.Asking:
		return Run
	}
	return Moved
}

// routeWhenDown lets through what the settings allow in a cluster that is
// down.
func (v *View) routeWhenDown(q Query) Verdict {
	switch {
	case q.ShardPubSub && v.cfg.AllowShardPubSubWhenDown:
		return Run
	case q.ShardPubSub || !v.cfg.AllowReadsWhenDown:
		return Down
	case q.Write:
		return DownReadOnly
	}
	return Run
}

// readableHere reports whether this replica may answer for its primary.
func (v *View) readableHere(q Query, owner int) bool {
	return v.IsReplica() && v.Me().Primary == v.Nodes[owner].ID &&
		(q.ReadOnly && !q.Write || q.ShardPubSub)
}

// Missing finishes a verdict of RunIfPresent or RunUnlessMissing when the
// command's keys have been counted.
func (verdict Verdict) Missing(present, missing int) Verdict {
	switch {
	case missing == 0:
		return Run
	case verdict == RunUnlessMissing || present > 0:
		return TryAgain
	}
	return Ask
}

// RedirectText is the error line for a verdict other than Run, without the
// leading '-'.
func (v *View) RedirectText(verdict Verdict, s slots.Slot, c Client) string {
	switch verdict {
	case CrossSlot:
		return "CROSSSLOT Keys in request don't hash to the same slot"
	case TryAgain:
		return "TRYAGAIN Multiple keys request during rehashing of slot"
	case Down:
		return "CLUSTERDOWN The cluster is down"
	case DownReadOnly:
		return "CLUSTERDOWN The cluster is down and only accepts read commands"
	case Ask:
		if to, open := v.routes.migrating[s]; open {
			return v.redirect("ASK", s, &v.Nodes[to], c)
		}
	case Moved:
		if owner := v.Owner(s); owner != nil {
			return v.redirect("MOVED", s, owner, c)
		}
	}
	return "CLUSTERDOWN Hash slot not served"
}

func (v *View) redirect(word string, s slots.Slot, to *NodeView, c Client) string {
	endpoint, _ := v.Endpoint(to, c)
	return fmt.Sprintf("%s %d %s:%d", word, s, endpoint, to.ClientPort(c))
}
