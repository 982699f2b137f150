package server

import (
	"sync"
	"sync/atomic"

	"redoubt/internal/resp"
	"redoubt/internal/script"
)

// evalScripts is how many scripts are kept that only EVAL has brought: the one that
// has not been used for the longest time makes room for the next, as in Redis 7.4.
// What SCRIPT LOAD has brought stays until SCRIPT FLUSH.
const evalScripts = 500

// scripts is the script cache of the node, with what its functions are in
// functions.go. A script is compiled once, and run by the engines of all loops.
type scripts struct {
	mu      sync.Mutex
	byName  map[string]*cached // by SHA1; guarded by mu
	byBody  map[string]*cached // guarded by mu
	fleet   int                // of them, those that only EVAL has brought; guarded by mu
	bytes   int64              // what they take; guarded by mu
	evicted int64              // guarded by mu
	uses    uint64             // a clock that goes on with each use; guarded by mu

	// flushes counts SCRIPT FLUSH: an engine of before starts over.
	flushes atomic.Uint64
}

// cached is a script in the cache.
type cached struct {
	*script.Script
	loaded bool   // by SCRIPT LOAD
	used   uint64 // when, on the clock of the cache
	bytes  int64
	// wide is set when a run has looked beyond the slots of the keys that its call
	// had named: from then on it is run with the world locked (cluster mode).
	wide atomic.Bool
}

// cachedBytes is about what a script takes beside its text: name, code, maps.
const cachedBytes = 400

func newScripts() *scripts {
	s := &scripts{}
	s.clear()
	return s
}

func (s *scripts) clear() {
	s.byName, s.byBody = map[string]*cached{}, map[string]*cached{}
	s.fleet, s.bytes = 0, 0
}

// find returns the script with this SHA1, 40 digits of any case, or nil.
func (s *scripts) find(sha []byte) *cached {
	if len(sha) != 40 {
		return nil
	}
	var name [40]byte
	for i, c := range sha {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		name[i] = c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.use(s.byName[string(name[:])])
}

// known returns the script with this text, or nil.
func (s *scripts) known(body []byte) *cached {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.use(s.byBody[string(body)])
}

// use notes that a script is used. mu is held.
func (s *scripts) use(c *cached) *cached {
	if c != nil {
		s.uses++
		c.used = s.uses
	}
	return c
}

// load returns the script with this text, compiled if it is new. loaded says that it
// is to stay. The error is a line for the client.
func (s *scripts) load(body []byte, loaded bool) (*cached, resp.Error) {
	c := s.known(body)
	if c == nil {
		compiled, err := script.Compile(body)
		if err != nil {
			return nil, err.(resp.Error)
		}
		c = &cached{Script: compiled, loaded: loaded, bytes: int64(len(body)) + cachedBytes}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.byName[c.SHA()]; other != nil {
		c = other
	} else {
		s.add(c)
	}
	if loaded && !c.loaded {
		c.loaded = true
		s.fleet--
	}
	return s.use(c), ""
}

// add puts a script into the cache. mu is held.
func (s *scripts) add(c *cached) {
	if !c.loaded {
		if s.fleet == evalScripts {
			s.dropOldest()
		}
		s.fleet++
	}
	s.byName[c.SHA()], s.byBody[c.Body()] = c, c
	s.bytes += c.bytes
}

// dropOldest takes the script of EVAL out of the cache that has not been used for the
// longest time. mu is held.
func (s *scripts) dropOldest() {
	var oldest *cached
	for _, x := range s.byName {
		if !x.loaded && (oldest == nil || x.used < oldest.used) {
			oldest = x
		}
	}
	s.drop(oldest)
	s.evicted++
}

// drop takes a script of EVAL out of the cache. mu is held.
func (s *scripts) drop(c *cached) {
	delete(s.byName, c.SHA())
	delete(s.byBody, c.Body())
	s.bytes -= c.bytes
	s.fleet--
}

// flush is SCRIPT FLUSH.
func (s *scripts) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.flushes.Add(1)
}

// count is how many scripts there are, what they take, and how many were evicted.
func (s *scripts) count() (n int, bytes, evicted int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byName), s.bytes, s.evicted
}

// resetStats is CONFIG RESETSTAT.
func (s *scripts) resetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evicted = 0
}
