package sentinel

import (
	"redoubt/cluster/release"
	core "redoubt/cluster/sentinel"
)

// saver keeps what waits for the configuration file: states that are not on disk
// yet, of which only the newest needs to be written, and the effects that depend
// on them. The loop owns it.
type saver struct {
	// write begins to write a state; saved or again is called in the end.
	write func(*core.State)

	writing *core.State // being written, or about to be tried again
	newest  *core.State // to be written after that; nil if there is none
	queue   release.Queue[waiting]
}

// waiting is the effects of a step that may be carried out when a version of the
// state is on disk.
type waiting struct {
	effects core.Effects
	done    func(core.Result) // nil if nobody waits for the result, or not any more
}

// busy reports whether something waits, which later effects must not overtake.
func (s *saver) busy() bool { return len(s.queue.Waiting()) > 0 }

// unsaved reports whether there is a state that is not known to be on disk.
func (s *saver) unsaved() bool { return s.writing != nil }

// take takes a state to be written.
func (s *saver) take(state *core.State) {
	s.queue.Ask(state.Version)
	if s.writing != nil {
		s.newest = state
		return
	}
	s.writing = state
	s.write(state)
}

// await takes the effects of a step, and reports false if they may be carried out at
// once. Otherwise they wait for the newest state.
func (s *saver) await(w waiting) bool {
	_, free := s.queue.Add(w)
	return !free
}

// saved says that a version is on disk, begins with the next one, and returns the
// effects that need not wait any more.
func (s *saver) saved(version uint64) (free []waiting) {
	s.queue.Saved(version)
	for e := s.queue.Next(); e != nil; e = s.queue.Next() {
		free = append(free, e.Thing)
	}
	s.writing = nil
	s.again()
	return free
}

// again writes the newest state, after another one or after a failure.
func (s *saver) again() {
	if s.newest != nil {
		s.writing, s.newest = s.newest, nil
	}
	if s.writing != nil {
		s.write(s.writing)
	}
}

// refuse answers those who wait for results. What waits beside them stays: the
// state has changed, and is written in the end.
func (s *saver) refuse(err error) {
	for _, e := range s.queue.Waiting() {
		if w := &e.Thing; w.done != nil && w.effects.Result != nil {
			w.done(core.Result{Err: err})
			w.done = nil
		}
	}
}
