package storage

// A unit may take long, if it runs what a client has written (a script). Nobody
// knows beforehand, so others wait for its locks as for those of any unit. When it
// has turned out (Long), those who have something better to do give up: event
// loops, which have other clients to answer.

// Long says that the unit at hand takes long, or (false) that others can wait for
// it again, as it is about to end. Calls come in pairs.
func (e *Executor) Long(on bool) {
	ks := e.ks
	if !on {
		ks.long.Add(-1)
		return
	}
	ks.long.Add(1)
	for i := range ks.berths {
		ks.berths[i].rouse()
	}
	ks.world.hurry()
}

// MayGiveUp says that the executor's owner has something better to do than to
// wait for a unit that takes long: Begin and BeginWorld return nil then, and there
// is no unit.
func (e *Executor) MayGiveUp() { e.mayGiveUp = true }

// GaveUp reports whether a unit did not come about since it was asked last.
func (e *Executor) GaveUp() bool {
	gave := e.gaveUp
	e.gaveUp = false
	return gave
}
