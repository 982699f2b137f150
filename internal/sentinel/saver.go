package sentinel

import core "redoubt/cluster/sentinel"

// saver keeps what waits for the configuration file: states that are not on disk
// yet, of which only the newest needs to be written, and the effects that depend
// on them. The loop owns it.
type saver struct {
	// write begins to write a state; saved or again is called in the end.
	write func(*core.State)

	writing *core.State // being written, or about to be tried again
	newest  *core.State // to be written after that; nil if there is none
	version uint64      // of the newest state that was taken
	queue   []waiting
}

// waiting is the effects of a step that may be carried out when a version of the
// state is on disk.
type waiting struct {
	version uint64
	effects core.Effects
	done    func(core.Result) // nil if nobody waits for the result, or not any more
}

// busy reports whether something waits, which later effects must not overtake.
func (s *saver) busy() bool { return len(s.queue) > 0 }

// unsaved reports whether there is a state that is not known to be on disk.
func (s *saver) unsaved() bool { return s.writing != nil }

// take takes a state to be written.
func (s *saver) take(state *core.State) {
	s.version = state.Version
	if s.writing != nil {
		s.newest = state
		return
	}
	s.writing = state
	s.write(state)
}

// await queues effects behind the newest state.
func (s *saver) await(w waiting) {
	w.version = s.version
	s.queue = append(s.queue, w)
}

// saved says that a version is on disk, begins with the next one, and returns the
// effects that need not wait any more.
func (s *saver) saved(version uint64) (free []waiting) {
	for len(s.queue) > 0 && s.queue[0].version <= version {
		free = append(free, s.queue[0])
		s.queue = s.queue[1:]
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
	for i := range s.queue {
		if w := &s.queue[i]; w.done != nil && w.effects.Result != nil {
			w.done(core.Result{Err: err})
			w.done = nil
		}
	}
}
