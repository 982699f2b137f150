package driver

import (
	"errors"
	"io"
	"syscall"
	"time"

	"go.uber.org/zap"

	"redoubt/bus"
	"redoubt/bus/link"
	"redoubt/cluster"
	"redoubt/cluster/release"
)

// post has run call f, after what was posted before. It reports false if the
// driver has ended; f is not called then.
func (d *Driver) post(f func()) bool {
	select {
	case d.inbox <- f:
		return true
	case <-d.quit:
		return false
	}
}

// run is the owner of the Node.
func (d *Driver) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d.checkClock(time.Now())
		if !time.Now().Before(d.node.Deadline()) {
			d.tellFacts()
			d.step(cluster.Tick{}, nil)
		}
		// One View for all that has come meanwhile: making one is what costs.
		for range len(d.inbox) {
			(<-d.inbox)()
		}
		d.publishView()
		timer.Reset(time.Until(d.node.Deadline()))
		select {
		case f := <-d.inbox:
			f()
		case <-timer.C:
		case <-d.quit:
			return
		}
	}
}

// checkClock notices that run has not looked at the clock for a long time: the
// process, or its machine, was frozen. After a node timeout others may have
// replaced this node; after less its lease may have ended. Whoever sees the new
// beat finds the View of a node that doubts.
func (d *Driver) checkClock(now time.Time) {
	if gap := d.unseen(now); gap > lookLimit {
		d.woke = now
		if gap > d.freezeLimit() {
			d.Log.Warn("The process has not run for " + gap.Round(time.Millisecond).String() + "; it waits for news of the cluster")
			d.step(cluster.Resumed{}, nil)
		}
		d.tellFacts()
		d.step(cluster.Tick{}, nil)
		d.publishView()
		if v := d.View(); !v.OK && !v.IsReplica() {
			d.freezes.Add(1) // not of a sole voter: nobody could replace it
		}
	}
	d.beat.Store(&now)
}

// lookLimit is how long run may not look at the clock without anybody else
// caring: within a few ticks a lease that ends is noticed in time.
const lookLimit = 500 * time.Millisecond

// unseen is for how long run has not looked at the clock. A suspended machine
// moves only the wall clock on. (So does somebody who sets it; a short doubt is
// all that comes of that.)
func (d *Driver) unseen(now time.Time) time.Duration {
	last := d.beat.Load()
	if last == nil {
		return 0
	}
	return max(now.Sub(*last), now.Round(0).Sub(last.Round(0)))
}

// freezeLimit is how long run may not look without anybody having replaced this
// node: until the node timeout nobody suspects it, and then comes an election.
// (It looks at least with every tick, but a node timeout may be shorter.)
func (d *Driver) freezeLimit() time.Duration {
	return max(d.Config.Current().ClusterNodeTimeout, lookLimit)
}

// Freezes implements server.Cluster. A loop may run before run does, after a
// freeze of the process; then it waits until run has looked, which takes as long as
// run needs for a processor.
func (d *Driver) Freezes(now time.Time) uint64 {
	if d.unseen(now) > lookLimit {
		looked := make(chan struct{})
		if d.post(func() { d.checkClock(time.Now()); close(looked) }) {
			select {
			case <-looked:
			case <-d.quit:
			}
		}
	}
	return d.freezes.Load()
}

// endOrBeginPause holds client writes back or lets them go on, which then find
// the View that belongs to it.
func (d *Driver) endOrBeginPause(until time.Time) {
	d.publishView()
	d.changer.pause(until)
}

// wakeTime is how long after a freeze nothing that looks hung is taken for it: it
// has stood still like everything else.
const wakeTime = time.Second

// tellFacts keeps the Node's picture of the server up to date.
func (d *Driver) tellFacts() {
	f := d.Facts()
	f.Unwell = f.Unwell && time.Since(d.woke) > wakeTime
	switch {
	case f.Unwell && !d.facts.Unwell:
		d.Log.Warn("The node hangs and falls silent on the bus: " + d.Hangs())
	case d.facts.Unwell && !f.Unwell:
		d.Log.Info("The node does not hang any more")
	}
	if f != d.facts {
		d.facts = f
		d.step(f, nil)
	}
}

// publishView shows what requests are routed by.
func (d *Driver) publishView() { d.view.Store(d.node.Latest()) }

// question is a command of an administrator that wants its result.
type question struct {
	answer func(cluster.Result)
	// hasty does not wait until the role has changed, only until the state is
	// saved: the asker holds locks that a role change needs.
	hasty bool
}

// step gives the Node an event and does what it demands: at once what may be
// done at once, the rest when the disk has caught up (outcome).
func (d *Driver) step(ev cluster.Event, q *question) {
	fx := d.node.Step(time.Now(), ev)
	for _, note := range fx.Notes {
		switch {
		case note.Warning:
			d.Log.Warn(note.Text)
		case note.Verbose:
			d.Log.Debug(note.Text)
		default:
			d.Log.Info(note.Text)
		}
	}
	for _, id := range fx.Close {
		d.closeLink(id)
	}
	for _, dial := range fx.Dial {
		d.dial(dial)
	}
	d.send(fx.Send)
	for _, m := range fx.Deliver {
		d.Shell.Publish(m.Channel, m.Payload, m.Shard)
	}
	if fx.Reclaim && d.Quorum != nil {
		d.Quorum.Reclaim()
	}
	if fx.Agree != nil {
		d.agree(fx.Agree, q)
		q = nil
	}
	if open := fx.GiveUp; len(open) > 0 && d.givesUp.CompareAndSwap(false, true) { // the rest is offered again
		d.running.Go(func() { d.giveUp(open) })
	}
	if fx.Pause != nil && !fx.EndsPauseWithRole() {
		d.endOrBeginPause(fx.Pause.Until)
	}
	d.outcome.add(d, &fx, q)
}

// send encodes each message once, for however many links it goes to.
func (d *Driver) send(envelopes []cluster.Envelope) {
	var last *bus.Message
	var encoded []byte
	for _, e := range envelopes {
		l := d.links[e.Link]
		if l == nil {
			continue
		}
		if e.Msg != last {
			last, encoded = e.Msg, bus.Append(nil, e.Msg)
		}
		l.Send(encoded)
	}
}

// outcome is what steps demanded and is not done yet, because it must not be
// before the state is on disk.
type outcome struct{ queue release.Queue[pending] }

// pending is the part of a step's effects that waits for the disk.
type pending struct {
	fx       cluster.Effects
	question *question
}

// add takes the effects of one step, in order.
func (o *outcome) add(d *Driver, fx *cluster.Effects, q *question) {
	if fx.Persist != nil {
		o.queue.Ask(fx.Persist.Version)
		d.saver.save(fx.Persist)
	}
	if !fx.Waits() && q == nil {
		return
	}
	if e, free := o.queue.Add(pending{*fx, q}); free {
		o.release(d, e)
	}
}

// saved is called by the saver: a version is on disk.
func (d *Driver) saved(version uint64) {
	d.post(func() {
		o := &d.outcome
		o.queue.Saved(version)
		for e := o.queue.Next(); e != nil; e = o.queue.Next() {
			o.release(d, e)
		}
		o.tell(d)
	})
}

// release does what waited for the disk. A new role comes before the messages
// that announce it, so that the others do not send clients to a primary that
// is none yet; and only those messages wait for it, not the votes of later
// steps. Until then the Node is not told that its claim is on disk, so
// heartbeats speak of the old role, too.
func (o *outcome) release(d *Driver, e *release.Entry[pending]) {
	p := &e.Thing
	if p.fx.DropKeys != nil {
		d.sweeper.add(p.fx.DropKeys)
	}
	if p.fx.DropShardSubs != nil {
		d.Shell.DropShardChannels(p.fx.DropShardSubs)
		d.sweeper.untrack(p.fx.DropShardSubs)
	}
	if p.fx.Moved != nil {
		d.Shell.ForgetSlotUse(p.fx.Moved)
	}
	if p.fx.Role == nil && !p.fx.LeaveGroup {
		o.finish(d, p)
		return
	}
	if p.question != nil && p.question.hasty {
		d.answer(p)
	}
	o.queue.Begin(e)
	d.changer.change(&p.fx, func() {
		d.post(func() {
			o.queue.End(e)
			o.finish(d, p)
			o.tell(d)
		})
	})
	if p.fx.EndsPauseWithRole() {
		d.endOrBeginPause(time.Time{}) // the changer takes it after the role
	}
}

// finish lets the last go.
func (o *outcome) finish(d *Driver, p *pending) {
	d.send(p.fx.SendAfterPersist)
	d.answer(p)
}

// answer gives the asker the result, which must find the new View.
func (d *Driver) answer(p *pending) {
	if p.question == nil || p.fx.Result == nil {
		return
	}
	d.publishView()
	p.question.answer(*p.fx.Result)
	p.question = nil
}

// tell lets the Node know what is settled.
func (o *outcome) tell(d *Driver) {
	if version, news := o.queue.Settled(); news {
		d.step(cluster.Persisted{Version: version}, nil)
	}
}

// busLinks is what the links tell the driver.
type busLinks struct{ d *Driver }

// Opened implements link.Handler.
func (b busLinks) Opened(l *link.Link) {
	d := b.d
	d.post(func() {
		if !l.Inbound() {
			if id, ok := d.ids[l]; ok {
				d.step(cluster.LinkUp{Link: id}, nil)
			}
			return
		}
		d.accepted++
		id := cluster.InboundLink(d.accepted)
		d.links[id], d.ids[l] = l, id
		d.step(cluster.LinkAccepted{Link: id, PeerIP: ipText(l.RemoteIP()), LocalIP: ipText(l.LocalIP())}, nil)
	})
}

// Received implements link.Handler.
func (b busLinks) Received(l *link.Link, m *bus.Message) {
	d := b.d
	if d.drops(l, m.Type) {
		return
	}
	d.post(func() {
		if id, ok := d.ids[l]; ok {
			d.tellFacts()
			d.step(cluster.Received{Link: id, Msg: m}, nil)
		}
	})
}

// Dropped implements link.Handler.
func (b busLinks) Dropped(l *link.Link, t bus.Type, err error) {
	d := b.d
	d.post(func() { d.step(cluster.Dropped{Type: t}, nil) })
	d.Log.Debug("Received an invalid cluster bus message of type "+t.String()+" from "+l.RemoteIP().String(), zap.Error(err))
}

// isEnd reports whether a link was ended by the peer, between two messages or within one.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Closed implements link.Handler.
func (b busLinks) Closed(l *link.Link, err error) {
	d := b.d
	why := refusal(err)
	d.post(func() {
		if id, ok := d.ids[l]; ok {
			d.forgetLink(id, l)
			d.step(cluster.LinkDown{Link: id, Overflow: isOverflow(err), Ended: isEnd(err), Refused: errors.Is(err, syscall.ECONNREFUSED), Refusal: why}, nil)
		}
	})
	if why != "" && l.Inbound() {
		d.turnedAway(ipText(l.RemoteIP()), why)
	}
}
