package journal

import "redoubt/replication"

// Enabled reports whether there is a journal (appendonly yes).
func (s *Stream) Enabled() bool { return s.w.Load() != nil }

// Dir is the journal's directory, which nobody else writes to while there is a
// journal. A base in the making is best put there, under the name temp-….rdb:
// what a crash leaves of such files the next Open removes.
func (s *Stream) Dir() string { return s.cfg.Dir }

// Base is the RDB file that a restart would load, and the offset it is as of;
// the path is "" if there is none. It waits for the writer, and so for the disk.
func (s *Stream) Base() (path string, at replication.Offset) {
	_ = s.onWriter(func(w *writer) error {
		if w.manifest.base != "" && !w.pending {
			path, at = w.store.disk.PathJoin(s.cfg.Dir, w.manifest.base), w.manifest.baseOffset
		}
		return nil
	})
	return path, at
}

// Restart is what a restart would begin with: the base ("" if it would begin
// with no data) and the offset to replay from. ok is false if it would not find
// the present stream: there is no journal, or it waits for its first base. It
// does not wait for the disk.
func (s *Stream) Restart() (base string, from replication.Offset, ok bool) {
	m := s.current.Load()
	if m == nil {
		return "", 0, false
	}
	if m.base != "" {
		base = s.cfg.FS.PathJoin(s.cfg.Dir, m.base)
	}
	return base, m.baseOffset, true
}

// RestartAt is what a restart would begin with if the stream ended at offset at: the
// newest of the bases that are as of an offset not beyond it. ok is false if there is
// none.
func (s *Stream) RestartAt(at replication.Offset) (base string, from replication.Offset, ok bool) {
	m := s.current.Load()
	if m == nil {
		return "", 0, false
	}
	if base, from, ok = m.baseBefore(at); base != "" {
		base = s.cfg.FS.PathJoin(s.cfg.Dir, base)
	}
	return base, from, ok
}

// Oldest is the offset of the oldest base that is kept; ok is false as for Restart.
func (s *Stream) Oldest() (at replication.Offset, ok bool) {
	m := s.current.Load()
	if m == nil {
		return 0, false
	}
	return m.oldest(), true
}
