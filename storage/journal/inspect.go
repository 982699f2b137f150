package journal

import "redoubt/replication"

// Enabled reports whether there is a journal (appendonly yes).
func (s *Stream) Enabled() bool { return s.writerNow() != nil }

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
