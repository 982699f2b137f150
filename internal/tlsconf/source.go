package tlsconf

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Source holds the configurations in force. Any goroutine may call its methods.
type Source struct {
	current atomic.Pointer[Set]

	mu    sync.Mutex
	tried []stamp // guarded by mu: the files as the last attempt found them
}

// Set returns the configurations in force, nil if TLS is not used. Take it anew for
// each connection.
func (s *Source) Set() *Set { return s.current.Load() }

// Load puts configurations in force that are made of o. If that fails, those in force
// stay.
func (s *Source) Load(o Options) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load(o)
}

func (s *Source) load(o Options) error {
	r := &reader{set: &Set{options: o}}
	err := r.load(o)
	s.tried = r.set.stamps
	if err != nil {
		return err
	}
	s.current.Store(r.set)
	return nil
}

// Restore puts a set in force that was so before; nil: TLS is not used any more.
func (s *Source) Restore(set *Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Store(set)
	s.tried = nil
	if set != nil {
		s.tried = set.stamps
	}
}

// Refresh reads the files again if one has changed since the last attempt. It reports
// whether other configurations are in force, or why they could not be replaced, which
// it says once for each change.
func (s *Source) Refresh() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.current.Load()
	if set == nil || slices.Equal(s.tried, restamp(s.tried)) {
		return false, nil
	}
	if err := s.load(set.options); err != nil {
		return false, err
	}
	return true, nil
}

// stamp is what a file looked like when it was read, or a directory.
type stamp struct {
	path    string
	size    int64 // -1: it was not there
	changed time.Time
	file    any // what tells it from another file of that name
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{path: path, size: -1}
	}
	return stamp{path: path, size: info.Size(), changed: info.ModTime(), file: identity(info)}
}

func restamp(old []stamp) []stamp {
	now := make([]stamp, len(old))
	for i, s := range old {
		now[i] = stampOf(s.path)
	}
	return now
}

// stamp notes a file that is about to be read: what changes after it is noticed.
func (r *reader) stamp(path string) { r.set.stamps = append(r.set.stamps, stampOf(path)) }
