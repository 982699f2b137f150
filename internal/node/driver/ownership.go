package driver

import (
	"fmt"
	"time"

	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// Changes of the slots of this node. Where the shard agrees on them (Parts.Quorum) they take
// their time, and each begins with what the one before has left: a goroutine waits for that,
// and not the loop of the client.

// locked is what nobody may change between the moment when keys are counted, for an event
// that tells how many there are, and the one when the View shows what has come of it.
type locked struct {
	slots []slots.Slot
	world bool // all slots; neither: nothing is counted
}

func (l locked) counts() bool { return l.world || l.slots != nil }

func (l locked) begin(e *storage.Executor) *storage.Tx {
	now := time.Now().UnixMilli()
	if l.world {
		return e.BeginWorld(now)
	}
	return e.Begin(now, l.slots)
}

// changeSlots is administer, or administerCounted, for what changes the slots of this node.
func (d *Driver) changeSlots(x *command.Ctx, l locked, event func(*storage.Tx) cluster.Event) {
	switch {
	case d.Quorum == nil && !l.counts():
		d.administer(x, event(nil), ok)
		return
	case d.Quorum == nil:
		d.administerCounted(x, l.slots, event, ok)
		return
	}
	resume := x.Suspend()
	if resume == nil {
		x.Out.Error(errSlotsInMulti)
		return
	}
	go func() {
		r, gate := d.inTurn(l, event)
		resume(gate, func(w *resp.Writer) {
			if r.Err != nil {
				w.Error(resp.Error(r.Err.Error()))
				return
			}
			w.OK()
		})
	}()
}

// inTurn steps an event that changes slots, when no other is under way, and returns its result.
// The reply to a client has to wait for gate.
func (d *Driver) inTurn(l locked, event func(*storage.Tx) cluster.Event) (r cluster.Result, gate replication.Offset) {
	select {
	case d.turn <- struct{}{}:
	case <-d.quit:
		return cluster.Result{Err: errEnded}, 0
	}
	defer func() { <-d.turn }()
	d.Quorum.Founded()
	if !d.View().IsReplica() && !d.Quorum.MayMoveSlots() {
		return cluster.Result{Err: cluster.ErrNotLed}, 0
	}
	result, decided := make(chan cluster.Result, 1), make(chan struct{})
	give := func(ev cluster.Event) {
		d.post(func() {
			d.tellFacts()
			d.step(ev, &question{answer: func(r cluster.Result) { result <- r }})
			d.publishView()
			close(decided)
		})
		select {
		case <-decided: // run waits for no lock, so this is soon
		case <-d.quit:
		}
	}
	if l.counts() {
		give(event(l.begin(d.counter)))
		gate = d.counter.End()
	} else {
		give(event(nil))
	}
	select {
	case r = <-result:
		if r.Err == nil {
			d.Quorum.Founded() // keys that are moved here would be refused before that
		}
		return r, gate
	case <-d.quit:
		return cluster.Result{Err: errEnded}, gate
	}
}

// agree has the shard agree on something, and answers who has asked for it.
func (d *Driver) agree(a *cluster.Agreement, q *question) {
	go func() {
		err := d.Quorum.Agree(a)
		d.post(func() {
			d.step(cluster.Agreed{Number: a.Number, Err: err}, q)
		})
	}()
}

// giveUp gives slots to another shard, if they have no keys any more.
func (d *Driver) giveUp(all []cluster.SetSlot) {
	defer d.givesUp.Store(false)
	for _, set := range all {
		s := set.Slot
		r, _ := d.inTurn(locked{slots: []slots.Slot{s}}, func(tx *storage.Tx) cluster.Event {
			set.Keys = d.liveKeys(tx, s)
			return set
		})
		switch {
		case r.Err == nil:
			d.kept.Remove(s)
		case set.Keys > 0 && !d.kept.Has(s):
			d.kept.Add(s)
			d.Log.Warn(fmt.Sprintf("Slot %d has been taken by node %s, for whose shard it was open, and has %d keys here still: move them there (redoubt cluster fix)",
				s, set.ID, set.Keys))
		}
	}
}
